"""New points where good ones lie dense and bad ones do not: the model of BOHB (Falkner et al. 2018, section 3.2)."""

import math
from collections.abc import Mapping

import numpy as np

from glmix_automl.search.entry import SeenPoints
from glmix_automl.search.rungs import Ascent
from glmix_automl.search.surrogates.surrogate import Floats64
from glmix_automl.space import Space, UnitPoint

GOOD = 0.15
"""Share of the results that count as good."""
DRAWN = 64
"""Draws from the good density, of which the one with the best ratio is taken."""
WIDER = 3.0
"""Factor on the bandwidths when drawing, for exploration."""
NARROWEST = 0.05
RANDOM = 1 / 3
"""Share of points drawn evenly, which keeps the guarantees of Hyperband."""
OTHER = 0.2
"""Kernel between different choices, and between a parameter that applies and one that does not; 1 between equals."""


class EvenPoints:
    """New points drawn evenly, whatever the results."""

    def __init__(self, space: Space) -> None:
        self._space, self._seen = space, SeenPoints()

    def point(self, ascent: Ascent, rng: np.random.Generator) -> UnitPoint | None:
        """A point that was not given before, or None if there is none left."""
        return self._new(self._space.sample_unit(rng, DRAWN))

    def remember(self, at: UnitPoint) -> None:
        """Takes in a point of an earlier session."""
        self._seen.add(at[None])

    def _new(self, drawn: UnitPoint) -> UnitPoint | None:
        fresh = self._seen.new(drawn)
        if not fresh:
            return None
        self._seen.add(drawn[fresh[:1]])
        return drawn[fresh[0]]


class DensePoints(EvenPoints):
    """New points by the ratio of two kernel densities over the results of the highest rung that has enough of them."""

    def point(self, ascent: Ascent, rng: np.random.Generator) -> UnitPoint | None:
        """As `EvenPoints.point`."""
        split = self._split(ascent)
        if split is None or rng.random() < RANDOM:
            return super().point(ascent, rng)
        good, bad = split
        drawn = self._draw(good, rng)
        drawn = drawn[self._space.allowed(drawn)]
        ratio = self._density(drawn, good) - self._density(drawn, bad)
        return self._new(drawn[np.argsort(-ratio, kind="stable")]) if len(drawn) else super().point(ascent, rng)

    def _split(self, ascent: Ascent) -> tuple[UnitPoint, UnitPoint] | None:
        enough = len(self._space.names) + 1
        by_rung: Mapping[int, list[int]] = {rung: [] for rung in range(ascent.options.rungs)}
        for number, result in ascent.results.items():
            if result.state.scored:
                by_rung[ascent.rungs[number]].append(number)
        for rung in reversed(range(ascent.options.rungs)):
            numbers = sorted(by_rung[rung], key=lambda n: (-float(ascent.results[n].quality or 0.0), n))
            good = max(enough, math.ceil(GOOD * len(numbers)))
            if len(numbers) - good >= enough:
                points = np.array([ascent.points[number] for number in numbers])
                return points[:good], points[good:]
        return None

    def _bandwidths(self, points: UnitPoint) -> Floats64:
        """Scott's rule per parameter, [parameters]."""
        filled = np.where(np.isnan(points), 0.5, points)
        return np.maximum(filled.std(0) * len(points) ** (-1 / (4 + points.shape[1])), NARROWEST)

    @property
    def _listed(self) -> "np.ndarray":
        return np.array([parameter.type in ("choice", "bool") for parameter in self._space.parameters.values()])

    def _draw(self, good: UnitPoint, rng: np.random.Generator) -> UnitPoint:
        parents = good[rng.integers(len(good), size=DRAWN)]
        parents = np.where(np.isnan(parents), rng.random(parents.shape), parents)
        stepped = np.clip(parents + rng.normal(size=parents.shape) * WIDER * self._bandwidths(good), 0, 1)
        other = self._listed & (rng.random(parents.shape) < OTHER)
        moved = np.where(self._listed, parents, stepped)
        return self._space.snap(np.where(other, rng.random(parents.shape), moved))

    def _density(self, at: UnitPoint, points: UnitPoint) -> Floats64:
        """Logarithm of the kernel density at points, [at]."""
        away = (at[:, None] - points[None]) / self._bandwidths(points)
        kernel = np.where(self._listed, np.where(away == 0, 1.0, OTHER), np.exp(-0.5 * away**2))
        absent = np.isnan(at)[:, None] & np.isnan(points)[None]
        kernel = np.where(np.isnan(kernel), np.where(absent, 1.0, OTHER), kernel)
        return np.log(np.prod(kernel, axis=2).mean(1) + 1e-300)
