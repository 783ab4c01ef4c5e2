"""Nights on generated data that drift: what each decided, how long it took, what its model is worth.

python benchmarks/nights.py [--rows 20000] [--seconds 60] [--home FOLDER]

The first two nights have the same members and items, the second some more responses; the third has others. Printed: the
night, the way that was chosen and why, seconds of its steps, test AUC of its model, the decision on the champion.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from glmix_automl.cli import main
from tests.nightly.night_maker import configure

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


GATE = dict.fromkeys(("rows", "base_rate", "fill", "unseen"))  # what is shown here is how it is decided


def run(folder: Path, rows: int, seconds: float) -> None:
    """Three nights and their table."""
    folder.mkdir(parents=True, exist_ok=True)
    path = configure(folder, RACE, search={"limits": {"seconds": seconds}}, recipe={"history": None}, gate=GATE)
    lines = []
    for date, count, seed in (("2026-11-26", rows, 1), ("2026-11-27", rows * 11 // 10, 1), ("2026-11-28", rows, 9)):
        tables = str(folder / "tables" / date)
        main(["generate", "jymbii", "--rows", str(count), "--seed", str(seed), "--output", tables])
        main(["nightly", str(path), "--key", date])
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
