"""Coordinates trained by gradient steps on plain variables."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from glmix_automl.errors import DataError
from glmix_automl.models.axes import AxisPart
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.models.parameters import StepParameters
from glmix_automl.models.rows import Rows, bases, row_signature, taker
from glmix_automl.models.selection import FeatureSelection
from glmix_automl.models.tensorflow import tf
from glmix_automl.schema import Schema

Gradient: TypeAlias = "tf.Tensor | tf.IndexedSlices"
Hyper: TypeAlias = Mapping[str, tf.Tensor]

SCORE_ROWS = 16_384  # rows scored at once: bounds the memory of the hidden layers


class Differentiable(Coordinate):
    """A coordinate trained by gradient steps.

    What decides the graph (depth, width, ...) is fixed when it is made; what does not (`hyper`: rates, strengths) is
    passed to the graph as numbers, so that one traced loop serves every trial of the same `structure`.

    Laws: as `ModelFamily`. `gradients` are those of `sum_i weight_i * loss_i / scale` plus the penalty, with `scale`
    the rows of the batch times the mean weight of the training rows.

    Attributes:
        selection: which features of the dataset it sees; its `schema` has no others.
        dense: weights updated whole at each step.
        tables: weights updated by the rows a batch touches.
    """

    in_graph = True

    def __init__(self, family: str, schema: Schema, parameters: StepParameters) -> None:
        self.selection = FeatureSelection.of(schema, parameters.features, family)
        super().__init__(family, self.selection.schema, parameters)
        self.dense: list[tf.Variable] = []
        self.tables: list[tf.Variable] = []
        self._scoring: Any = None

    @property
    @abc.abstractmethod
    def structure(self) -> tuple[Any, ...]:
        """What decides the traced graph; coordinates of equal structure can share one."""

    @abc.abstractmethod
    def reset(self, parameters: Any, seed: int) -> None:
        """Draws the initial weights and takes on other parameters of the same structure."""

    @abc.abstractmethod
    def logits(self, batch: Rows) -> tf.Tensor:
        """Score of each prepared row, float32 [rows]."""

    @abc.abstractmethod
    def gradients(self, batch: Rows, scale: tf.Tensor, hyper: Hyper, noise: tf.Tensor) -> list[Gradient]:
        """Of the batch's objective, for `dense` and then `tables`, these whole or in slices of distinct rows.

        Args:
            batch: prepared rows.
            scale: what the sum of weighted losses is divided by.
            hyper: as `hyper` gives them.
            noise: int32 [2], seed of dropout for this step.
        """

    def slope(self, score: tf.Tensor, batch: Rows, scale: tf.Tensor) -> tf.Tensor:
        """Derivative of the batch's loss by each of its scores, float32 [rows].

        The logistic loss has `weight * (p - label)`. The pairwise one (Burges et al. 2005) is that of the difference of
        two rows' scores: at even places are rows with label 1, behind each one of the same member with label 0.
        """
        share = batch.weight / scale
        score += batch.offset
        if self.parameters.loss == "logistic":
            return (tf.sigmoid(score) - batch.label) * share
        first = -tf.sigmoid(score[1::2] - score[::2]) * (share[::2] + share[1::2])
        return tf.reshape(tf.stack([first, -first], axis=1), [-1])

    @property
    def signature(self) -> Rows:
        """The shapes and types of prepared rows."""
        return row_signature(self.schema)

    def prepare(self, rows: Rows) -> Rows:
        """See `Coordinate`; here, the features that it sees."""
        return self.selection.rows(rows)

    def hyper(self, total_weight: float) -> dict[str, float]:
        """Numbers that the graph takes as inputs; `total_weight` is the sum of the training rows' weights."""
        return {}

    @property
    @abc.abstractmethod
    def parts(self) -> list[AxisPart]:
        """What the places of every axis stand for whose length depends on the dataset."""

    def rescale(self, scale: np.ndarray, shift: np.ndarray) -> None:
        """Changes the weights so that numerics x score as `scale * x + shift` did, where the score (or the first layer)
        is linear in x; where it is not, as here, they stay as they are.

        Args:
            scale, shift: float32 [numerics].
        """

    @property
    def weights(self) -> dict[str, tf.Variable]:
        """Every trained variable by name."""
        return {variable.name.split(":")[0]: variable for variable in (*self.dense, *self.tables)}

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """See `Coordinate`."""
        return {name: weight.numpy() for name, weight in self.weights.items()}

    def restore(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        """See `Coordinate`; each weight has its shape from the schema and the parameters."""
        for name, weight in self.weights.items():
            array = arrays.get(name)
            if array is None or array.shape != tuple(weight.shape):
                found = "nothing" if array is None else f"shape {list(array.shape)}"
                raise DataError(
                    f"{where}: weight {name!r} should have shape {list(weight.shape)}, found {found}: "
                    "it was trained on another dataset or with other parameters"
                )
            weight.assign(array)

    def score(self, rows: Rows) -> np.ndarray:
        """See `Coordinate`."""
        if self._scoring is None:
            place = tf.TensorSpec([], tf.int64)
            scoring = tf.function(self._score, input_signature=[self.signature, place, place], autograph=False)
            # Traced here, not by its first call: TensorFlow warns of that as retracing once five networks have scored.
            self._scoring = scoring.get_concrete_function()
        prepared, count = self.prepare(rows), len(rows.label)
        starts = range(0, max(count, 1), SCORE_ROWS)
        # The loop is here: TensorFlow's own takes longer to trace than the network in it, which few rows wait for.
        parts = [self._scoring(prepared, start, min(SCORE_ROWS, count - start)).numpy() for start in starts]
        return np.concatenate(parts)

    def _score(self, prepared: Rows, start: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        return self.logits(taker(prepared)(start[None], size))

    def graph(self, rows: Rows) -> tf.Tensor:
        """The scores of rows as a tensor, float32 [rows], within a graph; all at once."""
        return self._score(self.prepare(rows), tf.constant(0, tf.int64), tf.size(rows.label, tf.int64))


def sum_slopes(slopes: tf.Tensor, owners: tf.Tensor, ids: tf.Tensor, rows: int, whole: bool = False) -> Gradient:
    """The gradient of a table by what its lookups get: of all its rows, or slices of those that were looked up.

    Slices of one row are summed here, as the kernel that updates rows runs in parallel and would race where they
    repeat: into the whole table if that has no more rows than there are lookups, else into the distinct ones, which
    must be found first. Both give the same bits.

    Args:
        slopes: float32 [n, width], or [n] for a table of single weights.
        owners: int32 [lookups], which of `slopes` each lookup gets.
        ids: int32 [lookups], row of each.
        rows: of the table.
        whole: to sum into the whole table, however many lookups there are.
    """
    add = tf.raw_ops.SparseSegmentSumGrad  # half the time of a segment sum
    if whole or (ids.shape[0] is not None and ids.shape[0] >= rows):
        return add(grad=slopes, indices=ids, segment_ids=owners, output_dim0=rows)
    distinct, place = tf.unique(ids)
    total = add(grad=slopes, indices=place, segment_ids=owners, output_dim0=tf.size(distinct))
    return tf.IndexedSlices(total, distinct, dense_shape=tf.constant([rows, *slopes.shape[1:]]))


def variable(name: str, shape: Sequence[int]) -> tf.Variable:
    """A float32 weight of zeros on the CPU; `reset` fills it."""
    with tf.device("cpu"):
        return tf.Variable(tf.zeros(shape), name=name)


def wide_table(schema: Schema) -> tuple[np.ndarray, np.ndarray, int]:
    """One table for all ids of a dataset, features one below the other.

    Returns:
        First row of each categorical, int32 [categoricals]; of each bag, int32 [bags]; rows in all.
    """
    sizes = [*map(schema.size, schema.categoricals), *map(schema.size, schema.bags)]
    starts, count = bases(sizes), len(schema.categoricals)
    return starts[:count], starts[count:], int(sum(sizes))
