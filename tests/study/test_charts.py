"""The picture of a grown model."""

import dataclasses
import re

from glmix_automl.search.structure import structure
from glmix_automl.study import charts
from glmix_automl.study.history import History
from tests.search.growth_world import World
from tests.search.test_adanet_replay import grown


def test_a_grown_model_is_drawn_with_every_member_and_its_weight() -> None:
    world = World()
    grown(world)
    trials = {number: dataclasses.replace(trial, strategy="growth <1>") for number, trial in world.trials.items()}
    history = History(trials, world.results)
    page = charts.grown_models(history)
    members = structure(trials, world.results).members
    assert len(members) >= 3
    assert page.count("<circle") == len(members)
    assert page.count("<rect") == sum(member.depth or 1 for member in members)
    assert re.findall(r">([+-]\d\.\d{4})<", page) == [f"{member.weight:+.4f}" for member in members]
    assert "growth &lt;1&gt;" in page
    assert "growth <1>" not in page


def test_where_nothing_has_grown_nothing_is_drawn() -> None:
    assert charts.grown_models(History()) == ""


def test_mixtures_have_no_parameters_to_compare() -> None:
    world = World()
    grown(world)
    history = History(dict(world.trials), dict(world.results))
    assert "mixture" not in charts.parallel_coordinates(history)
    assert "mixture" not in charts.parameter_importance(history)
