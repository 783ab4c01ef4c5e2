"""Per-entity solves: each is what other solvers find on the entity's rows alone."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from glmix_automl.models.design import Coefficients, Design, Grouping, scores
from glmix_automl.seeds import generator
from glmix_automl.training.newton import RowTargets, solve
from glmix_automl.training.newton_steps import NEWTON_STEPS

ENTITIES = 40


class Made:
    """Rows in random order: two numerics, one of them 0 in some entities, and a bag of `terms`, of which each row has a
    few; entity 3 has labels of one kind, entity 5 no values but the intercept, entity 7 no rows.
    """

    def __init__(self, terms: int = 6, rows: int = 1500, intercept: bool = True, seed: int = 0) -> None:
        draw = generator(seed, "newton")
        self.codes = draw.integers(-1, ENTITIES, rows).astype(np.int32)
        self.codes[self.codes == 7] = 8
        numerics = draw.normal(size=(rows, 2)).astype(np.float32)
        numerics[self.codes % 4 == 1, 1] = 0
        numerics[self.codes == 5] = 0
        lengths = draw.integers(0, 4, rows)
        lengths[self.codes == 5] = 0
        splits = np.append(0, np.cumsum(lengths))
        ids = draw.integers(3, 3 + terms, splits[-1]).astype(np.int32)
        values = draw.random(splits[-1]).astype(np.float32)
        self.design = Design(intercept, numerics, splits, ids, values, 3 + terms)
        label = (draw.random(rows) < 0.4).astype(np.float32)
        label[self.codes == 3] = 1
        weight, offset = draw.choice([0.5, 1.0, 2.0], rows), draw.normal(size=rows)
        self.targets = RowTargets(label, weight.astype(np.float32), offset.astype(np.float32))
        self.grouping = Grouping.of(self.codes, ENTITIES)
        self.coefficients = Coefficients.active(self.design, self.grouping)

    def matrix(self, entity: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The entity's columns, its values in them, float64 [rows, columns], and which rows it has."""
        rows = np.flatnonzero(self.codes == entity)
        whole = np.zeros((len(rows), self.design.columns))
        whole[:, 0] = self.design.intercept
        whole[:, 1:3] = self.design.numerics[rows]
        for place, row in enumerate(rows):
            span = slice(self.design.splits[row], self.design.splits[row + 1])
            np.add.at(whole[place], self.design.ids[span], self.design.values[span])
        own = slice(*self.coefficients.starts[entity : entity + 2])
        return whole[:, self.coefficients.columns[own]], rows, np.arange(own.start, own.stop)


