"""DeLong against the definition, against a plain bootstrap over members, and by how often it is right."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from glmix_automl.metrics import auc, auc_influence, auc_interval, delong_test
from glmix_automl.seeds import generator


def drawn(rows: int, seed: int = 0, gap: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two correlated scores; the second is better where gap is above 0."""
    draw = generator(seed, "uncertainty")
    labels = draw.random(rows) < 0.4
    shared = draw.normal(size=rows)
    first = (0.8 * labels + shared + 0.5 * draw.normal(size=rows)).round(1).astype(np.float32)
    second = ((0.8 + gap) * labels + shared + 0.5 * draw.normal(size=rows)).round(1).astype(np.float32)
    return labels.astype(np.float32), first, second


def by_definition(labels: np.ndarray, *scores: np.ndarray) -> tuple[list[float], np.ndarray]:
    """AUCs and their covariance by DeLong et al. (1988), from the matrix of all pairs."""
    m, n = int(labels.sum()), int((1 - labels).sum())
    positives, negatives = [], []
    for score in scores:
        x, y = score[labels == 1][:, None], score[labels == 0][None, :]
        ahead = (x > y) + 0.5 * (x == y)
        positives.append(ahead.mean(axis=1))
        negatives.append(ahead.mean(axis=0))
    covariance = np.atleast_2d(np.cov(positives)) / m + np.atleast_2d(np.cov(negatives)) / n
    return [float(p.mean()) for p in positives], covariance


def test_the_interval_is_delongs() -> None:
    labels, first, _ = drawn(300)
    (area,), covariance = by_definition(labels, first)
    interval = auc_interval(labels, first)
    assert interval.estimate == pytest.approx(area, abs=1e-12)
    assert interval.standard_error == pytest.approx(math.sqrt(covariance[0, 0]), rel=1e-10)
    assert interval.high - interval.estimate == pytest.approx(norm.ppf(0.975) * interval.standard_error)


def test_the_paired_test_is_delongs() -> None:
    labels, first, second = drawn(300, gap=0.3)
    (area, other), covariance = by_definition(labels, first, second)
    compared = delong_test(labels, first, second)
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert compared.difference == pytest.approx(other - area, abs=1e-12)
    assert compared.standard_error == pytest.approx(error, rel=1e-10)
    assert compared.p_value == pytest.approx(2 * norm.sf(abs(other - area) / error), rel=1e-8)


def test_worked_by_hand() -> None:
    # Positives 3 and 1 against negatives 2 and 0: placements 1, 1/2 and 1/2, 1. AUC 3/4, each class has variance 1/8.
    interval = auc_interval(np.array([1, 1, 0, 0]), np.array([3, 1, 2, 0], np.float32))
    assert interval.estimate == 0.75
    assert interval.standard_error == pytest.approx(math.sqrt(1 / 8 / 2 + 1 / 8 / 2))
    assert interval.high == 1  # cut at the greatest AUC there is


def test_equal_weights_change_nothing_and_whole_weights_repeat_rows() -> None:
    labels, first, _ = drawn(500)
    plain, same = auc_interval(labels, first), auc_interval(labels, first, np.full(500, 2.5))
    assert same.standard_error == pytest.approx(plain.standard_error, rel=1e-10)
    weights = generator(1, "weights").integers(1, 4, 500)
    times = np.repeat(np.arange(500), weights)
    # A row that is there three times is a cluster of three: the same estimate, the same variance up to n / (n - 1).
    repeated = auc_interval(labels[times], first[times], clusters=times)
    weighted = auc_interval(labels, first, weights)
    assert weighted.estimate == pytest.approx(repeated.estimate, abs=1e-12)
    assert weighted.standard_error == pytest.approx(repeated.standard_error, rel=5e-3)


def test_influences_sum_to_nothing_and_foretell_what_a_row_does() -> None:
    labels, first, _ = drawn(2000)
    area, influence = auc_influence(labels, first)
    assert influence[labels == 1].sum() == pytest.approx(0, abs=1e-12)
    assert influence[labels == 0].sum() == pytest.approx(0, abs=1e-12)
    for row in (0, 1, 2, 3):  # the derivative by the row's weight, by finite difference
        more = np.ones(2000)
        more[row] += 1e-3
        assert (auc(labels, first, more) - area) / 1e-3 == pytest.approx(influence[row], rel=5e-3, abs=1e-9)


