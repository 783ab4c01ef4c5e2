"""Typed parameters: what one may be set to, on which scale, and how that lies on the unit interval."""

import itertools
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import pydantic
from numpy.typing import NDArray

from glmix_automl.config import Config
from glmix_automl.trial import Value

UnitPoint: TypeAlias = NDArray[np.float64]
"""Points of the unit cube, [points, parameters] or one column of it; NaN where a parameter does not apply."""
Mask: TypeAlias = NDArray[np.bool_]

_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


class Range(Config):
    """Numbers from `low` to `high`, both included; an end left out is open."""

    low: float | None = None
    high: float | None = None

    def holds(self, numbers: UnitPoint) -> Mask:
        """Which of the numbers lie in it."""
        low = -math.inf if self.low is None else self.low
        return (numbers >= low) & (numbers <= (math.inf if self.high is None else self.high))


def _as_numbers(values: Any) -> Any:
    """One value stands for a list of one; `1e-3`, a text to YAML 1.1, is the number its writer meant."""
    if isinstance(values, Mapping | Range):
        return values
    listed = values if isinstance(values, list | tuple) else [values]
    return [float(v) if isinstance(v, str) and _EXPONENT.fullmatch(v) else v for v in listed]


Match: TypeAlias = Annotated[Range | tuple[Value, ...], pydantic.BeforeValidator(_as_numbers)]
"""Which values of another parameter are meant: a list, one value, or a range."""


def _same(one: Value, other: Value) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other


class _Parameter(Config):
    when: dict[str, Match] = pydantic.Field(default_factory=dict)
    """The parameter exists only when each of these others has one of these values."""

    def matches(self, unit: UnitPoint, match: Match) -> Mask:
        values = self.numbers(unit)
        if isinstance(match, Range):
            return match.holds(values)
        return np.isin(values, [self.number(value) for value in match if self.contains(value)])

    def contains(self, value: Any) -> bool:
        raise NotImplementedError

    def number(self, value: Any) -> float:
        """The value as a number: itself, or its position among the choices."""
        return float(value)

    def numbers(self, unit: UnitPoint) -> UnitPoint:
        """Values at points of the unit interval, [points], as numbers."""
        raise NotImplementedError

    def units(self, numbers: UnitPoint) -> UnitPoint:
        """The inverse of `numbers`; the middle of the stretch that gives the value, where the values are discrete."""
        raise NotImplementedError

    def value(self, number: float) -> Value:
        """The inverse of `number`."""
        return float(number)


class Float(_Parameter):
    """A real number; `log` spreads it by orders of magnitude, `logit` the same way towards 0 and towards 1."""

    type: Literal["float"] = "float"
    low: float
    high: float
    scale: Literal["linear", "log", "logit"] = "linear"

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Float":
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"a log scale needs low above 0, got {self.low}")
        if self.scale == "logit" and not 0 < self.low < self.high < 1:
            raise ValueError(f"a logit scale needs 0 < low < high < 1, got {self.low} and {self.high}")
        return self

    @property
    def levels(self) -> float:
        """How many values there are: no end of them."""
        return math.inf

    def contains(self, value: Any) -> bool:
        """Whether it is a number within the ends."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def _bend(self, numbers: UnitPoint) -> UnitPoint:
        if self.scale == "log":
            return np.log(numbers)
        return np.log(numbers / (1 - numbers)) if self.scale == "logit" else numbers

    def numbers(self, unit: UnitPoint) -> UnitPoint:
        """Values at points of the unit interval, [points]."""
        low, high = self._bend(np.array([self.low, self.high]))
        bent = low + np.clip(unit, 0, 1) * (high - low)
        straight = np.exp(bent) if self.scale == "log" else 1 / (1 + np.exp(-bent)) if self.scale == "logit" else bent
        return np.clip(straight, self.low, self.high)

    def units(self, numbers: UnitPoint) -> UnitPoint:
        """The inverse of `numbers`."""
        low, high = self._bend(np.array([self.low, self.high]))
        return np.clip((self._bend(np.asarray(numbers, float)) - low) / (high - low), 0, 1)


class Int(_Parameter):
    """A whole number, both ends included; `power_of_two` takes only 1, 2, 4, 8, ..."""

    type: Literal["int"] = "int"
    low: int
    high: int
    scale: Literal["linear", "log", "power_of_two"] = "linear"

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Int":
        if self.low > self.high:
            raise ValueError(f"low must not be above high, got {self.low} and {self.high}")
        if self.scale != "linear" and self.low < 1:
            raise ValueError(f"a {self.scale} scale needs low of at least 1, got {self.low}")
        if self.scale == "power_of_two" and any(end & (end - 1) for end in (self.low, self.high)):
            raise ValueError(f"both ends must be powers of two, got {self.low} and {self.high}")
        return self

    @property
    def levels(self) -> float:
        """How many values there are."""
        return math.log2(self.high // self.low) + 1 if self.scale == "power_of_two" else self.high - self.low + 1

    def contains(self, value: Any) -> bool:
        """Whether it is a whole number within the ends, and a power of two if it must be."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            return False
        return self.scale != "power_of_two" or value & (value - 1) == 0

    def numbers(self, unit: UnitPoint) -> UnitPoint:
        """Values at points of the unit interval, [points]; each has an equal stretch of it on its scale."""
        unit = np.clip(unit, 0, 1)
        if self.scale == "log":
            low, high = np.log(self.low - 0.5), np.log(self.high + 0.5)
            return np.clip(np.rint(np.exp(low + unit * (high - low))), self.low, self.high)
        steps = np.minimum(np.floor(unit * self.levels), self.levels - 1)
        return self.low * 2.0**steps if self.scale == "power_of_two" else self.low + steps

    def units(self, numbers: UnitPoint) -> UnitPoint:
        """The inverse of `numbers`, in the middle of the value's stretch."""
        numbers = np.asarray(numbers, float)
        if self.scale == "log":
            low, high = np.log(self.low - 0.5), np.log(self.high + 0.5)
            return (np.log(numbers) - low) / (high - low)
        steps = np.log2(numbers / self.low) if self.scale == "power_of_two" else numbers - self.low
        return (steps + 0.5) / self.levels

    def value(self, number: float) -> Value:
        """The number as a whole one."""
        return round(number)


