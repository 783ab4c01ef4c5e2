"""Random search: independent draws (Bergstra and Bengio, JMLR 2012), or a design that spreads them evenly."""

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import pydantic

from glmix_automl.search.entry import FullWork, SeenPoints, draft
from glmix_automl.search.surrogates.centred_prior import CentredPrior
from glmix_automl.seeds import generator
from glmix_automl.space import Space, UnitPoint
from glmix_automl.trial import Result, Trial

Sampling: TypeAlias = Literal["uniform", "latin_hypercube", "sobol"]
ROUNDS = 20
"""Draws without a new point before a finite space counts as exhausted."""


class RandomOptions(FullWork):
    """Points drawn from the space without looking at results."""

    trials: int = pydantic.Field(default=100, ge=1)
    """How many to draw; a small space ends earlier, as no point is tried twice."""
    sampling: Sampling = "uniform"
    """Independent; one per stratum of every parameter (McKay 1979); or a scrambled Sobol sequence (Owen 1998)."""


def design(
    space: Space, points: int, sampling: Sampling, rng: np.random.Generator, centred: CentredPrior | None = None
) -> UnitPoint:
    """Different allowed points of the space, [at most points, parameters]; fewer only where the space has no more.

    Points of the even designs that are forbidden or fall together are made up for by independent draws. With a centred
    prior the first is its middle and the others are spread as it has them; then a small space may not be used up.
    """
    dimensions = len(space.names)
    if sampling == "uniform" or dimensions == 0:
        first = np.empty((0, dimensions))
    else:
        from scipy.stats import qmc  # a second to import, for those who ask

        if sampling == "latin_hypercube":
            first = qmc.LatinHypercube(dimensions, rng=rng).random(points)
        else:  # balanced in blocks of a power of two only; the block is cut after scrambling
            first = qmc.Sobol(dimensions, rng=rng).random_base2(math.ceil(math.log2(max(points, 2))))[:points]
    if centred and dimensions:
        head = rng.random((1, dimensions)) if sampling == "uniform" else first[:1]
        first = np.vstack([centred.middle(head), centred.inwards(first)])
    snapped = space.snap(first)
    snapped = snapped[space.allowed(snapped)]
    seen = SeenPoints()
    chosen = [snapped[seen.new(snapped)]]
    seen.add(chosen[0])
    idle = 0
    while len(seen) < points and idle < ROUNDS:
        drawn = space.sample_unit(rng, max(points - len(seen), ROUNDS), centred.inwards if centred else None)
        drawn = drawn[seen.new(drawn)][: points - len(seen)]
        seen.add(drawn)
        chosen.append(drawn)
        idle = 0 if len(drawn) else idle + 1
    return np.vstack(chosen)[:points]


class RandomSearch:
    """Draws each trial independently of every result; ends after `trials` draws."""

    def __init__(self, options: RandomOptions, seed: int) -> None:
        self._options, self._seed, self._next = options, seed, 0
        points = design(options.space, options.trials, options.sampling, generator(seed, "random"))
        self._points = options.space.from_unit(points)

    def ask(self, n: int) -> list[Trial]:
        """The next `n` draws."""
        first, self._next = self._next, min(self._next + n, len(self._points))
        return [draft(self._options, self._seed, i, self._points[i]) for i in range(first, self._next)]

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`."""
        self._next += len(trials)

    def tell(self, result: Result) -> None:
        """Ignored: draws do not depend on results."""
