"""Cross blocks of low rank: products of inputs of a degree that grows with depth (DCN-v2, Wang et al., WWW 2021)."""

from glmix_automl.models.differentiable import variable
from glmix_automl.models.network import Drop, NetworkCoordinate
from glmix_automl.models.parameters import CrossParameters
from glmix_automl.models.tensorflow import tf
from glmix_automl.schema import Schema


class Cross(NetworkCoordinate):
    """`x_(l+1) = x_0 * (V_l U_l x_l + b_l) + x_l` (equation 2 there), `depth` times, and a linear output."""

    def __init__(self, schema: Schema, parameters: CrossParameters, seed: int) -> None:
        super().__init__("cross", schema, parameters)
        depth, inputs = parameters.depth, self.inputs
        rank = min(parameters.rank, inputs)
        self._narrow = [variable(f"narrow_{k}", [inputs, rank]) for k in range(depth)]
        self._widen = [variable(f"widen_{k}", [rank, inputs]) for k in range(depth)]
        self._biases = [variable(f"bias_{k}", [inputs]) for k in range(depth)]
        self._output, self._bias = variable("output", [inputs, 1]), variable("bias", [1])
        sides = {f"{name}_{k}": axis for k in range(depth) for name, axis in (("narrow", 0), ("widen", 1), ("bias", 0))}
        self.along_inputs = {**sides, "output": 0}
        self.dense = [*self._narrow, *self._widen, self._output, *self._biases, self._bias]
        self.reset(parameters, seed)

    def forward(self, numerics: tf.Tensor, embedded: tf.Tensor, drop: Drop) -> tf.Tensor:
        """See `NetworkCoordinate`."""
        first = tf.concat([numerics, embedded], axis=1)
        crossed = first
        for narrow, widen, bias in zip(self._narrow, self._widen, self._biases, strict=True):
            inner = drop(tf.matmul(tf.matmul(crossed, narrow), widen))
            crossed += first * tf.nn.bias_add(inner, bias)
        return tf.reshape(tf.matmul(crossed, self._output), [-1]) + self._bias
