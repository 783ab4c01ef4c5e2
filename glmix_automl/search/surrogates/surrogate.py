"""The role of a surrogate: what results to expect where nothing was tried yet."""

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats64: TypeAlias = NDArray[np.float64]


class Posterior(Protocol):
    """Expectations at a set of candidates, given what was told and what was imagined for what is pending."""

    def moments(self) -> tuple[Floats64, Floats64]:
        """Mean and standard deviation of the value at each candidate, [candidates] each; larger values are better."""
        ...

    def imagine(self, position: int) -> None:
        """Takes the candidate at `position` as tried, with the lie as its value (the constant liar)."""
        ...


class Surrogate(Protocol):
    """Learns values from columns; may keep what it learnt and refit only when enough is new."""

    def fit(self, columns: Floats64, values: Floats64, weights: Floats64, rng: np.random.Generator) -> None:
        """Learns all that was told so far, in the order of telling: rows only ever get added at the end.

        Args:
            columns: encoded points, [told, columns].
            values: scaled results, larger is better, [told].
            weights: 1 for a result of this study, less for one that was had elsewhere, [told].
            rng: source of randomness of this fit.
        """
        ...

    def posterior(self, pending: Floats64, lie: float | None, candidates: Floats64) -> Posterior:
        """Expectations at encoded candidates, with the lie taken as the value of every pending point.

        Without a lie what is expected of a point is believed (kriging believer, Ginsbourger et al. 2010): only the
        doubt about it shrinks.
        """
        ...