def _as_choices(values: Any) -> Any:
    listed = _as_numbers(values)
    for value in listed if isinstance(listed, list) else [listed]:
        if not isinstance(value, bool | int | float | str) or value != value:
            raise ValueError(f"a choice is of numbers, texts, true and false; {value!r} is none")
    return listed


class _Listed(_Parameter):
    @property
    def values(self) -> tuple[Value, ...]:
        raise NotImplementedError

    @property
    def levels(self) -> float:
        """How many values there are."""
        return len(self.values)

    def contains(self, value: Any) -> bool:
        """Whether it is one of the values."""
        return any(_same(value, own) for own in self.values)

    def number(self, value: Any) -> float:
        """Position of the value in the list."""
        return float(next(i for i, own in enumerate(self.values) if _same(value, own)))

    def numbers(self, unit: UnitPoint) -> UnitPoint:
        """Positions in the list at points of the unit interval, [points]."""
        return np.minimum(np.floor(np.clip(unit, 0, 1) * self.levels), self.levels - 1)

    def units(self, numbers: UnitPoint) -> UnitPoint:
        """The inverse of `numbers`."""
        return (np.asarray(numbers, float) + 0.5) / self.levels

    def value(self, number: float) -> Value:
        """The value at a position."""
        return self.values[round(number)]


class Choice(_Listed):
    """One of a list without order."""

    type: Literal["choice"] = "choice"
    choice: Annotated[tuple[Value, ...], pydantic.BeforeValidator(_as_choices)]

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Choice":
        if not self.choice:
            raise ValueError("a choice needs at least one value")
        if any(_same(a, b) for a, b in itertools.combinations(self.choice, 2)):
            raise ValueError(f"the values of a choice must differ, got {list(self.choice)}")
        return self

    @property
    def values(self) -> tuple[Value, ...]:
        """The values, in the order written."""
        return self.choice


class Bool(_Listed):
    """Yes or no."""

    type: Literal["bool"] = "bool"

    @property
    def values(self) -> tuple[Value, ...]:
        """No, then yes."""
        return (False, True)


def _kind(written: Any) -> str | None:
    if isinstance(written, Mapping):
        return written.get("type", "choice" if "choice" in written else None)
    return getattr(written, "type", None)


Parameter: TypeAlias = Annotated[
    Annotated[Float, pydantic.Tag("float")]
    | Annotated[Int, pydantic.Tag("int")]
    | Annotated[Choice, pydantic.Tag("choice")]
    | Annotated[Bool, pydantic.Tag("bool")],
    pydantic.Discriminator(
        _kind,
        custom_error_type="parameter",
        custom_error_message="a parameter needs type: float, int, choice or bool, or choice: [values]",
    ),
]
