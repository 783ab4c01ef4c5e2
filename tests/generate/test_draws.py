"""Draws depend on what they are about only, and are spread as they say."""

import numpy as np
import pytest
from scipy import stats

from glmix_automl.generate.draws import Draws, Shuffle, Zipf

ROWS = np.arange(200_000)


def test_a_draw_does_not_depend_on_the_batch_it_is_drawn_in() -> None:
    draws = Draws(3)
    whole = draws.uniform("name", ROWS)
    assert np.array_equal(whole[70_000:70_100], draws.uniform("name", ROWS[70_000:70_100]))


def test_seeds_names_and_keys_give_unrelated_draws() -> None:
    one = Draws(3).uniform("name", ROWS)
    others = [Draws(4).uniform("name", ROWS), Draws(3).uniform("other", ROWS), Draws(3).uniform("name", ROWS, ROWS)]
    for other in [*others, np.roll(one, 1)]:
        # 5 standard errors of a correlation: fails by chance once in two million
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(len(ROWS))


def test_uniform_and_normal_draws_are_spread_as_they_say() -> None:
    # p below 1e-6 by chance once in a million seeds
    assert stats.kstest(Draws(1).uniform("u", ROWS), "uniform").pvalue > 1e-6
    assert stats.kstest(Draws(1).normal("n", ROWS), "norm").pvalue > 1e-6


def test_integers_and_choices_take_their_shares() -> None:
    counts = np.bincount(Draws(1).integer("i", 7, ROWS), minlength=7)
    assert stats.chisquare(counts).pvalue > 1e-6
    chosen = np.bincount(Draws(1).choose("c", [1, 2, 5], ROWS), minlength=3)
    assert stats.chisquare(chosen, np.array([1, 2, 5]) / 8 * len(ROWS)).pvalue > 1e-6


def test_ranks_come_as_often_as_their_probability_says() -> None:
    zipf = Zipf(50, 0.7)
    probability = zipf.probability(np.arange(50))
    assert probability.sum() == pytest.approx(1.0)
    assert (np.diff(probability) < 0).all()
    counts = np.bincount(zipf.draw(Draws(1).uniform("z", ROWS)), minlength=50)
    assert stats.chisquare(counts, probability * len(ROWS)).pvalue > 1e-6


@pytest.mark.parametrize("size", [1, 2, 7, 100, 1003])
@pytest.mark.parametrize("kind", [0, 3])
def test_a_shuffle_is_a_bijection_and_knows_the_way_back(size: int, kind: int) -> None:
    shuffle = Shuffle.of_at_least(Draws(2), size)
    assert size <= shuffle.size <= size + size**0.5 + 1
    numbers = np.arange(shuffle.size)
    places = shuffle.place(numbers, kind)
    assert sorted(places) == list(numbers)
    assert np.array_equal(shuffle.number(places, kind), numbers)
    assert np.array_equal(shuffle.place(numbers, np.full(shuffle.size, kind)), places)


def test_shuffles_of_different_kinds_put_neighbours_apart() -> None:
    shuffle = Shuffle.of_at_least(Draws(2), 10_000)
    numbers = np.arange(shuffle.size)
    together = shuffle.place(numbers, 0) // 20
    other = shuffle.place(numbers, 1) // 20
    pairs = len(set(zip(together.tolist(), other.tolist(), strict=True)))
    # 10,000 members in 500 x 500 cells: about 9,800 cells are used if the layers do not know of each other
    assert pairs > 9_600
