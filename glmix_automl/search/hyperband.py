"""Successive halving, Hyperband and BOHB: brackets whose rungs are complete before the best of them climb.

Jamieson and Talwalkar (2016); Li et al. (2018), algorithm 1; Falkner et al. (2018). Rungs of one bracket wait for each
other, but no slot does: while a rung is incomplete the next bracket starts.
"""

import math
from collections.abc import Sequence
from typing import Literal

import pydantic

from glmix_automl.search.rungs import Ascent, RungOptions, climbers
from glmix_automl.search.surrogates.density import DensePoints, EvenPoints
from glmix_automl.seeds import generator
from glmix_automl.trial import Result, Trial


class HalvingOptions(RungOptions):
    """One bracket."""

    trials: int = pydantic.Field(default=27, ge=1)
    """Points that start on the lowest rung; promotions come on top."""
    points: Literal["even", "dense"] = "even"
    """New points drawn evenly, or where good ones lie dense."""


class HyperbandOptions(RungOptions):
    """Brackets from many points at the lowest budget to few at the full one."""

    rounds: int = pydantic.Field(default=1, ge=1)
    """How often the set of brackets is gone through."""
    points: Literal["even", "dense"] = "even"
    """New points drawn evenly, or where good ones lie dense."""


class BohbOptions(HyperbandOptions):
    """Hyperband whose new points follow the density of good ones."""

    points: Literal["even", "dense"] = "dense"
    """New points where good ones lie dense, or drawn evenly."""


class _Bracket:
    """Points that start on one rung, and the sizes of the rungs above."""

    def __init__(self, number: int, rung: int, size: int) -> None:
        self.number, self.rung, self.left = number, rung, size
        self.members: list[int] = []  # trials on the current rung
        self.climbing: list[int] = []  # finished trials whose promotion is due

    def tags(self) -> dict[str, str]:
        return {"bracket": str(self.number)}


class Hyperband:
    """Goes through brackets in order, each as far as its results allow; ends with the last one.

    Args:
        options: the ladder.
        seed: of the entry.
        sizes: per bracket the rung its points start on, and how many there are.
    """

    def __init__(self, options: HalvingOptions | HyperbandOptions, seed: int, sizes: list[tuple[int, int]]) -> None:
        self._options, self._seed = options, seed
        self._ascent = Ascent(options, seed)
        self._points = (DensePoints if options.points == "dense" else EvenPoints)(options.space)
        self._brackets = [_Bracket(number, *size) for number, size in enumerate(sizes)]

    def tell(self, result: Result) -> None:
        """Learns how a trial ended."""
        self._ascent.tell(result)

    def ask(self, n: int) -> list[Trial]:
        """What the earliest brackets have to do."""
        self._ascent.take_note()
        trials: list[Trial] = []
        for bracket in self._brackets:
            while len(trials) < n and (trial := self._next(bracket)):
                trials.append(trial)
        return trials

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`; brackets before the one of a trial had nothing left to start."""
        self._ascent.take_note()
        for trial in trials:
            self._ascent.remember(trial)
            position, lower = int(trial.tags["bracket"]), self._ascent.lower[trial.number]
            self._pass_by(self._brackets[:position])
            bracket = self._brackets[position]
            if lower is None:
                bracket.left -= 1
                self._points.remember(self._ascent.points[trial.number])
            else:
                self._pass_by([bracket])
                bracket.climbing.remove(lower)
            self._enter(bracket, trial)
        if len(trials) < n:
            self._pass_by(self._brackets)

    def _pass_by(self, brackets: Sequence[_Bracket]) -> None:
        for bracket in brackets:
            bracket.left = 0
            if not bracket.climbing:
                self._advance(bracket)

    def _next(self, bracket: _Bracket) -> Trial | None:
        if bracket.left:
            point = self._points.point(self._ascent, generator(self._seed, "point", len(self._ascent.points)))
            bracket.left = 0 if point is None else bracket.left - 1
            if point is not None:
                return self._enter(bracket, self._ascent.begin(point, bracket.rung, bracket.tags()))
        if not bracket.climbing and not self._advance(bracket):
            return None
        number = bracket.climbing.pop(0)
        return self._enter(bracket, self._ascent.promote(number, bracket.rung, bracket.tags()))

    def _enter(self, bracket: _Bracket, trial: Trial) -> Trial:
        bracket.members.append(trial.number)
        return trial

    def _advance(self, bracket: _Bracket) -> bool:
        """Moves a bracket whose rung is complete to the next one; whether there is anyone to climb."""
        results = [self._ascent.results.get(number) for number in bracket.members]
        done = [result for result in results if result is not None]
        if not done or len(done) < len(results) or bracket.rung == self._options.rungs - 1:
            return False
        places = max(len(done) // self._options.reduction, 1)
        bracket.climbing = climbers(done, places, self._options.noise)
        bracket.members, bracket.rung = [], bracket.rung + 1
        return bool(bracket.climbing)


def successive_halving(options: HalvingOptions, seed: int) -> Hyperband:
    """Successive halving: the one bracket that starts on the lowest rung."""
    return Hyperband(options, seed, [(0, options.trials)])


def hyperband(options: HyperbandOptions, seed: int) -> Hyperband:
    """Hyperband's brackets, `rounds` times; BOHB with dense points."""
    top, eta = options.rungs - 1, options.reduction
    sizes = [(top - s, math.ceil((top + 1) / (s + 1) * eta**s)) for s in range(top, -1, -1)]
    return Hyperband(options, seed, sizes * options.rounds)
