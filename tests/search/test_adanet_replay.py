"""What growth found can be read back from its trials, and rebuilt on other data."""

import json
from pathlib import Path
from typing import Any

import pytest

from glmix_automl.config import parse
from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import ConfigError
from glmix_automl.search.adanet import AdaNet
from glmix_automl.search.growth.grown import trace_growth
from glmix_automl.search.growth.options import AdaNetOptions
from glmix_automl.search.growth.plan import plan_replay
from glmix_automl.search.replay import Replay, ReplayOptions
from glmix_automl.trial import Result
from tests.search.growth_world import World, play

POOL = {"kind": "pool", "candidates": [{"family": "part", "parameters": {"depth": d}} for d in (1, 2, 3, 4)]}


def grown(world: World, **options: Any) -> AdaNet:
    strategy = AdaNet(parse({"generator": POOL, **options}, AdaNetOptions, "test"), 0)
    play(strategy, world, slots=2)
    return strategy


@pytest.mark.parametrize(
    "options",
    [{}, {"barrier": True}, {"rounds": 2}, {"select": "objective"}, {"ensemble": "all"}, {"training": "labels"}],
    ids=str,
)
def test_the_structure_read_from_the_trials_is_what_growth_holds(options: dict[str, Any]) -> None:
    world = World()
    strategy = grown(world, **options)
    found = trace_growth(world.trials, world.results)
    weights = {member.trial: member.weight for member in found.members if member.weight}
    assert weights == dict(zip(strategy.ensemble.members, strategy.ensemble.weights, strict=True))
    assert found.bias == strategy.ensemble.bias
    aucs = [member.auc for member in found.members]
    assert aucs == sorted(aucs)
    assert world.results[found.ensemble].auc == aucs[-1]


def test_the_structure_can_be_read_while_growth_is_under_way() -> None:
    world = World()
    strategy = AdaNet(parse({"generator": POOL}, AdaNetOptions, "test"), 0)
    assert trace_growth(world.trials, world.results).members == ()
    for _ in range(4):
        for trial in strategy.ask(1):
            strategy.tell(world.run(trial))
    strategy.ask(1)
    found = trace_growth(world.trials, world.results)
    assert tuple(member.trial for member in found.members) == strategy.ensemble.members
    assert json.dumps([member.row() for member in found.members])


def test_replaying_on_the_same_data_gives_the_same_model() -> None:
    world = World()
    strategy = grown(world)
    again = World()
    found = plan_replay(world.trials, world.results)
    play(Replay(ReplayOptions(plan=json.loads(found.model_dump_json())), 1), again, slots=3)
    last = max(again.trials)
    assert again.trials[last].family == "mixture"
    assert again.results[last].auc == pytest.approx(world.auc(strategy.ensemble, "validation"), abs=1e-4)
    candidates = [t for t in world.trials.values() if t.family == "part"]
    assert len(again.trials) == len(found.members) + 1 < len(candidates)


def test_replaying_on_new_data_comes_close_to_growing_there(tmp_path: Path) -> None:
    world = World()
    grown(world)
    file = tmp_path / "plan.json"
    file.write_text(plan_replay(world.trials, world.results).model_dump_json())
    new, fresh = World(seed=9), World(seed=9)
    play(Replay(ReplayOptions(plan=str(file)), 1), new, slots=3)
    searched = grown(fresh)
    assert new.auc(Ensemble.of(max(new.trials))) > fresh.auc(searched.ensemble) - 0.01


def test_a_warm_start_names_the_weights_of_every_member() -> None:
    world = World()
    grown(world, warm_start=True)
    found = plan_replay(world.trials, world.results).model_copy(update={"origin": "studies/yesterday"})
    assert any(member.parent is not None for member in found.members)
    again = World()
    play(Replay(ReplayOptions(plan=found.model_dump(), warm_start=True), 1), again, slots=3)
    members = [trial for trial in again.trials.values() if trial.family == "part"]
    assert {trial.checkpoint for trial in members} == {
        f"studies/yesterday/trials/{number}" for number in world.results if number in _members(world)
    }
    assert all(trial.parent is None for trial in members)
    assert not any(trial.locked for trial in members)
    locked = World()
    play(Replay(ReplayOptions(plan=found.model_dump(), warm_start=True, locked=("part",)), 1), locked, slots=3)
    assert {trial.locked for trial in locked.trials.values() if trial.family == "part"} == {True}
    cold = World()
    play(Replay(ReplayOptions(plan=found.model_dump()), 1), cold, slots=3)
    assert all(trial.checkpoint is None for trial in cold.trials.values())
    assert any(trial.parent is not None for trial in cold.trials.values())


