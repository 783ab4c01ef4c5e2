"""Averaging over the ranks of a world: of gradients at every step, or of parameters once per time slice.

*Synchronous*: every step, the gradients' mean over ranks: `weighted_mean`, in the graph.
*Anytime*: each rank takes local steps for the same time, then parameters are averaged, each rank weighted by the steps
it did: `average` (anytime mini-batch, Ferdinand et al. 2019; local SGD, Stich 2019). A slow rank costs its own share
only.

Either way one message carries the whole list, so that its sums are made in the same order in every run.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from glmix_automl.workers.collective import Collective


def average(
    arrays: Sequence[np.ndarray], weight: float, told: Sequence[float], collective: Collective
) -> tuple[list[np.ndarray], float, list[float]]:
    """The mean over ranks of lists of float arrays, each rank counted with its weight (its steps), and some sums.

    Args:
        arrays: of the same shapes on every rank.
        weight: at least 0; where it is 0 on every rank, each keeps its own arrays.
        told: numbers whose sums over ranks are of use, such as a vote.
        collective: the ranks.

    Returns:
        The means, the sum of weights, the sums of what was told.
    """
    if collective.size == 1:
        return list(arrays), float(weight), list(told)
    kind = np.result_type(np.float32, *arrays)
    flat = np.concatenate([np.ravel(array) * weight for array in arrays] + [[weight, *told]]).astype(kind)
    *totals, sums = np.split(collective.allreduce(flat), np.cumsum([array.size for array in arrays]))
    total, *heard = sums.tolist()
    if total == 0:
        return list(arrays), 0.0, heard
    means = [(t / total).reshape(a.shape).astype(a.dtype) for t, a in zip(totals, arrays, strict=True)]
    return means, total, heard


def weighted_mean(values: Sequence[Any], weight: Any, collective: Collective) -> list[Any]:
    """The mean over ranks of lists of float tensors, each rank counted with its weight; also inside a `tf.function`.

    Where all weights are 0 every rank keeps its own values.
    """
    if collective.size == 1:
        return list(values)
    import tensorflow as tf

    tensors = [tf.convert_to_tensor(value) for value in values]
    share = tf.cast(weight, tensors[0].dtype)
    own = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)
    total = collective.allreduce(tf.concat([own * share, [share]], axis=0), name="weighted_mean")
    mean = tf.where(total[-1] > 0, total[:-1] / total[-1], own)
    parts = tf.split(mean, [tf.size(tensor) for tensor in tensors], num=len(tensors))
    return [tf.reshape(part, tf.shape(tensor)) for part, tensor in zip(parts, tensors, strict=True)]
