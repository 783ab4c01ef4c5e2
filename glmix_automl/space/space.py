"""The space itself: parameters by name, conditions between them, forbidden combinations, and the unit cube behind."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pydantic

from glmix_automl.config import Config
from glmix_automl.errors import ConfigError
from glmix_automl.space.parameters import Bool, Choice, Float, Int, Mask, Match, Parameter, Range, UnitPoint
from glmix_automl.trial import Value

DRAWS = 64
"""Rounds of drawing before a space whose forbidden combinations leave next to nothing is refused."""


class Space(Config):
    """Parameters by name. Written flat: `{depth: {type: int, low: 1, high: 3}, forbidden: [{depth: 3, width: 512}]}`.

    A point of its unit cube is a row of `[parameters]` numbers in the order of the names.
    """

    parameters: dict[str, Parameter]
    forbidden: tuple[dict[str, Match], ...] = ()
    """Combinations that must not be tried: each excludes the points where all its parameters match."""

    @classmethod
    def of(cls, **parameters: Float | Int | Choice | Bool) -> "Space":
        """A space without forbidden combinations, of parameters given by name."""
        return cls(parameters=parameters)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _unflatten(cls, written: Any) -> Any:
        if not isinstance(written, Mapping) or "parameters" in written:
            return written
        named = {name: parameter for name, parameter in written.items() if name != "forbidden"}
        return {"parameters": named, "forbidden": written.get("forbidden", ())}

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Space":
        for reserved in {"parameters", "forbidden"} & set(self.parameters):
            raise ValueError(f"{reserved!r} cannot be the name of a parameter")
        conditions = [(f"when of {name!r}", parameter.when) for name, parameter in self.parameters.items()]
        for place, matches in conditions + [("forbidden", combination) for combination in self.forbidden]:
            self._check_matches(place, matches)
        _ = self.ordered
        return self

    def _check_matches(self, place: str, matches: Mapping[str, Match]) -> None:
        for name, match in matches.items():
            if name not in self.parameters:
                raise ValueError(f"{place} names {name!r}, which is none of {', '.join(self.parameters)}")
            parameter = self.parameters[name]
            if isinstance(match, Range) and isinstance(parameter, Choice):
                raise ValueError(f"{place}: {name!r} is a choice without order; give values, not a range")
            for value in () if isinstance(match, Range) else match:
                if not parameter.contains(value):
                    raise ValueError(f"{place}: {name!r} is never {value!r}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of the unit cube's columns."""
        return tuple(self.parameters)

    @cached_property
    def _column(self) -> dict[str, int]:
        return {name: column for column, name in enumerate(self.names)}

    @cached_property
    def ordered(self) -> tuple[str, ...]:
        """Names so that each comes after those it depends on."""
        done: list[str] = []
        while len(done) < len(self.parameters):
            ready = [n for n, p in self.parameters.items() if n not in done and set(p.when) <= set(done)]
            if not ready:
                waiting = ", ".join(sorted(set(self.parameters) - set(done)))
                raise ValueError(f"the conditions of {waiting} go in a circle")
            done += ready
        return tuple(done)

    @property
    def size(self) -> float:
        """How many points there are at most, conditions and forbidden combinations left aside; infinite with floats."""
        return math.prod(parameter.levels for parameter in self.parameters.values())

    def applies(self, name: str, parameters: Mapping[str, Value]) -> bool:
        """Whether a parameter exists, given all those before it in `ordered` that do."""
        unit = self.to_unit([parameters])
        return bool(self._matching(unit, self.parameters[name].when)[0])

    def at(self, name: str, unit: float) -> Value:
        """Value of a parameter at a point of the unit interval."""
        parameter = self.parameters[name]
        return parameter.value(float(parameter.numbers(np.array([unit]))[0]))

    def snap(self, unit: UnitPoint) -> UnitPoint:
        """Each point moved to the one that stands for its parameters, [points, parameters].

        Discrete ones go to the middle of their stretch, those that do not apply become NaN. A NaN where a parameter
        does apply counts as the middle.
        """
        snapped = np.full(unit.shape, np.nan)
        for name in self.ordered:
            parameter, column = self.parameters[name], self._column[name]
            filled = np.where(np.isnan(unit[:, column]), 0.5, unit[:, column])
            active = self._matching(snapped, parameter.when)
            snapped[:, column] = np.where(active, parameter.units(parameter.numbers(filled)), np.nan)
        return snapped

    def allowed(self, snapped: UnitPoint) -> Mask:
        """Which snapped points are in no forbidden combination, [points]."""
        allowed = np.ones(len(snapped), bool)
        for combination in self.forbidden:
            allowed &= ~self._matching(snapped, combination)
        return allowed

    def _matching(self, snapped: UnitPoint, matches: Mapping[str, Match]) -> Mask:
        matching = np.ones(len(snapped), bool)
        for name, match in matches.items():
            column = snapped[:, self._column[name]]
            present = ~np.isnan(column)
            matching &= present & self.parameters[name].matches(np.where(present, column, 0.5), match)
        return matching

    def sample_unit(
        self, rng: np.random.Generator, points: int, spread: Callable[[UnitPoint], UnitPoint] | None = None
    ) -> UnitPoint:
        """Snapped points drawn evenly from the unit cube, forbidden ones left out, [points, parameters].

        Args:
            rng: source of randomness.
            points: how many.
            spread: moves even draws, [draws, parameters], where they are not to be even.

        Raises:
            ConfigError: the forbidden combinations leave next to nothing.
        """
        drawn = np.empty((0, len(self.names)))
        for _ in range(DRAWS):
            even = rng.random((max(points, 16), len(self.names)))
            snapped = self.snap(spread(even) if spread else even)
            drawn = np.vstack([drawn, snapped[self.allowed(snapped)]])
            if len(drawn) >= points:
                return drawn[:points]
        raise ConfigError(
            f"space: the forbidden combinations left {len(drawn)} of {DRAWS * max(points, 16)} random points; "
            "shrink the ranges instead of forbidding most of them"
        )

    def sample(self, rng: np.random.Generator, points: int) -> list[dict[str, Value]]:
        """Parameters drawn at random, as `sample_unit`."""
        return self.from_unit(self.sample_unit(rng, points))

    def from_unit(self, unit: UnitPoint) -> list[dict[str, Value]]:
        """Parameters at points of the unit cube, only those that apply."""
        snapped = self.snap(np.asarray(unit, float))
        columns = [self.parameters[name].numbers(snapped[:, column]) for name, column in self._column.items()]
        return [
            {
                name: self.parameters[name].value(float(columns[column][row]))
                for name, column in self._column.items()
                if not math.isnan(snapped[row, column])
            }
            for row in range(len(snapped))
        ]

    def to_unit(self, parameters: Sequence[Mapping[str, Value]]) -> UnitPoint:
        """Points that stand for parameters, NaN where one is absent, [points, parameters]; undoes `from_unit`."""
        unit = np.full((len(parameters), len(self.names)), np.nan)
        for name, column in self._column.items():
            parameter = self.parameters[name]
            rows = [row for row, values in enumerate(parameters) if name in values]
            if rows:
                unit[rows, column] = parameter.units(np.array([parameter.number(parameters[r][name]) for r in rows]))
        return unit

    def problem(self, parameters: Mapping[str, Any]) -> str | None:
        """Why the parameters are not a point of the space, or None if they are."""
        for name in sorted(set(parameters) - set(self.parameters)):
            return f"there is no parameter {name!r}"
        for name, value in parameters.items():
            if not self.parameters[name].contains(value):
                return f"{name!r} cannot be {value!r}"
        unit = self.to_unit([parameters])
        expected = self.snap(unit)
        for name, column in self._column.items():
            if np.isnan(unit[0, column]) != np.isnan(expected[0, column]):
                return f"{name!r} {'does not apply' if name in parameters else 'is missing'}"
        return None if self.allowed(expected)[0] else "the combination is forbidden"

    def contains(self, parameters: Mapping[str, Any]) -> bool:
        """Whether these are all the parameters that apply, each within its range, in no forbidden combination."""
        return self.problem(parameters) is None
