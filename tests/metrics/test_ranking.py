"""Per-member metrics against loops over members, values worked by hand, and scikit-learn."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from glmix_automl.metrics import Measure, member_auc, ndcg, precision
from glmix_automl.metrics.auc import group_aucs
from glmix_automl.metrics.runs import Runs
from glmix_automl.seeds import generator

# Member 0: positives at 3 and 1, negative at 2: AUC 1/2. Member 1: one class. Member 7: AUC 1, of 2 rows.
LABELS = np.array([1, 0, 1, 0, 0, 1, 0])
SCORES = np.array([3, 2, 1, 5, 4, 9, 8], np.float32)
MEMBERS = np.array([0, 0, 0, 1, 1, 7, 7])


def drawn(rows: int = 2000, members: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = generator(3, "ranking")
    labels = (draw.random(rows) < 0.2).astype(np.float32)
    scores = (labels + 2 * draw.normal(size=rows)).round(1).astype(np.float32)
    return labels, scores, draw.integers(0, members, rows)


def test_member_auc_worked_by_hand() -> None:
    assert member_auc(LABELS, SCORES, MEMBERS) == (0.5 + 1) / 2
    assert member_auc(LABELS, SCORES, MEMBERS, by_rows=True) == pytest.approx((3 * 0.5 + 2 * 1) / 5)


@pytest.mark.parametrize("weighted", [False, True])
def test_member_auc_is_the_mean_of_each_members_own(weighted: bool) -> None:
    labels, scores, members = drawn()
    weights = generator(4, "weights").random(len(labels)) + 0.1 if weighted else None
    own, rows = [], []
    for member in np.unique(members):
        here = members == member
        if 0 < labels[here].sum() < here.sum():
            weight = None if weights is None else weights[here]
            own.append(roc_auc_score(labels[here], scores[here], sample_weight=weight))
            rows.append(here.sum() if weights is None else weights[here].sum())
    assert len(own) > 50
    assert member_auc(labels, scores, members, weights) == pytest.approx(np.mean(own), abs=1e-12)
    assert member_auc(labels, scores, members, weights, by_rows=True) == pytest.approx(np.average(own, weights=rows))


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_groups_counted_and_gathered_are_the_same(digits: int) -> None:
    labels, _, members = drawn()
    scores = (labels + generator(9, "scores").normal(size=len(labels))).round(digits).astype(np.float32)
    counted, gathered = group_aucs(labels, scores, members), Runs.of(labels, scores, None, members).group_aucs()
    assert np.array_equal(counted.groups, gathered.groups)
    assert np.array_equal(counted.rows, gathered.rows)
    assert np.array_equal(counted.weights, gathered.weights)
    assert np.allclose(counted.auc, gathered.auc, rtol=0, atol=1e-12, equal_nan=True)


def test_the_order_of_rows_does_not_matter() -> None:
    labels, scores, members = drawn()
    other = generator(5, "order").permutation(len(labels))
    for metric in (member_auc, lambda *case: ndcg(*case, 5), lambda *case: precision(*case, 5)):
        assert metric(labels, scores, members) == metric(labels[other], scores[other], members[other])


def test_ndcg_worked_by_hand() -> None:
    # Member 0, k = 2: positive at position 1 only; the best order has two: (1) / (1 + 1 / log2(3)). Member 7: 1.
    assert ndcg(LABELS, SCORES, MEMBERS, 2) == pytest.approx((1 / (1 + 1 / math.log2(3)) + 1) / 2)
    # Two rows level, one of them positive, k = 1: in half of the orders it is first.
    assert ndcg(np.array([1, 0]), np.zeros(2, np.float32), np.zeros(2, int), 1) == 0.5


@pytest.mark.parametrize("k", [1, 3, 10, 1000])
def test_ndcg_equals_scikit_learn_with_ties(k: int) -> None:
    labels, scores, members = drawn()
    own = [
        ndcg_score(labels[here][None], scores[here][None], k=k)
        for here in (members == member for member in np.unique(members))
        if labels[here].any() and here.sum() > 1
    ]
    assert ndcg(labels, scores, members, k) == pytest.approx(np.mean(own), abs=1e-12)


def test_precision_worked_by_hand() -> None:
    # k = 2: member 0 has one positive of 2, member 1 none, member 7 one of 2.
    assert precision(LABELS, SCORES, MEMBERS, 2) == pytest.approx((0.5 + 0 + 0.5) / 3)
    # k = 3: member 0 two of 3; members 1 and 7 have two rows only.
    assert precision(LABELS, SCORES, MEMBERS, 3) == pytest.approx((2 / 3 + 0 + 1 / 2) / 3)


@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=4))
def test_level_scores_give_the_mean_over_their_orders(k: int, rows: list[tuple[bool, int]]) -> None:
    labels, scores = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows], np.float32)
    one = np.zeros(len(rows), int)
    for metric in (precision, ndcg):
        orders = [metric(labels, scores + 0.1 * np.array(order), one, k) for order in permutations(range(len(rows)))]
        assert metric(labels, scores, one, k) == pytest.approx(np.mean(orders), abs=1e-12, nan_ok=True)


def test_without_a_member_to_judge_they_are_nan() -> None:
    none = np.empty(0)
    ones = np.ones(3)
    assert math.isnan(member_auc(none, none, none))
    assert math.isnan(ndcg(none, none, none, 3))
    assert math.isnan(precision(none, none, none, 3))
    assert math.isnan(member_auc(ones, ones, np.array([0, 0, 1])))
    assert math.isnan(ndcg(0 * ones, ones, np.array([0, 0, 1]), 3))
    assert math.isnan(ndcg(ones, ones * math.nan, np.array([0, 0, 1]), 3))


def test_codes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"group codes must be in \[0, 2\^31\), got -1 to 5"):
        Runs.of(np.zeros(2), np.zeros(2, np.float32), groups=np.array([-1, 5]))


@pytest.mark.parametrize("name", ["member_auc", "ndcg@3", "precision@2"])
def test_a_measure_of_members_has_the_error_of_a_mean_over_them(name: str) -> None:
    labels, scores, members = drawn()
    measure, (kind, _, k) = Measure(name), name.partition("@")
    taken = {"member_auc": member_auc, "ndcg": ndcg, "precision": precision}[kind]
    own = []
    for member in np.unique(members):
        here = members == member
        own.append(taken(labels[here], scores[here], members[here], *([int(k)] if k else [])))
    values = np.array(own)[~np.isnan(own)]
    found = measure.interval(labels, scores, None, members)
    assert found.estimate == pytest.approx(values.mean(), abs=1e-12)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(len(values)))
    better = (scores + labels).astype(np.float32)
    gain = measure.compare(labels, scores, better, None, members)
    assert gain.difference == pytest.approx(taken(labels, better, members, *([int(k)] if k else [])) - found.estimate)
    assert gain.p_value < 0.01
    assert measure.compare(labels, scores, scores, None, members).p_value == 1
    assert math.isnan(measure.interval(labels, scores, None, None).estimate)
