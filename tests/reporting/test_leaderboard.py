"""The leaderboard: which model an entry stands for, and what it is worth."""

import numpy as np
import pytest

from glmix_automl import metrics
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import entry_model, leaderboard
from glmix_automl.search.growth.grown import trace_growth
from glmix_automl.search.growth.plan import plan_replay
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
    assert [row.validation_auc for row in board.rows] == sorted((r.validation_auc for r in board.rows), reverse=True)
    row = next(row for row in board.rows if row.entry == PLAIN)
    labels, scores = told.dataset.labels("test"), evaluation.scores(trial.number)
    assert row.test_auc == pytest.approx(metrics.auc(labels, scores))
    assert row.trials == 12
    assert np.isfinite([row.test_low, row.test_high, row.member_auc]).all()
