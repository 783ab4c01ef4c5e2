"""Random search and the even designs."""

import numpy as np
import pytest

from glmix_automl.search.random_search import RandomOptions, RandomSearch, design
from glmix_automl.space import Bool, Float, Int, Space

PLANE = Space.of(x=Float(low=0, high=1), y=Float(low=1e-3, high=1, scale="log"))


def test_a_latin_hypercube_has_one_point_in_each_stratum() -> None:
    points = design(PLANE, 16, "latin_hypercube", np.random.default_rng(0))
    for column in points.T:
        assert sorted(np.floor(column * 16).astype(int)) == list(range(16))


def test_a_sobol_design_fills_every_quarter_equally() -> None:
    points = design(PLANE, 64, "sobol", np.random.default_rng(0))
    quarters = np.floor(points * 2).astype(int) @ [2, 1]
    assert np.bincount(quarters).tolist() == [16] * 4


def test_uniform_draws_follow_the_scale() -> None:
    points = PLANE.from_unit(design(PLANE, 4000, "uniform", np.random.default_rng(0)))
    share = np.mean([point["y"] < 0.1 for point in points])
    # A binomial share with deviation 0.0075: five of them fail by chance less than once in a million runs.
    assert share == pytest.approx(2 / 3, abs=0.0375)


@pytest.mark.parametrize("sampling", ["uniform", "latin_hypercube", "sobol"])
def test_a_small_space_is_exhausted_without_repeats(sampling: str) -> None:
    space = {"a": {"type": "int", "low": 1, "high": 3}, "b": {"type": "bool"}}
    options = RandomOptions.model_validate({"family": "f", "space": space, "trials": 50, "sampling": sampling})
    trials = RandomSearch(options, 0).ask(100)
    assert len({str(trial.parameters) for trial in trials}) == len(trials) == 6


def test_a_space_without_parameters_is_tried_once() -> None:
    options = RandomOptions.model_validate({"family": "f", "space": {}, "parameters": {"l2": 1.0}, "trials": 5})
    assert [trial.parameters for trial in RandomSearch(options, 0).ask(9)] == [{"l2": 1.0}]


def test_forbidden_points_are_replaced() -> None:
    space = Space(parameters={"a": Int(low=1, high=9), "b": Bool()}, forbidden=({"a": (1, 2, 3, 4), "b": True},))
    points = design(space, 14, "latin_hypercube", np.random.default_rng(0))
    assert len(points) == 14
    assert space.allowed(points).all()
