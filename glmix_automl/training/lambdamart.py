"""Training of trees within members: LightGBM's LambdaMART (Burges 2010) on each member's rows, then made log-odds."""

import time
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from glmix_automl.errors import TrialError
from glmix_automl.metrics import auc, log_loss, member_auc
from glmix_automl.models.trees import Trees
from glmix_automl.seeds import generator
from glmix_automl.training.booster import CURVE_POINTS, choose_columns, open_library, options, read_trees
from glmix_automl.training.measure import Point
from glmix_automl.training.pairs import pair_rows
from glmix_automl.training.source import Source
from glmix_automl.training.trainer import Budget, Fit, Moment, Watch
from glmix_automl.trial import State

PAIRED_DEEP = 100  # ranks whose pairs with every other count: LightGBM's own 30 are for pages of results
JUDGED = 50  # times a training is judged, at most: between, a tree costs what it costs


def boost_pairs(coordinate: Trees, source: Source, budget: Budget, watch: Watch, threads: int | None = None) -> Fit:
    """Grows trees up to the best AUC within members of the validation rows, and makes their scores log-odds there.

    Args:
        coordinate: given the trees.
        source: rows of one process.
        budget: `done` is not used.
        watch: is told now and then where training is; whether to stop.
        threads: LightGBM's; all cores if None.

    Raises:
        TrialError: LightGBM refuses the data, or no member has rows of both labels.
    """
    started, until = time.perf_counter(), time.monotonic() + budget.seconds
    train, validation, members = source.whole(), source.validation(), source.members("train")
    label = train.label.numpy()
    _check_pairs(label, members)
    order = np.argsort(members, kind="stable")
    sizes = np.unique(members, return_counts=True)[1]
    columns, kept = choose_columns(coordinate, train)
    chosen = {**options(coordinate, source.seed, threads), "objective": "lambdarank", "metric": "none"}
    chosen |= {"lambdarank_truncation_level": PAIRED_DEEP, "label_gain": [0, 1]}
    held_out = coordinate.matrix(validation)[:, kept]
    judged = _Judged(validation, source.members("validation"))
    rounds = max(round(coordinate.parameters.trees * budget.epochs), 1)
    fit = Fit()
    with open_library() as lightgbm:
        data = lightgbm.Dataset(
            columns[order],
            label[order],
            weight=train.weight.numpy()[order],
            init_score=train.offset.numpy()[order].astype(np.float64),
            group=sizes,
            params=chosen,
        )
        booster = lightgbm.Booster(chosen, data)
        judged.grow(booster, held_out, rounds, coordinate.parameters.patience, watch, until)
        scale, bias = judged.as_log_odds()
        arrays = read_trees(booster.model_to_string(), judged.best_trees, kept, bias)
    arrays["leaf"] = arrays["leaf"] * scale
    coordinate.plant(arrays)
    fit.state = State.STOPPED if judged.stopped else State.FINISHED
    fit.steps, fit.rows = judged.made, judged.made * len(label)
    fit.epochs, fit.eval_seconds = judged.made / rounds * budget.epochs, judged.seconds
    fit.best = source.validate(coordinate)
    fit.metrics["trees"] = float(judged.best_trees)
    fit.train_seconds = time.perf_counter() - started - fit.eval_seconds
    return fit


def _check_pairs(label: np.ndarray, members: np.ndarray) -> None:
    positives, rows = np.bincount(members, label), np.bincount(members)
    if not (positives * (rows - positives)).any():
        raise TrialError("loss pairwise: no member has training rows of both labels, so there are no pairs")


class _Judged:
    """A booster grown and judged by AUC within members of the validation rows.

    Attributes:
        made, best_trees: trees grown, and up to the best.
        seconds: spent judging.
        stopped: whether the watcher or the clock ended it.
    """

    def __init__(self, validation: Any, members: np.ndarray) -> None:
        self._members = members
        columns = (validation.label, validation.weight, validation.offset)
        self._label, self._weight, self._offset = (column.numpy().astype(np.float64) for column in columns)
        self._score = np.zeros(len(self._label))
        self._best_score, self._best = self._score, -np.inf
        self.made = self.best_trees = 0
        self.seconds, self.stopped = 0.0, False

    def grow(self, booster: Any, columns: Any, rounds: int, patience: int, watch: Watch, until: float) -> None:
        """Adds trees until the budget, the patience or the time is used up, or the watcher says stop."""
        step, shown = max(rounds // JUDGED, 1), max(JUDGED // CURVE_POINTS, 1)
        while self.made < rounds and not self.stopped:
            before, is_done = self.made, False
            while self.made < min(before + step, rounds) and not is_done:
                is_done = booster.update()  # nothing is left to split
                self.made += 1
            started = time.perf_counter()
            self._score = self._score + booster.predict(
                columns, start_iteration=before, num_iteration=self.made - before, raw_score=True
            )
            quality = member_auc(self._label, self._offset + self._score, self._members, self._weight)
            if quality > self._best:
                self._best, self.best_trees, self._best_score = quality, self.made, self._score
            self.seconds += time.perf_counter() - started
            is_done = is_done or bool(patience and self.made - self.best_trees >= patience)
            is_shown = is_done or self.made == rounds or (self.made // step) % shown == 0
            self.stopped = watch(Moment(self.made / rounds, self.made, self._point() if is_shown else None))
            self.stopped = self.stopped or time.monotonic() > until
            if is_done:
                return

    def _point(self) -> Point:
        scores = self._offset + self._score
        return Point(auc(self._label, scores, self._weight), log_loss(self._label, scores, self._weight))

    def as_log_odds(self) -> tuple[float, float]:
        """What the best scores are multiplied by, for the least loss of a member's pairs, and what is then added, for
        that of rows (as Platt 1999): what tells members apart is not there to say how far their rows are.
        """
        try:
            pairs = pair_rows(self._label, self._members, generator(0, "pairs"))
        except TrialError:  # nothing to tell by
            return 1.0, 0.0
        apart, beside = (column[pairs[::2]] - column[pairs[1::2]] for column in (self._best_score, self._offset))
        weight = self._weight[pairs[::2]] + self._weight[pairs[1::2]]

        def loss_of_pairs(scale: float) -> float:
            return float(weight @ np.logaddexp(0, -(np.exp(scale) * apart + beside)))

        def loss_of_rows(bias: float) -> float:
            return log_loss(self._label, self._offset + scale * self._best_score + bias, self._weight)

        scale = float(np.exp(minimize_scalar(loss_of_pairs, bounds=(-7, 7), method="bounded").x))
        return scale, float(minimize_scalar(loss_of_rows, bounds=(-20, 20), method="bounded").x)