def _members(world: World) -> set[int]:
    """Trials whose weights a plan of the world needs."""
    return {
        int(str(member.checkpoint).rpartition("/")[2]) for member in plan_replay(world.trials, world.results).members
    }


def test_a_member_whose_weights_were_not_kept_is_trained_anew() -> None:
    world = World()
    grown(world)
    found = plan_replay(world.trials, world.results).model_dump()
    found["members"][0]["checkpoint"] = None
    strategy = Replay(ReplayOptions(plan={**found, "origin": "model"}, warm_start=True), 1)
    (first,) = strategy.ask(1)
    assert first.checkpoint is None


def test_a_replay_is_itself_a_structure_to_replay() -> None:
    world, again = World(), World(seed=9)
    grown(world)
    found = plan_replay(world.trials, world.results)
    play(Replay(ReplayOptions(plan=found.model_dump()), 1), again, slots=3)
    next_night = plan_replay(again.trials, again.results)
    assert [m.parameters for m in next_night.members] == [m.parameters for m in found.members]
    assert [m.checkpoint for m in next_night.members] == [f"trials/{n}" for n in range(len(found.members))]
    assert [list(m.offset or ()) for m in next_night.members] == [list(m.offset or ()) for m in found.members]
    assert [m.penalty for m in next_night.members] == [m.penalty for m in found.members]
    assert any(m.penalty for m in found.members)
    last = again.results[max(again.trials)].ensemble
    assert last is not None
    assert tuple(m.weight for m in next_night.members) == last.weights
    with pytest.raises(ValueError, match="nothing to replay"):
        plan_replay(again.trials, {n: r for n, r in again.results.items() if n < max(again.trials)})


def test_a_member_that_fails_is_left_out() -> None:
    world = World()
    grown(world)
    strategy = Replay(ReplayOptions(plan=plan_replay(world.trials, world.results).model_dump()), 1)
    again = World()
    (first,) = strategy.ask(1)
    strategy.tell(Result.failure(first.number, "lost its worker"))
    play(strategy, again)
    last = again.trials[max(again.trials)]
    assert last.fit is not None
    assert first.number not in last.fit.begin.members
    assert again.results[last.number].auc is not None


def test_a_replay_in_which_everything_fails_ends() -> None:
    world = World()
    grown(world)
    strategy = Replay(ReplayOptions(plan=plan_replay(world.trials, world.results).model_dump()), 1)
    while asked := strategy.ask(3):
        for trial in asked:
            assert trial.family != "mixture"
            strategy.tell(Result.failure(trial.number, "no luck"))


def test_plans_that_cannot_be_carried_out_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not come before"):
        Replay(ReplayOptions(plan={"members": [{"family": "part", "offset": {"0": 1.0}}]}), 0)
    with pytest.raises(ConfigError, match="version 2"):
        Replay(ReplayOptions(plan={"version": 2, "members": []}), 0)
    with pytest.raises(ConfigError, match="warm_start: the plan has no `origin`"):
        Replay(ReplayOptions(plan={"members": [{"family": "part"}]}, warm_start=True), 0)
    with pytest.raises(ConfigError, match="locked needs warm_start"):
        Replay(ReplayOptions(plan={"members": [{"family": "part"}], "origin": "there"}, locked=("part",)), 0)
    with pytest.raises(ConfigError, match="cannot be read"):
        Replay(ReplayOptions(plan=str(tmp_path / "nowhere.json")), 0)


def test_there_is_no_plan_before_anything_has_entered() -> None:
    with pytest.raises(ValueError, match="nothing to replay"):
        plan_replay({}, {})
