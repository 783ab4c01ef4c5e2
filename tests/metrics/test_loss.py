"""Log loss and calibration against scikit-learn, values worked by hand, and extreme log-odds."""

import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss as sklearn_log_loss

from glmix_automl.metrics import LossSums, calibration, log_loss, reliability
from glmix_automl.seeds import generator


def drawn(rows: int = 5000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = generator(7, "loss")
    logits = draw.normal(-1, 2, rows)
    labels = (draw.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    return labels, logits, draw.random(rows) + 0.5


def test_values_worked_by_hand() -> None:
    logits = np.log([3.0, 1.0, 1 / 3])  # probabilities 3/4, 1/2, 1/4
    labels = np.array([1, 0, 1])
    assert log_loss(labels, logits) == pytest.approx(-(math.log(3 / 4) + math.log(1 / 2) + math.log(1 / 4)) / 3)
    assert calibration(labels, logits) == pytest.approx(1.5 / 2)
    assert calibration(labels, logits, np.array([1, 2, 3])) == pytest.approx((0.75 + 1 + 0.75) / 4)


def test_equals_scikit_learn() -> None:
    labels, logits, weights = drawn()
    probability = 1 / (1 + np.exp(-logits))
    assert log_loss(labels, logits) == pytest.approx(sklearn_log_loss(labels, probability), rel=1e-12)
    theirs = sklearn_log_loss(labels, probability, sample_weight=weights)
    assert log_loss(labels, logits, weights) == pytest.approx(theirs, rel=1e-12)


def test_extreme_log_odds_neither_overflow_nor_round_to_nothing() -> None:
    assert log_loss(np.array([1, 0]), np.array([-1e4, 0])) == pytest.approx((1e4 + math.log(2)) / 2)
    assert log_loss(np.array([1, 0]), np.array([40.0, -40.0])) == pytest.approx(math.exp(-40))
    assert log_loss(np.array([1, 0]), np.array([math.inf, -math.inf])) == 0
    assert log_loss(np.array([0]), np.array([math.inf])) == math.inf


def test_sums_of_parts_are_the_sums_of_the_whole() -> None:
    labels, logits, weights = drawn(200_000)  # more than one tile
    whole = LossSums.of(labels, logits, weights)
    parts = LossSums.of(labels[:70_000], logits[:70_000], weights[:70_000]) + LossSums.of(
        labels[70_000:], logits[70_000:], weights[70_000:]
    )
    assert parts.log_loss == pytest.approx(whole.log_loss, rel=1e-12)
    assert parts.calibration == pytest.approx(whole.calibration, rel=1e-12)
    probability = 1 / (1 + np.exp(-logits))
    assert whole.calibration == pytest.approx(weights @ probability / (weights @ labels), rel=1e-12)


def test_nothing_gives_nan() -> None:
    none = np.empty(0)
    assert math.isnan(log_loss(none, none))
    assert math.isnan(calibration(none, none))
    assert math.isnan(calibration(np.zeros(2), np.zeros(2)))
    assert reliability(none, none) == ()


def test_reliability_equals_scikit_learns_curve() -> None:
    labels, logits, _ = drawn()
    bins = reliability(labels, logits.astype(np.float32), bins=10)
    probability = 1 / (1 + np.exp(-logits.astype(np.float32).astype(float)))
    observed, predicted = calibration_curve(labels, probability, n_bins=10, strategy="quantile")
    assert [b.rows for b in bins] == [500] * 10
    assert [b.observed for b in bins] == pytest.approx(observed, abs=0.005)  # their edges may move a row over
    assert [b.predicted for b in bins] == pytest.approx(predicted, abs=0.005)
    assert all(b.low <= b.predicted <= b.high and b.observed_low <= b.observed <= b.observed_high for b in bins)


def test_reliability_weighs_rows_and_keeps_equal_predictions_together() -> None:
    labels, logits = np.array([1, 0, 1, 0]), np.array([0.0, 0.0, 0.0, 2.0])
    low, high = reliability(labels, logits, weights=np.array([3, 1, 2, 1]), bins=4)
    assert (low.rows, low.weight, low.predicted, low.observed) == (3, 6, 0.5, pytest.approx(5 / 6))
    assert (high.rows, high.observed, high.observed_low) == (1, 0, 0)


def test_wilson_interval_of_half_in_ten() -> None:
    labels = np.array([0, 1] * 5)
    (only,) = reliability(labels, np.zeros(10), bins=1)
    # Wilson, 5 of 10 at 95 %: 0.2366 to 0.7634 (published table).
    assert (only.observed_low, only.observed_high) == (pytest.approx(0.2366, abs=5e-5), pytest.approx(0.7634, abs=5e-5))
