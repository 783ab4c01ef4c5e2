"""docs/benchmarks.md from the records of runs: a claim each, and where it comes from; tables are a page beside them."""

import json
from pathlib import Path
from typing import Any

from results import RESULTS, ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
TITLES = {
    "quality": "Quality at equal budget",
    "quality-large": "Quality on more rows",
    "products": "Product against product",
    "poster": "The tables of the poster",
    "families": "Families of models",
    "default-race": "The default race",
    "original-adanet": "Growth against the original library",
    "training": "Training",
    "time-to-quality": "Time to quality",
    "evaluation": "Evaluation",
    "scoring": "Scoring",
    "preparation": "Preparation",
    "streaming": "Data larger than memory",
    "columns": "What columns are worth",
    "columns-cost": "What columns cost",
    "random-effects": "Random effects",
    "effects-in-growth": "Random effects in growth",
    "movielens-effects": "Effects as GDMix has them",
    "planted-effects": "Effects that are there, or not",
    "tuning": "Tuning",
    "speed-up": "Tuning on more workers",
    "straggler": "Stragglers",
    "controller": "Many workers",
    "utilisation": "Many workers under a strategy",
    "nights": "A model every night",
    "exponents": "Cost as work grows",
    "pool": "Hand-over and start",
    "wide-ids": "Millions of ids",
    "metrics": "Metrics",
    "quickstart": "Where the quickstart's time goes",
}
"""Parts on the page, in its order."""
WITH_TABLE = ("quality", "quality-large", "products")
"""Parts whose table is on the page; of the others it is beside their records."""
TABLES = RESULTS / "README.md"
HEAD = """# Benchmarks

What was measured, against whom; written by `python benchmarks/run.py --page` from the records in `benchmarks/results/`,
whose tables are [there](../benchmarks/results/README.md). `make bench PARTS="training scoring"` runs parts again,
`python benchmarks/run.py --help` names them. Figures are ratios to baselines of the same call wherever there is one, as
clocks on shared machines say little; in brackets their spread. What was tried and left out is in
[decisions.md](decisions.md).
"""
TABLES_HEAD = """# Tables of the benchmarks

One per record, written with [the page of claims](../../docs/benchmarks.md).
"""


def make_pages() -> dict[Path, str]:
    """The page of claims, and that of all tables."""
    found = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    parts = {part: found[part] for part in TITLES if part in found}
    return {
        PAGE: "\n".join([HEAD, *(claim(part, result) for part, result in parts.items())]),
        TABLES: "\n".join([TABLES_HEAD, *(table(part, result) for part, result in parts.items())]),
    }


def claim(part: str, result: dict[str, Any]) -> str:
    """What a record shows, and where that comes from."""
    shown = [*draw_table(result), ""] if part in WITH_TABLE else []
    said = f"**{TITLES[part]}.** {result['says']}"
    return "\n".join([said, "", *shown, f"<sub>{say_source(result)}</sub>", ""])


def table(part: str, result: dict[str, Any]) -> str:
    """A record's figures."""
    return "\n".join([f"## {TITLES[part]}", "", *draw_table(result), "", say_source(result), ""])


def say_source(result: dict[str, Any]) -> str:
    """Data, seeds, spread, machine and command."""
    told = f"{result['data']}; seeds: {result['seeds']}; spread: {result['spread']}"
    return f"{told}; {result['machine']}; {result['date']}, {result['commit']}; `{result['command']}`"


def draw_table(result: dict[str, Any]) -> list[str]:
    """Lines of Markdown."""
    heads = result["heads"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return lines + [f"| {' | '.join(map(show, row, heads))} |" for row in result["rows"]]


def show(cell: Any, head: str) -> str:
    """A cell: AUCs with four digits, other figures with three."""
    if cell is None or isinstance(cell, str):
        return cell or ""
    if not isinstance(cell, dict):
        return f"{cell:.4f}" if "AUC" in head else f"{cell:,.0f}" if cell >= 1000 else f"{cell:.3g}"
    signed = cell["low"] is not None and cell["low"] <= cell["value"] and min(cell["low"], cell["value"]) < 0
    differs = signed or (abs(cell["value"]) < 0.1 and cell["low"] is not None)
    shown = [
        f"{x:+.4f}" if differs else show(x, head) for x in (cell["value"], cell["low"], cell["high"]) if x is not None
    ]
    return shown[0] if len(shown) == 1 else f"{shown[0]} ({shown[1]} to {shown[2]})"
