"""Anytime averaging: local steps for a slice of time, then one average weighted by the steps each rank did.

Ferdinand, Al-Lawati, Draper and Nokleby, "Anytime Minibatch" (ICLR 2019); Stich, "Local SGD" (ICLR 2019). A rank that
is four times slower costs its own share of the steps, and nobody waits.
"""

import numpy as np
import tensorflow as tf

from glmix_automl.training.loop import Loop
from glmix_automl.workers.collective import Collective

SLICE_SECONDS = 0.25


def average(loop: Loop, collective: Collective, steps: int) -> float:
    """Replaces the weights and moments of every rank by their mean, weighted by each rank's steps since the last time.

    Returns:
        Steps of all ranks.
    """
    total = float(collective.allreduce(np.asarray(float(steps))))
    share = tf.constant(steps / total if total else 1.0 / collective.size, tf.float32)
    for variable in (*loop.coordinate.weights.values(), *loop.optimiser.moments):
        variable.assign(collective.allreduce(variable.read_value() * share))
    return total
