"""Asynchronous successive halving (Li et al. 2020): whoever is among the best of a rung so far climbs at once."""

from collections.abc import Sequence
from typing import Literal

import pydantic

from glmix_automl.search.rungs import Ascent, RungOptions, Standing
from glmix_automl.search.surrogates.density import DensePoints, EvenPoints
from glmix_automl.seeds import generator
from glmix_automl.trial import Result, Trial


class AshaOptions(RungOptions):
    """How many points start, and where new ones come from."""

    trials: int = pydantic.Field(default=100, ge=1)
    """Points that start on the lowest rung; promotions come on top."""
    points: Literal["even", "dense"] = "even"
    """New points drawn evenly, or where good ones lie dense (as BOHB)."""


class Asha:
    """Fills a free slot with a promotion from the highest rung that has one, else with a new point; never waits."""

    def __init__(self, options: AshaOptions, seed: int) -> None:
        self._options, self._seed = options, seed
        self._ascent = Ascent(options, seed)
        self._points = (DensePoints if options.points == "dense" else EvenPoints)(options.space)
        self._left = options.trials
        self._standings = [Standing(options.noise) for _ in range(options.rungs)]
        self._asked = [0] * options.rungs  # trials by rung

    def tell(self, result: Result) -> None:
        """Learns how a trial ended."""
        self._ascent.tell(result)

    def ask(self, n: int) -> list[Trial]:
        """Promotions first, then new points."""
        self._take_note()
        trials: list[Trial] = []
        while len(trials) < n and (trial := self._next()):
            self._asked[self._ascent.rungs[trial.number]] += 1
            trials.append(trial)
        return trials

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`."""
        self._take_note()
        for trial in trials:
            self._ascent.remember(trial)
            rung, lower = self._ascent.rungs[trial.number], self._ascent.lower[trial.number]
            self._asked[rung] += 1
            if lower is not None:
                self._standings[rung - 1].take(lower)
            else:
                self._left -= 1
                self._points.remember(self._ascent.points[trial.number])
        if len(trials) < n:
            self._left = 0

    def _take_note(self) -> None:
        for result in self._ascent.take_note():
            self._standings[self._ascent.rungs[result.number]].add(result)

    def _next(self) -> Trial | None:
        for rung in reversed(range(self._options.rungs - 1)):
            number = self._standings[rung].climb(self._places(rung))
            if number is not None:
                return self._ascent.promote(number, rung + 1)
        if not self._left:
            return None
        point = self._points.point(self._ascent, generator(self._seed, "point", len(self._ascent.points)))
        self._left = 0 if point is None else self._left - 1
        return self._next() if point is None else self._ascent.begin(point, 0)

    def _places(self, rung: int) -> int:
        """How many may climb so far: one in `reduction`; once a rung is complete at least one."""
        told = [standing.told for standing in self._standings]
        complete = not self._left and told[: rung + 1] == self._asked[: rung + 1]
        return max(told[rung] // self._options.reduction, int(complete))
