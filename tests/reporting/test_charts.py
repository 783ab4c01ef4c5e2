"""The pictures of a race, of grown models, of parameters and of what rungs cost."""

import re

from glmix_automl.reporting import model_charts, parameter_charts, race_charts
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import entry_model
from glmix_automl.search.growth.grown import trace_growth
from glmix_automl.study.history import History
from glmix_automl.trial import Costs, Result, State, Trial
from tests.reporting.conftest import BROKEN, GROWTH, PLAIN, Told


def test_a_grown_model_is_drawn_with_every_member_and_its_weight(told: Told) -> None:
    (picture,) = model_charts.grown_models(told.history)
    members = trace_growth(told.history.trials, told.history.results, GROWTH).members
    assert len(members) >= 2
    assert picture.title == GROWTH
    tips = re.findall(r"<title>trial (\d+): ", picture.svg)
    towers = [str(m.trial) for m in members for _ in range(1 + (m.depth or 1))]
    assert sorted(tips) == sorted(towers)
    assert picture.table is not None
    assert [row[5] for row in picture.table.rows] == [f"{member.weight:+.4f}" for member in members]


def test_where_nothing_has_grown_or_run_nothing_is_drawn() -> None:
    empty = History()
    charts = (
        model_charts.grown_models, race_charts.auc_against_cost, race_charts.worker_timeline, race_charts.cost_by_rung,
        parameter_charts.parameter_importance, parameter_charts.parallel_coordinates,
    )  # fmt: skip
    assert [chart(empty) for chart in charts] == [[]] * len(charts)


def test_every_entry_with_a_model_has_a_line_and_every_model_a_dot(told: Told) -> None:
    (picture,) = race_charts.auc_against_cost(told.history)
    assert picture.legend == [GROWTH, PLAIN, BROKEN]
    ends = {name: race_charts.best_so_far(told.history, name)[-1] for name in (GROWTH, PLAIN)}
    for name, (cost, auc, _) in ends.items():
        found = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert f"<title>{found}: {auc:.5f}</title>" in picture.svg
        own = [r for n, r in told.history.results.items() if told.history.trials[n].strategy == name]
        assert cost == sum(r.costs.worker_seconds for r in own)
    evaluation = Evaluation(told.dataset, told.folder.files, told.history)
    (models,) = race_charts.front(told.history, evaluation)
    assert len(re.findall(r"<title>trial \d+ ", models.svg)) == len(list(told.history.scored()))


def test_roc_and_reliability_are_drawn_for_the_models_that_are_named(told: Told) -> None:
    evaluation = Evaluation(told.dataset, told.folder.files, told.history)
    named = {name: (entry_model(told.history, name) or (None,))[0] for name in (GROWTH, PLAIN)}
    roc, reliability = model_charts.quality(evaluation, {name: t.number for name, t in named.items() if t})
    assert roc.legend == reliability.legend == [GROWTH, PLAIN]
    x, y = model_charts._rates(evaluation, named[PLAIN].number)  # type: ignore[union-attr]
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    area = float(sum((b - a) * (c + d) / 2 for a, b, c, d in zip(x, x[1:], y, y[1:], strict=False)))
    assert abs(area - evaluation.auc(named[PLAIN].number).estimate) < 0.005  # type: ignore[union-attr]


def test_mixtures_have_no_parameters_to_compare(told: Told) -> None:
    titles = {picture.title for picture in parameter_charts.parallel_coordinates(told.history)}
    assert titles == {"part", "logistic"}
    (bars,) = parameter_charts.parameter_importance(told.history)
    assert set(re.findall(r"<title>(\w+): \d+%", bars.svg)) == {"l2", "kind"}


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
    (picture,) = race_charts.cost_by_rung(laddered())
    assert picture.title == "asha & co"
    assert picture.table is not None
    assert [list(map(str, row)) for row in picture.table.rows] == [
        ["0", "1", "1", "2", "40.0", "40.0", "40.0", "40.0", "40%"],
        ["1", "3", "1", "1", "0.0", "20.0", "40.0", "60.0", "60%"],
    ]
    assert picture.svg.count("<title>rung ") == 2


def test_a_timeline_has_a_bar_for_every_trial_that_ran(told: Told) -> None:
    (picture,) = race_charts.worker_timeline(laddered())
    assert picture.svg.count("<title>trial ") == 4
    assert race_charts.utilisation(laddered()) == 1.0
