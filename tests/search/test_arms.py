"""Arms: who is next by what was gained, and the default ones by schema."""

import dataclasses
import math
from typing import Any

import pytest

from glmix_automl import models
from glmix_automl.config import parse
from glmix_automl.schema import Bag, Categorical, Entity, Numeric, Schema, Vocabulary
from glmix_automl.search.adanet import AdaNet
from glmix_automl.search.growth.arms import Arms
from glmix_automl.search.growth.default_arms import (
    CANDIDATES,
    EPOCHS,
    FEWEST_TREE_ROWS,
    FEWEST_TREES,
    FIRST_ROWS,
    GROWN_A_SECOND,
    LONGEST_SHARE,
    MANY_ROWS,
    SOLVED_A_SECOND,
    TRAINED_A_SECOND,
    make_default_arms,
    size_linear,
    size_trees,
)
from glmix_automl.search.growth.options import AdaNetOptions
from glmix_automl.search.growth.state import CandidateReport, GrowthState
from glmix_automl.trial import Costs, Progress, Result, State
from tests.search.growth_world import World, play


def part(depth: int, **more: Any) -> dict[str, Any]:
    return {"family": "part", "parameters": {"depth": depth}, "epochs": 8, **more}


ARMS: dict[str, Any] = {
    "arms": [
        {"name": "first", "turns": [part(1)], "most": 1, "alone": True},
        {"name": "good", "turns": [part(2), part(3)], "most": 3},
        {"name": "poor", "turns": [part(1)]},
    ]
}


def told(state: GrowthState, gain: float | None, seconds: float = 0.0) -> GrowthState:
    """The state after the generator's next candidate has ended and was tried."""
    (candidate,) = parse(ARMS, Arms, "test").propose(state)
    number = len(state.reports)
    curve = (Progress(number, candidate.epochs or 1.0, 1, 1.0),)
    result = Result(number, State.FINISHED, 0.7, curve=curve, costs=Costs(train_seconds=seconds))
    report = CandidateReport(candidate, number, 0, result, gain=gain, entered=(gain or 0) > 0)
    return dataclasses.replace(state, reports=(*state.reports, report))


def next_ones(state: GrowthState, **options: Any) -> list[tuple[str, Any]]:
    return [(c.name, c.parameters["depth"]) for c in parse(ARMS | options, Arms, "test").propose(state)]


def test_each_arm_is_tried_then_the_one_that_gained_most_until_none_is_worth_it() -> None:
    state = GrowthState()
    assert next_ones(state) == [("first", 1)]
    pending = GrowthState(reports=(dataclasses.replace(told(state, 0.2).reports[0], entered=None),))
    assert next_ones(pending) == [], "others build on it"
    state = told(state, 0.2)
    assert next_ones(state) == [("good", 2)]
    state = told(told(state, 0.004), -0.001)
    assert next_ones(state) == [("good", 3)], "the other lost, the first may not come again"
    assert next_ones(state, improvement=0.003) == [], "half of 0.004 is expected"
    state = told(state, 0.003)
    assert next_ones(state) == [("good", 2)], "its list begins anew"
    assert next_ones(told(state, 0.003)) == [], "it has had its three turns"


def test_epochs_are_those_that_the_first_of_a_family_leaves_time_for() -> None:
    state = told(told(told(GrowthState(), 0.2, seconds=80), 0.004, seconds=80), 0.001, seconds=80)
    epochs = [parse(ARMS | {"seconds": s}, Arms, "test").propose(state)[0].epochs for s in (None, 800, 40, 0.1)]
    assert epochs == [8, 8, 4, 0.1]
    arms = [{"name": "one", "turns": [{"family": "subnetwork", "epochs": 8, "first": 2}]}]
    (begun,) = parse({"seconds": 100, "arms": arms}, Arms, "test").propose(GrowthState())
    assert begun.epochs == 2
    result = Result(0, State.FINISHED, 0.7, curve=(Progress(0, 2.0, 1, 1.0),), costs=Costs(train_seconds=20))
    state = GrowthState(reports=(CandidateReport(begun, 0, 0, result, gain=0.2, entered=True),))
    later = [parse({"seconds": s, "arms": arms}, Arms, "test").propose(state)[0].epochs for s in (100, 60, None)]
    assert later == [8, 6, 2], "what the first took leaves room for more"
    unbegun = dataclasses.replace(result, curve=(Progress(0, 0.0, 0, 1.0),))
    state = GrowthState(reports=(CandidateReport(begun, 0, 0, unbegun, gain=0.2, entered=True),))
    (after,) = parse({"seconds": 100, "arms": arms}, Arms, "test").propose(state)
    assert after.epochs == 2, "one that was stopped before its first step tells no pace"


