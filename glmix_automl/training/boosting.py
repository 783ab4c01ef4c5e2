"""Training of trees: boosting tree by tree, on one sparse matrix of all features."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from scipy.special import expit

from glmix_automl.errors import TrialError
from glmix_automl.models.rows import Rows
from glmix_automl.models.trees import Trees
from glmix_automl.models.weight_transfer import transfer_trees
from glmix_automl.training.booster import CURVE_POINTS, LightGbm
from glmix_automl.training.lambdamart import boost_pairs
from glmix_automl.training.measure import Point
from glmix_automl.training.source import Source
from glmix_automl.training.symmetric import SymmetricBooster
from glmix_automl.training.trainer import Budget, Fit, Moment, Start, Trainer, Watch
from glmix_automl.training.warm_start import load_checkpoint
from glmix_automl.trial import State

INTERVAL_OF_RATIO, LONGEST_INTERVAL = 3.0, 10  # trees between validations: times validation's rows by train's; at most


class Boosting(Trainer[Trees]):
    """Grows `trees` trees per epoch of the budget and leaves those up to the best validation AUC in the coordinate.

    The offset and a bias fitted around it are where the scores begin. The loss is the logistic one; labels may be
    between 0 and 1, a teacher's. A step of the costs is a tree. A promotion grows its trees anew, so it is the trial it
    would have been.
    """

    def adopt(self, coordinate: Trees, start: Start) -> Trees:
        """See `Trainer`."""
        transfer_trees(coordinate, load_checkpoint(start.trial))
        return coordinate

    def train(self, coordinate: Trees, source: Source, budget: Budget, watch: Watch) -> Fit:
        """See `Trainer`; is told of every tree.

        Raises:
            TrialError: LightGBM refuses the data; rows in several blocks or ranks; labels of one class; offsets that
                are not finite.
        """
        if self.setting.collective.size > 1 or source.blocks.count > 1:
            raise TrialError(
                "family trees: all training rows must be in the memory of one process: set ranks to 1 and raise "
                "memory_mb, or leave it out"
            )
        if coordinate.parameters.loss == "pairwise":
            return boost_pairs(coordinate, source, budget, watch, self.setting.threads)
        return boost(coordinate, source.whole(), source.validation(), budget, watch, source.seed, self.setting.threads)


def boost(
    coordinate: Trees,
    train: Rows,
    validation: Rows,
    budget: Budget,
    watch: Watch,
    seed: int,
    threads: int | None = None,
) -> Fit:
    """Grows the trees.

    Args:
        coordinate: given the trees.
        train: rows with the labels and offsets of the trial.
        validation: rows with the offsets of the trial.
        budget: `done` is not used.
        watch: is told after every tree where training is; whether to stop.
        seed: of the rows and columns of each tree.
        threads: all cores if None.

    Raises:
        TrialError: as `Boosting.train`.
    """
    started = time.perf_counter()
    per_epoch = coordinate.parameters.trees
    rounds = max(round(per_epoch * budget.epochs), 1)
    with _booster(coordinate, (train, validation), _bias(train), seed, threads) as booster:
        interval = _measured_every(len(train.label), len(validation.label))
        grower = _Grower(booster, rounds, coordinate.parameters.patience, interval)
        grower.grow(lambda made, point: watch(Moment(made / per_epoch, made, point)), time.monotonic() + budget.seconds)
        coordinate.plant(booster.arrays(grower.best_trees))
    fit = Fit(State.STOPPED if grower.stopped else State.FINISHED, grower.made, grower.made * train.label.shape[0])
    fit.best, fit.epochs, fit.eval_seconds = grower.best, grower.made / per_epoch, grower.eval_seconds
    fit.train_seconds = time.perf_counter() - started - fit.eval_seconds
    fit.metrics["trees"] = float(grower.best_trees)
    return fit


class _Booster(Protocol):
    """What trees are added to one by one."""

    def update(self) -> bool:
        """Adds a tree; whether nothing is left to split."""

    def measure(self) -> Point:
        """AUC and log loss of the validation rows."""

    def arrays(self, trees: int) -> dict[str, np.ndarray]:
        """The first so many trees, as `Trees` has them."""


@contextmanager
def _booster(
    coordinate: Trees, rows: tuple[Rows, Rows], bias: float, seed: int, threads: int | None
) -> Iterator[_Booster]:
    if coordinate.parameters.shape == "leafwise":
        yield LightGbm(coordinate, rows, bias, seed, threads)
        return
    count = threads or os.cpu_count() or 1
    with ThreadPoolExecutor(count, "trees") as pool:
        # Handing over to one thread takes a fifth of a small tree's time.
        yield SymmetricBooster(coordinate, rows, bias, seed, map if count == 1 else pool.map, count)


def _measured_every(train: int, validation: int) -> int:
    """Trees from one validation to the next: measuring many rows takes longer than growing a tree on few."""
    return min(max(round(INTERVAL_OF_RATIO * validation / train), 1), LONGEST_INTERVAL)


class _Grower:
    """Adds trees until the budget, the patience or the time is used up, or the watcher says stop.

    They are measured after so many trees, and at the end.
    """

    def __init__(self, booster: _Booster, rounds: int, patience: int, interval: int = 1) -> None:
        self._booster, self._rounds, self._patience, self._interval = booster, rounds, patience, interval
        self.made = self.best_trees = 0
        self.best: Point | None = None
        self.eval_seconds = 0.0
        self.stopped = False

    def grow(self, watch: Callable[[int, Point | None], bool], until: float) -> None:
        """Grows; `until` is by the monotonic clock."""
        every = -(-max(self._rounds // CURVE_POINTS, 1) // self._interval) * self._interval
        while self.made < self._rounds and not self.stopped:
            is_last = self._booster.update()  # nothing is left to split
            self.made += 1
            is_last = is_last or self.made == self._rounds
            point = self._measure() if is_last or self.made % self._interval == 0 else None
            if point and self._patience and self.made - self.best_trees >= self._patience:
                is_last = True
            wish = watch(self.made, point if is_last or self.made % every == 0 else None)
            if is_last:
                return
            self.stopped = wish or time.monotonic() > until
            if self.stopped and point is None:
                self._measure()

    def _measure(self) -> Point:
        started = time.perf_counter()
        found = self._booster.measure()
        self.eval_seconds += time.perf_counter() - started
        if self.best is None or found.auc > self.best.auc:
            self.best, self.best_trees = found, self.made
        return found


def _bias(rows: Rows) -> float:
    """The constant of least loss beside the offsets, by Newton's method."""
    label, weight, offset = (column.numpy().astype(np.float64) for column in (rows.label, rows.weight, rows.offset))
    if not np.isfinite(offset).all():
        raise TrialError("family trees: offsets of training rows are not finite")
    if label.min() == label.max():
        raise TrialError(f"family trees: every training row has label {label.min():g}; trees need rows of both classes")
    bias = 0.0
    for _ in range(100):
        p = expit(offset + bias)
        step = (weight @ (label - p)) / max(weight @ (p * (1 - p)), 1e-9)
        bias += float(np.clip(step, -1, 1))
        if abs(step) < 1e-9:
            break
    return bias
