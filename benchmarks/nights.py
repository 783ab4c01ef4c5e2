"""Nights on generated data that drift: what each decided, how long it took, what its model is worth.

python benchmarks/nights.py [--rows 20000] [--seconds 60] [--home FOLDER]

The first two nights have the same members and items, the second some more responses; the third has others. Printed: the
night, the way that was chosen and why, seconds of its steps, test AUC of its model, the decision on the champion.
"""

import argparse
import json
import tempfile
from pathlib import Path

import yaml

from glmix_automl.cli import main

ROOT = Path(__file__).resolve().parent.parent
POOL = [
    {"family": "logistic", "parameters": {"solver": "lbfgs", "l2": 10.0}, "until": 1, "alone": True},
    {"family": "random_effect", "name": "member", "parameters": {"entity": "member_id"}},
    {"family": "random_effect", "name": "item", "parameters": {"entity": "item_id"}},
    {"family": "trees", "parameters": {"trees": 60, "leaves": 16}},
]
RACE = {
    "linear": {"strategy": "fixed", "family": "logistic", "parameters": {"solver": "lbfgs", "l2": 10.0}},
    "growth": {
        "strategy": "adanet",
        "lag": 0,
        "candidates": 6,
        "fit": "validation",
        "generator": {"kind": "pool", "candidates": POOL},
    },
}


def configure(folder: Path, seconds: float) -> str:
    """Writes the night's configuration; gives its path."""
    search = {"dataset": "the night's", "study": "the night's", "race": RACE, "limits": {"seconds": seconds}}
    (folder / "search.yaml").write_text(yaml.safe_dump(search))
    night = {
        "recipe": str(ROOT / "conf" / "prepare" / "generated-jymbii.yaml"),
        "search": str(folder / "search.yaml"),
        "home": str(folder / "nights"),
        "name": "nights",
        "overrides": {"recipe": {"root": str(folder / "tables" / "{date}"), "history": None}},
        "gate": {"rows": None, "base_rate": None, "fill": None, "unseen": None},
    }
    (folder / "nightly.yaml").write_text(yaml.safe_dump(night))
    return str(folder / "nightly.yaml")


def run(folder: Path, rows: int, seconds: float) -> None:
    """Three nights and their table."""
    path, lines = configure(folder, seconds), []
    for date, count, seed in (("2026-11-26", rows, 1), ("2026-11-27", rows * 11 // 10, 1), ("2026-11-28", rows, 9)):
        tables = str(folder / "tables" / date)
        main(["generate", "jymbii", "--rows", str(count), "--seed", str(seed), "--output", tables])
        main(["nightly", path, "--key", date])
        steps = json.loads((folder / "nights" / date / "night.json").read_text())["steps"]
        took = " + ".join(f"{steps[name]['seconds']:.0f}" for name in ("prepare", "search", "promote"))
        found = steps["search"]["found"]
        lines.append(
            f"| {date} | {found['way']} | {found['reason']} | {took} | {found['test_auc']:.4f} "
            f"| {steps['promote']['found']['action']} |"
        )
    print("| night | way | why | seconds: prepare + search + promote | test AUC | champion |")
    print("|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="limit of a search")
    parser.add_argument("--home", type=Path, help="a new folder (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        run(options.home or Path(place), options.rows, options.seconds)
