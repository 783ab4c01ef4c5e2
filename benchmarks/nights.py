"""Nights on generated data that drift: what each decided, how long it took, what its model is worth.

python benchmarks/nights.py [--rows 20000] [--seconds 60] [--home FOLDER]

The second night has a tenth more responses of the same members; the third is the second with the terms of two
attributes renamed by whoever delivers them; the fourth has other members and items. Printed: the night, the way that
was chosen and why, seconds of its steps, test AUC of its model, the decision on the champion.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from glmix_automl.cli import main
from tests.nightly.night_maker import configure

DATES = ("2026-11-25", "2026-11-26", "2026-11-27", "2026-11-28")
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


def deliver(tables: Path, rows: int) -> None:
    """Tables of four dates."""
    for date, count, seed in ((DATES[0], rows, 1), (DATES[1], rows * 11 // 10, 1), (DATES[3], rows, 9)):
        words = ["--rows", str(count), "--seed", str(seed), "--output", str(tables / date)]
        main(["generate", "jymbii", *words])
    shutil.copytree(tables / DATES[1], tables / DATES[2])
    for table, column in (("members", "education"), ("items", "company_size")):
        path = tables / DATES[2] / f"{table}.parquet"
        frame = pd.read_parquet(path)
        shutil.rmtree(path)
        frame.assign(**{column: "new " + frame[column]}).to_parquet(path)


def run(folder: Path, rows: int, seconds: float) -> None:
    """The nights and their table."""
    folder.mkdir(parents=True, exist_ok=True)
    deliver(folder / "tables", rows)
    path = configure(
        folder, RACE, search={"limits": {"seconds": seconds}}, overrides={"recipe": {"history": None}}, gate=GATE
    )
    lines = []
    for date in DATES:
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
