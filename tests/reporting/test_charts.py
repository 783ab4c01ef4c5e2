"""The pictures of a grown model and of what rungs cost."""

import dataclasses
import re

from glmix_automl.reporting import charts, report
from glmix_automl.search.growth.structure import structure
from glmix_automl.study.history import History
from glmix_automl.trial import Costs, Result, State, Trial
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


def laddered() -> History:
    """Two trials of rung 0 for 10 s at once, a promotion for 30 s beside a trial without rungs, on two workers."""
    history = History()
    for number, strategy, rung, started, ended in (
        (0, "asha & co", "0", 100.0, 110.0),
        (1, "asha & co", "0", 100.0, 110.0),
        (2, "asha & co", "1", 110.0, 140.0),
        (3, "random", None, 110.0, 140.0),
    ):
        tags = {} if rung is None else {"rung": rung}
        history.trials[number] = Trial(number, strategy, "toy", epochs=3.0 if rung == "1" else 1.0, tags=tags)
        costs = Costs(worker_seconds=2 * (ended - started))  # two ranks
        history.results[number] = Result(
            number, State.FINISHED, 0.7, costs=costs, worker=f"w{number % 2}", started=started, ended=ended
        )
    return history


def test_costs_are_added_up_by_rung_over_the_time_of_the_study() -> None:
    page = charts.cost_by_rung(laddered())
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)[1:]]
    assert rows == [
        ["0", "1", "1", "2", "40.0", "40.0", "40.0", "40.0", "40%"],
        ["1", "3", "1", "1", "0.0", "20.0", "40.0", "60.0", "60%"],
    ]
    assert page.count("<polygon") == 2
    assert page.count("<h3>") == 1
    assert "asha &amp; co" in page


def test_costs_by_rung_are_drawn_only_where_an_entry_has_rungs() -> None:
    history = laddered()
    assert "Cost by rung" in report.drawings(history)
    del history.trials[0], history.trials[1], history.trials[2]
    del history.results[0], history.results[1], history.results[2]
    assert "Cost by rung" not in report.drawings(history)
