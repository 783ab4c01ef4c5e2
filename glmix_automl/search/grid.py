"""Grid search: every combination of a few values per parameter (the grid layout of Bergstra and Bengio, 2012)."""

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pydantic

from glmix_automl.search.entry import FullWork, SeenPoints, draft
from glmix_automl.seeds import generator
from glmix_automl.space import Space, UnitPoint
from glmix_automl.space.parameters import Parameter
from glmix_automl.trial import Result, Trial, Value

LARGEST_GRID = 1_000_000
"""Points of a grid that is still laid out; more is a mistake in the configuration."""


class GridOptions(FullWork):
    """A grid: `resolution` values of each parameter, from end to end on its scale; all, where there are fewer."""

    resolution: dict[str, int] | int = 3
    """How many values per parameter: one number for all, or by name (3 for those not named). Choices use all theirs."""
    order: Literal["shuffled", "nested"] = "shuffled"
    """Shuffled, a grid that its budget cuts short has looked everywhere; nested, the last parameter turns fastest."""

    @pydantic.model_validator(mode="after")
    def _check_resolution(self) -> "GridOptions":
        for name, values in (
            self.resolution.items() if isinstance(self.resolution, dict) else [("all", self.resolution)]
        ):
            if name != "all" and name not in self.space.names:
                raise ValueError(f"resolution names {name!r}, which is none of {', '.join(self.space.names)}")
            if not 1 <= values <= LARGEST_GRID:
                raise ValueError(f"resolution of {name} must be from 1 to {LARGEST_GRID}, got {values}")
        points = math.prod(len(column) for column in columns(self.space, self.resolution))
        if points > LARGEST_GRID:
            raise ValueError(f"the grid has {points} points, over {LARGEST_GRID}; lower the resolution")
        return self


def values(parameter: Parameter, resolution: int) -> UnitPoint:
    """At most `resolution` points of the unit interval, both ends among them; every choice, [values]."""
    if parameter.type in ("choice", "bool") or parameter.levels <= resolution:
        return every(parameter)
    ends = np.array([0.5]) if resolution == 1 else np.linspace(0, 1, resolution)
    return np.unique(parameter.units(parameter.numbers(ends)))


def every(parameter: Parameter) -> UnitPoint:
    """The points that stand for every value of a discrete parameter, [values]."""
    if parameter.type == "int" and parameter.scale == "log":
        return parameter.units(np.arange(parameter.low, parameter.high + 1.0))
    return (np.arange(int(parameter.levels)) + 0.5) / parameter.levels


def columns(space: Space, resolution: dict[str, int] | int) -> list[UnitPoint]:
    """The values of each parameter, as points of the unit interval."""
    return [
        values(parameter, resolution.get(name, 3) if isinstance(resolution, dict) else resolution)
        for name, parameter in space.parameters.items()
    ]


def lattice(space: Space, resolution: dict[str, int] | int) -> UnitPoint:
    """Every allowed point of the grid once, nested, [points, parameters]."""
    rows = list(itertools.product(*columns(space, resolution)))
    snapped = space.snap(np.array(rows, float).reshape(len(rows), len(space.names)))
    snapped = snapped[space.allowed(snapped)]
    return snapped[SeenPoints().new(snapped)]  # conditions fold points that differ only where nothing applies


class Grid:
    """Tries the points of the grid in order; ends with the last one."""

    def __init__(self, options: GridOptions, seed: int) -> None:
        self._options, self._seed, self._next = options, seed, 0
        points = lattice(options.space, options.resolution)
        if options.order == "shuffled":
            generator(seed, "grid").shuffle(points)
        self._points: list[dict[str, Value]] = options.space.from_unit(points)

    def __len__(self) -> int:
        return len(self._points)

    def ask(self, n: int) -> list[Trial]:
        """The next `n` points."""
        first, self._next = self._next, min(self._next + n, len(self._points))
        return [draft(self._options, self._seed, i, self._points[i]) for i in range(first, self._next)]

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`."""
        self._next += len(trials)

    def tell(self, result: Result) -> None:
        """Ignored: the grid does not depend on results."""
