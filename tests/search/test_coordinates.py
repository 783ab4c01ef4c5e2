"""Coordinate descent: whose scores each fit builds on, and when it ends."""

from typing import Any

import pytest

from glmix_automl.ensemble import Ensemble
from glmix_automl.search.coordinates import Coordinates, CoordinatesOptions
from glmix_automl.trial import Result, State, Trial

LIST = [
    {"family": "logistic", "name": "all"},
    {"family": "random_effect", "parameters": {"entity": "member"}, "name": "member"},
    {"family": "random_effect", "parameters": {"entity": "item"}, "name": "item"},
]


def run(aucs: dict[int, float | None], coordinates: list[dict[str, Any]] = LIST, **options: Any) -> list[Trial]:
    """All trials, each ending with the AUC of its number, 0.7 if there is none and failed if it is None."""
    made = CoordinatesOptions.model_validate({"coordinates": coordinates, **options})
    strategy, asked = Coordinates(made, 3), []
    while trials := strategy.ask(4):
        assert len(trials) == 1
        assert strategy.ask(4) == []  # waits
        asked += trials
        auc, number = aucs.get(trials[0].number, 0.7), trials[0].number
        strategy.tell(Result.failure(number, "lost") if auc is None else Result(number, State.FINISHED, auc, 0.5))
    return asked


def test_each_is_fitted_on_what_the_others_score_and_begins_where_it_ended() -> None:
    trials = run({3: 0.7, 7: 0.8}, sweeps=2)
    assert [trial.tags["coordinate"] for trial in trials] == ["all", "member", "item", "sum"] * 2
    assert trials[0].offset is None
    assert trials[1].offset == Ensemble((0,), (1.0,))
    assert trials[4].offset == Ensemble((1, 2), (1.0, 1.0))
    assert trials[5].offset == Ensemble((4, 2), (1.0, 1.0))
    assert [trials[k].parent for k in (0, 4, 5, 6)] == [None, 0, 1, 2]
    assert trials[7].fit is not None
    assert trials[7].fit.begin == Ensemble((4, 5, 6), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(("second", "sweeps"), [(0.70005, 2), (0.71, 3)])
def test_it_ends_when_a_sweep_brings_nothing(second: float, sweeps: int) -> None:
    trials = run({3: 0.7, 7: second, 11: second}, sweeps=5, improvement=1e-3)
    assert len(trials) == 4 * sweeps


def test_locked_coordinates_stay_and_failed_ones_are_left_out() -> None:
    locked = [{**LIST[0], "locked": True}, *LIST[1:]]
    trials = run({2: None, 3: 0.7, 5: 0.9}, locked, sweeps=2)
    assert [trial.tags["coordinate"] for trial in trials] == ["all", "member", "item", "sum", "member", "sum"]
    assert trials[-1].fit is not None
    assert trials[-1].fit.begin.members == (0, 4)
    assert run({0: None}, [LIST[0]]) == run({}, [LIST[0]])[:1]


def test_yesterdays_coordinate_is_taken_as_it_is_or_begun_from() -> None:
    yesterday = [{**LIST[0], "checkpoint": "model/coordinates/3", "locked": True}]
    yesterday += [{**LIST[1], "checkpoint": "model/coordinates/4"}]
    trials = run({2: 0.7, 4: 0.8}, yesterday, sweeps=2)
    assert [trial.tags["coordinate"] for trial in trials] == ["all", "member", "sum", "member", "sum"]
    assert [trial.locked for trial in trials] == [True, False, False, False, False]
    assert [trial.checkpoint for trial in trials[:2]] == ["model/coordinates/3", "model/coordinates/4"]
    assert (trials[3].parent, trials[3].checkpoint) == (1, None)  # its own fit is ahead of yesterday's
    assert all(Trial.from_json(trial.to_json()) == trial for trial in trials)
