"""Training of one coordinate by gradient steps within a budget; validated on the way, the best weights kept."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from glmix_automl.errors import TrialError
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.seeds import derive, generator
from glmix_automl.training.loop import Loop
from glmix_automl.training.measure import Point
from glmix_automl.training.resident import Resident, batch_starts
from glmix_automl.training.schedule import factors
from glmix_automl.trial import Costs, State, Value
from glmix_automl.workers.collective import Collective

CALL_SECONDS = 0.5  # between two looks at the stop flag


@dataclass(frozen=True)
class Moment:
    """Where training is: passes and steps so far, and the validation just made, if any."""

    epoch: float
    steps: int
    point: Point | None = None


@dataclass(frozen=True)
class Budget:
    """How long to train.

    Attributes:
        epochs: passes over the training rows, fractions allowed.
        done: passes that earlier training, continued here, has made of them.
        seconds: wall-clock limit, infinite for none.
    """

    epochs: float
    done: float = 0.0
    seconds: float = math.inf


@dataclass
class Fit:
    """What training did."""

    state: State = State.FINISHED
    steps: int = 0
    rows: int = 0
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    best: Point | None = None
    epochs: float = 0.0

    @property
    def costs(self) -> Costs:
        """Of training, the steps and rows of all ranks."""
        return Costs(self.steps, self.rows, self.train_seconds, self.eval_seconds)


class Trainer:
    """Trains the coordinate of a loop on resident rows."""

    def __init__(
        self,
        loop: Loop,
        train: Resident,
        total_rows: int,
        total_weight: float,
        validate: Callable[[Coordinate], Point],
        watch: Callable[[Moment], bool],
        collective: Collective,
        seed: int,
    ) -> None:
        self._loop, self._train, self._batch = loop, train, loop.batch
        self._validate, self._watch = validate, watch
        self._collective, self._seed = collective, seed
        self._total_rows = total_rows
        self._steps_per_epoch = math.ceil(math.ceil(total_rows / collective.size) / loop.batch)
        self._scale = loop.batch * total_weight / total_rows
        self._hyper = loop.coordinate.hyper(total_weight)
        self._rows = loop.coordinate.prepare(train.rows)

    def fit(self, budget: Budget) -> Fit:
        """Trains until the budget is used, the watcher says stop, patience or time is out; leaves the best weights.

        Raises:
            TrialError: the weights or scores are not finite.
        """
        fit, best = Fit(), _Best(self._loop.coordinate)
        parameters = self._loop.coordinate.parameters
        first = round(budget.done * self._steps_per_epoch)
        last = max(round(budget.epochs * self._steps_per_epoch), first + 1)
        validations = int(parameters["evaluations"] or 0) or min(10, math.ceil(budget.epochs - budget.done))
        marks = [first + round((last - first) * (k + 1) / validations) for k in range(validations)]
        until = time.time() + budget.seconds
        at, stale, stopped = first, 0, False
        for mark in marks:
            at, stopped = self._advance(fit, at, mark, last, until)
            if at == first and not stopped:
                continue
            point = self._measure(fit)
            stale = 0 if best.offer(point) else stale + 1
            moment = Moment(at / self._steps_per_epoch, at, point)
            stopped = stopped or (self._stop(moment) and mark != marks[-1])
            if stopped or (parameters["patience"] and stale >= int(parameters["patience"] or 0)):
                break
        best.restore()
        fit.best, fit.epochs = best.point, at / self._steps_per_epoch
        fit.state = State.STOPPED if stopped else State.FINISHED
        return fit

    def _advance(self, fit: Fit, at: int, mark: int, last: int, until: float) -> tuple[int, bool]:
        """Steps from `at` to `mark`, in calls short enough to be stopped between."""
        started, chunk = time.perf_counter(), 16
        stopped = False
        while at < mark and not stopped:
            steps = min(chunk, mark - at, self._steps_per_epoch - at % self._steps_per_epoch)
            called = time.perf_counter()
            self._run(at, steps, last)
            seconds = max(time.perf_counter() - called, 1e-6)
            chunk = max(1, min(chunk * 8, round(steps * CALL_SECONDS / seconds)))
            at += steps
            fit.steps += steps * self._collective.size
            fit.rows += steps * self._batch * self._collective.size
            if at < mark:
                stopped = self._stop(Moment(at / self._steps_per_epoch, at)) or self._agree(time.time() > until)
            else:
                stopped = self._agree(time.time() > until)
        fit.train_seconds += time.perf_counter() - started
        return at, stopped and at < last

    def _run(self, at: int, steps: int, last: int) -> None:
        parameters = self._loop.coordinate.parameters
        epoch, within = divmod(at, self._steps_per_epoch)
        rng = generator(self._seed, "batches", epoch, self._collective.rank)
        starts = batch_starts(len(self._train), self._batch, self._steps_per_epoch, rng)
        factor = factors(parameters, at, steps, last)
        rates = factor * _number(parameters, "learning_rate"), factor * _number(parameters, "table_learning_rate")
        noise = derive(self._seed, "dropout", self._collective.rank)
        self._loop.run(self._rows, starts[within : within + steps], rates, at, self._scale, self._hyper, noise)

    def _measure(self, fit: Fit) -> Point:
        started = time.perf_counter()
        point = self._validate(self._loop.coordinate)
        fit.eval_seconds += time.perf_counter() - started
        if not math.isfinite(point.loss):
            raise TrialError(
                f"scores are not finite after {fit.steps} steps: the training diverged; lower the learning rate"
            )
        return point

    def _stop(self, moment: Moment) -> bool:
        return self._agree(self._collective.rank == 0 and self._watch(moment))

    def _agree(self, wish: bool) -> bool:
        """Whether rank 0 wishes so: ranks must leave the loop together."""
        return wish if self._collective.size == 1 else bool(self._collective.broadcast(np.asarray(float(wish))))


def _number(parameters: Mapping[str, Value], name: str) -> float:
    return float(parameters[name] or 0)


class _Best:
    """The weights of the best validation so far."""

    def __init__(self, coordinate: Coordinate) -> None:
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
