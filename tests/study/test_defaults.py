"""What a search is where nobody says."""

from pathlib import Path
from typing import Any

import pytest

from glmix_automl.check import check
from glmix_automl.config import parse
from glmix_automl.search import STRATEGIES
from glmix_automl.search.growth.default_arms import LINEAR, LINEAR_ENTRY
from glmix_automl.search.growth.options import AdaNetOptions
from glmix_automl.study import defaults
from glmix_automl.study.defaults import make_default_race
from glmix_automl.study.session import Session
from glmix_automl.study.settings import SearchSettings
from tests.dataset_maker import make_dataset

ALL = ["logistic regression", "trees", "bayes", "adanet", "all"]


def settings(folder: Path, **given: Any) -> SearchSettings:
    return SearchSettings.model_validate({"dataset": str(folder / "dataset"), "study": str(folder / "study"), **given})


def test_an_empty_race_becomes_the_default_one_and_stays_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dataset(tmp_path / "dataset", rows=200)
    with Session(settings(tmp_path)) as session:
        begun = session.settings
        assert list(begun.race) == ALL
        for entry in begun.race.values():
            parse(entry.options, STRATEGIES[entry.strategy].options, "test")
        assert (begun.limits.seconds, begun.refit) == (defaults.SHORTEST, "time_left")
        assert session.entries["all"].closes
    monkeypatch.setattr(defaults, "TUNING_TRIALS", 99)  # a later version plans otherwise
    with Session(settings(tmp_path, limits={"seconds": 77}), resume=True) as session:
        assert (session.settings.race, session.settings.refit) == (begun.race, "time_left")
        assert session.settings.limits.seconds == 77


def test_growth_without_a_generator_gets_the_arms_of_the_dataset(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=200, members=10)
    race = {"growth": {"strategy": "adanet"}, "own": {"strategy": "adanet", "generator": {"kind": "simple"}}}
    found = Session(settings(tmp_path, race=race)).settings.race
    options = parse(found["growth"].options, AdaNetOptions, "test")
    assert options.generator is not None
    arms = [arm["name"] for arm in options.generator["arms"]]
    assert arms[0] == "linear"
    assert options.weighting == "positive"
    assert any(name.endswith("effects") for name in arms)
    assert found["own"].options["generator"] == {"kind": "simple"}


def test_growth_begins_from_the_linear_model_of_an_entry_before_it(tmp_path: Path) -> None:
    """One that it would train itself, had it the time: on all rows, where little time leaves a share of them."""
    make_dataset(tmp_path / "dataset", rows=40_000)
    growth = {"strategy": "adanet", "budget": {"worker_seconds": 1.0}}
    same = {"strategy": "fixed", "family": "logistic", "parameters": LINEAR}
    other = {**same, "parameters": {**LINEAR, "l2": 1.0}}

    def linear_turn(**race: dict[str, Any]) -> tuple[str, float, int]:
        arms = Session(settings(tmp_path, race=race)).settings.race["growth"].options["generator"]["arms"]
        place, turn = next((k, arm["turns"][0]) for k, arm in enumerate(arms) if arm["name"] == "linear")
        return turn["trained_by"], turn.get("fraction", 1.0), place

    assert linear_turn(baseline=same, growth=growth) == ("baseline", 1.0, 0)
    for race in ({"growth": growth, "baseline": same}, {"baseline": other, "growth": growth}):
        assert linear_turn(**race) == (LINEAR_ENTRY, 0.5, 1), "behind the network, which gains more in little time"


def test_little_time_has_fewer_trees_of_a_higher_rate(tmp_path: Path) -> None:
    def trees(seconds: float) -> dict[str, Any]:
        given = settings(tmp_path, limits={"seconds": seconds})
        found: dict[str, Any] = make_default_race(given, None, 70_000).race["trees"].options["parameters"]
        return found

    assert (trees(600)["trees"], trees(600)["learning_rate"]) == (1000, 0.05)
    assert (trees(40)["trees"], trees(40)["learning_rate"]) == (600, 0.083)
    assert trees(5)["trees"] == 200


@pytest.mark.parametrize("measure", ["auc", "member_auc"])
def test_growth_begins_from_what_the_baselines_train(tmp_path: Path, measure: str) -> None:
    """Its first candidates are their trials, told by the same work, so that nothing is trained twice."""
    schema = make_dataset(tmp_path / "dataset", rows=200)
    given = settings(tmp_path, measure=measure, limits={"seconds": 40})
    race = make_default_race(given, schema, 70_000).race
    arms = race["adanet"].options["generator"]["arms"]
    turns = {turn["trained_by"]: turn for arm in arms for turn in arm["turns"] if "trained_by" in turn}
    assert set(turns) == {name for name, entry in race.items() if entry.strategy == "fixed"}
    for name, turn in turns.items():
        baseline = race[name].options
        assert turn["parameters"] == baseline["parameters"]
        assert turn.get("fraction", 1.0) == baseline.get("fraction", 1.0)


def test_who_is_judged_within_members_learns_from_pairs_of_their_rows_too(tmp_path: Path) -> None:
    schema = make_dataset(tmp_path, rows=200)
    races = {}
    for measure in ("auc", "member_auc", "ndcg@10"):
        settings = SearchSettings(dataset=str(tmp_path), study=str(tmp_path / "study"), measure=measure)
        races[measure] = make_default_race(settings, schema, 200).race
        is_paired = [
            turn["parameters"].get("loss") == "pairwise"
            for arm in races[measure]["adanet"].options["generator"]["arms"]
            for turn in arm["turns"]
        ]
        assert any(is_paired) == (measure != "auc")
        assert not all(is_paired)
    assert set(races["member_auc"]) - set(races["auc"]) == {"trees of pairs"}
    assert races["ndcg@10"] == races["member_auc"]


def test_the_default_race_grows_with_the_rows_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    small, large, streamed = (
        make_default_race(settings(tmp_path, workers=workers), None, rows)
        for workers, rows in (({}, 50_000), ({}, 1_000_000), ({"memory_mb": 500}, 1_000_000))
    )
    assert (small.limits.seconds, small.left_out) == (300, ())
    assert large.limits.seconds == defaults.LONGEST
    assert ["20.0% of the 1,000,000" in line for line in large.left_out] == [True]
    linear = large.race[LINEAR_ENTRY].options
    hurried = make_default_race(settings(tmp_path, limits={"seconds": 60}), None, 6_000_000)
    assert (linear["fraction"], hurried.race[LINEAR_ENTRY].options["fraction"]) == (1.0, 0.1)
    assert "logistic regression sees 10.0% of the 6,000,000 training rows" in hurried.left_out
    assert "trees" not in streamed.race
    families = {t["family"] for arm in streamed.race["adanet"].options["generator"]["arms"] for t in arm["turns"]}
    assert families == {"logistic", "subnetwork"}
    assert any("trees" in line for line in streamed.left_out)
    assert check(settings(tmp_path)) == tuple(ALL)
