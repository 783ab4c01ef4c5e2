"""Growth in a world where every candidate is a one-column fit."""

import dataclasses
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from glmix_automl.config import parse
from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import ConfigError
from glmix_automl.search import STRATEGIES
from glmix_automl.search.adanet import AdaNet
from glmix_automl.search.growth.options import AdaNetOptions
from glmix_automl.search.growth.state import Candidate, GrowthState
from glmix_automl.trial import Result, Trial
from tests.search.growth_world import World, done, play

POOL = {"kind": "pool", "candidates": [{"family": "part", "parameters": {"depth": d}} for d in (1, 2, 3, 4)]}

BOTH_WAYS = {"kind": "pool", "candidates": [{"family": "part"}, {"family": "part", "training": "labels"}]}


def grow(seed: int = 0, **options: Any) -> AdaNet:
    options.setdefault("generator", POOL)
    strategy = STRATEGIES["adanet"].make(parse(options, AdaNetOptions, "test"), seed)
    assert isinstance(strategy, AdaNet)
    return strategy


@pytest.mark.parametrize("barrier", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"training": "labels"},
        {"training": "labels", "weighting": "mean"},
        {"weighting": "sum"},
        {"ensemble": "all"},
        {"ensemble": "all", "training": "labels"},
        {"select": "objective"},
        {"select": "loss", "holdout": "loss"},
        {"fit": "validation"},
        {"distillation": "adaptive", "distillation_weight": 0.2},
        {"distillation": "born_again", "distillation_weight": 0.2, "training": "labels"},
        {"warm_start": True},
    ],
    ids=str,
)
def test_growth_ends_better_than_any_candidate_alone(barrier: bool, options: dict[str, Any]) -> None:
    world, strategy = World(), grow(barrier=barrier, **options)
    play(strategy, world, slots=2)
    alone = World()
    singles = done(
        [Trial(k, "", "part", {"depth": k + 1}) for k in range(4)],
        alone,
    )
    assert world.auc(strategy.ensemble) > max(alone.auc(Ensemble.of(r.number)) for r in singles) + 0.02
    assert strategy.ask(3) == []


def test_residual_growth_with_learned_weights_finds_the_whole_sum() -> None:
    world, strategy = World(), grow()
    play(strategy, world)
    truth = World()
    everything = np.array([1.0, 0.8, 0.6, 0.4]) @ truth.x["test"].T
    truth.scores[0, "test"] = everything
    assert world.auc(strategy.ensemble) > truth.auc(Ensemble.of(0)) - 0.005
    columns = {int(world.trials[m].parameters["depth"]) for m in strategy.ensemble.members}
    assert columns == {1, 2, 3, 4}


def test_textbook_rounds_start_every_candidate_from_one_ensemble_and_let_one_in() -> None:
    world, strategy = World(), grow(barrier=True)
    play(strategy, world, slots=3)
    candidates = [t for t in world.trials.values() if t.family == "part"]
    for number in range(strategy.state.round):
        offsets = {t.offset for t in candidates if t.tags["round"] == str(number)}
        assert len(offsets) == 1
    entered = [r for r in strategy.state.reports if r.entered]
    assert [r.round for r in entered] == list(range(len(entered)))


def test_without_a_barrier_a_free_slot_starts_against_the_ensemble_as_it_is_now() -> None:
    world, strategy = World(), grow()
    first = strategy.ask(2)
    strategy.tell(world.run(first[0]))  # the other one is slow
    (mixture,) = strategy.ask(1)
    assert mixture.family == "mixture"
    assert mixture.fit is not None
    assert mixture.fit.begin.members == (0,)
    strategy.tell(world.run(mixture))
    (third,) = strategy.ask(1)
    assert third.offset == Ensemble.of(mixture.number)
    strategy.tell(world.run(first[1]))  # arrives late, was trained against nothing
    (late,) = strategy.ask(1)
    assert late.fit is not None
    assert late.fit.begin.members == (0, 1)
    strategy.tell(world.run(late))
    strategy.ask(1)
    assert set(strategy.ensemble.members) == {0, 1}


def test_what_improved_less_is_tried_again_after_the_best_has_entered() -> None:
    world, strategy = World(), grow()
    trials = strategy.ask(4)
    for result in done(trials, world):
        strategy.tell(result)
    attempts = strategy.ask(4)
    for result in done(attempts, world):
        strategy.tell(result)
    again = [t for t in strategy.ask(4) if t.family == "mixture"]
    assert [t.fit.begin.members for t in again if t.fit] == [(0, 1), (0, 2), (0, 3)]


def test_growth_stops_when_nothing_improves() -> None:
    generator = {"kind": "pool", "candidates": [{"family": "part", "parameters": {"depth": 1}}]}
    world, strategy = World(parts=(1.0, 0.0)), grow(generator=generator)
    play(strategy, world)
    assert len(strategy.ensemble.members) == 1
    assert len([t for t in world.trials.values() if t.family == "part"]) == 2


def test_failed_candidates_lose_and_growth_goes_on() -> None:
    pool = {
        "kind": "pool",
        "candidates": [
            {"family": "part", "parameters": {"depth": 1, "fails": True}},
            {"family": "part", "parameters": {"depth": 2}},
        ],
    }
    for barrier in (True, False):
        world, strategy = World(), grow(generator=pool, barrier=barrier)
        play(strategy, world, slots=2)
        assert strategy.ensemble.members
        assert all(world.trials[m].parameters["depth"] == 2 for m in strategy.ensemble.members)


