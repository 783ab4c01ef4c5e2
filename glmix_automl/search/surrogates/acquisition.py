"""What a candidate is worth trying: upper confidence bound, expected improvement, probability of improvement.

Values are maximised here, so the poster's and DeepHyper's lower confidence bound of a loss is the upper one of the AUC.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import pydantic
from scipy.special import erfcx, ndtr

from glmix_automl.config import Config
from glmix_automl.search.surrogates.surrogate import Floats64

Name: TypeAlias = Literal["confidence_bound", "expected_improvement", "probability_of_improvement"]


def confidence_bound(mean: Floats64, deviation: Floats64, best: float, exploration: float) -> Floats64:
    """`mean + kappa * deviation` (Cox and John 1997)."""
    return mean + exploration * deviation


def expected_improvement(mean: Floats64, deviation: Floats64, best: float, exploration: float) -> Floats64:
    """`E max(value - best - xi, 0)` (Jones et al. 1998, equation 15)."""
    gain = mean - best - exploration
    z = gain / deviation
    return gain * ndtr(z) + deviation * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


def log_expected_improvement(mean: Floats64, deviation: Floats64, best: float, exploration: float) -> Floats64:
    """Logarithm of the expected improvement, which keeps the order where that is too small for a number.

    Ament et al. (2023, equation 9); its third case is left out, as no sum of terms is taken here.
    """
    spread = np.maximum(deviation, 1e-12)
    z = (mean - best - exploration) / spread
    near, far = np.maximum(z, -1.0), np.clip(z, -1e6, -1.0)
    body = np.log(near * ndtr(near) + np.exp(-0.5 * near**2) / np.sqrt(2 * np.pi))
    left = np.maximum(1 + far * np.sqrt(np.pi / 2) * erfcx(-far / np.sqrt(2)), 1e-15)
    tail = -0.5 * far**2 - 0.5 * np.log(2 * np.pi) + np.log(left)
    return np.asarray(np.log(spread) + np.where(z > -1, body, tail))


def probability_of_improvement(mean: Floats64, deviation: Floats64, best: float, exploration: float) -> Floats64:
    """`P(value > best + xi)` (Kushner 1964), as its z score: the same order, and it does not underflow."""
    return (mean - best - exploration) / deviation


ACQUISITIONS: dict[str, Callable[[Floats64, Floats64, float, float], Floats64]] = {
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
