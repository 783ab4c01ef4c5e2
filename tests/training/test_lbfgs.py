"""L-BFGS and OWL-QN on problems whose minimum is known."""

import numpy as np
import pytest

from glmix_automl.training.lbfgs import Curvature, Minimum, Vector, minimise


class Quadratic:
    """`1/2 (w - c)^T A (w - c)`; with a diagonal preconditioner that says nothing of A's other entries."""

    def __init__(self, size: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        root = rng.normal(size=(size, size)) * np.logspace(0, 2, size)
        self.a, self.c = root.T @ root + np.eye(size), rng.normal(size=size)

    def value(self, w: Vector) -> tuple[float, Vector]:
        slope = self.a @ (w - self.c)
        return float(0.5 * (w - self.c) @ slope), slope

    def curvature(self, w: Vector) -> Curvature:
        return Curvature(np.diag(self.a).copy())


def solve(problem: Quadratic, l1: float = 0.0, iterations: int = 500) -> Minimum:
    size = len(problem.c)
    return minimise(problem, np.zeros(size), np.full(size, l1), 0.0, iterations)


@pytest.mark.parametrize("seed", range(3))
def test_a_quadratic_is_solved(seed: int) -> None:
    problem = Quadratic(12, seed)
    found = solve(problem)
    assert found.w == pytest.approx(problem.c, abs=1e-3)
    assert found.value <= 1e-5 * problem.value(np.zeros(12))[0]


@pytest.mark.parametrize("seed", range(3))
def test_an_l1_minimum_obeys_its_conditions(seed: int) -> None:
    problem = Quadratic(12, seed)
    l1 = 0.3 * float(np.abs(problem.value(np.zeros(12))[1]).max())
    found = solve(problem, l1)
    slope = problem.value(found.w)[1]
    is_zero = found.w == 0
    assert is_zero.any()
    assert not is_zero.all()
    assert (np.abs(slope[is_zero]) <= l1 * 1.001).all()
    assert slope[~is_zero] == pytest.approx(-l1 * np.sign(found.w[~is_zero]), rel=1e-2)


def test_a_separable_quadratic_takes_one_step_of_its_diagonal() -> None:
    problem = Quadratic(5, 0)
    problem.a = np.diag([0.1, 1.0, 10.0, 1e3, 1e6])
    found = minimise(problem, np.zeros(5), np.zeros(5), 0.0, iterations=1)
    assert found.w == pytest.approx(problem.c)


def test_weights_whose_curvature_is_known_take_one_step_whatever_their_correlation() -> None:
    class Known(Quadratic):
        def curvature(self, w: Vector) -> Curvature:
            dense = np.array([0, 2, 3])
            return Curvature(np.diag(self.a).copy(), dense, self.a[np.ix_(dense, dense)])

    problem = Known(5, 0)
    problem.a[[1, 4]] = problem.a[:, [1, 4]] = 0.0
    problem.a[[1, 4], [1, 4]] = 3.0, 1e4
    found = minimise(problem, np.zeros(5), np.zeros(5), 0.0, iterations=1)
    assert found.value <= 1e-3 * problem.value(np.zeros(5))[0]
    problem.curvature = lambda w: Curvature(np.diag(problem.a).copy())  # type: ignore[method-assign]
    assert minimise(problem, np.zeros(5), np.zeros(5), 0.0, iterations=1).value > 100 * found.value


def test_weights_that_are_the_same_twice_have_a_minimum_too() -> None:
    class Twice(Quadratic):
        def curvature(self, w: Vector) -> Curvature:
            return Curvature(np.diag(self.a).copy(), np.arange(len(w)), self.a)

    problem = Twice(4, 0)
    problem.a[3], problem.a[:, 3] = problem.a[2], problem.a[:, 2]
    problem.a[3, 3] = problem.a[2, 2]
    assert solve(problem).value <= 1e-5 * problem.value(np.zeros(4))[0]


@pytest.mark.parametrize("block", [np.full((12, 12), np.inf), -np.eye(12)], ids=["not finite", "not positive"])
def test_a_block_that_is_no_curvature_is_left_out(block: "np.ndarray") -> None:
    class Wrong(Quadratic):
        def curvature(self, w: Vector) -> Curvature:
            return Curvature(np.diag(self.a).copy(), np.arange(len(w)), block * np.diag(self.a).max())

    assert solve(Wrong(12, 1)).w == pytest.approx(solve(Quadratic(12, 1)).w, abs=0)


def test_it_stops_when_told_and_never_ends_above_its_start() -> None:
    problem = Quadratic(12, 1)
    found = minimise(problem, np.zeros(12), np.zeros(12), 0.0, 500, stop=lambda passes: passes >= 4)
    assert found.stopped
    assert found.evaluations == 4
    assert found.value < problem.value(np.zeros(12))[0]
