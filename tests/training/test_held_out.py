"""Scores of rows by models that have not seen them: what fits without the row score."""

import numpy as np
import pytest

from glmix_automl.metrics import auc
from glmix_automl.models.design import Coefficients, Design, Floats, Grouping, scores
from glmix_automl.seeds import generator
from glmix_automl.training.held_out import leave_one_out
from glmix_automl.training.newton import RowTargets, solve
from tests.training.test_newton import ENTITIES, Made


def refitted(made: Made, row: int, precision: Floats) -> float:
    """The row's score by its entity's model fitted on the others."""
    grouping = Grouping.of(np.where(np.arange(len(made.codes)) == row, -1, made.codes).astype(np.int32), ENTITIES)
    entity = int(made.codes[row])
    found = solve(
        made.design, grouping, made.targets, made.coefficients, precision, first=entity, last=entity + 1, begin=None
    )
    return float(scores(made.design, made.codes, made.coefficients, found.mean)[row])


@pytest.mark.parametrize(
    ("terms", "rows", "error"),
    [(6, 600, 0.02), (100, 600, 0.02), (300, 16_000, 0.15)],
    ids=["few columns", "few rows", "many of both"],
)
def test_a_left_out_row_scores_what_a_fit_without_it_says(terms: int, rows: int, error: float) -> None:
    made = Made(terms, rows)
    precision = np.full(len(made.coefficients.columns), 2.0, np.float32)
    found = solve(made.design, made.grouping, made.targets, made.coefficients, precision)
    inside = scores(made.design, made.codes, made.coefficients, found.mean)
    without = leave_one_out(made.design, made.grouping, made.targets, made.coefficients, precision, found.mean)
    assert (without[made.codes < 0] == 0).all()
    chosen = np.flatnonzero((made.codes >= 0) & (made.codes < 30))[:150:3]
    expected = np.array([refitted(made, int(row), precision) for row in chosen])
    moved, told = expected - inside[chosen], without[chosen] - inside[chosen]
    assert np.abs(moved).max() > 5 * error / 0.15 * 0.02  # leaving a row out matters
    assert np.sqrt(np.mean((told - moved) ** 2)) < error * max(1.0, float(np.abs(moved).max()))
    assert np.corrcoef(told, moved)[0, 1] > 0.98


def test_shares_of_entities_and_threads_add_up_to_the_whole() -> None:
    made = Made()
    precision = np.ones(len(made.coefficients.columns), np.float32)
    mean = solve(made.design, made.grouping, made.targets, made.coefficients, precision).mean
    args = made.design, made.grouping, made.targets, made.coefficients, precision, mean
    parts = [leave_one_out(*args, threads=2, first=first, last=last) for first, last in ((0, 11), (11, ENTITIES))]
    np.testing.assert_array_equal(sum(parts), leave_one_out(*args))


def test_effects_that_mean_nothing_tell_nothing_once_rows_are_left_out() -> None:
    draw = generator(0, "memorised")
    codes = draw.integers(0, 500, 4000).astype(np.int32)
    label = (draw.random(4000) < 0.5).astype(np.float32)
    targets = RowTargets(label, np.ones(4000, np.float32), np.zeros(4000, np.float32))
    design, grouping = Design.dense(np.zeros((4000, 0), np.float32)), Grouping.of(codes, 500)
    coefficients = Coefficients.active(design, grouping)
    precision = np.ones(500, np.float32)
    mean = solve(design, grouping, targets, coefficients, precision).mean
    without = leave_one_out(design, grouping, targets, coefficients, precision, mean)
    assert auc(label, scores(design, codes, coefficients, mean)) > 0.6
    assert auc(label, without) < 0.5  # a row's own label is what the rest of its entity has less of
