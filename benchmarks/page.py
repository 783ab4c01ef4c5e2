"""docs/benchmarks.md from the records of runs: a section each, its claim, its figures and where they come from."""

import json
from typing import Any

from results import RESULTS, ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
TITLES = {
    "quality": "Quality at equal budget",
    "growth": "Growth against a grid",
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
    "tuning": "Tuning",
    "speed-up": "Tuning on more workers",
    "straggler": "Stragglers",
    "controller": "Many workers",
}
"""Parts on the page, in its order."""
HEAD = """# Benchmarks

What was measured, against whom; written by `python benchmarks/run.py --page` from the records in `benchmarks/results/`.
`make bench PARTS="training scoring"` runs parts again, `python benchmarks/run.py --help` names them. Figures are ratios
to baselines of the same call wherever there is one, as clocks on shared machines say little; in brackets their spread.
What was tried and left out is in [decisions.md](decisions.md).
"""


def make_page() -> str:
    """The whole page."""
    found = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    return "\n".join([HEAD, *(section(title, found[part]) for part, title in TITLES.items() if part in found)])


def section(title: str, result: dict[str, Any]) -> str:
    """A record as Markdown."""
    heads = result["heads"]
    lines = [f"## {title}", "", result["says"], "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [f"| {' | '.join(map(show, row, heads))} |" for row in result["rows"]]
    where = f"{result['machine']}; {result['date']}, {result['commit']}"
    told = (
        f"Data: {result['data']}. Seeds: {result['seeds']}. Spread: {result['spread']}. {where}. `{result['command']}`"
    )
    return "\n".join([*lines, "", told, ""])


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
