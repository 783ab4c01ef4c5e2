"""Adam for dense weights (Kingma and Ba 2015), Adagrad for tables by touched rows (Duchi et al. 2011); fused."""

from collections.abc import Mapping

import numpy as np

from glmix_automl.models.differentiable import Differentiable, Gradient
from glmix_automl.models.tensorflow import tf

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
ACCUMULATOR = 1e-12  # least that Adagrad's sums of squares begin with: below any gradient of a mean over rows


class Optimiser:
    """The moments of a coordinate's weights and the update of one step, as part of the loop's graph.

    TensorFlow's fused kernels update in place; moments of a table are of the table's size, but only touched rows are
    read or written.
    """

    def __init__(self, coordinate: Differentiable, accumulator: float = 0.0) -> None:
        self._dense = [(weight, _like(weight), _like(weight)) for weight in coordinate.dense]
        self._tables = [(table, _like(table)) for table in coordinate.tables]
        self.reset(accumulator)

    def reset(self, accumulator: float = 0.0) -> None:
        """Forgets all steps; Adagrad's sums of squares begin with `accumulator`.

        Were they to begin with nothing, the first gradient of a row would move it by the whole rate however small it
        is, and the rows of rare ids would hold what their few examples happened to be.
        """
        for _, mean, square in self._dense:
            mean.assign(tf.zeros_like(mean))
            square.assign(tf.zeros_like(square))
        for _, squares in self._tables:
            squares.assign(tf.fill(squares.shape, np.float32(max(accumulator, ACCUMULATOR))))

    @property
    def moments(self) -> list[tf.Variable]:
        """Everything it remembers, to be saved, restored or averaged."""
        return [m for _, *moments in self._dense for m in moments] + [squares for _, squares in self._tables]

    def saved(self, most: int) -> dict[str, np.ndarray] | None:
        """The moments as arrays by place; None if there are more than `most` numbers in them."""
        if sum(int(np.prod(moment.shape)) for moment in self.moments) > most:
            return None
        return {f"moment_{place}": moment.numpy() for place, moment in enumerate(self.moments)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes up what `saved` gave."""
        for place, moment in enumerate(self.moments):
            moment.assign(arrays[f"moment_{place}"])

    def apply(self, gradients: list[Gradient], rate: tf.Tensor, table_rate: tf.Tensor) -> list[tf.Operation]:
        """The update by gradients of `Differentiable.dense` and then `.tables`; `rate` as `adam_rates` gives it.

        It begins when all gradients are there: between the products of a backward pass it would push what they share
        out of the processor's cache. One weight follows the other, as what is ready at once is handed from thread to
        thread.
        """
        ready = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients]
        numbers = {"beta1": BETA1, "beta2": BETA2, "beta1_power": 0.0, "beta2_power": 0.0, "epsilon": EPSILON}
        constants = {name: tf.constant(number) for name, number in numbers.items()}  # one for all, outside the order
        adam, adagrad = {**constants, "lr": rate}, {"epsilon": constants["epsilon"], "lr": table_rate}
        count = len(self._dense)
        updates: list[tf.Operation] = []
        for (weight, mean, square), gradient in zip(self._dense, gradients[:count], strict=True):
            with tf.control_dependencies(updates[-1:] or ready):
                own = {"var": weight.handle, "m": mean.handle, "v": square.handle, "grad": gradient}
                updates.append(tf.raw_ops.ResourceApplyAdam(**own, **adam))
        for (table, squares), gradient in zip(self._tables, gradients[count:], strict=True):
            with tf.control_dependencies(updates[-1:] or ready):
                own = {"var": table.handle, "accum": squares.handle}
                updates.append(_adagrad(gradient, **own, **adagrad))
        return updates


def _adagrad(gradient: Gradient, **arguments: tf.Tensor) -> tf.Operation:
    if isinstance(gradient, tf.IndexedSlices):
        slices = {"grad": gradient.values, "indices": gradient.indices}
        return tf.raw_ops.ResourceSparseApplyAdagradV2(**slices, **arguments)
    return tf.raw_ops.ResourceApplyAdagradV2(grad=gradient, **arguments)


def adam_rates(rates: np.ndarray, first: int) -> np.ndarray:
    """Rates of steps `first`, `first + 1`, ... (from 0) with Adam's correction for moments that began at zero."""
    step = first + 1 + np.arange(len(rates), dtype=np.float64)
    return (rates * np.sqrt(1 - BETA2**step) / (1 - BETA1**step)).astype(np.float32)


def _like(weight: tf.Variable) -> tf.Variable:
    with tf.device("cpu"):
        return tf.Variable(tf.zeros(weight.shape), trainable=False)
