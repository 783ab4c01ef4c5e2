"""AUC against pairs counted one by one, values worked by hand, and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from glmix_automl.metrics import Runs, auc
from glmix_automl.metrics.order import score_keys, sorted_rows
from glmix_automl.seeds import generator

SCORES = st.floats(-3, 3, width=32).map(lambda x: float(np.float32(round(x))))  # whole numbers: many ties


@st.composite
def rows(draw: st.DrawFn, weighted: bool = False) -> tuple[np.ndarray, ...]:
    count = draw(st.integers(2, 30))
    labels = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), np.float32)
    labels[:2] = 0, 1
    scores = np.array(draw(st.lists(SCORES, min_size=count, max_size=count)), np.float32)
    if not weighted:
        return labels, scores
    return labels, scores, np.array(draw(st.lists(st.sampled_from([0.5, 1, 3]), min_size=count, max_size=count)))


def by_pairs(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The definition, over every pair of a positive and a negative."""
    weights = np.ones(len(labels)) if weights is None else weights
    positive, negative = labels == 1, labels == 0
    pairs = np.outer(weights[positive], weights[negative])
    x, y = scores[positive][:, None], scores[negative]
    return float((pairs * ((x > y) + 0.5 * (x == y))).sum() / pairs.sum())


def test_values_worked_by_hand() -> None:
    # Positives 0.8 and 0.4; negatives 0.6, 0.4, 0.1. Of 6 pairs: 0.8 wins 3; 0.4 wins 1, ties 1, loses 1.
    labels, scores = np.array([1, 0, 1, 0, 0]), np.array([0.8, 0.6, 0.4, 0.4, 0.1], np.float32)
    assert auc(labels, scores) == 4.5 / 6
    # The losing pair now weighs 2 * 3, the tied one 2 * 1, the others 3 (twice), 1 (twice) and so on:
    weights = np.array([1, 3, 2, 1, 1])  # ahead: 1*3 + 1*1 + 1*1 + 2*1, level: 2*1, behind: 2*3
    assert auc(labels, scores, weights) == pytest.approx((7 + 1) / (7 + 2 + 6))


def test_order_right_and_reversed() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([-2, -1, 0, 5], np.float32)
    assert auc(labels, scores) == 1
    assert auc(labels, -scores) == 0
    assert auc(labels, np.zeros(4, np.float32)) == 0.5


@given(rows())
def test_equals_the_definition(case: tuple[np.ndarray, np.ndarray]) -> None:
    assert auc(*case) == pytest.approx(by_pairs(*case), abs=1e-12)


@given(rows(weighted=True))
def test_equals_the_definition_with_weights(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    assert auc(*case) == pytest.approx(by_pairs(*case), abs=1e-12)


@given(rows(weighted=True))
def test_equals_scikit_learn(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    labels, scores, weights = case
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert auc(labels, scores, weights) == pytest.approx(
        roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12
    )


def test_equals_scikit_learn_on_many_rows() -> None:
    draw = generator(1, "auc")
    labels = (draw.random(100_000) < 0.3).astype(np.float32)
    scores = (labels + draw.normal(size=100_000)).astype(np.float32)
    weights = draw.random(100_000).astype(np.float32)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert auc(labels, scores.round(1)) == pytest.approx(roc_auc_score(labels, scores.round(1)), abs=1e-12)
    assert auc(labels, scores, weights) == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights), abs=1e-9)


def test_weights_constant_within_a_class_change_nothing() -> None:
    draw = generator(2, "auc")
    labels, scores = draw.random(1000) < 0.5, draw.normal(size=1000).astype(np.float32).round(1)
    assert auc(labels, scores, np.where(labels, 1.0, 7.5)) == auc(labels, scores)
    assert Runs.of(labels, scores, np.where(labels, 1.0, 7.5)).auc() == pytest.approx(auc(labels, scores), abs=1e-12)


def test_scores_that_float32_cannot_hold_keep_their_order() -> None:
    labels, scores = np.array([0, 1, 0, 1]), 1 + np.array([0, 1, 2, 3]) * 1e-15
    assert auc(labels, scores) == 0.75
    assert auc(labels, scores.astype(np.float32)) == 0.5
    assert auc(labels, np.array([0, 1, 2, 3])) == 0.75


@pytest.mark.parametrize("labels", [[], [1, 1], [0, 0]])
def test_without_both_classes_it_is_nan(labels: list[int]) -> None:
    scores = np.arange(len(labels), dtype=np.float32)
    assert math.isnan(auc(np.array(labels), scores))
    assert math.isnan(auc(np.array(labels), scores, np.arange(len(labels)) + 1.0))


def test_a_nan_score_makes_it_nan_and_infinite_scores_are_ordered() -> None:
    labels = np.array([0, 1, 1])
    assert math.isnan(auc(labels, np.array([0, math.nan, 1], np.float32)))
    assert auc(labels, np.array([-math.inf, 0, math.inf], np.float32)) == 1


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="3 labels and 2 scores"):
        auc(np.zeros(3), np.zeros(2))


@given(arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32, allow_nan=False)))
def test_keys_are_ordered_as_the_scores_are(scores: np.ndarray) -> None:
    keys = score_keys(scores)
    assert np.array_equal(keys[:, None] < keys, scores[:, None] < scores)
    assert np.array_equal(keys[:, None] == keys, scores[:, None] == scores)
    assert np.array_equal(sorted_rows(keys), np.argsort(scores, kind="stable"))
