"""Many subnetworks in one: they share their kernels and differ by small vectors (TabM, Gorishniy et al., ICLR 2025).

The variant called TabM-mini there, biases each network's own: inputs are scaled by a vector of each, drawn as signs,
then all go through the same layers. In training the loss is the mean of theirs; the score is the log-odds of the mean
of their probabilities.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from glmix_automl import seeds
from glmix_automl.models.differentiable import variable
from glmix_automl.models.network import ACTIVATIONS, Drop, NetworkCoordinate, product
from glmix_automl.models.parameters import TabMParameters
from glmix_automl.schema import Schema


class TabM(NetworkCoordinate):
    """`scales` [inputs, heads]; kernels [inputs, width], [width, width], ...; `bias_k` [heads * width]; `output`
    [heads, width] and `output_bias` [heads].
    """

    along_inputs = {"kernel_0": 0, "scales": 0}

    def __init__(self, schema: Schema, parameters: TabMParameters, seed: int) -> None:
        super().__init__("tabm", schema, parameters)
        depth, width, self._heads = parameters.depth, parameters.width, parameters.heads
        widths = [self.inputs, *[width] * depth]
        self._scales = variable("scales", [self.inputs, self._heads])
        self._kernels = [variable(f"kernel_{k}", widths[k : k + 2]) for k in range(depth)]
        self._biases = [variable(f"bias_{k}", [self._heads * width]) for k in range(depth)]
        self._output, self._bias = variable("output", [self._heads, width]), variable("output_bias", [self._heads])
        self._activation = ACTIVATIONS[parameters.activation]
        self.dense = [self._scales, *self._kernels, *self._biases, self._output, self._bias]
        self.reset(parameters, seed)

    def reset(self, parameters: Any, seed: int) -> None:
        """As every network, but inputs are scaled by signs, and outputs as wide as a layer's."""
        super().reset(parameters, seed)
        rng = seeds.generator(seed, "scales")
        self._scales.assign(rng.choice(np.array([-1.0, 1.0], np.float32), self._scales.shape))
        self._output.assign(self._output * np.float32((self._heads / self.parameters.width) ** 0.5))

    def rescale(self, scale: np.ndarray, shift: np.ndarray) -> None:
        """See `Differentiable`; of the first layer."""
        n = self._numerics
        rows, scales = self._kernels[0][:n], self._scales[:n]
        moved = tf.transpose(scales) @ (rows * shift[:n, None])
        self._biases[0].assign_add(tf.reshape(moved, [-1]))
        self._kernels[0][:n].assign(rows * scale[:n, None])

    def forward(self, numerics: tf.Tensor, embedded: tf.Tensor, drop: Drop) -> tf.Tensor:
        """Scores of each network, float32 [rows, heads]."""
        heads, width = self._heads, self.parameters.width
        scaled = self._scales[:, :, None] * self._kernels[0][:, None, :]
        hidden = product(embedded, tf.reshape(scaled, [self.inputs, heads * width]), numerics)
        for layer, bias in enumerate(self._biases):
            if layer:
                together = tf.matmul(tf.reshape(hidden, [-1, width]), self._kernels[layer])
                hidden = tf.reshape(together, [-1, heads * width])
            hidden = drop(self._activation(tf.nn.bias_add(hidden, bias)))
        return tf.reduce_sum(tf.reshape(hidden, [-1, heads, width]) * self._output, axis=2) + self._bias
