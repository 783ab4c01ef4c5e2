"""The convex fit of mixture weights on cached scores: what AdaNet's objective says an ensemble is worth.

Cortes et al. 2017 (AdaNet: Adaptive Structural Learning of Artificial Neural Networks), equation 4, for the logistic
loss, with row weights, offsets and a bias that costs nothing:

    F(w, b) = sum_i c_i loss(y_i, b + sum_k w_k s_k(i) + offset_i) / sum_i c_i  +  sum_k penalty_k * spread_k * |w_k|

with `penalty_k = lambda * r(h_k) + beta`. The paper bounds every h_k, so that |w_k| means the same for all; scores of a
linear model, a subnetwork and a forest have no common bound, so here |w_k| is measured in units of the score's
standard deviation on the training rows (`spread_k`): multiplying a member's scores by any number changes nothing.

Proximal Newton: a quadratic model at the current weights, its penalised minimum by coordinate descent, a line search.
With few columns the cost is a few passes over the rows; the curvature is taken from a sample of the rows, which leaves
the optimum where it is because gradient and objective are exact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from glmix_automl.ensemble import Floats
from glmix_automl.errors import TrialError
from glmix_automl.models.mixture import Targets

_BLOCK = 1 << 15  # rows whose scores and margins stay in the processor's cache together
_CURVATURE_ROWS = 1 << 17
_RIDGE = 1e-7  # of the normalised weights: makes the optimum of two equal members unique and a separable fit finite
_STEPS = 60
_RESOLUTION = 1e-8  # of the objective: steps that promise less are not taken
_ROUNDING = 2e-6  # of the objective, summed in float32
_TOLERANCE = (
    2e-6  # of the optimality conditions, in units of the loss per normalised weight; float32 sums allow no less
)


@dataclass(frozen=True)
class FittedMixture:
    """A weighted sum of scores and what it costs on the rows it was fitted on.

    Attributes:
        weights: one per member, exactly 0 for those that the penalty prunes.
        bias: added to the weighted sum.
        loss: weighted mean log loss of the rows, offset included.
        penalty: the complexity term of the objective.
        steps: Newton steps taken; 0 where the weights were given.
    """

    weights: tuple[float, ...]
    bias: float
    loss: float
    penalty: float
    steps: int = 0

    @property
    def objective(self) -> float:
        """What AdaNet minimises: loss plus penalty."""
        return self.loss + self.penalty


def assess_mixture(
    scores: Sequence[Floats], rows: Targets, weights: Sequence[float], bias: float, penalties: Sequence[float]
) -> FittedMixture:
    """The objective of weights that are given (a uniform mean, a sum), for comparison with fitted ones.

    Raises:
        TrialError: as `fit_mixture`.
    """
    problem = _Problem(scores, rows, penalties)
    return problem.finish(problem.normalised(weights, bias))


def fit_mixture(
    scores: Sequence[Floats],
    rows: Targets,
    penalties: Sequence[float],
    weights: Sequence[float] | None = None,
    bias: float = 0.0,
    signed: bool = True,
) -> FittedMixture:
    """The weights and bias that minimise the objective above.

    Args:
        scores: one float32 array [rows] per member.
        rows: labels, weights and offsets.
        penalties: `lambda * r(h_k) + beta` per member, at least 0.
        weights: where to begin (the ensemble so far); 0 each if None.
        bias: where to begin.
        signed: whether weights may be below 0.

    Raises:
        TrialError: a member's scores, or the rows, are not all finite, or their lengths differ.
    """
    # Blocks are small and cores are shared with other slots: more threads would only wait for each other.
    with threadpool_limits(1, user_api="blas"):
        begin = weights or [0.0] * len(scores)
        return _fit(_Problem(scores, rows, penalties, signed), begin if signed else np.maximum(begin, 0.0), bias)


def _fit(problem: "_Problem", weights: Sequence[float] | NDArray[np.float64], bias: float) -> FittedMixture:
    v = problem.normalised(weights, bias)
    loss, gradient = problem.loss_and_gradient(v)
    steps = 0
    while steps < _STEPS and problem.violation(v, gradient) > _TOLERANCE:
        direction = problem.newton(v, gradient) - v
        moved = _line_search(problem, v, direction, loss, gradient)
        if moved is None:  # float32 sums cannot tell a better point any more
            break
        v, loss, gradient = moved
        steps += 1
    return problem.finish(v, steps)


class _Problem:
    """The rows with normalised members as float32 [members + 1, rows], the last row all ones for the bias."""

    def __init__(
        self, scores: Sequence[Floats], rows: Targets, penalties: Sequence[float], signed: bool = True
    ) -> None:
        n = len(rows.label)
        lengths = [len(column) for column in scores]
        if len(penalties) != len(scores) or any(length != n for length in lengths):
            raise TrialError(f"{len(scores)} members of {lengths} scores and {len(penalties)} penalties for {n} rows")
        self.label = np.asarray(rows.label, np.float32)
        weight = np.ones(n, np.float32) if rows.weight is None else np.asarray(rows.weight, np.float32)
        total = float(weight.sum(dtype=np.float64))
        self.share = weight / np.float32(total)  # sums to 1
        self.offset = None if rows.offset is None else np.asarray(rows.offset, np.float32)
        if not (np.isfinite(total) and total > 0 and (self.offset is None or np.isfinite(self.offset.sum()))):
            raise TrialError("the rows have weights or offsets that are not finite")
        self.x = np.ones((len(scores) + 1, n), np.float32)
        self.center, self.spread = np.zeros(len(scores) + 1), np.ones(len(scores) + 1)
        for k, column in enumerate(scores):
            self._take(k, np.asarray(column, np.float32))
        self.penalties = np.append(np.asarray(penalties, np.float64), 0.0)
        self.least = np.append(np.full(len(scores), -np.inf if signed else 0.0), -np.inf)
        # A constant member says nothing that the bias does not.
        self.free = np.append(self.spread[:-1] > 0, True)

    def _take(self, k: int, column: Floats) -> None:
        if not np.isfinite(column).all():
            raise TrialError(f"member {k} has scores that are not finite")
        center = float(np.dot(self.share, column))
        np.subtract(column, np.float32(center), out=self.x[k])
        variance = sum(float(np.dot(self.share[a:b], self.x[k, a:b] ** 2)) for a, b in self._blocks())
        # Below float32's resolution of the mean, a spread is rounding noise.
        spread = variance**0.5 if variance**0.5 > 1e-6 * abs(center) else 0.0
        self.center[k], self.spread[k] = center, spread
        self.x[k] *= np.float32(1 / spread if spread else 0.0)

    def _blocks(self) -> Iterator[tuple[int, int]]:
        n = len(self.label)
        return ((a, min(n, a + _BLOCK)) for a in range(0, n, _BLOCK))

    def normalised(self, weights: Sequence[float] | NDArray[np.float64], bias: float) -> NDArray[np.float64]:
        """Weights and bias in units of the normalised members, [members + 1]."""
        w = np.asarray(weights, np.float64)
        return np.append(w * self.spread[:-1] * self.free[:-1], bias + w @ self.center[:-1])

    def _margin(self, v: NDArray[np.float64], a: int, b: int) -> Floats:
        margin: Floats = v.astype(np.float32) @ self.x[:, a:b]
        if self.offset is not None:
            margin += self.offset[a:b]
        return margin

    def loss_and_gradient(self, v: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Weighted mean log loss and its gradient [members + 1], the small ridge included."""
        loss, gradient = 0.0, np.zeros(len(v))
        for a, b in self._blocks():
            margin, label, share = self._margin(v, a, b), self.label[a:b], self.share[a:b]
            tail = np.exp(-np.abs(margin))
            loss += float(np.dot(share, np.maximum(margin, 0) - label * margin + np.log(1 + tail)))
            p = np.where(margin >= 0, np.float32(1), tail) / (1 + tail)
            gradient += self.x[:, a:b] @ (share * (p - label))
        ridge = _RIDGE * v
        ridge[-1] = 0
        return loss + 0.5 * float(ridge @ v), gradient + ridge

    def curvature(self, v: NDArray[np.float64]) -> NDArray[np.float64]:
        """Hessian of the loss [members + 1, members + 1], from evenly spaced blocks of at most 2^17 rows."""
        starts = [a for a, _ in self._blocks()]
        every = max(1, len(starts) * _BLOCK // _CURVATURE_ROWS)
        hessian, seen = np.zeros((len(v), len(v))), 0.0
        for a in starts[::every]:
            b = min(len(self.label), a + _BLOCK)
            tail = np.exp(-np.abs(self._margin(v, a, b)))
            x, share = self.x[:, a:b], self.share[a:b]
            hessian += (x * (share * tail / (1 + tail) ** 2)) @ x.T
            seen += float(share.sum())
        return hessian / seen + 1e-6 * np.eye(len(v))

    def violation(self, v: NDArray[np.float64], gradient: NDArray[np.float64]) -> float:
        """How far the optimality conditions are from holding; 0 at the optimum."""
        pull = np.where(self.least < 0, np.abs(gradient), -gradient)  # at 0, of what may move from there
        at_zero = np.maximum(pull - self.penalties, 0)
        return float(np.max(np.where(v == 0, at_zero, np.abs(gradient + self.penalties * np.sign(v))) * self.free))

    def newton(self, v: NDArray[np.float64], gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Minimum of the quadratic model plus penalty, by coordinate descent with soft thresholding."""
        hessian = self.curvature(v)
        z, slope = v.copy(), gradient.copy()
        for sweep in range(1000):
            if sweep % 10 == 5:  # correlated members: sweeps alone would creep along the valley
                step = self._solved(z, slope, hessian)
                z, slope = z + step, slope + hessian @ step
            largest = 0.0
            for k in np.flatnonzero(self.free):
                wish = z[k] - slope[k] / hessian[k, k]
                shrunk = np.sign(wish) * max(abs(wish) - self.penalties[k] / hessian[k, k], 0.0)
                moved = max(shrunk, self.least[k]) - z[k]
                if moved:
                    z[k] += moved
                    slope += moved * hessian[:, k]
                    largest = max(largest, abs(moved))
            if largest < 1e-7:
                break
        return z

    def _solved(
        self, z: NDArray[np.float64], slope: NDArray[np.float64], hessian: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The step to the minimum over the weights that are not 0, if no sign changes on the way; else none."""
        step = np.zeros(len(z))
        can_cross = (self.penalties == 0) & (self.least < 0)
        active = np.flatnonzero(self.free & ((z != 0) | can_cross))
        signed = slope[active] + self.penalties[active] * np.sign(z[active])
        step[active] = -np.linalg.solve(hessian[np.ix_(active, active)], signed)
        stays = np.sign(z[active] + step[active]) == np.sign(z[active])
        return step if np.all(stays | can_cross[active]) else np.zeros(len(z))

    def cost(self, v: NDArray[np.float64]) -> float:
        """The complexity term."""
        return float(self.penalties @ np.abs(v))

    def finish(self, v: NDArray[np.float64], steps: int = 0) -> FittedMixture:
        """Back in units of the members' own scores."""
        loss, _ = self.loss_and_gradient(v)
        weights = np.divide(v[:-1], self.spread[:-1], out=np.zeros(len(v) - 1), where=self.free[:-1])
        bias = float(v[-1] - weights @ self.center[:-1])
        return FittedMixture(tuple(map(float, weights)), bias, loss, self.cost(v), steps)


def _line_search(
    problem: _Problem,
    v: NDArray[np.float64],
    direction: NDArray[np.float64],
    loss: float,
    gradient: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]] | None:
    """The longest of 1, 1/2, 1/4, ... steps that lowers the objective by its fair share, or None.

    Near the optimum that share is less than the objective's rounding, which differs between processors. There the
    gradient decides, whose rounding matters less (Hager and Zhang 2005, A New Conjugate Gradient Method with Guaranteed
    Descent and an Efficient Line Search, the approximate Wolfe conditions).
    """
    off = problem.violation(v, gradient)
    promised = float(gradient @ direction) + problem.cost(v + direction) - problem.cost(v)
    if promised > -_RESOLUTION:
        return None
    length = 1.0
    for _ in range(20):
        candidate = v + length * direction
        new_loss, new_gradient = problem.loss_and_gradient(candidate)
        change = new_loss + problem.cost(candidate) - loss - problem.cost(v)
        is_closer = problem.violation(candidate, new_gradient) < off
        if change <= 1e-4 * length * promised or (change <= _ROUNDING and is_closer):
            return candidate, new_loss, new_gradient
        length /= 2
    return None
