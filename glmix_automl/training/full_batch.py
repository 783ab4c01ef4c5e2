"""Logistic regression to its exact optimum: whole passes in the graph, gradients summed over ranks, L-BFGS outside."""

import math
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from glmix_automl.errors import TrialError
from glmix_automl.models.logistic import Logistic
from glmix_automl.models.rows import Rows, signature, take
from glmix_automl.training.fit import Fit, Moment
from glmix_automl.training.lbfgs import Vector, minimise
from glmix_automl.training.measure import Point
from glmix_automl.training.source import Source, blocks_of
from glmix_automl.trial import State
from glmix_automl.workers.collective import Collective

CHUNK_ROWS = 65_536  # rows per product, so that what is between stays small


def fit_exactly(
    coordinate: Logistic,
    source: Source,
    total_rows: int,
    total_weight: float,
    validate: Callable[[Logistic], Point],
    watch: Callable[[Moment], bool],
    collective: Collective,
    seconds: float = math.inf,
) -> Fit:
    """Minimises `(sum_i weight_i * loss_i + l2 / 2 |w|^2 + l1 |w|) / sum_i weight_i`, the bias not penalised.

    A step of the costs is one pass over all rows. It goes to the optimum whatever the budget in epochs, as half of the
    way to it is no model; `iterations` and `tolerance` bound it.

    Raises:
        TrialError: the objective is not finite.
    """
    started, until = time.perf_counter(), time.time() + seconds
    objective = _Objective(coordinate, source, total_weight, collective)
    parameters = coordinate.parameters
    l1 = np.full(objective.size, float(parameters["l1"] or 0.0) / total_weight)
    l1[-1] = 0.0

    def stop(passes: int) -> bool:
        wish = collective.rank == 0 and (watch(Moment(float(passes), passes)) or time.time() > until)
        return wish if collective.size == 1 else bool(collective.broadcast(np.asarray(float(wish))))

    iterations, tolerance = int(parameters["iterations"] or 1), float(parameters["tolerance"] or 0.0)
    found = minimise(objective, objective.start(), l1, tolerance, iterations, stop)
    objective.put(found.w)
    fit = Fit(State.STOPPED if found.stopped else State.FINISHED, found.evaluations, found.evaluations * total_rows)
    fit.epochs = float(found.evaluations)
    fit.train_seconds = time.perf_counter() - started
    fit.best = validate(coordinate)
    fit.eval_seconds = time.perf_counter() - started - fit.train_seconds
    watch(Moment(fit.epochs, fit.steps, fit.best))
    return fit


class _Objective:
    """The objective as a `Problem` in float64 [ids + numerics + 1]: table, then linear with the bias last."""

    def __init__(self, coordinate: Logistic, source: Source, total_weight: float, collective: Collective) -> None:
        self._coordinate, self._collective = coordinate, collective
        self._source, self._total = source, total_weight
        self._ids = int(coordinate.table.shape[0])
        self.size = self._ids + int(coordinate.linear.shape[0])
        # A chunk writes a whole table, so a wide table needs chunks to match.
        self._chunk = max(CHUNK_ROWS, self._ids // 4)
        self._l2 = np.full(self.size, float(coordinate.parameters["l2"] or 0.0))
        self._l2[-1] = 0.0
        shapes = signature(coordinate.schema)
        self._value = tf.function(self._pass, input_signature=[shapes], autograph=False)
        self._squares = tf.function(self._curvature_pass, input_signature=[shapes], autograph=False)

    def start(self) -> Vector:
        """The coordinate's weights as they are."""
        parts = [self._coordinate.table.numpy(), self._coordinate.linear.numpy()]
        return np.concatenate(parts).astype(np.float64)

    def put(self, w: Vector) -> None:
        """Gives the coordinate these weights."""
        self._coordinate.table.assign(w[: self._ids].astype(np.float32))
        self._coordinate.linear.assign(w[self._ids :].astype(np.float32))

    def value(self, w: Vector) -> tuple[float, Vector]:
        """See `Problem`."""
        self.put(w)
        sums = self._over_blocks(self._value)
        if not np.isfinite(sums[0]):
            raise TrialError("the objective of logistic regression is not finite; are the numerics on a sane scale?")
        value = (sums[0] + 0.5 * float(self._l2 @ (w * w))) / self._total
        return value, (sums[1:] + self._l2 * w) / self._total

    def curvature(self, w: Vector) -> Vector:
        """See `Problem`."""
        self.put(w)
        return (self._over_blocks(self._squares) + self._l2) / self._total

    def _over_blocks(self, one_pass: Callable[[Rows], tuple[tf.Tensor, ...]]) -> Vector:
        """Sums of a pass over every block of every rank, end to end in one vector."""
        parts = [np.concatenate([np.ravel(a.numpy()) for a in one_pass(rows)]) for rows in blocks_of(self._source)]
        return self._collective.allreduce(np.sum(parts, axis=0))

    def _pass(self, rows: Rows) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        def part(batch: Rows) -> tuple[tf.Tensor, ...]:
            score = self._coordinate.logits(batch) + batch.offset
            losses = tf.nn.sigmoid_cross_entropy_with_logits(batch.label, score)
            loss = tf.reduce_sum(tf.cast(losses * batch.weight, tf.float64))
            linear, table = self._coordinate.pull_back(batch, (tf.sigmoid(score) - batch.label) * batch.weight)
            return loss, _double(table), _double(linear)

        return self._summed(rows, part, with_loss=True)

    def _curvature_pass(self, rows: Rows) -> tuple[tf.Tensor, tf.Tensor]:
        def part(batch: Rows) -> tuple[tf.Tensor, ...]:
            p = tf.sigmoid(self._coordinate.logits(batch) + batch.offset)
            bags = tuple(bag._replace(values=bag.values**2) for bag in batch.bags)
            squared = batch._replace(numerics=batch.numerics**2, bags=bags)
            linear, table = self._coordinate.pull_back(squared, p * (1 - p) * batch.weight)
            return _double(table), _double(linear)

        return self._summed(rows, part, with_loss=False)

    def _summed(
        self, rows: Rows, part: Callable[[Rows], tuple[tf.Tensor, ...]], with_loss: bool
    ) -> tuple[tf.Tensor, ...]:
        """Sums over chunks in float64: float32 within a chunk, so that the products run at full speed."""
        count = tf.shape(rows.label)[0]
        zeros = [tf.zeros([self._ids], tf.float64), tf.zeros([self.size - self._ids], tf.float64)]
        sums = [tf.constant(0.0, tf.float64), *zeros] if with_loss else zeros

        def add(start: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
            batch = take(rows, start, tf.minimum(self._chunk, count - start))
            return start + self._chunk, *(total + term for total, term in zip(sums, part(batch), strict=True))

        _, *found = tf.while_loop(lambda start, *_: start < count, add, (tf.constant(0), *sums), parallel_iterations=1)
        return tuple(found)


def _double(gradient: tf.Tensor | tf.IndexedSlices) -> tf.Tensor:
    if isinstance(gradient, tf.IndexedSlices):
        count = tf.cast(gradient.dense_shape[0], tf.int32)
        gradient = tf.math.unsorted_segment_sum(gradient.values, gradient.indices, count)
    return tf.cast(gradient, tf.float64)
