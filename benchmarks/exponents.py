"""How cost grows with the work: fitted exponents over rows, features, trials and workers.

    python benchmarks/exponents.py [--rows 250000 1000000 4000000] [--features 10 100 1000] [--trials 10 100 1000 10000]

Costs are processor seconds: of a trial on made rows (30 numerics and 8 categoricals; or so many numerics on 50,000
of them), reading excepted; of the controller for all trials of a study on eight simulated workers, and for 2,000 trials
on 1 to 2,000 of them. The exponent is the slope of a line through the logarithms; entities are in `random_effects.py`,
links and interactions in `columns_cost.py`.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from controller import run as run_study
from results import Cell, record

from glmix_automl.training.evaluate import Evaluator
from glmix_automl.trial import Trial
from tests.dataset_maker import make_dataset

WORK: dict[str, tuple[str, dict[str, Any]]] = {
    "logistic regression, an epoch": ("logistic", {"batch_size": 512}),
    "subnetwork 64-64, an epoch": ("subnetwork", {"batch_size": 512, "depth": 2, "width": 64}),
    "50 trees": ("trees", {"trees": 50, "patience": 0}),
    "random effects of members": ("random_effect", {}),
}
ROWS_OF_FEATURES, ROWS_OF_MEMBER = 50_000, 20
WORKERS, TRIALS_OF_WORKERS, SLOTS = (1, 10, 100, 1000, 2000), 2000, 8


def train(rows: int, numerics: int, names: list[str]) -> dict[str, float]:
    """Processor seconds of a trial of each kind of work."""
    with tempfile.TemporaryDirectory() as folder:
        sizes = {"numerics": numerics, "categoricals": 8, "bags": 0, "weighted_bags": 0, "terms": 1600}
        make_dataset(f"{folder}/set", rows=rows, held_out=rows // 8, members=rows // ROWS_OF_MEMBER, **sizes)
        evaluator = Evaluator(f"{folder}/set", f"{folder}/study", threads=1)
        spent = {}
        for number, name in enumerate(names):
            family, parameters = WORK[name]
            for turn, epochs in enumerate((0.02, 1.0)):  # the first compiles and traces
                started = time.process_time()
                evaluator(
                    Trial(2 * number + turn, "benchmark", family, parameters, epochs=epochs), lambda progress: False
                )
            spent[name] = time.process_time() - started
        return spent


def steer(trials: int, slots: int) -> float:
    """Processor seconds of the controller for so many trials on so many workers."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        run_study(trials, slots, False, Path(folder))
        return time.process_time() - started


def fit(sizes: list[int], costs: list[float]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[250_000, 1_000_000, 4_000_000])
    parser.add_argument("--features", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    given = parser.parse_args()
    costs: dict[tuple[str, str], tuple[list[int], list[float]]] = {}

    def note(axis: str, what: str, size: int, spent: float) -> None:
        sizes, found = costs.setdefault((axis, what), ([], []))
        sizes.append(size)
        found.append(spent)
        print(f"{axis:10}{size:>12,}  {what:32}{spent:>9.2f} s {1e6 * spent / size:>10.2f} us each", flush=True)

    for rows in given.rows:
        for name, spent in train(rows, 30, list(WORK)).items():
            note("rows", name, rows, spent)
    for features in given.features:
        for name, spent in train(ROWS_OF_FEATURES, features, list(WORK)[:3]).items():
            note("features", name, features, spent)
    for trials in given.trials:
        note("trials", "controller", trials, steer(trials, SLOTS))
    for workers in WORKERS:
        note("workers", f"controller, {TRIALS_OF_WORKERS:,} trials", workers, steer(TRIALS_OF_WORKERS, workers))
    rows_: list[list[Cell]] = []
    for (axis, what), (sizes, found) in costs.items():
        rows_.append([axis, what, f"{sizes[0]:,} to {sizes[-1]:,}", fit(sizes, found), found[-1] / found[0]])
        print(f"{axis:10}{what:32} exponent {rows_[-1][3]:.3f}")
    worst = max(rows_, key=lambda row: float(str(row[3])))
    says = f"Cost grows by exponents of at most {worst[3]:.2f} ({worst[1]}, in {worst[0]})."
    heads = ["grows with", "cost of", "from, to", "exponent", "cost at the end, times the first"]
    record(
        "exponents", says, heads, rows_, data=f"made rows; features on {ROWS_OF_FEATURES:,} of them", seeds="one call"
    )


if __name__ == "__main__":
    main()
