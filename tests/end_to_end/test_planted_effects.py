"""Growth takes the random effects that the data have, and none that they have not."""

from pathlib import Path
from typing import Any

import pytest

from glmix_automl.api import Study
from tests.dataset_maker import make_dataset

POOL = [
    {"family": "logistic", "parameters": {"solver": "lbfgs", "l2": 1.0}, "until": 1, "alone": True},
    {"family": "random_effect", "name": "member", "parameters": {"entity": "member", "features": "n*"}},
    {"family": "random_effect", "name": "item", "parameters": {"entity": "item"}},
]
GROWTH: dict[str, Any] = {
    "strategy": "adanet",
    "candidates": 5,
    "patience": 2,
    "improvement": 0.002,
    "generator": {"kind": "pool", "candidates": POOL},
}


def members(folder: Path, seed: int, effects: float) -> set[str]:
    """Families and entities in the model that growth ends with."""
    make_dataset(folder / "dataset", rows=6000, held_out=3000, seed=seed, members=60, effects=effects)
    settings = {
        "dataset": str(folder / "dataset"),
        "study": str(folder / "study"),
        "seed": seed,
        "workers": {"place": "in_process", "slots": 1},
        "tracking": {"enabled": False},
        "race": {"growth": GROWTH},
    }
    study = Study(settings).run()
    winner, history = int(study.leaderboard().trial[0]), study.history
    found = history.results[winner].ensemble
    trials = [history.trials[number] for number in (found.members if found else (winner,))]
    return {str(trial.parameters.get("entity", trial.family)) for trial in trials}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_growth_takes_the_effects_that_are_there(seed: int, tmp_path: Path) -> None:
    assert members(tmp_path / "planted", seed, 1.0) == {"logistic", "member", "item"}
    assert members(tmp_path / "none", seed, 0.0) == {"logistic"}