def test_the_pace_of_an_arm_counts_before_that_of_its_family_and_fewer_trees_learn_more_each() -> None:
    trees = {
        "family": "trees",
        "epochs": 1,
        "first": 0.5,
        "fewest": 0.2,
        "parameters": {"learning_rate": 0.06},
        "raised": "learning_rate",
    }
    quick = {**trees, "parameters": {"learning_rate": 0.04}, "fraction": 0.5}
    arms = {"seconds": 30, "arms": [{"name": "slow", "turns": [trees]}, {"name": "quick", "turns": [quick]}]}
    state = GrowthState()
    planned = []
    for took, gain in ((30, 0.1), (3, 0.2), (3, 0.3), (60, 0.1)):
        (candidate,) = parse(arms, Arms, "test").propose(state)
        planned.append((candidate.name, candidate.epochs, candidate.parameters["learning_rate"]))
        number = len(state.reports)
        curve = (Progress(number, candidate.epochs or 1.0, 1, 1.0),)
        result = Result(number, State.FINISHED, 0.7, curve=curve, costs=Costs(train_seconds=took))
        report = CandidateReport(candidate, number, 0, result, gain=gain, entered=True)
        state = dataclasses.replace(state, reports=(*state.reports, report))
    assert planned == [
        ("slow", 0.5, 0.12),
        ("quick", 1.0, 0.04),  # half the rows of what takes 60 seconds
        ("quick", 1.0, 0.04),
        ("quick", 1.0, 0.04),
    ]
    (candidate,) = parse(arms, Arms, "test").propose(state)
    assert (candidate.name, candidate.epochs, candidate.parameters["learning_rate"]) == ("slow", 0.5, 0.12)
    (candidate,) = parse(arms | {"seconds": 1}, Arms, "test").propose(state)
    assert (candidate.epochs, candidate.parameters["learning_rate"]) == (0.2, 0.3), "no fewer than that"
    other = {**trees, "parameters": {**trees["parameters"], "shape": "symmetric"}, "first": 0.9}
    (candidate,) = parse({"seconds": 30, "arms": [{"name": "other", "turns": [other]}]}, Arms, "test").propose(state)
    assert candidate.epochs == 0.9, "what trees of another shape took says nothing"


def test_growth_by_arms_finds_the_sum() -> None:
    generator = {"kind": "arms", "arms": [{"name": f"a{d}", "turns": [part(d)], "most": 2} for d in (1, 2, 3, 4)]}
    world = World()
    strategy = AdaNet(parse({"generator": generator}, AdaNetOptions, "test"), 0)
    play(strategy, world, slots=2)
    assert {world.trials[m].parameters["depth"] for m in strategy.ensemble.members} == {1, 2, 3, 4}
    assert strategy.ask(2) == []


NUMERIC = [Numeric(name=f"n{k}", source="x") for k in range(3)]
TERM = [Categorical(name="c", source="c", vocabulary="v")]
BAG = [Bag(name="b", source="b", vocabulary="v")]


@pytest.mark.parametrize("features", [NUMERIC, TERM, BAG, NUMERIC + TERM, NUMERIC + BAG, NUMERIC + TERM + BAG], ids=str)
@pytest.mark.parametrize("entities", [0, 2])
def test_the_default_arms_of_a_schema_can_be_trained_on_it(features: list[Any], entities: int) -> None:
    kinds = [Entity(name="member", source="m", side="member"), Entity(name="item", source="i", side="item")]
    schema = Schema(
        name="made",
        recipe="interactions",
        features=tuple(features),
        entities=tuple(kinds[:entities]),
        vocabularies={"v": Vocabulary(terms=("a", "b"))},
    )
    options = make_default_arms(schema, rows=1000)
    arms = parse({k: v for k, v in options.items() if k != "kind"}, Arms, "test").arms
    for turn in (turn for arm in arms for turn in arm.turns):
        family = models.family_of(turn.family)
        family.build(schema, turn.parameters, 0)  # refuses what it has no columns for
    names = [arm.name for arm in arms]
    assert [name for name in names if not name.endswith("effects")][:4] == [
        "linear", "trees", "symmetric trees", "network",
    ]  # fmt: skip
    assert [name for name in names if name.endswith("effects")] == ["member effects", "item effects"][:entities]
    assert ("numerics" in names) == (len(schema.numerics) > 1 and len(schema.features) > 3)


