"""Points among which a model-based strategy chooses: all over the space, and close to the best so far."""

import numpy as np

from glmix_automl.search.entry import SeenPoints
from glmix_automl.search.grid import lattice
from glmix_automl.search.surrogates.centred_prior import CentredPrior
from glmix_automl.space import Space, UnitPoint

SMALL_SPACE = 3000
"""A space of at most so many points is looked at whole."""
CLOSE = (0.01, 0.3)
"""Smallest and largest step of a neighbour, as a share of a parameter's range; drawn on a log scale between."""


class CandidateSampler:
    """Draws different points that were not tried yet.

    Args:
        space: the space.
        number: candidates per draw.
        centred: how those all over the space are spread; evenly without one.
        close: share of them that are neighbours of the best points.
    """

    def __init__(self, space: Space, number: int, centred: CentredPrior | None = None, close: float = 0.5) -> None:
        self._space, self._number, self._close = space, number, close
        self._spread = centred.inwards if centred else None
        self._all = lattice(space, SMALL_SPACE) if space.size <= SMALL_SPACE else None
        self._listed = np.array([parameter.type in ("choice", "bool") for parameter in space.parameters.values()])
        # A whole number must be able to move by one.
        self._smallest = np.array([1.2 / parameter.levels for parameter in space.parameters.values()])

    def draw(self, best: UnitPoint, seen: SeenPoints, rng: np.random.Generator) -> UnitPoint:
        """Snapped points, [at most number, parameters]; none if the space is used up.

        Args:
            best: snapped points to look around, the best first; may be empty.
            seen: what was tried.
            rng: source of randomness.
        """
        if self._all is not None:
            return self._all[seen.new(self._all)]
        close = int(self._number * self._close) if len(best) else 0
        drawn = self._space.sample_unit(rng, self._number - close, self._spread)
        if close:
            near = self._space.snap(self._neighbours(best, close, rng))
            drawn = np.vstack([drawn, near[self._space.allowed(near)]])
        return drawn[seen.new(drawn)]

    def _neighbours(self, best: UnitPoint, number: int, rng: np.random.Generator) -> UnitPoint:
        parents = best[rng.integers(len(best), size=number)]
        parents = np.where(np.isnan(parents), rng.random(parents.shape), parents)
        low, high = np.log(CLOSE)
        size = np.exp(rng.uniform(low, high, (number, 1)))
        stepped = parents + rng.normal(size=parents.shape) * np.maximum(size, self._smallest)
        stepped = np.abs(stepped)  # reflected at both ends
        stepped = np.clip(1 - np.abs(1 - stepped), 0, 1)
        stepped = np.where(self._listed, rng.random(parents.shape), stepped)
        moves = rng.random(parents.shape) < max(0.3, 1 / max(parents.shape[1], 1))
        return np.where(moves, stepped, parents)
