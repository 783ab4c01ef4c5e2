"""The leaderboard: which model an entry stands for, and what it is worth."""

import dataclasses

import numpy as np
import pytest

from glmix_automl import metrics
from glmix_automl.ensemble import pack_scores
from glmix_automl.layout import HELD_OUT, SCORES, TRIALS
from glmix_automl.reporting.choice import choose
from glmix_automl.reporting.edges import find_edges
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import entry_model, leaderboard
from glmix_automl.search.growth.grown import trace_growth
from glmix_automl.search.growth.plan import plan_replay
from glmix_automl.study.settings import EntrySettings
from tests.reporting.conftest import BROKEN, GROWTH, PLAIN, Told


@pytest.fixture(scope="module")
def evaluation(told: Told) -> Evaluation:
    return Evaluation(told.dataset, told.folder.files, told.history)


def test_an_entry_that_grows_stands_for_what_growth_accepted(told: Told, evaluation: Evaluation) -> None:
    trials, results = told.history.trials, told.history.results
    grown = [r for n, r in results.items() if trials[n].strategy == GROWTH]
    trial, result = entry_model(told.history, GROWTH) or pytest.fail("no model")
    assert max(r.auc or 0 for r in grown) > (result.auc or 0), "an attempt that growth refused was better by a little"
    found = trace_growth(trials, results, GROWTH)
    assert found.ensemble == trial.number
    drawn = {member.trial: member.weight for member in found.members if member.weight}
    model = evaluation.model(trial.number)
    assert dict(zip(model.members, model.weights, strict=True)) == pytest.approx(drawn)
    planned = plan_replay(trials, results, GROWTH)
    assert {member.checkpoint for member in planned.members if member.weight} == {f"trials/{n}" for n in drawn}
    (row,) = (row for row in leaderboard(told.history, evaluation).rows if row.entry == GROWTH)
    assert (row.trial, row.validation_auc) == (trial.number, result.auc)


def test_any_other_entry_stands_for_its_best_trial(told: Told, evaluation: Evaluation) -> None:
    trial, result = entry_model(told.history, PLAIN) or pytest.fail("no model")
    own = [r for n, r in told.history.results.items() if told.history.trials[n].strategy == PLAIN]
    assert result.auc == max(r.auc or 0 for r in own)
    assert entry_model(told.history, BROKEN) is None
    board = leaderboard(told.history, evaluation)
    assert board.without_model == (BROKEN,)
    behind = [row.validation_auc for row in board.rows[1:]]
    assert behind == sorted(behind, reverse=True)
    row = next(row for row in board.rows if row.entry == PLAIN)
    labels, scores = told.dataset.labels("test"), evaluation.scores(trial.number)
    assert row.test_auc == pytest.approx(metrics.auc(labels, scores))
    assert row.trials == 12
    assert np.isfinite([row.test_low, row.test_high, row.member_auc]).all()


def test_a_simpler_model_wins_within_one_standard_error_of_the_best(told: Told, evaluation: Evaluation) -> None:
    best, simple = entry_model(told.history, GROWTH), entry_model(told.history, PLAIN)
    assert best is not None
    assert simple is not None
    judged = evaluation.on("validation")
    for noise, winner in ((0.02, PLAIN), (2.0, GROWTH)):
        rng = np.random.default_rng(0)
        truth = judged.labels + 0.5 * rng.normal(size=len(judged.labels))
        given = {best[0].number: truth, simple[0].number: truth + noise * rng.normal(size=len(truth))}
        judged.scores = given.__getitem__  # type: ignore[assignment]
        models = {
            GROWTH: (best[0], dataclasses.replace(best[1], auc=1.0)),
            PLAIN: (simple[0], dataclasses.replace(simple[1], auc=0.9)),
        }
        found = choose(models, judged, told.history, "simpler")
        assert (found.entry, found.order[0]) == (winner, winner)
        assert ("simpler" in found.words) == (winner == PLAIN)
        assert choose(models, judged, told.history, "best").entry == GROWTH


def test_a_mixture_is_compared_by_scores_that_have_not_seen_the_labels(told: Told) -> None:
    evaluation = Evaluation(told.dataset, told.folder.files, told.history, "validation")
    trial, _ = entry_model(told.history, GROWTH) or pytest.fail("no model")
    name = f"{TRIALS}/{trial.number}/{SCORES.format(split=HELD_OUT)}"
    seen = evaluation.scores(trial.number)
    try:
        told.folder.files.write(name, pack_scores(seen * np.float32(0.5)))
        assert evaluation.on("test").on("validation").scores(trial.number) == pytest.approx(seen * 0.5)
    finally:
        told.folder.files.remove(name)


def test_a_grid_whose_best_value_is_at_an_end_is_told(told: Told) -> None:
    grid = EntrySettings.model_validate({"strategy": "grid"})
    best, _ = entry_model(told.history, PLAIN) or pytest.fail("no model")
    values = sorted(float(t.parameters["l2"] or 0) for t, _ in told.history.scored(PLAIN))
    at_end = best.parameters["l2"] in (values[0], values[-1])
    found = find_edges({PLAIN: grid, GROWTH: grid}, told.history)
    assert [f"{PLAIN}: the best l2" in line for line in found] == [True] * at_end
    trials = {n: dataclasses.replace(t, parameters={"l2": float(n)}) for n, t in told.history.trials.items()}
    moved = dataclasses.replace(told.history, trials=trials)
    last = max(told.history.scored(PLAIN), key=lambda pair: pair[0].number)[0].number
    moved.results = {n: dataclasses.replace(r, auc=0.99) if n == last else r for n, r in moved.results.items()}
    assert find_edges({PLAIN: grid}, moved) == (f"{PLAIN}: the best l2, {last}, is the highest of its grid; extend it",)
    assert find_edges({PLAIN: EntrySettings.model_validate({"strategy": "random"})}, moved) == ()
