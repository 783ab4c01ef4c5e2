"""A trial that begins from a coordinate of an earlier study, on a dataset whose terms have other ids."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glmix_automl.dataset import Dataset
from glmix_automl.errors import ConfigError, DataError, TrialError
from glmix_automl.layout import SCHEMA, Folder
from glmix_automl.training.evaluate import Evaluator
from glmix_automl.trial import Progress, State, Trial
from tests.reordered import reordered

FAST = {"batch_size": 64, "learning_rate": 0.02}
NETWORK = {**FAST, "depth": 1, "width": 8, "embedding_width": 4, "bag_width": 4}


def never(progress: Progress) -> bool:
    return False


def trial(number: int, family: str, **changes: Any) -> Trial:
    given = {"parameters": FAST if family == "logistic" else NETWORK, "epochs": 6.0, "seed": 5} | changes
    return Trial(number, "test", family, **given)


@pytest.fixture(scope="module")
def earlier(dataset: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study of three trials, and the schema it leaves behind."""
    study = str(tmp_path_factory.mktemp("yesterday"))
    Folder(study).write(SCHEMA, Dataset.open(dataset).schema.model_dump_json())
    evaluate = Evaluator(dataset, study, seed=1)
    evaluate(trial(0, "logistic"), never)
    evaluate(trial(1, "subnetwork"), never)
    evaluate(trial(2, "logistic", parameters={"solver": "lbfgs", "l2": 1.0}), never)
    return study


@pytest.fixture
def evaluate(dataset: str, study: str, tmp_path: Path) -> Evaluator:
    """On the same rows, the terms of every vocabulary in another order and some new ones among them."""
    return Evaluator(reordered(dataset, tmp_path / "tonight"), study, seed=1)


@pytest.mark.parametrize(("place", "family"), [(0, "logistic"), (1, "subnetwork")])
def test_it_begins_where_the_earlier_one_ended(
    evaluate: Evaluator, study: str, earlier: str, place: int, family: str
) -> None:
    slow = {**trial(0, family).parameters, "learning_rate": 1e-8, "table_learning_rate": 1e-8}
    still = evaluate(
        trial(0, family, parameters=slow, epochs=0.01, checkpoint=f"{earlier}/trials/{place}", seed=8), never
    )
    before, now = (
        np.load(Path(folder) / "scores-validation.npy") for folder in (f"{earlier}/trials/{place}", f"{study}/trials/0")
    )
    np.testing.assert_allclose(now, before, atol=1e-4)
    cold = evaluate(trial(1, family, epochs=0.1, seed=8), never)
    warm = evaluate(trial(2, family, epochs=0.1, seed=8, checkpoint=f"{earlier}/trials/{place}"), never)
    assert still.auc is not None
    assert cold.auc is not None
    assert warm.auc is not None
    assert warm.auc > cold.auc + 0.03
    assert warm.auc > still.auc - 0.02


def test_an_exact_solver_is_at_its_optimum_at_once(evaluate: Evaluator, earlier: str) -> None:
    exact = {"solver": "lbfgs", "l2": 1.0}
    cold = evaluate(trial(0, "logistic", parameters=exact), never)
    warm = evaluate(trial(1, "logistic", parameters=exact, checkpoint=f"{earlier}/trials/2"), never)
    assert warm.costs.steps < cold.costs.steps / 2
    assert warm.auc == pytest.approx(cold.auc, abs=1e-3)


def test_trees_are_grown_anew(evaluate: Evaluator, earlier: str) -> None:
    few = {"trees": 5, "leaves": 4}
    found = evaluate(trial(0, "trees", parameters=few, epochs=1.0, checkpoint=f"{earlier}/trials/0"), never)
    assert found.state is State.FINISHED


def test_what_cannot_be_begun_from_is_said(evaluate: Evaluator, earlier: str, tmp_path: Path) -> None:
    def begin(checkpoint: str) -> None:
        evaluate(trial(0, "subnetwork", checkpoint=checkpoint), never)

    with pytest.raises(TrialError, match=r"trials/0: holds weights of family logistic, the trial is of family subnetw"):
        begin(f"{earlier}/trials/0")
    with pytest.raises(DataError, match=r"trials/9/coordinate\.json: cannot be read"):
        begin(f"{earlier}/trials/9")
    with pytest.raises(DataError, match=r"schema\.json: cannot be read"):
        begin(f"{tmp_path}/trials/1")
    (tmp_path / SCHEMA).write_text(json.dumps({"version": 2}))
    with pytest.raises(ConfigError, match=r"schema\.json: version"):
        begin(f"{tmp_path}/trials/1")
