"""Adam for dense weights (Kingma and Ba 2015), Adagrad for tables by touched rows (Duchi et al. 2011); fused."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from glmix_automl.models.coordinate import Differentiable, Gradient

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
        out of the processor's cache.
        """
        ready = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients]
        with tf.control_dependencies(ready):
            return self._updates(gradients[: len(self._dense)], gradients[len(self._dense) :], rate, table_rate)

    def _updates(
        self, dense: list[Gradient], tables: list[Gradient], rate: tf.Tensor, table_rate: tf.Tensor
    ) -> list[tf.Operation]:
        nothing = tf.constant(0.0)
        updates = [
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=nothing,
                beta2_power=nothing,
                lr=rate,
                beta1=BETA1,
                beta2=BETA2,
                epsilon=EPSILON,
                grad=gradient,
            )
            for (weight, mean, square), gradient in zip(self._dense, dense, strict=True)
        ]
        return updates + [
            _adagrad(table, squares, gradient, table_rate)
            for (table, squares), gradient in zip(self._tables, tables, strict=True)
        ]


def _adagrad(table: tf.Variable, squares: tf.Variable, gradient: Gradient, rate: tf.Tensor) -> tf.Operation:
    """One update of every touched row by the sum of its slices, or by the gradient of the whole table.

    The kernel for slices runs in parallel and would race where ids repeat, so they are summed first: into the whole
    table if that is not larger than the slices, else into the distinct ids. Both give the same bits.
    """
    common = {"var": table.handle, "accum": squares.handle, "lr": rate, "epsilon": EPSILON}
    if isinstance(gradient, tf.IndexedSlices):
        slices = gradient.indices.shape[0]
        if slices is None or slices < table.shape[0]:
            ids, place = tf.unique(gradient.indices)
            total = _summed(gradient.values, place, tf.size(ids))
            return tf.raw_ops.ResourceSparseApplyAdagradV2(**common, grad=total, indices=ids)
        gradient = _summed(gradient.values, gradient.indices, table.shape[0])
    return tf.raw_ops.ResourceApplyAdagradV2(**common, grad=gradient)


def _summed(values: tf.Tensor, places: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
    """Sums of values [n, width] that have the same place: [count, width]; in half the time of a segment sum."""
    each = tf.range(values.shape[0] if values.shape[0] is not None else tf.shape(values)[0])
    return tf.raw_ops.SparseSegmentSumGrad(grad=values, indices=places, segment_ids=each, output_dim0=count)


def adam_rates(rates: np.ndarray, first: int) -> np.ndarray:
    """Rates of steps `first`, `first + 1`, ... (from 0) with Adam's correction for moments that began at zero."""
    step = first + 1 + np.arange(len(rates), dtype=np.float64)
    return (rates * np.sqrt(1 - BETA2**step) / (1 - BETA1**step)).astype(np.float32)


def _like(weight: tf.Variable) -> tf.Variable:
    with tf.device("cpu"):
        return tf.Variable(tf.zeros(weight.shape), trainable=False)