def test_a_failed_mixture_is_a_loss_of_its_candidate_only() -> None:
    world, strategy = World(), grow()
    first = strategy.ask(1)
    strategy.tell(world.run(first[0]))
    (mixture,) = strategy.ask(1)
    strategy.tell(Result.failure(mixture.number, "the disk is full"))
    play(strategy, world)
    assert 0 not in strategy.ensemble.members
    assert strategy.ensemble.members


def test_entries_and_candidates_are_bounded() -> None:
    world, strategy = World(), grow(rounds=2)
    play(strategy, world)
    assert strategy.state.round == 2
    for barrier in (True, False):
        world, strategy = World(), grow(candidates=6, barrier=barrier)
        play(strategy, world, slots=2)
        assert len(strategy.state.reports) == 6
        assert strategy.ensemble.members


def test_a_strong_penalty_keeps_complex_candidates_out() -> None:
    world, strategy = World(), grow(complexity_penalty=0.2)
    play(strategy, world)
    free = grow(complexity_penalty=0.0)
    play(free, World())
    assert len(strategy.ensemble.members) < len(free.ensemble.members)


def test_offsets_stay_one_column_however_many_members_there_are() -> None:
    world, strategy = World(), grow()
    play(strategy, world)
    late = [t for t in world.trials.values() if t.offset is not None]
    assert late
    assert all(len(t.offset.members) == 1 for t in late)


def test_a_candidate_may_be_trained_otherwise_than_the_rest() -> None:
    pool = [{"family": "part", "parameters": {"depth": d}} for d in (1, 2)]
    world, strategy = (
        World(),
        grow(generator={"kind": "pool", "candidates": [*pool, {**pool[1], "training": "labels"}]}),
    )
    play(strategy, world)
    parts = [t for t in world.trials.values() if t.family == "part"]
    assert [t.offset is None for t in parts[:3]] == [True, False, True]
    fits = [t.fit for t in world.trials.values() if t.fit is not None]
    assert [fit.begin.weights[-1] for fit in fits[:3]] == [1.0, 1.0, 0.0]


def test_warm_start_begins_from_the_last_member_of_the_family() -> None:
    world, strategy = World(), grow(warm_start=True)
    play(strategy, world)
    candidates = sorted((t for t in world.trials.values() if t.family == "part"), key=lambda t: t.number)
    assert candidates[0].parent is None
    assert candidates[-1].parent in strategy.ensemble.members


def test_one_slot_slowed_four_times_does_not_hold_growth_up() -> None:
    """The issue's promise on the virtual clock: the barrier run's hold-out AUC in at most half its time."""

    def seconds(trial: Trial, slot: int) -> float:
        return (0.05 if trial.family == "mixture" else 1.0) * (4 if slot == 1 else 1)

    walled, free = World(seed=3), World(seed=3)
    strategy = grow(barrier=True)
    wall_seconds = play(strategy, walled, 4, seconds)
    goal = walled.auc(strategy.ensemble, "validation") - 0.001
    assert play(grow(patience=8), free, 4, seconds, goal) <= wall_seconds / 2
    assert max(result.auc or 0 for result in free.results.values()) >= goal


class Columns:
    """A user's generator: the columns one after the other, each until it has been tried."""

    def __init__(self, columns: int, seed: int = 0) -> None:
        self.columns, self.seed = columns, seed
        self.seen: list[GrowthState] = []

    def propose(self, state: GrowthState) -> Sequence[Candidate]:
        self.seen.append(state)
        tried = {report.candidate.parameters["depth"] for report in state.reports}
        return [Candidate("part", {"depth": d}) for d in range(1, self.columns + 1) if d not in tried][:1]


def test_a_generator_of_ones_own_is_a_class_by_its_dotted_name(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_generators")
    module.Columns = Columns  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_generators", module)
    world, strategy = World(), grow(generator={"kind": "my_generators.Columns", "columns": 3})
    play(strategy, world)
    assert {world.trials[m].parameters["depth"] for m in strategy.ensemble.members} == {1, 2, 3}
    seen = strategy._generator.seen  # type: ignore[attr-defined]
    assert [len(state.reports) for state in seen] == [0, 1, 2, 3]
    assert seen[-1].reports[0].result is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ensemble": "solo"}, "cannot stand alone"),
        ({"weighting": "mean"}, "add up"),
        ({"training": "labels", "weighting": "sum"}, "do not add up"),
        ({"weighting": "sum", "generator": BOTH_WAYS}, "both ways need weighting: learned"),
        ({"generator": {"kind": "nowhere.Nothing"}}, "nowhere.Nothing"),
        ({"generator": {"kind": "pool"}}, "candidates"),
        ({"generator": {}}, "kind"),
        ({"generator": {"kind": "simple", "deph": 2}}, "deph"),
        ({"generator": {"kind": "tuned", "strategy": "oracle"}}, "oracle"),
        ({"rounds": 0}, "rounds"),
    ],
)
def test_configurations_that_cannot_work_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grow(**options)


def test_solo_keeps_the_single_best() -> None:
    world, strategy = World(), grow(ensemble="solo", training="labels")
    play(strategy, world)
    assert [world.trials[m].parameters["depth"] for m in strategy.ensemble.members] == [1]


def test_state_is_a_value() -> None:
    strategy = grow()
    strategy.ask(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        strategy.state.round = 3  # type: ignore[misc]
