"""Dense subnetworks of a given depth on numerics and embeddings; depth 0 is linear in them (Macko et al. 2019)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from glmix_automl.models.coordinate import variable
from glmix_automl.models.family import TRAINING, Parameter, resolve
from glmix_automl.models.network import ACTIVATIONS, EMBEDDING, REGULARISATION, Drop, Network, product
from glmix_automl.schema import Schema
from glmix_automl.trial import Value


class Subnetwork(Network):
    """`depth` layers of `width` units and a linear output; kernels [inputs, width], [width, width], ..., [., 1]."""

    along_inputs = {"kernel_0": 0}

    def __init__(self, schema: Schema, parameters: Mapping[str, Value], seed: int) -> None:
        super().__init__("subnetwork", schema, parameters)
        depth, width = int(parameters["depth"] or 0), int(parameters["width"] or 1)
        widths = [self.inputs, *[width] * depth, 1]
        self._kernels = [variable(f"kernel_{k}", widths[k : k + 2]) for k in range(depth + 1)]
        self._biases = [variable(f"bias_{k}", [widths[k + 1]]) for k in range(depth + 1)]
        self._activation = ACTIVATIONS[str(parameters["activation"])]
        self.dense = [*self._kernels, *self._biases]
        self.reset(parameters, seed)

    def rescale(self, scale: np.ndarray, shift: np.ndarray) -> None:
        """See `Differentiable`; of the first layer."""
        rows = self._kernels[0][: self._numerics]
        scale, shift = scale[: self._numerics, None], shift[: self._numerics, None]
        self._kernels[0][: self._numerics].assign(rows * scale)
        self._biases[0].assign_add(tf.reduce_sum(rows * shift, axis=0))

    def forward(self, numerics: tf.Tensor, embedded: tf.Tensor, drop: Drop) -> tf.Tensor:
        """See `Network`."""
        hidden = embedded
        for layer, (kernel, bias) in enumerate(zip(self._kernels, self._biases, strict=True)):
            sums = tf.nn.bias_add(product(hidden, kernel, None if layer else numerics), bias)
            hidden = sums if layer == len(self._kernels) - 1 else drop(self._activation(sums))
        return tf.reshape(hidden, [-1])


@dataclass(frozen=True)
class SubnetworkFamily:
    """Dense subnetworks: depth, width, embeddings, dropout, weight decay."""

    name = "subnetwork"
    parameters = {
        **TRAINING,
        **EMBEDDING,
        **REGULARISATION,
        "depth": Parameter(2, "hidden layers", low=0, high=64),
        "width": Parameter(64, "units per hidden layer", low=1, high=65_536),
        "activation": Parameter("relu", "of hidden layers", choices=tuple(ACTIVATIONS)),
    }

    def resolve(self, parameters: Mapping[str, Any]) -> dict[str, Value]:
        """See `ModelFamily`."""
        return resolve(self.name, self.parameters, parameters)

    def build(self, schema: Schema, parameters: Mapping[str, Any], seed: int) -> Subnetwork:
        """See `ModelFamily`."""
        return Subnetwork(schema, self.resolve(parameters), seed)

    def complexity(self, parameters: Mapping[str, Any]) -> float:
        """Root of the depth, the output layer included."""
        return math.sqrt(1 + int(self.resolve(parameters)["depth"] or 0))


FAMILY = SubnetworkFamily()
