"""The record of a benchmark's run: figures, spread, seeds, data, command and machine, as JSON that the page is made of.

A script ends with one call of `record`. It writes only where `BENCH_RESULTS` names a folder, as `benchmarks/run.py`
does: a script that is merely tried leaves the record of the last whole run alone.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
FOLDER = "BENCH_RESULTS"
"""The environment variable that names the folder of results."""


@dataclass(frozen=True)
class Figure:
    """A measured number.

    Attributes:
        value: mean or median.
        low, high: of its spread; what that is, the record says.
    """

    value: float
    low: float | None = None
    high: float | None = None


Cell = Figure | float | int | str | None


def record(
    part: str,
    says: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    data: str,
    seeds: str,
    spread: str = "none: a single run",
    more: Mapping[str, Any] | None = None,
) -> None:
    """Writes what a run found, where there is a folder for it.

    Args:
        part: name of the part, and of the file.
        says: what it shows, in a sentence or two made of its figures.
        heads, rows: the table.
        data: rows, columns and where they come from.
        seeds: how many, or turns.
        spread: what stands in brackets beside a figure.
        more: whatever a chart or a later look needs.
    """
    if (folder := os.environ.get(FOLDER)) is None:
        return
    content = {
        "part": part,
        "says": says,
        "heads": list(heads),
        "rows": [[asdict(cell) if isinstance(cell, Figure) else cell for cell in row] for row in rows],
        "data": data,
        "seeds": seeds,
        "spread": spread,
        "command": command(),
        "machine": machine(),
        "date": date.today().isoformat(),
        "commit": commit(),
        "more": dict(more or {}),
    }
    path = Path(folder) / f"{part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"recorded in {path}")


def earlier(path: str | Path | None, name: str) -> Any:
    """What a record has in `more`, for runs to be added to; empty where there is none."""
    return json.loads(Path(path).read_text())["more"].get(name, {}) if path and Path(path).exists() else {}


def command() -> str:
    """How this process was started, from the root of the project."""
    script = Path(sys.argv[0]).resolve()
    name = script.relative_to(ROOT) if script.is_relative_to(ROOT) else script.name
    return " ".join(["python", str(name), *sys.argv[1:]])


def machine() -> str:
    """Processor, cores, and how many processes wanted one at the end."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}"


def commit() -> str:
    """Of the code that ran; with a plus where something was changed since."""
    told = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True)
    return told.stdout.strip() or "unknown"
