"""Spaces: scales, conditions, forbidden combinations, the unit cube, and what wrong ones are told."""

import math
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from glmix_automl.config import Config, parse
from glmix_automl.errors import ConfigError
from glmix_automl.space import Bool, Choice, Float, Int, Space


class Holder(Config):
    space: Space


WRITTEN = """
space:
  learning_rate: {type: float, low: 1e-4, high: 1, scale: log}
  keep: {type: float, low: 0.01, high: 0.99, scale: logit}
  depth: {type: int, low: 0, high: 3}
  batch: {type: int, low: 16, high: 256, scale: power_of_two}
  trees: {type: int, low: 1, high: 1000, scale: log}
  width: {choice: [16, 64, 256], when: {depth: {low: 1}}}
  activation: {choice: [relu, tanh], when: {width: [64, 256]}}
  nesterov: {type: bool}
  forbidden: [{depth: 3, width: 256}]
"""


@pytest.fixture
def space() -> Space:
    return parse(yaml.safe_load(WRITTEN), Holder, "search.yaml").space


def test_samples_are_contained_and_go_to_the_unit_cube_and_back(space: Space) -> None:
    drawn = space.sample(np.random.default_rng(0), 500)
    assert len(drawn) == 500
    assert all(space.contains(parameters) for parameters in drawn)
    unit = space.to_unit(drawn)
    back = space.from_unit(unit)
    for parameters, again in zip(drawn, back, strict=True):
        assert parameters == pytest.approx(again)
    np.testing.assert_allclose(space.snap(unit), unit, atol=1e-12)


def test_conditions_reach_through_each_other(space: Space) -> None:
    for parameters in space.sample(np.random.default_rng(1), 300):
        assert ("width" in parameters) == (parameters["depth"] >= 1)
        assert ("activation" in parameters) == (parameters.get("width") in (64, 256))


def test_forbidden_combinations_are_never_drawn_nor_contained(space: Space) -> None:
    drawn = space.sample(np.random.default_rng(2), 500)
    assert not any(p["depth"] == 3 and p.get("width") == 256 for p in drawn)
    allowed = next(p for p in drawn if p["depth"] == 2 and p.get("width") == 256)
    assert space.problem({**allowed, "depth": 3}) == "the combination is forbidden"


def test_the_same_generator_draws_the_same(space: Space) -> None:
    assert space.sample(np.random.default_rng(3), 20) == space.sample(np.random.default_rng(3), 20)


def test_a_space_survives_json(space: Space) -> None:
    assert Space.model_validate_json(space.model_dump_json()) == space


@given(st.floats(0, 1))
def test_scales_put_equal_stretches_where_they_say(unit: float) -> None:
    point = np.array([unit])
    log = Float(low=1e-4, high=1, scale="log").numbers(point)[0]
    assert math.log10(log) == pytest.approx(-4 + 4 * unit, abs=1e-9)
    logit = Float(low=0.1, high=0.9, scale="logit").numbers(point)[0]
    assert math.log(logit / (1 - logit)) == pytest.approx((2 * unit - 1) * math.log(9), abs=1e-9)
    assert Float(low=-2, high=6).numbers(point)[0] == pytest.approx(-2 + 8 * unit)


def test_whole_numbers_get_equal_shares_and_their_ends() -> None:
    unit = (np.arange(1000) + 0.5) / 1000
    counts = np.bincount(Int(low=0, high=4).numbers(unit).astype(int))
    assert counts.tolist() == [200] * 5
    powers = Int(low=16, high=256, scale="power_of_two").numbers(unit)
    assert np.unique(powers, return_counts=True)[1].tolist() == [200] * 5
    assert np.unique(powers).tolist() == [16, 32, 64, 128, 256]
    log = Int(low=1, high=1000, scale="log").numbers(np.linspace(0, 1, 1001))
    assert (log.min(), log.max()) == (1, 1000)
    assert 0.2 < np.mean(log < 10) < 0.4


@pytest.mark.parametrize("parameter", [Int(low=3, high=40), Int(low=1, high=64, scale="log"), Choice(choice=("a", 2))])
def test_every_value_of_a_discrete_parameter_comes_back(parameter: Any) -> None:
    values = list(parameter.choice) if isinstance(parameter, Choice) else range(parameter.low, parameter.high + 1)
    numbers = np.array([parameter.number(value) for value in values])
    assert [parameter.value(n) for n in parameter.numbers(parameter.units(numbers))] == list(values)


def test_truth_is_no_number_and_numbers_are_no_truth() -> None:
    assert not Int(low=0, high=1).contains(True)
    assert not Bool().contains(1)
    assert Choice(choice=(True, 1)).number(1) == 1


def test_numbers_that_yaml_takes_for_text_are_numbers() -> None:
    space = parse(yaml.safe_load("space: {l2: {choice: [1e-4, 1.0]}}"), Holder, "x").space
    assert space.sample(np.random.default_rng(0), 20)[0]["l2"] in (1e-4, 1.0)
    assert space.contains({"l2": 1e-4})


def test_size_counts_the_points() -> None:
    assert Space.of(a=Int(low=1, high=3), b=Bool(), c=Choice(choice=(1, 2, 3, 4))).size == 24
    assert Space.of(a=Float(low=0, high=1)).size == math.inf


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"depth": 0, "wdth": 3}, "no parameter 'wdth'"),
        ({"depth": 7}, "'depth' cannot be 7"),
        ({"depth": 1.5}, "'depth' cannot be 1.5"),
        ({"depth": 0, "width": 16}, "'width' does not apply"),
        ({"depth": 1}, "'width' is missing"),
    ],
)
def test_what_is_not_in_the_space_is_explained(parameters: dict[str, Any], said: str) -> None:
    space = Space.of(depth=Int(low=0, high=3), width=Choice(choice=(16, 64), when={"depth": (1, 2, 3)}))
    assert said in str(space.problem(parameters))
    assert not space.contains(parameters)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{a: {}}", "a parameter needs type: float, int, choice or bool"),
        ("{a: {type: float, low: 1, high: 0}}", "low must be below high"),
        ("{a: {type: float, low: 0, high: 1, scale: log}}", "a log scale needs low above 0"),
        ("{a: {type: float, low: 0, high: 1, scale: logit}}", "a logit scale needs 0 < low < high < 1"),
        ("{a: {type: int, low: 3, high: 8, scale: power_of_two}}", "both ends must be powers of two"),
        ("{a: {choice: []}}", "at least one value"),
        ("{a: {choice: [1, 1]}}", "must differ"),
        ("{a: {choice: [1], when: {b: 1}}}", "when of 'a' names 'b', which is none of a"),
        ("{a: {choice: [1], when: {a: 1}}}", "the conditions of a go in a circle"),
        ("{a: {choice: [1, 2]}, forbidden: [{a: 3}]}", "forbidden: 'a' is never 3"),
        ("{a: {choice: [1, 2]}, forbidden: [{a: {low: 1}}]}", "a choice without order"),
        ("{a: {type: int, low: 1, high: 2, hihg: 3}}", "unknown key"),
    ],
)
def test_a_wrong_space_is_refused_with_the_reason(written: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"search\.yaml: ") as raised:
        parse({"space": yaml.safe_load(written)}, Holder, "search.yaml")
    assert said in str(raised.value)


def test_a_space_that_forbids_everything_is_refused_when_drawn_from() -> None:
    space = Space(parameters={"a": Choice(choice=(1, 2))}, forbidden=({"a": (1, 2)},))
    with pytest.raises(ConfigError, match="forbidden combinations left 0"):
        space.sample(np.random.default_rng(0), 1)
