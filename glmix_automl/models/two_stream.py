"""Two networks on gated inputs whose outputs meet in a bilinear form (FinalMLP, Mao et al., AAAI 2023)."""

import tensorflow as tf

from glmix_automl.models.differentiable import variable
from glmix_automl.models.network import ACTIVATIONS, Drop, NetworkCoordinate
from glmix_automl.models.parameters import TwoStreamParameters
from glmix_automl.schema import Schema

STREAMS = (0, 1)


class TwoStream(NetworkCoordinate):
    """`b + w_1.o_1 + w_2.o_2 + sum_h o_1h' W_h o_2h` (equation 9 there): stream s is `depth` layers of `width` units on
    inputs times `2 sigmoid(gate_s)`, its output in `heads` parts; `fusion` [width, width / heads] holds every W_h.
    """

    def __init__(self, schema: Schema, parameters: TwoStreamParameters, seed: int) -> None:
        super().__init__("two_stream", schema, parameters)
        depth, width, self._heads = parameters.depth, parameters.width, parameters.heads
        widths = [self.inputs, *[width] * depth]
        self._gates = [variable(f"gate_{s}", [self.inputs]) for s in STREAMS]
        self._kernels = [[variable(f"kernel_{s}_{k}", widths[k : k + 2]) for k in range(depth)] for s in STREAMS]
        self._biases = [[variable(f"bias_{s}_{k}", [width]) for k in range(depth)] for s in STREAMS]
        self._outputs = [variable(f"output_{s}", [width, 1]) for s in STREAMS]
        self._fusion, self._bias = variable("fusion", [width, width // self._heads]), variable("output_bias", [1])
        self._activation = ACTIVATIONS[parameters.activation]
        self.along_inputs = {f"{name}": 0 for s in STREAMS for name in (f"gate_{s}", f"kernel_{s}_0")}
        layers = [weight for s in STREAMS for weight in (*self._kernels[s], *self._biases[s])]
        self.dense = [*self._gates, *layers, *self._outputs, self._fusion, self._bias]
        self.reset(parameters, seed)

    def forward(self, numerics: tf.Tensor, embedded: tf.Tensor, drop: Drop) -> tf.Tensor:
        """See `NetworkCoordinate`."""
        inputs = tf.concat([numerics, embedded], axis=1)
        score, streams = self._bias, []
        for gate, kernels, biases, output in zip(self._gates, self._kernels, self._biases, self._outputs, strict=True):
            hidden = inputs * (2 * tf.sigmoid(gate))
            for kernel, bias in zip(kernels, biases, strict=True):
                hidden = drop(self._activation(tf.nn.bias_add(tf.matmul(hidden, kernel), bias)))
            score += tf.reshape(tf.matmul(hidden, output), [-1])
            streams.append(tf.reshape(hidden, [-1, self._heads, self._fusion.shape[1]]))
        fusion = tf.reshape(self._fusion, [self._heads, *self._fusion.shape[1:] * 2])
        return score + tf.einsum("nhi,hij,nhj->n", streams[0], fusion, streams[1])
