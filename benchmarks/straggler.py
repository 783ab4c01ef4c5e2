"""A world of four ranks, one of them slowed four times: anytime averaging against synchronous.

    python benchmarks/straggler.py [--seconds 6]

Every rank fits the same logistic regression by mini-batch steps on its own rows; a step takes as long as the rank is
slow (an injected delay that dwarfs the arithmetic, so that two cores can play four machines). Printed:

- the ranks' solo speeds in steps/s, measured one after the other in the same world, and their sum;
- steps/s of the world under anytime and under synchronous averaging, as shares of that sum and of four times the
  slowest rank;
- the AUC on held-out rows after equal numbers of rows seen.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from glmix_automl import seeds
from glmix_automl.trial import Result, State, Trial
from glmix_automl.workers import collective
from glmix_automl.workers.averaging import AnytimeAverage, weighted_mean
from glmix_automl.workers.executor import Report
from glmix_automl.workers.local import local_pool
from glmix_automl.workers.recipe import Recipe

RANKS = 4
DELAY_SECONDS = 0.01  # of a step; the slow rank takes SLOWNESS times as long
SLOWNESS = 4
FEATURES = 20
BATCH = 256
RATE = 0.5
STEPS = 1200  # of all ranks together, in the comparison of AUC


def data(name: str, rows: int) -> tuple[np.ndarray, np.ndarray]:
    random = seeds.generator(0, "straggler", name)
    truth = seeds.generator(0, "straggler", "truth").normal(size=FEATURES) * 0.5
    X = random.normal(size=(rows, FEATURES))
    return X, (random.random(rows) < 1 / (1 + np.exp(-X @ truth))).astype(float)


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores)] = np.arange(1, len(scores) + 1)
    positives = labels.sum()
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives)))


class Straggler:
    """One rank's part; `trial.parameters` say how to average and when to end."""

    def __init__(self) -> None:
        rank = collective.current().rank
        self._X, self._y = data(f"rank {rank}", 50_000)
        self._delay = DELAY_SECONDS * (SLOWNESS if rank == RANKS - 1 else 1)

    def __call__(self, trial: Trial, report: Report) -> Result:
        """Carries out `do`: `solo`, `anytime` or `synchronous`."""
        self._random = seeds.generator(1, collective.current().rank)
        what = str(trial.parameters["do"])
        metrics, weights = getattr(self, f"_{what}")(trial)
        X, y = data("held out", 100_000)
        return Result(trial.number, State.FINISHED, auc=auc(X @ weights, y), metrics=metrics)

    def _gradient(self, weights: np.ndarray) -> np.ndarray:
        rows = self._random.integers(0, len(self._y), BATCH)
        X, y = self._X[rows], self._y[rows]
        time.sleep(self._delay)
        return X.T @ (1 / (1 + np.exp(-X @ weights)) - y) / BATCH

    def _solo(self, trial: Trial) -> tuple[dict[str, float], np.ndarray]:
        """Each rank in turn without the others; the others wait at the end."""
        world, weights, speeds = collective.current(), np.zeros(FEATURES), {}
        for rank in range(world.size):
            speed = np.zeros(1)
            if rank == world.rank:
                began, steps = time.monotonic(), 0
                while (elapsed := time.monotonic() - began) < float(trial.parameters["seconds"]) / 3:
                    weights, steps = weights - RATE * self._gradient(weights), steps + 1
                speed[:] = steps / elapsed
            speeds[f"rank {rank}"] = float(world.allreduce(speed)[0])
        return speeds, weights

    def _anytime(self, trial: Trial) -> tuple[dict[str, float], np.ndarray]:
        slices = AnytimeAverage(collective.current(), seconds=0.5)
        weights, steps, total, stop = np.zeros(FEATURES), 0, 0.0, False
        began = time.monotonic()
        while not stop:
            weights, steps = weights - RATE * self._gradient(weights), steps + 1
            if slices.due():
                agreed = slices.average([weights], steps, stop=self._enough(trial, began, total + steps * RANKS))
                (weights,), stop, total, steps = agreed.values, agreed.stop, total + agreed.weight, 0
        return {"speed": total / (time.monotonic() - began), "steps": total}, weights

    def _synchronous(self, trial: Trial) -> tuple[dict[str, float], np.ndarray]:
        world, weights, total = collective.current(), np.zeros(FEATURES), 0.0
        began = time.monotonic()
        while not world.allreduce(float(self._enough(trial, began, total))):
            (gradient,) = weighted_mean([self._gradient(weights)], BATCH, world)
            weights, total = weights - RATE * gradient, total + world.size
        return {"speed": total / (time.monotonic() - began), "steps": total}, weights

    def _enough(self, trial: Trial, began: float, steps: float) -> bool:
        if "steps" in trial.parameters:
            return steps >= float(trial.parameters["steps"])  # type: ignore[arg-type]
        return time.monotonic() - began > float(trial.parameters["seconds"])  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement of speed")
    seconds = parser.parse_args().seconds
    with (
        tempfile.TemporaryDirectory() as logs,
        local_pool(Recipe("straggler.Straggler"), 1, RANKS, logs=Path(logs)) as pool,
    ):

        def run(number: int, **parameters: float | str) -> Result:
            result = pool.submit(Trial(number, "straggler", "logistic", parameters)).result()
            assert result.error is None, result.error
            return result

        solo = run(0, do="solo", seconds=seconds).metrics
        anytime = run(1, do="anytime", seconds=seconds).metrics["speed"]
        synchronous = run(2, do="synchronous", seconds=seconds).metrics["speed"]
        equal = {how: run(3 + n, do=how, steps=STEPS) for n, how in enumerate(("anytime", "synchronous"))}
    total, slowest = sum(solo.values()), min(solo.values())
    print("solo steps/s:", ", ".join(f"{name} {speed:.1f}" for name, speed in solo.items()), f"; sum {total:.1f}")
    print(f"anytime:     {anytime:6.1f} steps/s, {anytime / total:.1%} of the sum of solo speeds")
    print(
        f"synchronous: {synchronous:6.1f} steps/s, {synchronous / total:.1%} of the sum, "
        f"{synchronous / (RANKS * slowest):.1%} of {RANKS} times the slowest"
    )
    scores = {how: result.auc or 0.0 for how, result in equal.items()}
    steps = {how: result.metrics["steps"] for how, result in equal.items()}
    print(
        f"AUC at {STEPS} steps of {BATCH} rows: anytime {scores['anytime']:.4f} ({steps['anytime']:.0f} steps), "
        f"synchronous {scores['synchronous']:.4f} ({steps['synchronous']:.0f}), "
        f"difference {scores['anytime'] - scores['synchronous']:+.4f}"
    )


if __name__ == "__main__":
    main()
