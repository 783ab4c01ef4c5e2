"""The role of a coordinate trained by gradient steps: one term `h_k` of the model, of plain variables."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from glmix_automl.models.rows import Rows, bases, signature, take
from glmix_automl.schema import Schema
from glmix_automl.trial import Value

Gradient: TypeAlias = "tf.Tensor | tf.IndexedSlices"
Hyper: TypeAlias = Mapping[str, tf.Tensor]

SCORE_ROWS = 16_384  # rows scored at once: bounds the memory of the hidden layers


class Coordinate(abc.ABC):
    """One term of the model. The offset is added by the loop, so `logits` never includes it.

    What decides the graph (depth, width, ...) is fixed when it is made; what does not (`hyper`: rates, strengths) is
    passed to the graph as numbers, so that one traced loop serves every trial of the same `structure`.

    Laws: as `ModelFamily`. `gradients` are those of `sum_i weight_i * loss_i / scale` plus the penalty, with `scale`
    the rows of the batch times the mean weight of the training rows.

    Attributes:
        family: name of the family.
        schema: of the dataset it takes.
        parameters: all of them, resolved.
        dense: weights updated whole at each step.
        tables: weights updated by the rows a batch touches.
    """

    def __init__(self, family: str, schema: Schema, parameters: Mapping[str, Value]) -> None:
        self.family = family
        self.schema = schema
        self.parameters = dict(parameters)
        self.dense: list[tf.Variable] = []
        self.tables: list[tf.Variable] = []
        self._scoring: Any = None

    @property
    @abc.abstractmethod
    def structure(self) -> tuple[Any, ...]:
        """What decides the traced graph; coordinates of equal structure can share one."""

    @abc.abstractmethod
    def reset(self, parameters: Mapping[str, Value], seed: int) -> None:
        """Draws the initial weights and takes on other parameters of the same structure."""

    @abc.abstractmethod
    def logits(self, batch: Rows) -> tf.Tensor:
        """Score of each prepared row, float32 [rows]."""

    @abc.abstractmethod
    def gradients(self, batch: Rows, scale: tf.Tensor, hyper: Hyper, noise: tf.Tensor) -> list[Gradient]:
        """Of the batch's objective, for `dense` and then `tables`; slices of touched rows for tables.

        Args:
            batch: prepared rows.
            scale: what the sum of weighted losses is divided by.
            hyper: as `hyper` gives them.
            noise: int32 [2], seed of dropout for this step.
        """

    def prepare(self, rows: Rows) -> Rows:
        """Rows in the form that `logits` and `gradients` take; called once for many steps."""
        return rows

    def hyper(self, total_weight: float) -> dict[str, float]:
        """Numbers that the graph takes as inputs; `total_weight` is the sum of the training rows' weights."""
        return {}

    @property
    def weights(self) -> dict[str, tf.Variable]:
        """Every trained array by name."""
        return {variable.name.split(":")[0]: variable for variable in (*self.dense, *self.tables)}

    @property
    def size(self) -> int:
        """Number of trained weights."""
        return sum(int(np.prod(v.shape)) for v in self.weights.values())

    def score(self, rows: Rows) -> np.ndarray:
        """Score of each row, without the offset: float32 [rows]."""
        if self._scoring is None:
            self._scoring = tf.function(self._score, input_signature=[signature(self.schema)], autograph=False)
        return self._scoring(rows).numpy()

    def _score(self, rows: Rows) -> tf.Tensor:
        rows, count = self.prepare(rows), tf.shape(rows.label)[0]
        chunks = -(-count // SCORE_ROWS)
        parts = tf.TensorArray(tf.float32, size=chunks, infer_shape=False, element_shape=[None])

        def score(chunk: tf.Tensor, parts: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            start = chunk * SCORE_ROWS
            batch = take(rows, start, tf.minimum(SCORE_ROWS, count - start))
            return chunk + 1, parts.write(chunk, self.logits(batch))

        _, parts = tf.while_loop(lambda chunk, _: chunk < chunks, score, (tf.constant(0), parts), parallel_iterations=1)
        return parts.concat()


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
