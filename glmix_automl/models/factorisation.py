"""Factorisation machines: products of every two features' embeddings (Rendle, ICDM 2010), or of the two sides' only."""

from typing import Any

from glmix_automl.errors import TrialError
from glmix_automl.models.axes import AxisPart, numeric_pieces, side_by_side
from glmix_automl.models.differentiable import variable
from glmix_automl.models.network import Drop, NetworkCoordinate, product
from glmix_automl.models.parameters import FactorisationParameters
from glmix_automl.models.tensorflow import tf
from glmix_automl.schema import Schema

FIRST, SECOND = ("left", "member"), ("right", "item")  # sides whose products are taken


class Factorisation(NetworkCoordinate):
    """`b + x.w + p.pairs(v)`: a field is a categorical's row, a bag's mean row, or a numeric times a row of its own.

    With `pairs` = `all`, pairs(v) = (|sum_i v_i|^2 - sum_i |v_i|^2) / 2 by component (equation 1 there, in linear
    time). With `sides`, it is the sum over one side's fields times the sum over the other's: what both ends of an
    edge, or a member and an item, share. A learned weight p per component lets a product count against a match.
    """

    along_inputs = {"output": 0}

    def __init__(self, schema: Schema, parameters: FactorisationParameters, seed: int) -> None:
        self._factors = parameters.embedding_width
        super().__init__("factorisation", schema, parameters, bag_width=self._factors)
        schema = self.schema
        sides = [f.side for f in (*schema.numerics, *self._embedding.order)]
        self._first = [place for place, side in enumerate(sides) if side in FIRST]
        self._second = [place for place, side in enumerate(sides) if side in SECOND]
        if parameters.pairs == "sides" and not (self._first and self._second):
            raise TrialError("family factorisation: pairs `sides` needs features of both sides; use `all`")
        self._rows = variable("numeric_rows", [len(schema.numerics), self._factors])
        self._output = variable("output", [self.inputs, 1])
        self._bias, self._pairs = variable("bias", [1]), variable("pairs", [self._factors])
        self.dense = [self._rows, self._output, self._bias, self._pairs]
        self.reset(parameters, seed)

    @property
    def parts(self) -> list[AxisPart]:
        """See `Differentiable`."""
        return [*super().parts, *side_by_side("numeric_rows", numeric_pieces(self.schema))]

    def reset(self, parameters: Any, seed: int) -> None:
        """As every network, but products begin with the weight 1 of the original."""
        super().reset(parameters, seed)
        self._rows.assign(self._rows * 0.1)
        self._pairs.assign(tf.ones_like(self._pairs))

    def forward(self, numerics: tf.Tensor, embedded: tf.Tensor, drop: Drop) -> tf.Tensor:
        """See `NetworkCoordinate`."""
        terms = tf.reshape(embedded, [tf.shape(embedded)[0], embedded.shape[1] // self._factors, self._factors])
        stacked = tf.concat([numerics[:, :, None] * self._rows, terms], axis=1)
        linear = product(embedded, self._output, numerics)
        pairs = tf.linalg.matvec(self._products(stacked), self._pairs)
        return tf.reshape(linear, [-1]) + pairs + self._bias

    def _products(self, fields: tf.Tensor) -> tf.Tensor:
        """float32 [rows, factors] from fields [rows, features, factors]."""
        if self.parameters.pairs == "sides":
            one, other = (tf.gather(fields, places, axis=1) for places in (self._first, self._second))
            return tf.reduce_sum(one, axis=1) * tf.reduce_sum(other, axis=1)
        return 0.5 * (tf.reduce_sum(fields, axis=1) ** 2 - tf.reduce_sum(fields**2, axis=1))
