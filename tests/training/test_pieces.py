"""Piecewise-linear columns: products without the columns are products with them."""

import numpy as np
import pytest

from glmix_automl.training.pieces import Pieces


def columns(numerics: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """[rows, numerics * pieces], by the definition."""
    length = np.maximum(np.diff(knots), 1e-6)
    return np.clip((numerics[:, :, None] - knots[:, :-1]) / length, 0.0, 1.0).reshape(len(numerics), -1)


@pytest.mark.parametrize("pieces", [1, 3, 16, 48])
def test_products_without_the_columns_are_products_with_them(pieces: int) -> None:
    rng = np.random.default_rng(pieces)
    numerics = rng.normal(size=(500, 5)).astype(np.float32)
    numerics[:, 1] = np.round(numerics[:, 1])  # many values are ends of pieces, and of several at once
    numerics[:, 2] = 0.0
    knots = np.quantile(numerics[:300], np.linspace(0, 1, pieces + 1), axis=0).T.astype(np.float32)
    made, whole = Pieces(numerics, knots), columns(numerics.astype(np.float64), knots.astype(np.float64))
    weights, residual = rng.normal(size=whole.shape[1]), rng.normal(size=len(numerics))
    assert made.scores(weights) == pytest.approx(whole @ weights, abs=1e-5)
    for power in (1, 2):
        assert made.pulled_back(residual, power) == pytest.approx(residual @ whole**power, abs=1e-4)


def test_values_beyond_the_knots_are_at_their_ends() -> None:
    made = Pieces(np.array([[-9.0], [9.0]], np.float32), np.array([[0.0, 1.0, 2.0]], np.float32))
    assert made.scores(np.array([3.0, 4.0])).tolist() == [0.0, 7.0]
