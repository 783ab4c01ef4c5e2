"""A search that is told a dataset and nothing else."""

import json
from pathlib import Path

import pytest

from glmix_automl.api import Study
from glmix_automl.serving.model import Model
from tests.dataset_maker import make_dataset
from tests.end_to_end.conftest import command


@pytest.mark.slow
@pytest.mark.horovod
@pytest.mark.timeout(400)
def test_a_dataset_alone_gets_to_a_model(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=4000, members=100, items=20, held_out=2000)
    words = ["search", "--dataset", str(tmp_path / "dataset"), "--study", str(tmp_path / "study")]
    done = command(*words, "--set", "limits.seconds=90", "--set", "tracking.enabled=false")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "default race: logistic regression, trees, bayes, adanet, all; 90 seconds at most" in done.stdout
    study = Study.open(tmp_path / "study")
    board = study.leaderboard().set_index("entry")
    assert set(board.index) == {"logistic regression", "trees", "bayes", "adanet", "all"}
    assert board.validation_auc["all"] > board.validation_auc["logistic regression"]
    told = json.loads((tmp_path / "study" / "leaderboard.json").read_text())
    assert told["choice"]
    weighed = study.history.results[int(board.trial["all"])].ensemble
    assert weighed is not None
    assert min(weighed.weights) >= 0
    families = {study.history.trials[member].family for member in weighed.members}
    assert {"logistic", "trees", "subnetwork", "random_effect"} <= families
    assert isinstance(study.champion(), Model)
    assert command(*words, "--set", "limits.seconds=90", "--resume").returncode == 0, "it is the race that it began as"