def test_the_same_scores_do_not_differ() -> None:
    labels, first, _ = drawn(200)
    compared = delong_test(labels, first, first * 2)
    assert (compared.difference, compared.standard_error, compared.p_value) == (0, 0, 1)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    truth = norm.cdf(0.8 / math.sqrt(2 * (1 + 0.25)))  # of unrounded scores; rounding moves it by less than 0.0005
    held = 0
    for seed in range(400):
        labels, first, _ = drawn(400, seed)
        interval = auc_interval(labels, first)
        held += interval.low <= truth <= interval.high
    # 400 trials of 0.95: outside 362 to 395 with odds below 0.001.
    assert 362 <= held <= 395


def test_no_difference_is_found_as_seldom_as_it_should_be() -> None:
    found = sum(delong_test(*drawn(400, seed)).p_value < 0.05 for seed in range(400))
    # 400 trials of 0.05: outside 6 to 36 with odds below 0.002.
    assert 6 <= found <= 36
    assert delong_test(*drawn(4000, gap=0.5)).p_value < 1e-6


def clustered(seed: int, members: int = 80, rows: int = 20) -> tuple[np.ndarray, ...]:
    """Rows of a member share half of the noise, so they are far from independent."""
    draw = generator(seed, "clusters")
    member = np.repeat(np.arange(members), rows)
    labels = (draw.random(len(member)) < np.repeat(draw.beta(1, 1, members), rows)).astype(np.float32)
    bias = draw.normal(size=(2, members))
    scores = [labels + b[member] + draw.normal(size=len(member)) for b in bias]
    return labels, *[score.astype(np.float32) for score in scores], member


def test_clusters_are_needed_where_rows_of_a_member_hang_together() -> None:
    plain = together = 0
    for seed in range(200):
        labels, first, second, member = clustered(seed)
        plain += delong_test(labels, first, second).p_value < 0.05
        together += delong_test(labels, first, second, clusters=member).p_value < 0.05
    assert together <= 24  # 200 trials of 0.05: more with odds below 0.0001; a bias of 0.02 is allowed for
    assert plain > 60  # without clusters noise passes for a difference


def resampled(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, member: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Differences of the AUCs where members are drawn with replacement, each with all its rows (Efron, 1979)."""
    draw, found = generator(1, "bootstrap"), []
    for _ in range(1000):
        times = np.bincount(draw.integers(0, member.max() + 1, member.max() + 1), minlength=member.max() + 1)
        rows = times[member] > 0
        each = (weights * times[member])[rows]
        found.append(auc(labels[rows], second[rows], each) - auc(labels[rows], first[rows], each))
    return np.array(found)


def test_clustered_delong_agrees_with_the_bootstrap_on_many_members() -> None:
    labels, first, second, member = clustered(3, members=300)
    formula = delong_test(labels, first, second, clusters=member)
    differences = resampled(labels, first, second, member, np.ones(len(labels)))
    # The bootstrap's own error at 1000 draws is 2.2 %: 10 % is beyond four of them.
    assert formula.standard_error == pytest.approx(differences.std(ddof=1), rel=0.1)
    low, high = np.quantile(differences, [0.025, 0.975])
    assert formula.low == pytest.approx(low, abs=0.2 * formula.standard_error + 0.002)
    assert formula.high == pytest.approx(high, abs=0.2 * formula.standard_error + 0.002)


def test_delong_agrees_with_the_bootstrap_with_weights() -> None:
    labels, first, second = drawn(1500, gap=0.1)
    weights = generator(2, "weights").choice([0.2, 1.0, 5.0], 1500)
    formula = delong_test(labels, first, second, weights)
    differences = resampled(labels, first, second, np.arange(1500), weights)
    assert formula.standard_error == pytest.approx(differences.std(ddof=1), rel=0.1)


def test_without_both_classes_all_is_nan() -> None:
    ones, scores = np.ones(5), np.arange(5, dtype=np.float32)
    assert math.isnan(auc_interval(ones, scores).estimate)
    assert math.isnan(auc_interval(ones, scores).low)
    assert math.isnan(delong_test(ones, scores, scores).p_value)
    assert math.isnan(delong_test(np.empty(0), np.empty(0), np.empty(0)).difference)
    one_positive = auc_interval(np.array([1, 0, 0]), np.array([2, 1, 3], np.float32))
    assert one_positive.estimate == 0.5
    assert math.isnan(one_positive.standard_error)
