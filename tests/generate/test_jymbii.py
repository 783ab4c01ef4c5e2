"""The JYMBII-like data set: its truth is the truth of its rows."""

from functools import cache

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from glmix_automl.generate.attainable import attainable, crossed_effects
from glmix_automl.generate.jymbii import Jymbii, Suggestions, interactions, items

SETTINGS = Jymbii(rows=50_000, seed=5)


@cache
def shown() -> Suggestions:
    return interactions(SETTINGS, np.arange(SETTINGS.rows))


def test_responses_are_as_frequent_as_their_probabilities_say() -> None:
    rows = shown()
    for low in np.arange(0.0, 1.0, 0.1):
        inside = (rows.probability >= low) & (rows.probability < low + 0.1)
        expected, variance = rows.probability[inside].sum(), (rows.probability * (1 - rows.probability))[inside].sum()
        # 5 standard deviations in each of ten bins: fails by chance once in 170,000 seeds
        assert abs(rows.response[inside].sum() - expected) <= 5 * np.sqrt(variance) + 1


def test_random_effects_are_worth_much_and_fixed_effects_too() -> None:
    rows = shown()
    whole = roc_auc_score(rows.response, rows.probability)
    assert 0.8 < whole < 0.9
    assert 0.65 < roc_auc_score(rows.response, rows.fixed_probability) < whole - 0.05


def test_no_item_is_shown_before_it_is_posted() -> None:
    rows = shown()
    assert (items(SETTINGS, rows.item).posted <= rows.share).all()


def test_the_last_days_show_items_that_were_never_shown_before() -> None:
    rows = shown()
    late = rows.share >= 0.9
    assert len(set(rows.item[late]) - set(rows.item[~late])) > 10


def test_a_tenth_of_the_members_makes_a_third_of_the_visits() -> None:
    visits = np.sort(np.bincount(shown().member, minlength=SETTINGS.member_count))[::-1]
    assert visits[: len(visits) // 10].sum() > len(shown().member) / 3


def test_rows_are_in_order_of_time() -> None:
    assert (np.diff(shown().share) > 0).all()


def test_what_can_be_learned_lies_between_no_effects_and_all_of_them() -> None:
    rows = shown()
    late = rows.share >= 0.9
    whole, without = (roc_auc_score(rows.response[late], p[late]) for p in (rows.probability, rows.fixed_probability))
    learned = attainable(SETTINGS, 0.9, 0.9)
    assert learned is not None
    assert without + 0.02 < learned < whole - 0.02
    assert attainable(SETTINGS, 0.5, 0.9) < learned  # fewer rows tell less
    plain = Jymbii(rows=20_000, seed=5, effects=0)
    drawn = interactions(plain, np.arange(plain.rows))
    np.testing.assert_array_equal(drawn.probability, drawn.fixed_probability)
    last = drawn.share >= 0.9
    assert attainable(plain, 0.9, 0.9) == pytest.approx(
        roc_auc_score(drawn.response[last], drawn.probability[last]), 1e-6
    )


def test_learned_effects_are_the_most_likely_ones() -> None:
    """Two crossed kinds of effects, against one penalised regression over both by SciPy."""
    draw = np.random.default_rng(0)
    keys, deviations = [draw.integers(0, 12, 900), draw.integers(0, 7, 900)], [0.8, 0.5]
    offset, label = draw.normal(size=900), draw.random(900) < 0.4
    found = crossed_effects(keys, deviations, label, offset, np.arange(900) < 800)
    design = np.hstack([np.eye(n)[key] * own for key, own, n in zip(keys, deviations, (12, 7), strict=True)])[:800]

    def objective(theta: np.ndarray) -> float:
        score = offset[:800] + design @ theta
        return float((np.logaddexp(0, score) - label[:800] * score).sum() + theta @ theta / 2)

    best = minimize(objective, np.zeros(19)).x * np.repeat(deviations, (12, 7))
    np.testing.assert_allclose(np.concatenate(found), best, atol=5e-3)
