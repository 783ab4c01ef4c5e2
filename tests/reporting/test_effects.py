"""Random effects in the report, and rows of entities that train has not seen."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from glmix_automl import metrics
from glmix_automl.layout import Folder
from glmix_automl.reporting import report
from glmix_automl.reporting.effects import effect_rows
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import leaderboard
from glmix_automl.study.history import History
from tests.reporting.conftest import PLAIN, Told

MEASURED = {
    "entities": 40.0,
    "entities_below": 3.0,
    "entities_carried": 2.0,
    "effective_degrees": 25.0,
    "parameters": 100.0,
    "deviation_intercept": 0.7,
    "deviation_n1": 0.2,
    "constant_entities": 0.8,
}


def with_effects(told: Told) -> tuple[History, int]:
    """The plain entry's trials as random effects, alone in the race; and the number of the best."""
    own = {n: t for n, t in told.history.trials.items() if t.strategy == PLAIN}
    parameters = {"entity": "member", "features": "n1"}
    history = dataclasses.replace(told.history)
    history.trials = {n: dataclasses.replace(t, family="random_effect", parameters=parameters) for n, t in own.items()}
    history.results = {n: dataclasses.replace(told.history.results[n], metrics=MEASURED) for n in own}
    return history, max(own)


def test_the_report_tells_of_the_winners_effects(told: Told, tmp_path: Path) -> None:
    history, best = with_effects(told)
    evaluation = Evaluation(told.dataset, told.folder.files, history)
    (row,) = effect_rows(history, evaluation, best)
    assert (row.trial, row.entity, row.features, row.entities, row.below, row.carried) == (
        best,
        "member",
        "n1",
        40,
        3,
        2,
    )
    assert row.deviations == (("intercept", 0.7), ("n1", 0.2))
    assert row.shrinkage == pytest.approx(0.75)
    assert row.variance == pytest.approx(1.0)  # the whole model
    assert row.may_memorise
    board = leaderboard(history, evaluation)
    report.write_study_report(Folder(str(tmp_path)), "made", told.record, history, board, evaluation)
    page = (tmp_path / "report.html").read_text()
    assert "Random effects of the winner" in page
    assert "80 % of member" in page
    plain = Evaluation(told.dataset, told.folder.files, told.history)
    assert effect_rows(told.history, plain, best) == []


def test_a_cold_start_is_the_rows_of_entities_that_train_has_not_seen(told: Told) -> None:
    history, best = with_effects(told)
    evaluation = Evaluation(told.dataset, told.folder.files, history)
    new = np.arange(len(evaluation.labels)) % 3 == 0
    evaluation.unseen = new
    expected = metrics.auc(evaluation.labels[new], evaluation.scores(best)[new])
    assert leaderboard(history, evaluation).rows[0].cold_start_auc == pytest.approx(expected)
    evaluation.unseen = np.zeros_like(new)
    assert leaderboard(history, evaluation).rows[0].cold_start_auc is None
