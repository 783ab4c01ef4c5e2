"""What a candidate is worth trying: upper confidence bound, expected improvement, probability of improvement.

Values are maximised here, so the poster's and DeepHyper's lower confidence bound of a loss is the upper one of the AUC.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import pydantic
from scipy.special import ndtr

from glmix_automl.config import Config
from glmix_automl.search.surrogate import Array

Name: TypeAlias = Literal["confidence_bound", "expected_improvement", "probability_of_improvement"]


def confidence_bound(mean: Array, deviation: Array, best: float, exploration: float) -> Array:
    """`mean + kappa * deviation` (Cox and John 1997)."""
    return mean + exploration * deviation


def expected_improvement(mean: Array, deviation: Array, best: float, exploration: float) -> Array:
    """`E max(value - best - xi, 0)` (Jones et al. 1998, equation 15)."""
    gain = mean - best - exploration
    z = gain / deviation
    return gain * ndtr(z) + deviation * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


def probability_of_improvement(mean: Array, deviation: Array, best: float, exploration: float) -> Array:
    """`P(value > best + xi)` (Kushner 1964), as its z score: the same order, and it does not underflow."""
    return (mean - best - exploration) / deviation


ACQUISITIONS: dict[str, Callable[[Array, Array, float, float], Array]] = {
    "confidence_bound": confidence_bound,
    "expected_improvement": expected_improvement,
    "probability_of_improvement": probability_of_improvement,
}


class Decay(Config):
    """Exploration that falls from its start to `final` and begins anew every `period` trials (Egele et al. 2022)."""

    period: int = pydantic.Field(default=25, ge=1)
    """Trials from one start to the next."""
    final: float = pydantic.Field(default=0.1, ge=0)
    """Where it falls to, reached to one part in a hundred at the end of a period."""

    def at(self, start: float, trial: int) -> float:
        """Exploration for the proposal of that number."""
        return self.final + (start - self.final) * 0.01 ** ((trial % self.period) / self.period)
