"""Training of one coordinate by gradient steps within a budget; validated on the way, the best weights kept."""

import math
import time

import numpy as np

from glmix_automl import clock
from glmix_automl.errors import TrialError
from glmix_automl.models.differentiable import Differentiable
from glmix_automl.seeds import derive, generator
from glmix_automl.training.anytime import FIRST_CALL, Slices
from glmix_automl.training.loop import Loop
from glmix_automl.training.measure import Point
from glmix_automl.training.resident import batch_starts
from glmix_automl.training.schedule import factors
from glmix_automl.training.source import Source
from glmix_automl.training.trainer import Budget, Fit, Moment, Watch, told
from glmix_automl.trial import State
from glmix_automl.workers.collective import Collective

CALL_SECONDS = 0.5  # between two looks at the stop flag


class Descent:
    """Trains the coordinate of a loop on the rows of a source."""

    def __init__(
        self, loop: Loop, source: Source, watch: Watch, collective: Collective, averaging: str = "synchronous"
    ) -> None:
        """Takes no step yet.

        Args:
            loop: with fresh or restored weights.
            source: the training rows of this rank; its seed is that of the order of batches, and of dropout.
            watch: is told where training is, on rank 0; whether to stop.
            collective: the ranks that train together.
            averaging: `synchronous` or `anytime`.
        """
        self._loop, self._source, self._collective, self._seed = loop, source, collective, source.seed
        self._watch = watch
        self._blocks = source.blocks.in_pieces(loop.batch, source.seed)
        self._block_steps = math.ceil(self._blocks.largest / loop.batch)
        self._epoch_steps = self._block_steps * self._blocks.count
        self._scale = loop.batch * source.weight / source.rows
        self._hyper = loop.coordinate.hyper(source.weight)
        self._slices = Slices(loop, collective) if averaging == "anytime" and collective.size > 1 else None
        self._own = 0  # steps of this rank alone, where ranks go at their own pace

    def fit(self, budget: Budget) -> Fit:
        """Trains until the budget is used, the watcher says stop, patience or time is out; leaves the best weights.

        Raises:
            TrialError: the scores are not finite.
        """
        fit, best = Fit(), _Best(self._loop.coordinate)
        patience = self._loop.coordinate.parameters.patience
        first = round(budget.done * self._epoch_steps)
        last = max(round(budget.epochs * self._epoch_steps), first + 1)
        until = clock.now() + budget.seconds
        self._own, at, stale, stopped = first, float(first), 0, False
        for mark in self._marks(first, last, budget):
            at, stopped = self._advance(fit, at, mark, last, until)
            point = self._measure(fit)
            stale = 0 if best.offer(point) else stale + 1
            wish = self._stop(Moment(at / self._epoch_steps, fit.steps, point))
            stopped = stopped or (wish and mark < last)
            if stopped or (patience and stale >= patience):
                break
        best.restore()
        fit.best, fit.epochs = best.point, at / self._epoch_steps
        fit.state = State.STOPPED if stopped else State.FINISHED
        return fit

    def _marks(self, first: int, last: int, budget: Budget) -> list[int]:
        """The steps at which to validate, the last one included."""
        asked = self._loop.coordinate.parameters.evaluations
        count = min(asked or min(10, math.ceil(budget.epochs - budget.done)), last - first)
        return [first + round((last - first) * (k + 1) / count) for k in range(max(count, 1))]

    def _advance(self, fit: Fit, at: float, mark: int, last: int, until: float) -> tuple[float, bool]:
        """Steps from `at` to `mark`, in calls short enough to be stopped between."""
        started, chunk, stopped = time.perf_counter(), FIRST_CALL, False
        short = min(1.0, (mark - at) / 2) if self._slices else 0.0  # slices do not end at a step
        while at < mark - short and not stopped:
            if self._slices:
                made, stopped = self._slice(self._slices, at, mark, last, fit.steps, until)
            else:
                called = time.perf_counter()
                own = self._run(int(at), min(chunk, mark - int(at)), last)
                seconds = max(time.perf_counter() - called, 1e-6)
                chunk = max(1, round(min(chunk * 8, own * CALL_SECONDS / seconds)))
                made = own * self._collective.size
                chunk, out_of_time = told(self._collective, chunk, clock.now() > until)
                stopped = bool(out_of_time)
            at += made / self._collective.size
            fit.steps += round(made)
            fit.rows += round(made) * self._loop.batch
            if at < mark and not self._slices:
                stopped = self._stop(Moment(at / self._epoch_steps, fit.steps)) or stopped
        fit.train_seconds += time.perf_counter() - started
        return at, stopped and at < last

    def _run(self, at: int, steps: int, last: int, until: float = math.inf, own: int | None = None) -> int:
        """At most `steps` steps from step `at` of the budget, within one block; returns how many.

        Where ranks go at their own pace, `own` counts this rank's steps and `at` the budget's.
        """
        counted = at if own is None else own
        epoch, within = divmod(counted, self._epoch_steps)
        number, within = divmod(within, self._block_steps)
        steps = min(steps, self._block_steps - within)
        rows, count = self._blocks.rows(epoch, number)
        rng = generator(self._seed, "batches", epoch, number, self._collective.rank)
        starts = batch_starts(count, self._loop.batch, self._block_steps, rng)[within : within + steps]
        parameters = self._loop.coordinate.parameters
        factor = factors(parameters, at, steps, last)
        rates = factor * parameters.learning_rate, factor * parameters.table_learning_rate
        noise = derive(self._seed, "dropout", self._collective.rank)
        return self._loop.run(rows, starts, rates, counted, self._scale, self._hyper, noise, until)

    def _slice(
        self, slices: Slices, at: float, mark: int, last: int, steps: int, deadline: float
    ) -> tuple[float, bool]:
        """Steps of this rank for a slice of time, then the average of all ranks and their votes, in one message.

        Returns:
            Steps of all ranks, and whether to stop.
        """
        until = min(slices.begin((mark - at) * self._collective.size), deadline)
        # A rank may be twice as fast as the mean, but should not overdraw the budget: at the end some wait for others.
        most = math.ceil(mark - at) * (1 if mark == last else 2)
        made = self._run(int(at), 1, last, own=self._own)  # at least one, that no rank's rows go without
        while made < most and clock.now() < until:
            steps_of_call = min(most - made, slices.most(until))
            made += self._run(min(int(at) + made, last), steps_of_call, last, until, self._own + made)
        self._own += made
        stop = clock.now() > deadline
        if self._collective.rank == 0:  # which knows the others' steps of the slices before only
            stop = self._watch(Moment(at / self._epoch_steps, steps)) or stop
        return slices.average(made, stop)

    def _measure(self, fit: Fit) -> Point:
        started = time.perf_counter()
        point = self._source.validate(self._loop.coordinate)
        fit.eval_seconds += time.perf_counter() - started
        if not math.isfinite(point.loss):
            raise TrialError(
                f"scores are not finite after {fit.steps} steps: the training diverged; lower the learning rate"
            )
        return point

    def _stop(self, moment: Moment) -> bool:
        return bool(told(self._collective, self._collective.rank == 0 and self._watch(moment))[0])


class _Best:
    """The weights of the best validation so far."""

    def __init__(self, coordinate: Differentiable) -> None:
        self._coordinate = coordinate
        self.point: Point | None = None
        self._weights: dict[str, np.ndarray] | None = None
        self._is_current = False

    def offer(self, point: Point) -> bool:
        """Whether this is the best so far; if so its weights are kept."""
        self._is_current = self.point is None or point.auc > self.point.auc
        if self._is_current:
            self.point = point
            self._weights = {name: weight.numpy() for name, weight in self._coordinate.weights.items()}
        return self._is_current

    def restore(self) -> None:
        """Puts the best weights back."""
        if not self._is_current and self._weights is not None:
            for name, weight in self._coordinate.weights.items():
                weight.assign(self._weights[name])