def test_the_first_network_sees_so_many_rows_at_most() -> None:
    for rows in (1000, 350_000, 5_000_000):
        turns = [turn for arm in make_default_arms(None, rows)["arms"] for turn in arm["turns"]]
        epochs = {turn["first"] for turn in turns if turn["family"] == "subnetwork"}
        assert 0 < max(epochs) * rows <= max(FIRST_ROWS * 1.01, EPOCHS * 1000)
    assert math.isinf(Arms._worth(Arms.model_validate(ARMS).arms[0], []))


@pytest.mark.parametrize("seconds", [1.0, 10.0, 60.0, 600.0])
@pytest.mark.parametrize("rows", [1_000, 80_000, 350_000, 5_000_000, 900_000_000])
def test_trees_are_grown_within_their_time_on_any_number_of_rows(rows: int, seconds: float) -> None:
    turn = size_trees(rows, seconds)
    trees, seen = int(turn.parameters["trees"]), rows * turn.fraction
    assert FEWEST_TREES <= trees <= 1000
    assert seen >= min(rows, 0.9 * FEWEST_TREE_ROWS)
    assert trees * seen <= 1.1 * max(seconds * GROWN_A_SECOND, FEWEST_TREES * FEWEST_TREE_ROWS)


def test_the_first_linear_model_and_network_are_sized_by_what_a_candidate_may_take() -> None:
    assert size_linear(1_000_000, 5.0).fraction == pytest.approx(5.0 * SOLVED_A_SECOND / 1_000_000)
    assert size_linear(1_000_000).fraction == size_linear(1_000, 5.0).fraction == 1.0
    for rows, seconds in ((300_000, 3.0), (1_000_000, 600.0)):
        arms = make_default_arms(None, rows, limit=seconds * CANDIDATES)["arms"]
        (network,) = [arm["turns"][0] for arm in arms if arm["name"] == "network"]
        assert network["first"] == pytest.approx(min(seconds * TRAINED_A_SECOND, FIRST_ROWS) / rows)
        assert network["epochs"] == EPOCHS
        assert (network["parameters"]["dropout"] == 0) == (rows >= MANY_ROWS)


def test_little_time_is_one_networks_and_growth_alone_begins_with_symmetric_trees() -> None:
    entity = Entity(name="member", source="m", side="member")
    schema = Schema(name="made", recipe="interactions", features=tuple(NUMERIC), entities=(entity,), vocabularies={})

    def names(limit: float, rows: int = 1_000_000) -> tuple[list[str], float, float]:
        options = make_default_arms(schema, rows, limit, tree_seconds=0.3 * limit, in_race=False)
        (network,) = [arm["turns"][0] for arm in options["arms"] if arm["name"] == "network"]
        has_effects = any(arm["name"] == "member effects" for arm in options["arms"])
        assert (network["parameters"]["dropout"] == 0) == (rows >= MANY_ROWS or not has_effects)
        return [arm["name"] for arm in options["arms"]], options["seconds"], network["first"]

    assert names(3.0) == (
        ["network", "linear"],
        LONGEST_SHARE * 3.0,
        pytest.approx(0.75 * 3.0 * TRAINED_A_SECOND / 1e6, abs=0.01),
    )
    assert names(30.0) == (
        ["linear", "symmetric trees", "network", "other trees"],
        pytest.approx(2e6 / TRAINED_A_SECOND),
        2.0,
    )
    every = ["linear", "member effects", "symmetric trees", "network", "other trees"]
    assert names(300.0) == (every, 300.0 / CANDIDATES, FIRST_ROWS / 1e6)
    assert names(6.0, 10_000)[0] == every, "there is time for all of it on few rows"
    many, limit = 10_000_000, 30.0
    assert names(limit, many)[0] == ["network", "linear"], "trees would see few of so many rows"
    assert names(limit, many)[2] == pytest.approx(LONGEST_SHARE * limit * TRAINED_A_SECOND / many, abs=0.01)
    alone = {arm["name"] for arm in make_default_arms(schema, 1000, 60.0, in_race=False)["arms"] if arm.get("alone")}
    assert alone == {"linear", "symmetric trees"}
