"""Anytime averaging of what a loop trains: weights and moments, after each slice of time (`workers.averaging`)."""

import math
import time

from glmix_automl import clock
from glmix_automl.training.loop import Loop
from glmix_automl.workers.averaging import average
from glmix_automl.workers.collective import Collective

SHORTEST, LONGEST = 0.02, 2.0  # seconds of a slice
FIRST_CALL = 64  # steps of a call, while the speed is not known
OVERHEAD = 0.03  # of a slice's time, for the average at its end


class Slices:
    """When this rank's slices of time end, and the averages in between.

    The more often ranks average, the closer they stay to one that takes all the steps; how often they can depends on
    the size of the model and on the length of a step, as ranks wait for the last one's. So a slice lasts about thirty
    times what the averages cost, the ranks' waiting included; and slices are fitted into the time to the next
    validation, where ranks would wait too.
    """

    def __init__(self, loop: Loop, collective: Collective) -> None:
        self._loop, self._collective = loop, collective
        self._wish = SHORTEST  # seconds of a slice; like the next, the same on every rank
        self._speed = 0.0  # steps of all ranks per second of a slice
        self._cost = SHORTEST * OVERHEAD  # seconds this rank spent on the last average
        self._began = self._step = 0.0  # when this rank's slice began, and how long one of its steps takes

    def begin(self, steps: float) -> float:
        """Begins a slice, when all ranks together have `steps` to go to the next validation.

        Returns:
            When this rank should begin no further step, by `clock.now`: half a step before the slice ends.
        """
        self._began, seconds = time.perf_counter(), self._wish
        if self._speed:
            there = steps / self._speed
            seconds = there / max(1, round(there / self._wish))
        return clock.now() + seconds - self._step / 2

    def most(self, until: float) -> int:
        """Steps of one call of the loop: twice what there is time for, as a call ends by the machine's clock, and where
        that is set back meanwhile by having taken its steps.
        """
        return max(1, math.ceil(2 * (until - clock.now()) / self._step)) if self._step else FIRST_CALL

    def average(self, steps: int, stop: bool) -> tuple[float, bool]:
        """Ends a slice: the weights and moments of every rank become their mean, weighted by the ranks' steps in it.

        Args:
            steps: of this rank.
            stop: whether it wants the trial to end.

        Returns:
            Steps of all ranks, and whether any of them wants to stop.
        """
        ended = time.perf_counter()
        self._step = (ended - self._began) / max(steps, 1)
        variables = [*self._loop.coordinate.weights.values(), *self._loop.optimiser.moments]
        told = float(stop), self._cost, ended - self._began
        means, total, (votes, costs, seconds) = average([v.numpy() for v in variables], steps, told, self._collective)
        for variable, mean in zip(variables, means, strict=True):
            variable.assign(mean)
        # At most twice what it was: a rank may have waited for another that traced its loop.
        wish = min(costs / self._collective.size / OVERHEAD, 2 * self._wish)
        self._wish = min(max(wish, SHORTEST), LONGEST)
        # Slow to fall: one slow slice would have the next go far beyond the validation, and the budget with it.
        self._speed = max(total * self._collective.size / seconds, 0.9 * self._speed)
        self._cost = time.perf_counter() - ended
        return total, votes > 0
