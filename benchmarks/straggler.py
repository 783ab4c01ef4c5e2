"""A world of four ranks, one of them slowed four times: anytime averaging against synchronous.

    python benchmarks/straggler.py [--epochs 4] [--delay 0.02]

Trials of a logistic regression and of a subnetwork, as workers carry them out, on a generated dataset. Before each of
its steps a rank sleeps as long as it is slow: an injected delay that dwarfs the arithmetic, so that two cores can play
four machines. Printed for each:

- steps/s of a world of one rank, of a fast one and of the slow one, and the sum of the four;
- steps/s of the world under anytime and under synchronous averaging, as shares of that sum and of four times the
  slowest;
- the validation AUC after equal numbers of rows seen.
"""

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from results import Cell, record

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from glmix_automl import clock
from glmix_automl.training.evaluate import Evaluator
from glmix_automl.training.loop import Loop
from glmix_automl.trial import Result, Trial
from glmix_automl.workers import collective
from glmix_automl.workers.local import local_pool
from glmix_automl.workers.task_spec import TaskSpec
from tests.dataset_maker import make_dataset

RANKS = 4
SLOWNESS = 4
PARAMETERS: dict[str, dict[str, Any]] = {
    "logistic": {"batch_size": 256, "learning_rate": 0.01},
    "subnetwork": {"batch_size": 256, "learning_rate": 0.003, "depth": 1, "width": 32},
}


class Straggler(Evaluator):
    """Carries out trials with a delay before each step, longer on one rank."""

    def __init__(self, slow: int | None, delay: float, **arguments: Any) -> None:
        """Sleeps `delay` seconds before a step, on rank `slow` four times as long."""
        steps, own = Loop.run, delay * (SLOWNESS if collective.current().rank == slow else 1)

        def delayed(
            loop: Loop,
            rows: Any,
            starts: np.ndarray,
            rates: tuple[np.ndarray, np.ndarray],
            first: int,
            scale: float,
            hyper: Any,
            seed: int,
            until: float = np.inf,
        ) -> int:
            made = 0
            while made < len(starts) and clock.now() < until:
                time.sleep(own)
                one = slice(made, made + 1)
                made += steps(loop, rows, starts[one], (rates[0][one], rates[1][one]), first + made, scale, hyper, seed)
            return made

        Loop.run = delayed  # type: ignore[method-assign]  # in this process, a rank's
        super().__init__(**arguments)


def measured(folder: Path, ranks: int, slow: int | None, averaging: str, epochs: float, delay: float) -> list[Result]:
    """A trial per family in one world; each is carried out twice, as the first traces."""
    arguments = {
        "dataset": str(folder / "dataset"),
        "study": str(folder / "study"),
        "averaging": averaging,
        "threads": 1,
    }
    spec = TaskSpec("straggler.Straggler", {"slow": slow, "delay": delay, **arguments})
    results = []
    with local_pool(spec, slots=1, ranks=ranks, logs=folder / "logs") as pool:
        for family, parameters in PARAMETERS.items():
            for number, passes in enumerate((0.1, epochs)):
                result = pool.submit(Trial(number, "straggler", family, parameters, epochs=passes)).result()
                assert result.error is None, result.error
            results.append(result)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=float, default=4.0)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds before a step")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_dataset(folder / "dataset", rows=160_000, held_out=40_000, members=500, items=200, terms=100)
        run = partial(measured, folder, delay=told.delay)
        fast = run(1, None, "synchronous", epochs=0.3)
        slow = run(1, 0, "synchronous", epochs=0.3)
        anytime = run(RANKS, RANKS - 1, "anytime", epochs=told.epochs)
        synchronous = run(RANKS, RANKS - 1, "synchronous", epochs=told.epochs)
    rows: list[list[Cell]] = []
    for family, *results in zip(PARAMETERS, fast, slow, anytime, synchronous, strict=True):
        speeds = [result.costs.steps / result.costs.train_seconds for result in results]
        total, least = speeds[0] * (RANKS - 1) + speeds[1], speeds[1] * RANKS
        print(f"{family}: solo steps/s {speeds[0]:.1f} and {speeds[1]:.1f}, of {RANKS} ranks {total:.1f}")
        for how, speed, result in zip(("anytime", "synchronous"), speeds[2:], results[2:], strict=True):
            shares = f"{speed / total:.1%} of the sum, {speed / least:.1%} of {RANKS} times the slowest"
            seen = f"{result.costs.rows:,} rows in {result.costs.train_seconds:.1f} s"
            print(f"  {how:12} {speed:6.1f} steps/s, {shares}; {seen}, AUC {result.auc or 0.0:.4f}")
            rows.append([f"{family}, {how}", speed / total, result.auc])
        print(f"  difference in AUC {(results[2].auc or 0.0) - (results[3].auc or 0.0):+.4f}")
    kept = ["anytime averaging keeps", "synchronous steps"]
    shares = [" and ".join(f"{row[1]:.0%}" for row in rows[place::2]) for place in range(2)]
    record(
        "straggler",
        f"With one of four ranks slowed, {kept[0]} {shares[0]} of the ranks' own speeds, {kept[1]} {shares[1]} "
        f"({' and '.join(PARAMETERS)}).",
        ["", "steps, of the sum of solo speeds", "AUC"],
        rows,
        data=f"made rows; steps delayed by {told.delay * 1e3:g} ms, by {SLOWNESS * told.delay * 1e3:g} on one rank",
        seeds="one call",
    )


if __name__ == "__main__":
    main()