def minimum(made: Made, entity: int, precision: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances by SciPy."""
    matrix, rows, own = made.matrix(entity)
    label, weight, offset = (a[rows] for a in (made.targets.label, made.targets.weight, made.targets.offset))

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        score, away = offset + matrix @ theta, theta - prior[own]
        loss = weight @ (np.logaddexp(0, score) - label * score) + 0.5 * precision[own] @ away**2
        slope = weight * (1 / (1 + np.exp(-score)) - label)
        return loss, matrix.T @ slope + precision[own] * away

    found = minimize(objective, np.zeros(len(own)), jac=True, method="L-BFGS-B", options={"gtol": 1e-9, "ftol": 1e-15})
    probability = 1 / (1 + np.exp(-(offset + matrix @ found.x)))
    bend = weight * probability * (1 - probability)
    hessian = (matrix.T * bend) @ matrix + np.diag(precision[own])
    return found.x, np.diag(np.linalg.inv(hessian))


@pytest.mark.parametrize("intercept", [True, False])
def test_each_entity_is_at_the_minimum_of_its_own_rows(intercept: bool) -> None:
    made = Made(intercept=intercept)
    draw = generator(1, "newton")
    count = len(made.coefficients.columns)
    precision, prior = draw.uniform(0.2, 3, count).astype(np.float32), draw.normal(size=count).astype(np.float32)
    found = solve(made.design, made.grouping, made.targets, made.coefficients, precision, prior, threads=2)
    for entity in range(ENTITIES):
        mean, variance = minimum(made, entity, precision, prior)
        own = slice(*made.coefficients.starts[entity : entity + 2])
        np.testing.assert_allclose(found.mean[own], mean, atol=1e-4)
        np.testing.assert_allclose(found.variance[own], variance, rtol=1e-3)
    assert found.steps.max() < NEWTON_STEPS
    assert made.coefficients.starts[8] == made.coefficients.starts[7]  # no rows, no model
    assert made.coefficients.starts[6] - made.coefficients.starts[5] == int(intercept)


def test_an_entity_is_what_scikit_learn_finds_on_its_rows() -> None:
    made = Made()
    plain = RowTargets(made.targets.label, made.targets.weight, np.zeros_like(made.targets.offset))
    precision = np.full(len(made.coefficients.columns), 0.8, np.float32)
    found = solve(made.design, made.grouping, plain, made.coefficients, precision)
    for entity in (0, 1, 11):
        matrix, rows, own = made.matrix(entity)
        theirs = LogisticRegression(C=1 / 0.8, fit_intercept=False, tol=1e-10, max_iter=1000)
        theirs.fit(matrix, plain.label[rows], plain.weight[rows])
        np.testing.assert_allclose(found.mean[own], theirs.coef_[0], atol=1e-4)


def test_entities_of_many_columns_are_solved_without_a_hessian() -> None:
    made = Made(terms=120, rows=6000)
    assert np.diff(made.coefficients.starts).max() > 64
    precision = np.full(len(made.coefficients.columns), 0.5, np.float32)
    found = solve(made.design, made.grouping, made.targets, made.coefficients, precision)
    for entity in (0, 3, 20):
        mean, _ = minimum(made, entity, precision, np.zeros(len(precision)))
        own = slice(*made.coefficients.starts[entity : entity + 2])
        np.testing.assert_allclose(found.mean[own], mean, atol=1e-4)
    assert found.steps.max() < NEWTON_STEPS


@pytest.mark.parametrize(("scale", "offset"), [(1e-3, 0.0), (1.0, 30.0), (1e3, 0.0), (30.0, -10.0)])
def test_steps_that_overshoot_are_damped(scale: float, offset: float) -> None:
    draw = generator(2, "newton")
    numerics = (scale * draw.normal(size=(4000, 3))).astype(np.float32)
    label = (numerics[:, 0] > 0).astype(np.float32)  # separable
    design, grouping = Design.dense(numerics), Grouping.of((np.arange(4000) % 20).astype(np.int32), 20)
    targets = RowTargets(label, np.ones(4000, np.float32), np.full(4000, offset, np.float32))
    coefficients = Coefficients.active(design, grouping)
    found = solve(design, grouping, targets, coefficients, np.full(len(coefficients.columns), 1e-2, np.float32))
    assert np.isfinite(found.mean).all()
    assert found.steps.max() < NEWTON_STEPS


def test_results_are_the_same_whatever_the_order_of_rows_the_threads_and_where_it_begins() -> None:
    made = Made()
    precision = np.ones(len(made.coefficients.columns), np.float32)
    one = solve(made.design, made.grouping, made.targets, made.coefficients, precision)
    two = solve(made.design, made.grouping, made.targets, made.coefficients, precision, threads=2)
    assert np.array_equal(one.mean, two.mean)
    assert np.array_equal(one.variance, two.variance)
    again = solve(made.design, made.grouping, made.targets, made.coefficients, precision, begin=one.mean)
    np.testing.assert_allclose(again.mean, one.mean, atol=1e-5)
    assert again.steps.mean() < one.steps.mean() / 2


def test_more_rows_than_are_gathered_at_once_count_as_well() -> None:
    draw = generator(3, "newton")
    numerics, label = draw.normal(size=(1000, 2)).astype(np.float32), (draw.random(1000) < 0.5).astype(np.float32)
    targets = RowTargets(label, np.ones(1000, np.float32), np.zeros(1000, np.float32))
    design, grouping = Design.dense(numerics), Grouping.of(np.zeros(1000, np.int32), 1)
    coefficients = Coefficients.active(design, grouping)
    found = solve(design, grouping, targets, coefficients, np.full(3, 0.5, np.float32))
    matrix = np.column_stack([np.ones(1000), numerics])
    theirs = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-10).fit(matrix, label)
    np.testing.assert_allclose(found.mean, theirs.coef_[0], atol=1e-4)


def test_scores_are_values_times_the_entitys_coefficients() -> None:
    made = Made()
    mean = generator(4, "newton").normal(size=len(made.coefficients.columns)).astype(np.float32)
    found = scores(made.design, made.codes, made.coefficients, mean)
    assert not found[made.codes == -1].any()
    for entity in range(ENTITIES):
        matrix, rows, own = made.matrix(entity)
        np.testing.assert_allclose(found[rows], matrix @ mean[own], atol=1e-5)
