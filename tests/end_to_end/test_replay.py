"""Night after night: growth once, then replays that begin from the weights of the night before."""

from pathlib import Path
from typing import Any

import pytest

from glmix_automl.api import Study
from glmix_automl.errors import ConfigError
from glmix_automl.layout import DESCRIPTION
from tests.dataset_maker import make_dataset
from tests.reordered import reordered

QUICK = {"batch_size": 128, "learning_rate": 0.01}
GROWTH = {
    "strategy": "adanet",
    "candidates": 3,
    "patience": 3,
    "epochs": 4,
    "generator": {
        "kind": "pool",
        "candidates": [
            {"family": "logistic", "parameters": QUICK, "until": 1, "alone": True},
            {"family": "subnetwork", "parameters": {**QUICK, "depth": 2, "width": 16, "embedding_width": 4}},
        ],
    },
}


def night(folder: Path, name: str, dataset: str, **race: Any) -> Study:
    settings = {
        "dataset": dataset,
        "study": str(folder / name),
        "workers": {"place": "in_process", "slots": 1},
        "tracking": {"enabled": False},
        "race": race,
    }
    return Study(settings).run()


def replay(plan: Path, **options: Any) -> dict[str, Any]:
    return {"strategy": "replay", "plan": str(plan), "epochs": 0.1, **options}


def best(study: Study) -> float:
    return float(study.leaderboard().validation_auc[0])


@pytest.mark.slow
def test_a_replay_begins_from_the_night_before(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=3000)
    moved = reordered(tmp_path / "dataset", tmp_path / "moved")
    grown = night(tmp_path, "growth", str(tmp_path / "dataset"), growth=GROWTH)
    found = [n for n, trial in grown.history.trials.items() if trial.family != "mixture"]
    assert len(found) >= 2
    # The dataset of the first night is not needed any more: its schema lies in the study and in the model.
    (tmp_path / "dataset").rename(tmp_path / "gone")
    cold = night(tmp_path, "cold", moved, again=replay(grown.folder.path))
    warm = night(tmp_path, "warm", moved, again=replay(grown.folder.path, warm_start=True))
    model = night(tmp_path, "of the model", moved, again=replay(grown.folder.path / "model", warm_start=True))
    assert best(warm) > best(cold) + 0.02
    assert best(warm) > best_of(grown) - 0.01
    assert best(model) == pytest.approx(best(warm), abs=0.01)
    third = night(tmp_path, "third", moved, again=replay(warm.folder.path, warm_start=True))
    assert best(third) > best(warm) - 0.01
    checkpoints = [trial.checkpoint for trial in third.history.trials.values() if trial.family != "mixture"]
    assert checkpoints
    assert all(str(c).startswith(f"{warm.folder.path}/trials/") for c in checkpoints)
    assert warm.champion().description.origin["plan"]["members"]


def best_of(study: Study) -> float:
    """Validation AUC, also where the dataset is gone."""
    return max(result.auc or 0.0 for result in study.history.results.values())


def test_a_model_that_was_not_grown_holds_no_plan(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=300)
    study = night(tmp_path, "fixed", str(tmp_path / "dataset"), fixed={"strategy": "fixed", "family": "logistic"})
    assert "plan" not in study.champion().description.origin
    with pytest.raises(ConfigError, match=f"{DESCRIPTION}: holds no plan"):
        night(tmp_path, "again", str(tmp_path / "dataset"), again=replay(study.folder.path / "model"))


@pytest.mark.slow
def test_a_night_may_refresh_the_effects_only(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=4000)
    moved = reordered(tmp_path / "dataset", tmp_path / "moved")
    pool = [
        {"family": "logistic", "parameters": {"solver": "lbfgs", "l2": 1.0}, "until": 1, "alone": True},
        {"family": "random_effect", "name": "member", "parameters": {"entity": "member", "features": "n*"}},
    ]
    growth = {"strategy": "adanet", "candidates": 3, "patience": 2, "generator": {"kind": "pool", "candidates": pool}}
    grown = night(tmp_path, "growth", str(tmp_path / "dataset"), growth=growth)
    options = {"warm_start": True, "locked": ["logistic"]}
    refreshed = night(tmp_path, "refreshed", moved, again=replay(grown.folder.path / "model", **options))
    trials, results = refreshed.history.trials, refreshed.history.results
    steps = {trials[number].family: result.costs.steps for number, result in results.items()}
    assert steps["logistic"] == 0 < steps["random_effect"]
    assert best(refreshed) == pytest.approx(best(grown), abs=1e-3)  # the same rows, under other ids
