"""The PYMK-like network: links come as often as the rate says, for any pair and any part of time."""

from functools import cache

import numpy as np
import pytest
from scipy import sparse

from glmix_automl.errors import ConfigError
from glmix_automl.generate.pymk import Pymk, draw_proposals, link_rate

SETTINGS = Pymk(rows=6_000, members=400, seed=4)


@cache
def accepted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower end, upper end and time of each accepted proposal."""
    made = draw_proposals(SETTINGS, np.arange(SETTINGS.proposals), SETTINGS.proposals)
    low, high = np.minimum(made.source, made.target), np.maximum(made.source, made.target)
    return low[made.accepted], high[made.accepted], made.share[made.accepted]


def every_pair() -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(SETTINGS.member_count, 1)


def test_about_as_many_links_are_made_as_were_asked_for() -> None:
    low, high, _ = accepted()
    links = len(set(zip(low.tolist(), high.tolist(), strict=True)))
    assert links == pytest.approx(SETTINGS.rows, rel=0.04)


@pytest.mark.parametrize("window", [(0.0, 1.0), (0.0, 0.5), (0.75, 1.0)])
def test_the_rate_counts_the_proposals_between_two_members(window: tuple[float, float]) -> None:
    low, high, share = accepted()
    inside = (share >= window[0]) & (share < window[1])
    size = SETTINGS.member_count
    counted = sparse.coo_matrix((np.ones(inside.sum()), (low[inside], high[inside])), (size, size)).toarray()
    left, right = every_pair()
    rate = link_rate(SETTINGS, left, right, SETTINGS.proposals, window)
    order = np.argsort(rate)
    for part in np.array_split(order, 8):
        expected = rate[part].sum()
        # Poisson: 5 standard deviations in 24 bins fail by chance once in 70,000 seeds
        assert abs(counted[left, right][part].sum() - expected) <= 5 * np.sqrt(expected) + 5


def test_the_rate_is_symmetric() -> None:
    left, right = every_pair()
    assert np.allclose(link_rate(SETTINGS, left, right, 1), link_rate(SETTINGS, right, left, 1), rtol=1e-12)


def test_triangles_close_far_more_often_than_in_a_random_network() -> None:
    settings = Pymk(rows=20_000, seed=1)
    made = draw_proposals(settings, np.arange(settings.proposals), settings.proposals)
    size = settings.member_count
    links = sparse.coo_matrix((np.ones(len(made.source)) * made.accepted, (made.source, made.target)), (size, size))
    network = ((links + links.T) > 0).astype(np.float64).tocsr()
    degree = np.asarray(network.sum(axis=1)).ravel()
    closed = (network @ network).multiply(network).sum() / (degree * (degree - 1)).sum()
    assert closed > 5 * degree.mean() / size


def test_more_links_than_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="ask for more members"):
        _ = Pymk(rows=1_000_000, members=100).proposals
