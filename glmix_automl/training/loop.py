"""The training loop as one graph: many steps per call, batches sliced in it from resident tensors."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping

import numpy as np

from glmix_automl import clock
from glmix_automl.models.differentiable import Differentiable, Gradient, sum_slopes
from glmix_automl.models.parameters import StepParameters
from glmix_automl.models.rows import Rows, taker
from glmix_automl.models.tensorflow import tf
from glmix_automl.training.optimiser import Optimiser, adam_rates
from glmix_automl.workers.averaging import weighted_mean
from glmix_automl.workers.collective import Collective

TRACING = threading.Lock()  # what `_invariants_enter_once` changes is one for all threads


class Loop:
    """The traced steps of one coordinate; serves every trial of the same structure and batch size.

    Attributes:
        coordinate: what is trained; its weights are replaced when a trial begins.
        optimiser: its moments.
        batch: rows of a step.
    """

    def __init__(self, coordinate: Differentiable, batch: int, collective: Collective, synchronous: bool) -> None:
        self.coordinate = coordinate
        self.batch = batch
        self._collective = collective if synchronous and collective.size > 1 else None
        self.optimiser = Optimiser(coordinate, self._accumulator(coordinate.parameters))
        scalar, column = tf.TensorSpec([], tf.float32), tf.TensorSpec([None], tf.float32)
        self._run = tf.function(
            self._steps,
            input_signature=[
                coordinate.signature,
                tf.TensorSpec([None], tf.int64),
                column,
                column,
                scalar,
                dict.fromkeys(coordinate.hyper(1.0), scalar),
                tf.TensorSpec([2], tf.int32),
                tf.TensorSpec([], tf.float64),
            ],
            autograph=False,
        )

    def begin(self, parameters: StepParameters, seed: int) -> None:
        """Draws fresh weights for another trial of the same structure."""
        self.coordinate.reset(parameters, seed)
        self.optimiser.reset(self._accumulator(parameters))

    def _accumulator(self, parameters: StepParameters) -> float:
        # A row's loss counts by one over the rows of a step, of all ranks, so its gradient's square by that squared.
        rows = self.batch * (1 if self._collective is None else self._collective.size)
        return float(getattr(parameters, "accumulator", 0.0)) / rows**2

    def run(
        self,
        rows: Rows,
        starts: np.ndarray,
        rates: tuple[np.ndarray, np.ndarray],
        first: int,
        scale: float,
        hyper: Mapping[str, float],
        seed: int,
        until: float = np.inf,
    ) -> int:
        """Takes a step for each of `starts`, or fewer if the clock reaches `until`; returns how many.

        Args:
            rows: resident or streamed rows.
            starts: int32 [steps], first row of each batch.
            rates: float [steps] each: of the dense weights, of the tables.
            first: steps taken before these, for Adam's correction and for dropout.
            scale: what the sum of a batch's weighted losses is divided by.
            hyper: `Differentiable.hyper`.
            seed: of dropout.
            until: by `clock.now`. In the graph it is the machine's clock: where that is set meanwhile, steps end too
                early, or none before the last.
        """
        done = self._run(
            rows,
            tf.constant(starts, tf.int64),
            tf.constant(adam_rates(rates[0], first)),
            tf.constant(rates[1], tf.float32),
            tf.constant(scale, tf.float32),
            {name: tf.constant(value, tf.float32) for name, value in hyper.items()},
            tf.constant([seed & 0x7FFFFFFF, first], tf.int32),
            tf.constant(until - clock.now() + time.time(), tf.float64),
        )
        return int(done)

    def _steps(
        self,
        rows: Rows,
        starts: tf.Tensor,
        rates: tf.Tensor,
        table_rates: tf.Tensor,
        scale: tf.Tensor,
        hyper: dict[str, tf.Tensor],
        noise: tf.Tensor,
        until: tf.Tensor,
    ) -> tf.Tensor:
        take = taker(rows)

        def step(number: tf.Tensor) -> tuple[tf.Tensor]:
            batch = take(tf.slice(starts, number[None], [1]), self.batch)
            gradients = self.coordinate.gradients(batch, scale, hyper, noise + tf.stack([0, number]))
            if self._collective is not None:
                gradients = self._mean(gradients, self._collective)
            both = tf.gather(rates, number), tf.gather(table_rates, number)  # in fewer operations than `rates[number]`
            with tf.control_dependencies(self.optimiser.apply(gradients, *both)):
                return (number + 1,)

        count = tf.shape(starts)[0]
        with _invariants_enter_once():
            (done,) = tf.while_loop(
                lambda number: tf.logical_and(number < count, tf.timestamp() < until),
                step,
                (tf.constant(0),),
                parallel_iterations=1,
            )
        return done

    def _mean(self, gradients: list[Gradient], collective: Collective) -> list[Gradient]:
        """Over ranks. Whole gradients go in one message: Horovod joins several as they happen to come, and in another
        place of a message a sum of more than two ranks begins with another rank, so it has other bits.
        """
        sliced = {k: gradient for k, gradient in enumerate(gradients) if isinstance(gradient, tf.IndexedSlices)}
        whole = [k for k in range(len(gradients)) if k not in sliced]
        means: dict[int, Gradient] = dict(
            zip(whole, weighted_mean([gradients[k] for k in whole], 1.0, collective), strict=True)
        )
        for k, gradient in sliced.items():
            mean, table = collective.allreduce(gradient, "mean"), self.coordinate.tables[k - len(self.coordinate.dense)]
            means[k] = sum_slopes(mean.values, tf.range(tf.size(mean.indices)), mean.indices, table.shape[0])
        return [means[k] for k in range(len(gradients))]


@contextlib.contextmanager
def _invariants_enter_once() -> Iterator[None]:
    """Makes `tf.while_loop`, in a function that is being traced, a loop as TensorFlow 1 has it.

    In one of TensorFlow 2 every tensor from outside passes through each step by three operations: a tenth of a step of
    logistic regression, a fortieth of a subnetwork's.
    """
    graph = tf.compat.v1.get_default_graph()
    with TRACING:
        graph._captured = ()  # by this TensorFlow tells a function's graph that has such loops
        tf.compat.v1.disable_control_flow_v2()
        tf.compat.v1.disable_tensor_equality()  # these loops mean by `==` the same tensor
        try:
            yield
        finally:
            tf.compat.v1.enable_tensor_equality()
            tf.compat.v1.enable_control_flow_v2()
            del graph._captured
