"""What subnetworks of every kind share: embedded inputs, a gradient recorded by a tape, decay of their kernels."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from glmix_automl import seeds
from glmix_automl.errors import TrialError
from glmix_automl.models.axes import AxisPart, numeric_pieces, side_by_side
from glmix_automl.models.differentiable import Differentiable, Gradient, Hyper
from glmix_automl.models.embedding import Embedding
from glmix_automl.models.parameters import StepParameters, TermParameters
from glmix_automl.models.rows import Rows
from glmix_automl.models.tensorflow import tf
from glmix_automl.schema import Schema

ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "relu": tf.nn.relu,
    "elu": tf.nn.elu,
    "swish": tf.nn.silu,
    "tanh": tf.tanh,
}

NUMBERS = ("embedding_l2", "weight_decay", "dropout")  # inputs of the graph, where they are not 0

Drop: TypeAlias = Callable[[tf.Tensor], tf.Tensor]


class NetworkCoordinate(Differentiable):
    """What every subnetwork has: embeddings, a gradient recorded by a tape, decay of its kernels.

    A kind says what it does with its inputs in `forward`.

    Attributes:
        inputs: numerics and columns of embeddings.
        along_inputs: weights, by name, with an axis that has a place per input: which one.
    """

    along_inputs: Mapping[str, int] = {}

    def __init__(self, family: str, schema: Schema, parameters: TermParameters, bag_width: int | None = None) -> None:
        """Without weights of its own yet; `bag_width` where it is no parameter of the family."""
        super().__init__(family, schema, parameters)
        schema = self.schema
        seen = self._chosen("inputs", "all")
        widths = parameters.embedding_width, self._chosen("bag_width", bag_width)
        pooling = self._chosen("pooling", "mean")
        self._embedding = Embedding(schema, *widths, pooling, parameters.terms, used=seen != "numerics")
        self._numerics = len(schema.numerics) if seen != "terms" else 0
        self.tables = self._embedding.tables
        self.inputs = self._numerics + self._embedding.width
        if not self.inputs:
            raise TrialError(f"family {family}: inputs {seen!r}: the dataset has no such features")

    def _chosen(self, name: str, otherwise: Any) -> Any:
        """A parameter that not every family of networks has."""
        return getattr(self.parameters, name, otherwise)

    @property
    def structure(self) -> tuple[Any, ...]:
        """Every parameter but those that are numbers to the graph."""
        numbers = {*StepParameters.model_fields, *NUMBERS, "accumulator"} - {"features", "loss"}
        fixed = tuple(sorted((name, value) for name, value in self.parameters if name not in numbers))
        return (self.family, fixed, *(bool(self._chosen(name, 0.0)) for name in NUMBERS))

    def hyper(self, total_weight: float) -> dict[str, float]:
        """See `Differentiable`."""
        return {name: self._chosen(name, 0.0) for name in NUMBERS}

    def reset(self, parameters: Any, seed: int) -> None:
        """He's normal distribution for kernels, zeros for biases, small normal rows for embeddings."""
        self.parameters = parameters
        rng = seeds.generator(seed, "weights")
        for weight in self.dense:
            if weight.shape.rank == 1:
                weight.assign(tf.zeros_like(weight))
            else:
                deviation = np.float32(math.sqrt(2.0 / max(weight.shape[0], 1)))
                weight.assign(rng.standard_normal(weight.shape, np.float32) * deviation)
        self._embedding.reset(rng)

    @property
    def parts(self) -> list[AxisPart]:
        """See `Differentiable`."""
        pieces = [*numeric_pieces(self.schema)[: self._numerics], *self._embedding.inputs]
        along = (part for name, axis in self.along_inputs.items() for part in side_by_side(name, pieces, axis))
        return [*self._embedding.parts, *along]

    def prepare(self, rows: Rows) -> Rows:
        """See `Coordinate`; ids become places in the tables, once and not at every step."""
        return self._embedding.prepare(super().prepare(rows))

    @property
    def signature(self) -> Rows:
        """See `Differentiable`."""
        return self._embedding.signature

    def forward(self, numerics: tf.Tensor, embedded: tf.Tensor, drop: Drop) -> tf.Tensor:
        """Score of each row, float32 [rows], from numerics [rows, n] and what terms are embedded as [rows, width]."""
        raise NotImplementedError

    def logits(self, batch: Rows) -> tf.Tensor:
        """See `Differentiable`."""
        return self.forward(batch.numerics[:, : self._numerics], self._embedding.features(batch), lambda x: x)

    def gradients(self, batch: Rows, scale: tf.Tensor, hyper: Hyper, noise: tf.Tensor) -> list[Gradient]:
        """See `Differentiable`; the tape begins at the features, as embeddings know their own gradients."""
        embedded = self._embedding.features(batch)
        weights = [weight.read_value() for weight in self.dense]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([self.dense, embedded])
            score = self.forward(batch.numerics[:, : self._numerics], embedded, self._dropout(hyper, noise))
        slope = self.slope(score, batch, scale)
        dense, towards = tape.gradient(score, [self.dense, embedded], slope, unconnected_gradients="zero")
        if self._chosen("weight_decay", 0.0):
            decay = [hyper["weight_decay"] * w if w.shape.rank > 1 else 0.0 for w in weights]
            dense = [g + d for g, d in zip(dense, decay, strict=True)]
        shrinkage = hyper["embedding_l2"] / scale if self.parameters.embedding_l2 else None
        return [*dense, *self._embedding.gradients(batch, towards, shrinkage)]

    def _dropout(self, hyper: Hyper, noise: tf.Tensor) -> Drop:
        if not self._chosen("dropout", 0.0):
            return lambda x: x
        layers = itertools.count()
        return lambda x: drop_out(x, hyper["dropout"], noise + (next(layers) << 16))


def drop_out(x: tf.Tensor, share: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Zero for a share of the entries, to the nearest 256th, and the others scaled up to keep the sum as expected.

    An entry gets a byte of chance: to draw a float for each takes as long as a layer's products.
    """
    size, out = tf.size(x), tf.round(256 * share)
    words = tf.random.stateless_uniform([(size + 3) // 4], seed, minval=None, maxval=None, dtype=tf.int32)
    drawn = tf.reshape(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size], tf.shape(x))
    return x * (tf.cast(drawn >= tf.cast(out, tf.uint8), tf.float32) * (256 / (256 - out)))


def product(inputs: tf.Tensor, kernel: tf.Variable, beside: tf.Tensor | None = None) -> tf.Tensor:
    """Inputs [rows, n], what is `beside` them before them, times a kernel [all inputs, units]: float32 [rows, units].

    What is beside them (numerics) gets no gradient; a tape would multiply by its part of the kernel too. The product
    towards the inputs comes before that towards the kernel: what is handed down next is still in the cache.
    """

    @tf.custom_gradient
    def multiplied(weights: tf.Tensor, inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        whole = inputs if beside is None else tf.concat([beside, inputs], axis=1)

        def back(upstream: tf.Tensor) -> list[tf.Tensor]:
            own = weights if beside is None else weights[beside.shape[1] :]
            towards = tf.matmul(upstream, own, transpose_b=True)
            with tf.control_dependencies([towards]):
                return [tf.matmul(whole, upstream, transpose_a=True), towards]

        return tf.matmul(whole, weights), back

    return multiplied(tf.convert_to_tensor(kernel), inputs)
