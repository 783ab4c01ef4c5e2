"""Slices: planted gains are found where they are."""

import math

import numpy as np
import pytest

from glmix_automl.metrics import activity_groups, auc, calibration_interval, delong_test, quantile_groups, slice_gains
from glmix_automl.seeds import generator


def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The second model is better in "up", worse in "down", the same in "same"; "one" has one class."""
    draw = generator(8, "slices")
    groups = np.repeat(["up", "down", "same", "one"], [3000, 2000, 1000, 50])
    truth = draw.normal(size=len(groups))
    labels = (draw.random(len(groups)) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    labels[groups == "one"] = 1
    noise = draw.normal(size=len(groups))
    first = truth + np.where(groups == "up", noise, 0)
    second = truth + np.where(groups == "down", noise, 0)
    return labels, first.astype(np.float32), second.astype(np.float32), groups


def test_gains_come_sorted_and_are_those_of_the_rows() -> None:
    labels, first, second, groups = drawn()
    found = slice_gains(labels, first, second, groups)
    assert [s.group for s in found] == ["up", "same", "down", "one"]
    up, same, down, one = found
    assert up.gain.low > 0 > down.gain.high
    assert (same.gain.difference, same.gain.p_value) == (0, 1)
    assert math.isnan(one.gain.difference)
    assert [s.rows for s in found] == [3000, 1000, 2000, 50]
    rows = groups == "up"
    assert up.gain == delong_test(labels[rows], first[rows], second[rows])
    assert up.first_auc.estimate == pytest.approx(auc(labels[rows], first[rows]), abs=1e-12)
    assert up.second_calibration.low < 1 < up.second_calibration.high


def test_weights_and_clusters_reach_the_slices() -> None:
    labels, first, second, groups = drawn()
    weights, members = np.where(groups == "up", 2.0, 1.0), np.arange(len(groups)) // 5
    found = slice_gains(labels, first, second, groups, weights, members)[0]
    rows = groups == "up"
    assert found.gain == delong_test(labels[rows], first[rows], second[rows], weights[rows], members[rows])


def test_no_rows_no_slices() -> None:
    none = np.empty(0)
    assert slice_gains(none, none, none, none) == []


def test_calibration_intervals_hold_one_as_often_as_they_say() -> None:
    held = 0
    for seed in range(400):
        draw = generator(seed, "calibration")
        logits = draw.normal(-1, 1, 300)
        labels = draw.random(300) < 1 / (1 + np.exp(-logits))
        interval = calibration_interval(labels, logits)
        held += interval.low <= 1 <= interval.high
    # 400 trials of 0.95: outside 362 to 395 with odds below 0.001.
    assert 362 <= held <= 395


def test_calibration_worked_by_hand() -> None:
    interval = calibration_interval(np.array([1, 0, 1]), np.log([3.0, 1.0, 1 / 3]))
    assert interval.estimate == pytest.approx(0.75)
    # Deviations expected - 0.75 * label: 0, 0.5, -0.5; over 2 observed.
    assert interval.standard_error == pytest.approx(math.sqrt(0.5) / 2)
    assert math.isnan(calibration_interval(np.zeros(2), np.zeros(2)).estimate)


def test_activity_is_counted_in_train() -> None:
    train = np.array([0, 1, 1, 2, 2, 2, 3, 3, 3, 3])
    assert activity_groups(np.array([0, 1, 2, 3, 9]), train).tolist() == [1, 2, 2, 4, 0]


def test_quantile_groups_are_even_and_keep_equal_values_together() -> None:
    values = generator(9, "values").normal(size=1000)
    _, counts = np.unique(quantile_groups(values, 10), return_counts=True)
    assert counts.tolist() == pytest.approx([100] * 10, abs=1)
    groups = quantile_groups(np.array([0, 0, 0, 0, 5, 7]), 3)
    assert groups.tolist() == [0, 0, 0, 0, 5, 5] or groups.tolist() == [0, 0, 0, 0, 0, 0]
