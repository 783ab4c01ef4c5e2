"""Nights on generated data that drift: what each decided, how long it took, what its model is worth.

    python benchmarks/nights.py [--rows 20000] [--seconds 60] [--home FOLDER]

Each night that searches does so by the default race. The second night has a tenth more responses of the same members
and is told to replay what the first found from its weights; the third has the same tables and is told to search, so
that both ways stand beside each other. In the fourth the terms of two attributes were renamed by whoever delivers them;
the fifth has other members and items. Printed: the night, the way that was chosen and why, seconds of its steps, test
AUC of its model, the decision on the champion.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from results import Cell, record

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from glmix_automl.cli import main
from tests.nightly.night_maker import configure

REPLAY, SEARCH = {"drift": 1.0, "auc_drop": 1.0, "refresh_drift": 0.0}, {"search_every": 1}
NIGHTS: dict[str, dict[str, Any]] = {
    "2026-11-25": {},
    "2026-11-26": REPLAY,
    "2026-11-27": SEARCH,
    "2026-11-28": {},
    "2026-11-29": {},
}
"""Date -> what of the rule of choice is not the default."""
GATE = dict.fromkeys(("rows", "base_rate", "fill", "unseen"))  # what is shown here is how it is decided


def deliver(tables: Path, rows: int) -> None:
    """Tables of all dates."""
    first, second, same, renamed, other = NIGHTS
    for date, count, seed in ((first, rows, 1), (second, rows * 11 // 10, 1), (other, rows, 9)):
        words = ["--rows", str(count), "--seed", str(seed), "--output", str(tables / date)]
        main(["generate", "jymbii", *words])
    for date in (same, renamed):
        shutil.copytree(tables / second, tables / date)
    for table, column in (("members", "education"), ("items", "company_size")):
        path = tables / renamed / f"{table}.parquet"
        frame = pd.read_parquet(path)
        shutil.rmtree(path)
        frame.assign(**{column: "new " + frame[column]}).to_parquet(path)


def run(folder: Path, rows: int, seconds: float) -> None:
    """The nights and their table."""
    folder.mkdir(parents=True, exist_ok=True)
    deliver(folder / "tables", rows)
    lines, told = [], list[list[Cell]]()
    for date, choice in NIGHTS.items():
        given: dict[str, Any] = {"search": {"limits": {"seconds": seconds}}, "overrides": {"recipe": {"history": None}}}
        path = configure(folder, {}, **given, gate=GATE, choice=choice)
        main(["nightly", str(path), "--key", date])
        steps = json.loads((folder / "nights" / date / "night.json").read_text())["steps"]
        took = " + ".join(f"{steps[name]['seconds']:.0f}" for name in ("prepare", "search", "promote"))
        found = steps["search"]["found"]
        lines.append(
            f"| {date} | {found['way']} | {found['reason']} | {took} | {found['test_auc']:.4f} "
            f"| {steps['promote']['found']['action']} |"
        )
        told.append([date, found["way"], steps["search"]["seconds"], found["test_auc"]])
    print("| night | way | why | seconds: prepare + search + promote | test AUC | champion |")
    print("|---|---|---|---|---|---|")
    print("\n".join(lines))
    (_, _, replay, replayed), (_, _, search, searched) = told[1:3]
    record(
        "nights",
        f"A night that replays what an earlier one found from its weights takes {replay / search:.2f} of the seconds "
        f"of one that searches on the same tables, for {replayed - searched:+.4f} test AUC.",
        ["night", "way", "seconds of it", "test AUC"],
        told,
        data=f"{rows:,} generated jobs rows, a tenth more from the second night on",
        seeds="1",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="limit of a search")
    parser.add_argument("--home", type=Path, help="a new folder (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        run(options.home or Path(place), options.rows, options.seconds)
