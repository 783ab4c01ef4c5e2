"""L-BFGS with a preconditioner (Liu and Nocedal 1989), and OWL-QN for L1 (Andrew and Gao, ICML 2007).

The preconditioner is the diagonal of the Hessian, and where the objective knows it and nothing is penalised by L1, the
whole Hessian of a few weights: those of correlated columns, whose valleys are narrow.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

Vector = NDArray[np.float64]

MEMORY = 10  # pairs of steps and gradient changes kept
SUFFICIENT = 1e-4  # share of the promised decrease that a step must bring (Armijo)
NOISE = 1e-9  # relative: what float32 sums cannot tell apart
TRIES = 25  # halvings of a step before giving up
DAMPING = 1e-4  # share of its own curvature that is added to each weight of a block: columns may be the same twice


class Curvature(NamedTuple):
    """What is known of the Hessian: its diagonal [weights], and all of it among some weights.

    Attributes:
        diagonal: at least 0, [weights].
        dense: positions of those weights, [k]; there may be none.
        block: the Hessian among them, [k, k].
    """

    diagonal: Vector
    dense: NDArray[np.intp] = np.empty(0, np.intp)
    block: NDArray[np.float64] = np.empty((0, 0))


class Problem(Protocol):
    """A smooth convex objective and how steep its valleys are."""

    def value(self, w: Vector) -> tuple[float, Vector]:
        """Objective without the L1 term, and its gradient."""
        ...

    def curvature(self, w: Vector) -> Curvature:
        """How steep it is at `w`."""
        ...


@dataclass(frozen=True)
class Minimum:
    """Where the search ended.

    Attributes:
        w: the weights.
        value: the objective there, the L1 term included.
        evaluations: of value and gradient, each a pass over the rows.
        iterations: steps taken.
        stopped: whether it was told to stop before it converged.
    """

    w: Vector
    value: float
    evaluations: int
    iterations: int
    stopped: bool = False


def minimise(
    problem: Problem,
    start: Vector,
    l1: Vector,
    tolerance: float,
    iterations: int,
    stop: Callable[[int], bool] = lambda _: False,
) -> Minimum:
    """The minimum of `problem.value(w) + sum(l1 * |w|)`.

    Ends when the decrease that the preconditioned gradient promises falls below `tolerance` times the objective, when
    rounding hides any better point, or after `iterations` steps.

    Args:
        problem: what to minimise.
        start: where to begin, float64 [weights].
        l1: strength per weight, at least 0; all 0 gives plain L-BFGS.
        tolerance: relative to the objective.
        iterations: at most.
        stop: asked after each evaluation, with the number of them so far.
    """
    search = _Search(problem, start, l1)
    for iteration in range(iterations):
        if search.promise() <= tolerance * abs(search.value):
            return search.ended(iteration)
        if stop(search.evaluations):
            return search.ended(iteration, stopped=True)
        if not search.step():
            return search.ended(iteration)
    return search.ended(iterations)


class _Search:
    def __init__(self, problem: Problem, start: Vector, l1: Vector) -> None:
        self._problem, self._l1, self._sparse = problem, l1, bool(np.any(l1))
        self._pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=MEMORY)
        self.w = start
        smooth, self._gradient = problem.value(start)
        self.value = smooth + self._l1_term(start)
        self.evaluations = 1
        self._refresh()

    def _refresh(self) -> None:
        """New preconditioner: a weight moves by its gradient over its own curvature."""
        diagonal, self._dense, block = self._problem.curvature(self.w)
        self._scale = 1.0 / np.maximum(diagonal, 1e-8 * max(float(diagonal.max(initial=0.0)), 1e-300))
        if self._sparse:  # a step of OWL-QN keeps signs weight by weight
            self._dense = self._dense[:0]
        if len(self._dense):
            try:
                self._factor = cho_factor(block + np.diag(DAMPING / self._scale[self._dense]), lower=True)
            except ValueError:  # not finite, or not positive by rounding (a LinAlgError): the diagonal is enough
                self._dense = self._dense[:0]

    def _preconditioned(self, slope: Vector) -> Vector:
        """The step that a Newton step would be, were there no curvature but the known."""
        scaled = self._scale * slope
        if len(self._dense):
            scaled[self._dense] = cho_solve(self._factor, slope[self._dense])
        return scaled

    def _l1_term(self, w: Vector) -> float:
        return float(self._l1 @ np.abs(w)) if self._sparse else 0.0

    def _pseudo_gradient(self) -> Vector:
        """The steepest of the objective's one-sided slopes (Andrew and Gao, eq. 4)."""
        if not self._sparse:
            return self._gradient
        signed = self._gradient + self._l1 * np.sign(self.w)
        at_zero = np.sign(self._gradient) * np.maximum(np.abs(self._gradient) - self._l1, 0.0)
        return np.where(self.w == 0, at_zero, signed)

    def promise(self) -> float:
        """Decrease that a Newton step with the known curvature alone would bring, about."""
        slope = self._pseudo_gradient()
        return 0.5 * float(slope @ self._preconditioned(slope))

    def step(self) -> bool:
        """One step downhill; false if there is none that rounding does not hide."""
        slope = self._pseudo_gradient()
        direction = self._direction(slope)
        orthant = np.where(self.w == 0, -np.sign(slope), np.sign(self.w)) if self._sparse else None
        if self._sparse:
            direction = np.where(direction * slope < 0, direction, 0.0)
        if float(direction @ slope) >= 0:
            self._pairs.clear()
            direction = -self._preconditioned(slope)
        length = 1.0
        for _ in range(TRIES):
            w = self.w + length * direction
            if orthant is not None:
                w = np.where(w * orthant > 0, w, 0.0)
            smooth, gradient = self._problem.value(w)
            value = smooth + self._l1_term(w)
            self.evaluations += 1
            if value <= self.value + SUFFICIENT * float(slope @ (w - self.w)) + NOISE * abs(self.value):
                fell = self.value - value
                self._remember(w, gradient, value)
                return fell > 0
            length *= 0.5
        return False

    def _direction(self, slope: Vector) -> Vector:
        """The two-loop recursion (Nocedal and Wright 2006, algorithm 7.4) around the preconditioner."""
        q = slope.copy()
        factors = []
        for step, change, curve in reversed(self._pairs):
            factors.append(float(step @ q) / curve)
            q -= factors[-1] * change
        gamma = 1.0
        if self._pairs:
            _, change, curve = self._pairs[-1]
            gamma = curve / float(change @ self._preconditioned(change))
        q = gamma * self._preconditioned(q)
        for (step, change, curve), factor in zip(self._pairs, reversed(factors), strict=True):
            q += (factor - float(change @ q) / curve) * step
        return -q

    def _remember(self, w: Vector, gradient: Vector, value: float) -> None:
        step, change = w - self.w, gradient - self._gradient
        curve = float(step @ change)
        if curve > 1e-10 * float(np.sqrt((step @ step) * (change @ change))):
            self._pairs.append((step, change, curve))
        self.w, self._gradient, self.value = w, gradient, value

    def ended(self, iterations: int, stopped: bool = False) -> Minimum:
        return Minimum(self.w, self.value, self.evaluations, iterations, stopped)
