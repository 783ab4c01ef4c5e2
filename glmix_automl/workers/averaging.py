"""Averaging over the ranks of a world: of gradients at every step, or of parameters once per time slice.

*Synchronous*: every step, the gradients' mean over ranks: `weighted_mean(gradients, rows, collective)`, in the graph.
*Anytime*: each rank takes local steps for the same time, then parameters are averaged, each rank weighted by the steps
it did (anytime mini-batch, Ferdinand et al. 2019; local SGD, Stich 2019). A slow rank costs its own share only.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glmix_automl.workers.collective import Collective


@dataclass(frozen=True)
class Averaged:
    """What the ranks agreed on at the end of a slice.

    Attributes:
        values: the mean parameters, in the order given.
        weight: sum of the ranks' weights (their steps).
        stop: whether some rank asked to stop; every rank sees the same.
    """

    values: list[Any]
    weight: float
    stop: bool


class AnytimeAverage:
    """Ends a slice after `seconds` on each rank's own clock, whatever the rank has done by then.

        slices, steps = AnytimeAverage(current(), seconds=0.2), 0
        while not agreed.stop:
            steps += local_steps(some)
            if slices.due():
                agreed, steps = slices.average(variables, steps, stop=enough()), 0
                assign(agreed.values)

    The average is where ranks wait for each other, so slices start together. Between two calls of `due` a rank should
    do little beside the length of a slice. A world of one rank is never due for a message: `average` is local there.
    """

    def __init__(
        self, collective: Collective, seconds: float = 0.2, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if seconds <= 0:
            raise ValueError(f"a slice lasts more than 0 seconds, got {seconds}")
        self._collective = collective
        self._seconds = seconds
        self._clock = clock
        self._began = self._asked = clock()

    def due(self) -> bool:
        """Whether this rank's slice is over, to the nearest step: another that would end later past the slice than now
        is before it is not begun, for the others would wait for it.
        """
        now = self._clock()
        step, self._asked = now - self._asked, now
        return now + step / 2 >= self._began + self._seconds

    def average(self, values: Sequence[Any], steps: float, stop: bool = False) -> Averaged:
        """Averages the parameters, weighted by the steps of this slice, and starts the next slice.

        Args:
            values: float arrays, tensors or variables, the same on every rank; optimiser moments may be among them.
            steps: this rank's since the last average, 0 allowed.
            stop: whether this rank wants the trial to end.
        """
        agreed = average(values, steps, stop, self._collective)
        self._began = self._asked = self._clock()
        return agreed


def average(values: Sequence[Any], weight: float, stop: bool, collective: Collective) -> Averaged:
    """`weighted_mean` together with the sum of weights and a vote to stop, in the same single message."""
    if collective.size == 1:
        return Averaged(list(values), float(weight), bool(stop))
    arrays = [np.asarray(value) for value in values]
    mean, (weights, votes) = _reduce(arrays, float(weight), [float(stop)], collective)
    return Averaged(mean, weights, votes > 0)


def weighted_mean(values: Sequence[Any], weight: Any, collective: Collective) -> list[Any]:
    """The mean over ranks of lists of float arrays, each rank counted with its weight (its rows, its steps).

    One message carries the whole list. Where all weights are 0 every rank keeps its own values. Numpy arrays come back
    as such; TensorFlow tensors and variables come back as tensors, also inside a `tf.function`.
    """
    if collective.size == 1:
        return list(values)
    if all(isinstance(value, np.ndarray) for value in values):
        return _reduce(values, float(weight), [], collective)[0]
    return _weighted_mean_of_tensors(values, weight, collective)


def _reduce(
    arrays: Sequence[np.ndarray], weight: float, votes: list[float], collective: Collective
) -> tuple[list[np.ndarray], list[float]]:
    """Means, then the sums of `[weight, *votes]`."""
    kind = np.result_type(np.float32, *arrays)
    flat = np.concatenate([np.ravel(array) * weight for array in arrays] + [[weight, *votes]]).astype(kind)
    *totals, counts = np.split(collective.allreduce(flat), np.cumsum([array.size for array in arrays]))
    if counts[0] == 0:
        return list(arrays), counts.tolist()
    means = [(t / counts[0]).reshape(a.shape).astype(a.dtype) for t, a in zip(totals, arrays, strict=True)]
    return means, counts.tolist()


def _weighted_mean_of_tensors(values: Sequence[Any], weight: Any, collective: Collective) -> list[Any]:
    import tensorflow as tf

    tensors = [tf.convert_to_tensor(value) for value in values]
    share = tf.cast(weight, tensors[0].dtype)
    own = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)
    total = collective.allreduce(tf.concat([own * share, [share]], axis=0), name="weighted_mean")
    mean = tf.where(total[-1] > 0, total[:-1] / total[-1], own)
    parts = tf.split(mean, [tf.size(tensor) for tensor in tensors], num=len(tensors))
    return [tf.reshape(part, tf.shape(tensor)) for part, tensor in zip(parts, tensors, strict=True)]
