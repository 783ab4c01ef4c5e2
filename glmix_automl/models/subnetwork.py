"""Dense subnetworks of a given depth on numerics and embeddings; depth 0 is linear in them (Macko et al. 2019)."""

import numpy as np

from glmix_automl.models.differentiable import variable
from glmix_automl.models.network import ACTIVATIONS, Drop, NetworkCoordinate, product
from glmix_automl.models.parameters import SubnetworkParameters
from glmix_automl.models.tensorflow import tf
from glmix_automl.schema import Schema


class Subnetwork(NetworkCoordinate):
    """`depth` layers of `width` units and a linear output; kernels [inputs, width], [width, width], ..., [., 1]."""

    along_inputs = {"kernel_0": 0}

    def __init__(self, schema: Schema, parameters: SubnetworkParameters, seed: int) -> None:
        super().__init__("subnetwork", schema, parameters)
        depth, width = parameters.depth, parameters.width
        widths = [self.inputs, *[width] * depth, 1]
        self._kernels = [variable(f"kernel_{k}", widths[k : k + 2]) for k in range(depth + 1)]
        self._biases = [variable(f"bias_{k}", [widths[k + 1]]) for k in range(depth + 1)]
        self._activation = ACTIVATIONS[parameters.activation]
        self.dense = [*self._kernels, *self._biases]
        self.reset(parameters, seed)

    def rescale(self, scale: np.ndarray, shift: np.ndarray) -> None:
        """See `Differentiable`; of the first layer."""
        rows = self._kernels[0][: self._numerics]
        scale, shift = scale[: self._numerics, None], shift[: self._numerics, None]
        self._kernels[0][: self._numerics].assign(rows * scale)
        self._biases[0].assign_add(tf.reduce_sum(rows * shift, axis=0))

    def forward(self, numerics: tf.Tensor, embedded: tf.Tensor, drop: Drop) -> tf.Tensor:
        """See `NetworkCoordinate`."""
        hidden = embedded
        for layer, (kernel, bias) in enumerate(zip(self._kernels, self._biases, strict=True)):
            sums = tf.nn.bias_add(product(hidden, kernel, None if layer else numerics), bias)
            hidden = sums if layer == len(self._kernels) - 1 else drop(self._activation(sums))
        return tf.reshape(hidden, [-1])
