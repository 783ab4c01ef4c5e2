"""The prior that the middle is likelier to be good: what a search begins with."""

import numpy as np
import pytest

from glmix_automl.search.entry import SeenPoints
from glmix_automl.search.random_search import design
from glmix_automl.search.surrogates.candidates import CandidateSampler
from glmix_automl.search.surrogates.centred_prior import SPREAD, CentredPrior
from glmix_automl.space import Choice, Float, Int, Space

SPACE = Space.of(
    rate=Float(low=1e-4, high=1, scale="log"), depth=Int(low=0, high=4), kind=Choice(choice=("a", "b", "c"))
)


def test_even_points_become_a_normal_distribution_cut_off_at_the_ends() -> None:
    even = np.linspace(0, 1, 10_001)[:, None].repeat(3, axis=1)
    spread = CentredPrior(SPACE).inwards(even)
    assert np.allclose(spread[[0, 5000, 10_000], 0], [0, 0.5, 1])
    # The density is the slope's inverse: at an end over the middle exp(-0.5 * (0.5 / 0.35) ** 2) = 0.36.
    density = 1 / np.diff(spread[:, 0])
    assert density[0] / density[5000] == pytest.approx(np.exp(-0.5 * (0.5 / SPREAD) ** 2), rel=0.01)
    assert (spread[:, 2] == even[:, 2]).all()  # a choice has no middle


@pytest.mark.parametrize("sampling", ["uniform", "latin_hypercube", "sobol"])
def test_a_design_with_a_belief_begins_in_the_middle_and_lies_around_it(sampling: str) -> None:
    points = design(SPACE, 512, sampling, np.random.default_rng(0), CentredPrior(SPACE))
    assert len(points) == 512
    first = SPACE.from_unit(points[:1])[0]
    assert first["rate"] == pytest.approx(1e-2)
    assert first["depth"] == 2
    assert np.std(points[:, 0]) < 0.27  # 0.25; of an even design 0.29
    assert {point["kind"] for point in SPACE.from_unit(points)} == {"a", "b", "c"}


def test_candidates_are_more_in_the_middle_and_reach_the_ends() -> None:
    drawn = CandidateSampler(SPACE, 2000, CentredPrior(SPACE)).draw(
        np.empty((0, 3)), SeenPoints(), np.random.default_rng(0)
    )
    inner = np.abs(drawn[:, 0] - 0.5) < 0.25
    assert 0.55 < inner.mean() < 0.7  # 0.62 of the normal distribution, 0.5 of an even one
    assert drawn[:, 0].min() < 0.02
    assert drawn[:, 0].max() > 0.98
