"""A Gaussian process as surrogate: Matern 5/2 with automatic relevance, its hyperparameters by penalised likelihood.

Rasmussen and Williams (2006), algorithm 2.1 and equation 5.9; the prior on length scales grows with the root of the
number of columns (Hvarfner et al. 2024), which keeps it sound with many parameters and few trials.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from glmix_automl.search.surrogates.surrogate import Floats64

LEARNT_FROM = 200
"""Most rows that hyperparameters are learnt from; all rows enter the predictions."""
RELEARN = 0.15
"""Share of new rows after which hyperparameters are learnt again."""
JITTER = 1e-8
ROOT5 = math.sqrt(5.0)
DISCREPANCY = 0.1
"""Variance by which a result of weight 1/2 may differ from what it would be here, values scaled to variance 1."""
NOISE_PRIOR = (-6.0, 1.5)
"""Mean and deviation of the logarithm of the noise variance, values scaled to variance 1."""


def squared_differences(one: Floats64, other: Floats64) -> Floats64:
    """Per column, [columns, rows of one, rows of other]."""
    return np.square(one.T[:, :, None] - other.T[:, None, :])


class Scales(NamedTuple):
    """What is believed of length scales before any result, log-normal (Hvarfner et al. 2024, section 4).

    Attributes:
        share: the usual one, as a share of the root of the number of columns.
        deviation: of the logarithm.
    """

    share: float
    deviation: float

    def usual(self, columns: int) -> float:
        """The length scale expected with so many columns."""
        return self.share * math.sqrt(max(columns, 1))


NARROW = Scales(math.sqrt(0.5), 1.0)
"""For few results: with fewer of them than columns a wide prior lets one column explain all and the rest count for
nothing, and proposals then look along that column only."""
WIDE = Scales(math.sqrt(2), 1.5)
"""For many: they can tell by themselves."""


def matern(scaled: Floats64) -> Floats64:
    """Matern 5/2 of squared scaled distances (equation 4.17)."""
    distance = ROOT5 * np.sqrt(scaled)
    return (1 + distance + distance**2 / 3) * np.exp(-distance)


class GaussianProcess:
    """Zero mean, unit prior variance of the scaled values; `theta` holds log length scales, then log noise variance."""

    def __init__(self, scales: Scales = NARROW) -> None:
        self._scales = scales
        self._theta: Floats64 = np.empty(0)
        self._learnt = 0
        self._columns: Floats64 = np.empty((0, 0))
        self._values: Floats64 = np.empty(0)
        self._weights: Floats64 = np.empty(0)

    def fit(self, columns: Floats64, values: Floats64, weights: Floats64, rng: np.random.Generator) -> None:
        """As `Surrogate.fit`."""
        self._columns, self._values, self._weights = columns, values, weights
        if len(columns) >= self._learnt * (1 + RELEARN):
            rows = self._telling(rng)
            with _threads().limit(limits=1):
                self._theta = self._learn(columns[rows], values[rows], weights[rows])
            self._learnt = len(columns)

    def _telling(self, rng: np.random.Generator) -> np.ndarray:
        """The better half of the rows to learn from and a draw of the rest."""
        order = np.argsort(-self._values, kind="stable")
        if len(order) <= LEARNT_FROM:
            return order
        half = LEARNT_FROM // 2
        return np.concatenate([order[:half], rng.choice(order[half:], LEARNT_FROM - half, replace=False)])

    def _learn(self, columns: Floats64, values: Floats64, weights: Floats64) -> Floats64:
        dimensions = columns.shape[1]
        squares = squared_differences(columns, columns)
        centre = np.append(np.full(dimensions, 0.5 * math.log(max(dimensions, 1))), NOISE_PRIOR[0])
        starts = [centre - np.append(np.full(dimensions, 0.7), 0)]
        if len(self._theta) == dimensions + 1:
            starts.insert(0, self._theta)
        bounds = [(-4.0, 5.0)] * dimensions + [(-14.0, 1.0)]
        found = [
            minimize(
                _cost, start, (squares, values, weights, self._scales), jac=True, bounds=bounds, options={"maxiter": 50}
            )
            for start in starts
        ]
        return min(found, key=lambda each: float(each.fun)).x

    def _covariance(self, one: Floats64, other: Floats64) -> Floats64:
        """Prior covariance, [rows of one, rows of other]."""
        scales = np.exp(-self._theta[:-1])
        first, second = one * scales, other * scales
        squared = (first**2).sum(1)[:, None] + (second**2).sum(1)[None, :] - 2 * first @ second.T
        return matern(np.maximum(squared, 0))

    def posterior(self, pending: Floats64, lie: float | None, candidates: Floats64) -> "GaussianPosterior":
        """As `Surrogate.posterior`."""
        columns = np.vstack([self._columns, pending])
        if lie is None and len(pending):
            lies = self.posterior(pending[:0], None, pending).moments()[0]
        else:
            lies = np.full(len(pending), lie or 0.0)
        values = np.append(self._values, lies)
        noise = math.exp(self._theta[-1]) + np.append(_discrepancy(self._weights), np.zeros(len(pending)))
        with _threads().limit(limits=1):
            covariance = self._covariance(columns, columns)
            covariance[np.diag_indices_from(covariance)] += noise + JITTER
            lower = cholesky(covariance, lower=True)
            across = solve_triangular(lower, self._covariance(columns, candidates), lower=True)
            alpha = solve_triangular(lower, values, lower=True)
        return GaussianPosterior(self, across, alpha, candidates, lie)

    def left_out(self) -> Floats64:
        """Log density of each value given all others, up to a constant, [rows] (equations 5.10 and 5.12)."""
        covariance = self._covariance(self._columns, self._columns)
        covariance[np.diag_indices_from(covariance)] += self.noise + _discrepancy(self._weights)
        with _threads().limit(limits=1):
            precision = cho_solve((cholesky(covariance, lower=True), True), np.eye(len(covariance)))
        certainty = np.diag(precision)
        return np.asarray(0.5 * np.log(certainty) - 0.5 * (precision @ self._values) ** 2 / certainty)

    @property
    def noise(self) -> float:
        """Noise variance of a result of this study, values scaled to variance 1."""
        return math.exp(self._theta[-1]) + JITTER

    def between(self, one: Floats64, other: Floats64) -> Floats64:
        """Prior covariance between two sets of encoded points."""
        return self._covariance(one, other)

    def paired(self, one: Floats64, other: Floats64) -> Floats64:
        """Prior covariance row by row, [rows]."""
        return matern((np.square(one - other) * np.exp(-2 * self._theta[:-1])).sum(1))


@functools.cache
def _threads() -> Any:
    """Switch for the threads of linear algebra: on small matrices they cost more than they give.

    And the other cores belong to the workers.
    """
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def weight(discrepancy: Floats64) -> Floats64:
    """The weight of results that differ by so much variance from what they stand for; values scaled to variance 1."""
    return 1 / (1 + discrepancy / DISCREPANCY)


def _discrepancy(weights: Floats64) -> Floats64:
    return DISCREPANCY * (1 / weights - 1)


def _cost(
    theta: Floats64, squares: Floats64, values: Floats64, weights: Floats64, scales: Scales
) -> tuple[float, Floats64]:
    """Negative log posterior of the hyperparameters and its gradient (equations 5.8 and 5.9, plus the priors)."""
    rows, dimensions = len(values), len(squares)
    inverse_squares = np.exp(-2 * theta[:-1])
    distance = ROOT5 * np.sqrt(np.tensordot(inverse_squares, squares, 1))
    decay = np.exp(-distance)
    noise = math.exp(theta[-1])
    covariance = (1 + distance + distance**2 / 3) * decay + np.diag(noise + JITTER + _discrepancy(weights))
    lower = cholesky(covariance, lower=True)
    alpha = cho_solve((lower, True), values)
    inner = cho_solve((lower, True), np.eye(rows)) - np.outer(alpha, alpha)
    cost = 0.5 * values @ alpha + np.log(np.diag(lower)).sum()
    slope = inner * ((5 / 3) * (1 + distance) * decay)
    gradient = np.append(
        0.5 * np.einsum("ij,dij->d", slope, squares, optimize=True) * inverse_squares,
        0.5 * np.trace(inner) * noise,
    )
    # Log-normal priors: length scales around the usual one, noise small.
    centre = np.append(np.full(dimensions, math.log(scales.usual(dimensions))), NOISE_PRIOR[0])
    deviation = np.append(np.full(dimensions, scales.deviation), NOISE_PRIOR[1])
    away = (theta - centre) / deviation
    return float(cost + 0.5 * away @ away), gradient + away / deviation


class GaussianPosterior:
    """Conditional moments at candidates; one more lie costs a row of the factor, not a new factor."""

    def __init__(
        self,
        process: GaussianProcess,
        across: Floats64,
        alpha: Floats64,
        candidates: Floats64,
        lie: float | None,
    ) -> None:
        self._process, self._candidates, self._lie, self._across = process, candidates, lie, across
        self._mean = across.T @ alpha
        self._variance = 1 - (across**2).sum(0)

    def moments(self) -> tuple[Floats64, Floats64]:
        """As `Posterior.moments`."""
        return self._mean, np.sqrt(np.maximum(self._variance, 1e-12))

    def imagine(self, position: int, discrepancy: float = 0.0) -> None:
        """As `Posterior.imagine`, without a new factor; `discrepancy` is the variance on top of the noise."""
        prior = self._process.between(self._candidates[position : position + 1], self._candidates)[0]
        covariance = prior - self._across[:, position] @ self._across
        noisy = max(self._variance[position], 1e-12) + self._process.noise + discrepancy
        if self._lie is not None:
            self._mean = self._mean + covariance / noisy * (self._lie - self._mean[position])
        root = covariance / math.sqrt(noisy)
        self._variance = self._variance - root**2
        self._across = np.vstack([self._across, root])

    def covariance(self, one: "np.ndarray", other: "np.ndarray") -> Floats64:
        """Covariance of candidates in pairs, by position, [pairs]."""
        prior = self._process.paired(self._candidates[one], self._candidates[other])
        return prior - (self._across[:, one] * self._across[:, other]).sum(0)
