"""Logistic regression, a fixed effect: `b + x.w + sum_f t_f[id_f] + sum_bags v.t_bag[ids]` (design: one model)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from glmix_automl.models.coordinate import Coordinate, Gradient, Hyper, variable, wide_table
from glmix_automl.models.family import TRAINING, Parameter, resolve
from glmix_automl.models.rows import Rows
from glmix_automl.schema import Schema
from glmix_automl.trial import Value

# A table of at most this many ids is updated whole: one dense step costs less than finding the touched rows.
DENSE_IDS = 1 << 16


class Logistic(Coordinate):
    """Weights: `linear` [numerics + 1], the bias last; `table` [ids of all features].

    The gradient is written out: it is a matrix product and a segment sum, and half the nodes of a recorded one.
    """

    def __init__(self, schema: Schema, parameters: Mapping[str, Value], seed: int) -> None:
        super().__init__("logistic", schema, parameters)
        self._columns, self._bags, self._ids = wide_table(schema)
        self._linear = variable("linear", [len(schema.numerics) + 1])
        self._table = variable("table", [self._ids])
        self.is_wide = self._ids > DENSE_IDS
        self.dense = [self._linear] if self.is_wide else [self._linear, self._table]
        self.tables = [self._table] if self.is_wide else []
        self.reset(parameters, seed)

    @property
    def structure(self) -> tuple[Any, ...]:
        """Two logistic regressions on one dataset differ in numbers only, but for whether they are penalised."""
        return ("logistic", bool(self.parameters["l2"]), bool(self.parameters["l1"]))

    def reset(self, parameters: Mapping[str, Value], seed: int) -> None:
        """Weights start at zero, whatever the seed: the objective is convex."""
        self.parameters = dict(parameters)
        self._linear.assign(tf.zeros_like(self._linear))
        self._table.assign(tf.zeros_like(self._table))

    def hyper(self, total_weight: float) -> dict[str, float]:
        """`l1` and `l2` divided by the total weight, as the loss is a mean."""
        return {name: float(self.parameters[name] or 0.0) / total_weight for name in ("l1", "l2")}

    def logits(self, batch: Rows) -> tf.Tensor:
        """See `Coordinate`."""
        linear = self._linear.read_value()
        score = tf.linalg.matvec(batch.numerics, linear[:-1]) + linear[-1]
        if len(self._columns):
            score += tf.reduce_sum(tf.gather(self._table, batch.categoricals + self._columns), axis=1)
        for bag, base in zip(batch.bags, self._bags, strict=True):
            terms = tf.gather(self._table, bag.ids + base) * bag.values
            score += tf.math.unsorted_segment_sum(terms, bag.owners, tf.shape(score)[0])
        return score

    def gradients(self, batch: Rows, scale: tf.Tensor, hyper: Hyper, noise: tf.Tensor) -> list[Gradient]:
        """See `Coordinate`; the derivative of the loss by the score is `weight * (p - label)`."""
        residual = (tf.sigmoid(self.logits(batch) + batch.offset) - batch.label) * (batch.weight / scale)
        linear = tf.concat(
            [tf.linalg.matvec(batch.numerics, residual, transpose_a=True), [tf.reduce_sum(residual)]], axis=0
        )
        ids, parts = self._touched(batch, residual)
        if self.is_wide:
            if self.parameters["l2"]:
                parts += hyper["l2"] * tf.gather(self._table, ids)
            table: Gradient = tf.IndexedSlices(parts, ids, dense_shape=[self._ids])
        else:
            table = tf.math.unsorted_segment_sum(parts, ids, self._ids)
            if self.parameters["l2"]:
                table += hyper["l2"] * self._table
        if self.parameters["l2"]:
            linear += hyper["l2"] * tf.concat([self._linear[:-1], [0.0]], axis=0)
        return [linear, table]

    def _touched(self, batch: Rows, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ids, parts = [], []
        if len(self._columns):
            columns = batch.categoricals + self._columns
            ids.append(tf.reshape(columns, [-1]))
            parts.append(tf.reshape(tf.broadcast_to(residual[:, None], tf.shape(columns)), [-1]))
        for bag, base in zip(batch.bags, self._bags, strict=True):
            ids.append(bag.ids + base)
            parts.append(tf.gather(residual, bag.owners) * bag.values)
        if len(ids) == 1:
            return ids[0], parts[0]
        if not ids:
            return tf.zeros([0], tf.int32), tf.zeros([0])
        return tf.concat(ids, axis=0), tf.concat(parts, axis=0)


@dataclass(frozen=True)
class LogisticFamily:
    """Logistic regression by mini-batch Adam, or by full-batch L-BFGS to the exact optimum."""

    name = "logistic"
    parameters = {
        **TRAINING,
        "solver": Parameter("adam", "mini-batch Adam, or exact full-batch L-BFGS", choices=("adam", "lbfgs")),
        "l2": Parameter(0.0, "strength of 1/2 |w|^2 beside the sum of the rows' losses (1 / C of scikit-learn)", low=0),
        "l1": Parameter(0.0, "strength of |w| beside the sum of the rows' losses", low=0),
        "tolerance": Parameter(1e-6, "of L-BFGS: relative decrease of the objective that ends it", low=0, high=1),
        "iterations": Parameter(200, "of L-BFGS, at most", low=1, high=100_000),
    }

    def resolve(self, parameters: Mapping[str, Any]) -> dict[str, Value]:
        """See `ModelFamily`."""
        return resolve(self.name, self.parameters, parameters)

    def build(self, schema: Schema, parameters: Mapping[str, Any], seed: int) -> Logistic:
        """See `ModelFamily`."""
        return Logistic(schema, self.resolve(parameters), seed)

    def complexity(self, parameters: Mapping[str, Any]) -> float:
        """A linear model is as simple as a subnetwork of depth 1."""
        return 1.0


FAMILY = LogisticFamily()
