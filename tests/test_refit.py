"""The winner trained again on train and validation: the optimum of all these rows, and what is exported."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from glmix_automl.api import Study
from glmix_automl.dataset import Dataset
from glmix_automl.ensemble import Ensemble
from glmix_automl.layout import MODEL, REFIT, TRIALS
from glmix_automl.refit import SLACK, WORKERS_START_SECONDS, has_time_left
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.serving.model import Model
from tests.dataset_maker import make_dataset

EXACT: dict[str, Any] = {"solver": "lbfgs", "l2": "auto", "tolerance": 1e-10, "features": "n*"}
NETWORK: dict[str, Any] = {"depth": 1, "width": 16, "learning_rate": 0.01, "embedding_width": 4}
GROWTH: dict[str, Any] = {
    "strategy": "adanet",
    "candidates": 4,
    "improvement": 0.0,
    "generator": {
        "kind": "pool",
        "candidates": [
            {"family": "logistic", "parameters": {**EXACT, "features": "*"}, "until": 1, "alone": True},
            {"family": "random_effect", "parameters": {"entity": "member"}, "until": 2, "alone": True},
            {"family": "trees", "parameters": {"trees": 40, "leaves": 4, "patience": 5}, "until": 3, "alone": True},
            {"family": "subnetwork", "parameters": NETWORK, "epochs": 3, "training": "residual"},
        ],
    },
}


def run(folder: Path, entry: dict[str, Any], **settings: Any) -> Study:
    settings = {"workers": {"place": "in_process"}, "tracking": {"enabled": False}, **settings}
    dataset = str(folder / "dataset")
    return Study({"dataset": dataset, "study": str(folder / "study"), "race": {"entry": entry}} | settings).run()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_dataset(tmp_path / "dataset", rows=800, held_out=700)
    return tmp_path


def test_the_logistic_regression_is_the_optimum_on_both_splits(folder: Path) -> None:
    study = run(folder, {"strategy": "fixed", "family": "logistic", "parameters": EXACT}, refit=True)
    chosen = study.history.results[0].metrics["l2"]
    dataset = Dataset.open(str(folder / "dataset"))
    train, validation, test = (dataset.read(split) for split in ("train", "validation", "test"))
    x, y = (np.concatenate([getattr(train, part), getattr(validation, part)]) for part in ("numerics", "label"))
    expected = LogisticRegression(C=1 / chosen, tol=1e-8).fit(x, y).decision_function(test.numerics)
    model = Model(study.folder.files.within(MODEL))
    assert model.score_block(test) == pytest.approx(expected, abs=1e-3)
    alone = LogisticRegression(C=1 / chosen, tol=1e-8).fit(train.numerics, train.label)
    assert model.score_block(test) != pytest.approx(alone.decision_function(test.numerics), abs=1e-2)


def test_what_is_left_of_the_time_is_used_and_no_more(folder: Path) -> None:
    entry = {"strategy": "fixed", "family": "logistic", "parameters": EXACT}
    study = run(folder, entry, refit="time_left", limits={"seconds": 600})
    told = (study.folder.path / "leaderboard.json").read_text()
    assert "trained again on train and validation" in told
    history, model = study.history, Ensemble.of(0)
    took = history.results[0].costs.train_seconds
    least = history.seconds() + WORKERS_START_SECONDS + SLACK * took
    found = [has_time_left(history, model, seconds, 2) for seconds in (None, 0.99 * least, 1.01 * least)]
    assert found == [False, False, True]
    short = run(
        folder, entry, study=str(folder / "short"), refit="time_left", limits={"seconds": WORKERS_START_SECONDS}
    )
    assert "trained again" not in (short.folder.path / "leaderboard.json").read_text()


@pytest.mark.slow
def test_an_ensemble_keeps_its_weights_and_its_members_are_trained_anew(folder: Path) -> None:
    study = run(folder, GROWTH, refit=True)
    board, history = study.leaderboard(), study.history
    winner = int(board.trial[0])
    dataset = Dataset.open(str(folder / "dataset"))
    before = Evaluation(dataset, study.folder.files, history)
    after = Evaluation(dataset, study.folder.files.within(REFIT), history)
    assert len(before.model(winner).pruned.members) > 1
    assert not np.allclose(after.scores(winner), before.scores(winner), atol=1e-2)
    assert board.test_auc[0] == before.auc(winner).estimate  # the leaderboard is of train alone
    exported = Model(study.folder.files.within(MODEL))
    assert [term.weight for term in exported.description.terms] == list(before.model(winner).pruned.weights)
    assert exported.score_block(dataset.read("test", entities=True)) == pytest.approx(after.scores(winner), abs=1e-5)
    files = sorted((study.folder.path / REFIT / TRIALS).glob("*/*"))
    times = [file.stat().st_mtime_ns for file in files]
    told = (study.folder.path / "leaderboard.json").read_text()
    assert "trained again on train and validation, its choices fixed: test AUC 0." in told
    study.report()
    assert [file.stat().st_mtime_ns for file in files] == times  # nothing is trained a third time
    assert (study.folder.path / "leaderboard.json").read_text() == told
