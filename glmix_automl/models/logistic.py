"""Logistic regression, a fixed effect: `b + x.w + sum_f t_f[id_f] + sum_bags v.t_bag[ids]` (design: one model)."""

from typing import Any

import numpy as np

from glmix_automl.dataset.block import Block
from glmix_automl.models.axes import AxisPart, Piece, numeric_pieces, side_by_side, vocabulary_piece
from glmix_automl.models.differentiable import Differentiable, Gradient, Hyper, sum_slopes, variable, wide_table
from glmix_automl.models.parameters import LogisticParameters
from glmix_automl.models.rows import Rows
from glmix_automl.models.tensorflow import tf
from glmix_automl.schema import Bag, Categorical, Schema

# A table of at most this many ids is updated whole: one dense step costs less than finding the touched rows.
DENSE_IDS = 1 << 16


LEAST_PIECE = 1e-6
"""Length of a piece, at least: where many rows share a value, its end is a step."""


class Logistic(Differentiable):
    """Weights: `linear` [numerics + 1], the bias last; `table` [ids of all features].

    With `bins` numerics are also embedded piecewise-linearly (Gorishniy et al., NeurIPS 2022, equation 1): `linear` is
    [numerics + numerics * bins + 1], and `knots` [numerics, bins + 1], the ends of the pieces, are not trained.

    The gradient is written out: it is a matrix product and a segment sum, and half the nodes of a recorded one.
    """

    is_linear = True

    def __init__(self, schema: Schema, parameters: LogisticParameters, seed: int) -> None:
        super().__init__("logistic", schema, parameters)
        schema = self.schema
        self._columns, self._bags, self._ids = wide_table(schema)
        self._numerics = len(schema.numerics)
        self.bins = parameters.bins if self._numerics else 0
        self.linear = variable("linear", [self._numerics * (1 + self.bins) + 1])
        self.knots = variable("knots", [self._numerics, self.bins + 1])
        self.table = variable("table", [self._ids])
        self.is_wide = self._ids > DENSE_IDS
        self.dense = [self.linear] if self.is_wide else [self.linear, self.table]
        self.tables = [self.table] if self.is_wide else []
        self.reset(parameters, seed)

    @property
    def structure(self) -> tuple[Any, ...]:
        """Two logistic regressions on the same features differ in numbers only, but for whether they are penalised."""
        given = self.parameters
        return ("logistic", given.features, given.loss, bool(given.l2), bool(given.l1), self.bins)

    @property
    def weights(self) -> dict[str, tf.Variable]:
        """See `Differentiable`; the knots are kept with them."""
        return super().weights | ({"knots": self.knots} if self.bins else {})

    def place_knots(self, numerics: np.ndarray) -> None:
        """Puts the ends of the pieces at quantiles of training rows, float32 [rows, numerics]; where they are placed
        already, by an earlier training, they stay.
        """
        quantiles = np.quantile(numerics, np.linspace(0, 1, self.bins + 1), axis=0).T
        placed = self.knots.numpy()
        self.knots.assign(np.where(placed.any(axis=1, keepdims=True), placed, quantiles.astype(np.float32)))

    def reset(self, parameters: Any, seed: int) -> None:
        """Weights start at zero, whatever the seed: the objective is convex."""
        self.parameters = parameters
        self.linear.assign(tf.zeros_like(self.linear))
        self.table.assign(tf.zeros_like(self.table))
        self.knots.assign(tf.zeros_like(self.knots))

    @property
    def parts(self) -> list[AxisPart]:
        """See `Differentiable`; features that share a vocabulary have rows of their own."""
        schema = self.schema
        features: tuple[Categorical | Bag, ...] = (*schema.categoricals, *schema.bags)
        ids = [vocabulary_piece(schema, f.vocabulary, schema.size(f), (f.kind, f.name)) for f in features]
        numerics = numeric_pieces(schema)
        bends = [Piece((*piece.key, "bends"), self.bins) for piece in numerics] if self.bins else []
        linear = [*numerics, *bends, Piece(("bias",), 1)]
        knots = side_by_side("knots", numerics) if self.bins else []
        return [*side_by_side("linear", linear), *knots, *side_by_side("table", ids)]

    def rescale(self, scale: np.ndarray, shift: np.ndarray) -> None:
        """See `Differentiable`; where the score bends, knots move instead."""
        if self.bins:
            self.knots.assign((self.knots - shift[:, None]) / scale[:, None])
        n = self._numerics
        bends = self.linear[n:-1]
        slopes, bias = self.linear[:n], self.linear[-1:]
        self.linear.assign(tf.concat([slopes * scale, bends, bias + tf.reduce_sum(slopes * shift)], axis=0))

    def prepare(self, rows: Rows) -> Rows:
        """Ids become rows of the one table, once and not at every step."""
        rows = super().prepare(rows)
        bags = zip(rows.bags, self._bags, strict=True)
        return rows._replace(
            categoricals=rows.categoricals + self._columns,
            bags=tuple(bag._replace(ids=bag.ids + base) for bag, base in bags),
        )

    def hyper(self, total_weight: float) -> dict[str, float]:
        """`l1` and `l2` divided by the total weight, as the loss is a mean."""
        return {"l1": self.parameters.l1 / total_weight, "l2": self.parameters.l2 / total_weight}

    def logits(self, batch: Rows) -> tf.Tensor:
        """See `Differentiable`."""
        linear = self.linear.read_value()
        score = tf.linalg.matvec(self._bent(batch.numerics), linear[:-1]) + linear[-1]
        if len(self._columns):
            score += tf.reduce_sum(_look_up(self.table, batch.categoricals), axis=1)
        for bag in batch.bags:
            terms = _look_up(self.table, bag.ids) * bag.values
            score += tf.math.unsorted_segment_sum(terms, bag.owners, tf.shape(score)[0])
        return score

    def _bent(self, numerics: tf.Tensor) -> tf.Tensor:
        """What `linear` multiplies, float32 [rows, numerics * (1 + bins)]: numerics, then how far each is along
        each of its pieces, 0 before and 1 after it.
        """
        if not self.bins:
            return numerics
        begin = self.knots[:, :-1]
        place = (numerics[:, :, None] - begin) / tf.maximum(self.knots[:, 1:] - begin, LEAST_PIECE)
        return tf.concat([numerics, tf.reshape(tf.clip_by_value(place, 0.0, 1.0), [-1, begin.shape[0] * self.bins])], 1)

    def terms(self, block: Block) -> dict[str, np.ndarray]:
        """See `Coordinate`."""
        schema, linear, table, n = self.schema, self.linear.numpy(), self.table.numpy(), self._numerics
        products = self._bent(tf.constant(block.numerics)).numpy() * linear[:-1]
        straight, bends = products[:, :n], products[:, n:].reshape(len(block), n, self.bins).sum(axis=2)
        found = {feature.name: straight[:, k] + bends[:, k] for k, feature in enumerate(schema.numerics)}
        looked_up = table[block.categoricals + self._columns]
        found |= {feature.name: looked_up[:, k] for k, feature in enumerate(schema.categoricals)}
        for feature, bag, base in zip(schema.bags, block.bags, self._bags, strict=True):
            weights = table[bag.ids + base] if bag.values is None else table[bag.ids + base] * bag.values
            owners = np.repeat(np.arange(len(bag)), np.diff(bag.splits))
            found[feature.name] = np.bincount(owners, weights, len(bag)).astype(np.float32)
        return found

    def gradients(self, batch: Rows, scale: tf.Tensor, hyper: Hyper, noise: tf.Tensor) -> list[Gradient]:
        """See `Differentiable`."""
        residual = self.slope(self.logits(batch), batch, scale)
        row = tf.reshape(residual, [1, -1])
        products = tf.reshape(tf.matmul(row, self._bent(batch.numerics)), [-1])
        linear = tf.concat([products, [tf.reduce_sum(residual)]], axis=0)
        ids, parts = self._touched(batch, residual)
        is_plain = not (self.parameters.l1 or self.parameters.l2)
        if not is_plain:
            linear += tf.concat([self._slope(self.linear[:-1], hyper), [0.0]], axis=0)
        if self.is_wide:
            parts = parts if is_plain else parts + self._slope(_look_up(self.table, ids), hyper)
            return [linear, sum_slopes(parts, tf.range(tf.size(ids)), ids, self._ids)]
        table = tf.math.unsorted_segment_sum(parts, ids, self._ids)
        return [linear, table if is_plain else table + self._slope(self.table.read_value(), hyper)]

    def _slope(self, weights: tf.Tensor, hyper: Hyper) -> tf.Tensor:
        """Of the penalty. That of |w| is only right on average: Adam gives no exact zeros, L-BFGS does."""
        slope = hyper["l2"] * weights
        return slope + hyper["l1"] * tf.sign(weights) if self.parameters.l1 else slope

    def _touched(self, batch: Rows, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ids, parts = [], []
        if len(self._columns):
            ids.append(tf.reshape(batch.categoricals, [-1]))
            spread = tf.broadcast_to(residual[:, None], tf.shape(batch.categoricals))
            parts.append(tf.reshape(spread, [-1]))
        for bag in batch.bags:
            ids.append(bag.ids)
            parts.append(tf.gather(residual, bag.owners) * bag.values)
        if len(ids) == 1:
            return ids[0], parts[0]
        if not ids:
            return tf.zeros([0], tf.int32), tf.zeros([0])
        return tf.concat(ids, axis=0), tf.concat(parts, axis=0)


def _look_up(table: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
    """The weights of ids of any shape; for single weights this kernel takes two thirds of `tf.gather`'s time."""
    return tf.gather_nd(table, ids[..., None])
