"""Tallies: what comes in parts is what comes at once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmix_automl.metrics import METRICS, Tally, auc, calibration, log_loss, member_auc, ndcg, precision
from glmix_automl.seeds import generator


def drawn(seed: int, rows: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    draw = generator(seed, "tally")
    labels = (draw.random(rows) < 0.3).astype(np.float32)
    logits = (labels + draw.normal(size=rows)).round(1).astype(np.float32)
    return labels, logits, draw.choice([0.5, 1, 2], rows), draw.integers(0, 20, rows)


@given(st.integers(0, 1000), st.lists(st.integers(0, 600), max_size=4))
def test_any_split_into_parts_gives_the_metrics_of_the_whole(seed: int, cuts: list[int]) -> None:
    labels, logits, weights, members = drawn(seed)
    parts = np.split(np.arange(600), sorted(cuts))
    tally, halves = Tally(), [Tally(), Tally()]
    for number, rows in enumerate(parts):
        tally.add(labels[rows], logits[rows], weights[rows], members[rows])
        halves[number % 2].add(labels[rows], logits[rows], weights[rows], members[rows])
    for found in (tally, halves[0].merge(halves[1]), halves[1].merge(halves[0])):
        assert found.auc == pytest.approx(auc(labels, logits, weights), abs=1e-12)
        assert found.log_loss == pytest.approx(log_loss(labels, logits, weights), rel=1e-12)
        assert found.calibration == pytest.approx(calibration(labels, logits, weights), rel=1e-12)
        assert found.member_auc() == pytest.approx(member_auc(labels, logits, members), abs=1e-12)
        assert found.member_auc(by_rows=True) == pytest.approx(member_auc(labels, logits, members, by_rows=True))
        assert found.ndcg(5) == pytest.approx(ndcg(labels, logits, members, 5), abs=1e-12)
        assert found.precision(5) == pytest.approx(precision(labels, logits, members, 5), abs=1e-12)


def test_unweighted_parts_merge_without_any_rounding() -> None:
    labels, logits, _, _ = drawn(1)
    tally = Tally()
    for rows in np.split(np.arange(600), [100, 250]):
        tally.add(labels[rows], logits[rows])
    assert tally.auc == auc(labels, logits)


def test_an_empty_tally_knows_nothing() -> None:
    tally = Tally()
    assert all(math.isnan(v) for v in (tally.auc, tally.log_loss, tally.calibration, tally.member_auc()))
    assert math.isnan(tally.ndcg(3))
    assert math.isnan(tally.precision(3))


def test_each_metric_of_the_table_is_nearest_its_best_for_the_truth() -> None:
    labels, logits, weights, members = drawn(2)
    truth = np.where(labels > 0, 30, -30).astype(np.float32)
    for metric in METRICS.values():
        perfect = metric.error(metric.function(labels, truth, weights, members))
        assert perfect <= metric.error(metric.function(labels, logits, weights, members))
        assert perfect == pytest.approx(0, abs=1e-9) or metric.name == "precision_at_10"
