"""Training of trees: LightGBM's boosting, tree by tree, on one sparse matrix of all features."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit

from glmix_automl.errors import TrialError
from glmix_automl.models.rows import Rows
from glmix_automl.models.trees import Trees
from glmix_automl.models.weight_transfer import transfer_trees
from glmix_automl.seeds import derive
from glmix_automl.training.measure import Point
from glmix_automl.training.source import Source
from glmix_automl.training.trainer import Budget, Fit, Moment, Start, Trainer, Watch
from glmix_automl.training.warm_start import load_checkpoint
from glmix_automl.trial import State

CURVE_POINTS = 10  # validations that are reported of a training; there is one after every tree


class Boosting(Trainer[Trees]):
    """Grows `trees` trees per epoch of the budget and leaves those up to the best validation AUC in the coordinate.

    The offset and a bias fitted around it are where the scores begin. The loss is LightGBM's `cross_entropy`, which is
    the logistic one and takes labels between 0 and 1, a teacher's. A step of the costs is a tree. A promotion grows its
    trees anew, so it is the trial it would have been.
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
            from glmix_automl.training.lambdamart import boost_pairs

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
        threads: LightGBM's; all cores if None.

    Raises:
        TrialError: as `Boosting.train`.
    """
    lightgbm = load_library()
    started = time.perf_counter()
    per_epoch = coordinate.parameters.trees
    rounds = max(round(per_epoch * budget.epochs), 1)
    try:
        bias = _bias(train)
        booster, kept = _booster(lightgbm, coordinate, (train, validation), bias, seed, threads)
        grower = _Grower(booster, rounds, coordinate.parameters.patience)
        grower.grow(lambda made, point: watch(Moment(made / per_epoch, made, point)), time.monotonic() + budget.seconds)
        coordinate.plant(read_trees(booster.model_to_string(), grower.best_trees, kept, bias))
    except lightgbm.basic.LightGBMError as error:
        raise TrialError(f"family trees: LightGBM: {error}") from error
    fit = Fit(State.STOPPED if grower.stopped else State.FINISHED, grower.made, grower.made * train.label.shape[0])
    fit.best, fit.epochs, fit.eval_seconds = grower.best, grower.made / per_epoch, grower.eval_seconds
    fit.train_seconds = time.perf_counter() - started - fit.eval_seconds
    fit.metrics["trees"] = float(grower.best_trees)
    return fit


class _Grower:
    """Adds trees until the budget, the patience or the time is used up, or the watcher says stop."""

    def __init__(self, booster: Any, rounds: int, patience: int) -> None:
        self._booster, self._rounds, self._patience = booster, rounds, patience
        self.made = self.best_trees = 0
        self.best: Point | None = None
        self.eval_seconds = 0.0
        self.stopped = False

    def grow(self, watch: Callable[[int, Point | None], bool], until: float) -> None:
        """Grows; `until` is by the monotonic clock."""
        every = max(self._rounds // CURVE_POINTS, 1)
        while self.made < self._rounds and not self.stopped:
            is_done = self._booster.update()  # nothing is left to split
            self.made += 1
            point = self._measure()
            if self.best is None or point.auc > self.best.auc:
                self.best, self.best_trees = point, self.made
            is_done = is_done or (self._patience and self.made - self.best_trees >= self._patience)
            is_last = is_done or self.made == self._rounds
            wish = watch(self.made, point if is_last or self.made % every == 0 else None)
            if is_last:
                return
            self.stopped = wish or time.monotonic() > until

    def _measure(self) -> Point:
        started = time.perf_counter()
        found = {name: value for _, name, value, _ in self._booster.eval_valid()}
        self.eval_seconds += time.perf_counter() - started
        return Point(float(found["auc"]), float(found["cross_entropy"]))


def _booster(
    lightgbm: Any, coordinate: Trees, rows: tuple[Rows, Rows], bias: float, seed: int, threads: int | None
) -> tuple[Any, np.ndarray]:
    """A booster without trees, and the columns it sees, int64 [kept]."""
    chosen = options(coordinate, seed, threads)
    columns, kept = choose_columns(coordinate, rows[0])
    train = lightgbm.Dataset(columns, params=chosen, **_fields(rows[0], bias))
    booster = lightgbm.Booster(chosen, train)
    held_out = coordinate.matrix(rows[1])[:, kept]
    booster.add_valid(train.create_valid(held_out, params=chosen, **_fields(rows[1], bias)), "validation")
    return booster, kept


def choose_columns(coordinate: Trees, rows: Rows) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The columns of training rows that trees may split, and which they are, int64 [kept].

    A column filled in fewer rows than a leaf needs has no split, as one side of each is among those rows; without such
    columns a vocabulary of millions costs what its frequent terms do.

    Raises:
        TrialError: there is none.
    """
    columns = coordinate.matrix(rows)
    filled = np.bincount(columns.indices, minlength=columns.shape[1])
    seen = np.array(coordinate.seen)
    kept = seen[filled[seen] >= coordinate.parameters.leaf_rows]
    if not len(kept):
        raise TrialError("family trees: no feature is filled in as many rows as leaf_rows asks for; lower it")
    return columns[:, kept], kept


def _fields(rows: Rows, bias: float) -> dict[str, np.ndarray]:
    begin = rows.offset.numpy().astype(np.float64) + bias
    return {"label": rows.label.numpy(), "weight": rows.weight.numpy(), "init_score": begin}


def options(coordinate: Trees, seed: int, threads: int | None) -> dict[str, Any]:
    """What LightGBM calls the parameters, and what makes it give the same trees again."""
    given = coordinate.parameters
    return {
        "objective": "cross_entropy",
        "metric": ["auc", "cross_entropy"],
        "num_leaves": given.leaves,
        "learning_rate": given.learning_rate,
        "min_data_in_leaf": given.leaf_rows,
        "feature_fraction": given.feature_share,
        "bagging_fraction": given.row_share,
        "bagging_freq": 1,
        "lambda_l2": given.l2,
        "max_bin": given.bins,
        "use_missing": False,
        "seed": derive(seed, "boosting") % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads or 0,
        "verbosity": -1,
    }


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


def read_trees(text: str, trees: int, kept: np.ndarray, bias: float) -> dict[str, np.ndarray]:
    """The first so many trees of a model in LightGBM's text format, as `Trees` has them; thresholds rounded down to
    float32, which decides every float32 as before.
    """
    found = []
    for section in text.split("\nTree=")[1 : 1 + trees]:
        lines = section.split("\n\n")[0].splitlines()[1:]
        found.append(dict(line.split("=", 1) for line in lines))

    def joined(name: str) -> np.ndarray:
        return np.array([float(word) for tree in found for word in tree.get(name, "").split()])

    exact = joined("threshold")
    threshold = exact.astype(np.float32)
    above = threshold > exact
    threshold[above] = np.nextafter(threshold[above], np.float32(-np.inf))
    return {
        "splits": np.array([int(tree["num_leaves"]) - 1 for tree in found]),
        "column": kept[joined("split_feature").astype(np.int64)],
        "threshold": threshold,
        "left": joined("left_child"),
        "right": joined("right_child"),
        "leaf": joined("leaf_value"),
        "bias": np.array([bias]),
    }


def load_library() -> Any:
    """LightGBM.

    Raises:
        TrialError: it cannot be loaded.
    """
    try:
        import lightgbm
    except (ImportError, OSError) as error:  # OSError: it is there, but not the OpenMP library it needs
        raise TrialError(f"family trees: LightGBM cannot be loaded: {error}; install OpenMP (libgomp)") from error
    return lightgbm
