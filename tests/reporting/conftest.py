"""A study as it lies on disk when it has ended: a real dataset, cached scores, grown and plain entries of a race."""

import dataclasses
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from glmix_automl.dataset import Dataset
from glmix_automl.layout import SCORES, TRIALS
from glmix_automl.seeds import generator
from glmix_automl.study.folder import StudyFolder, StudyRecord
from glmix_automl.study.history import History
from glmix_automl.study.settings import SearchSettings
from glmix_automl.trial import Costs, Result, State, Trial
from tests.dataset_maker import make_dataset
from tests.search.growth_world import World
from tests.search.test_adanet_replay import grown

GROWTH, PLAIN, BROKEN = "growth <1>", "=plain & simple", "broken"


@dataclass(frozen=True)
class Told:
    """What reports are made of."""

    dataset: Dataset
    folder: StudyFolder
    record: StudyRecord
    history: History


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Growth whose last attempts were better on validation than the ensemble, but not by enough to enter."""
    place = tmp_path_factory.mktemp("told")
    make_dataset(place / "dataset", rows=800, held_out=900)
    dataset = Dataset.open(str(place / "dataset"))
    history = _history()
    folder = StudyFolder(place / "study")
    race = {name: {"strategy": "fixed", "family": "logistic"} for name in (PLAIN, GROWTH, BROKEN)}
    settings = SearchSettings.model_validate(
        {"dataset": str(place / "dataset"), "study": str(folder.path), "race": race}
    )
    record = StudyRecord(digest=dataset.digest, dataset_name="made", settings=settings)
    folder.write(record)
    for number, result in history.results.items():
        if result.state.scored:
            for split in ("validation", "test"):
                folder.files.write(f"{TRIALS}/{number}/{SCORES.format(split=split)}", _scores(dataset, split, number))
    return Told(dataset, folder, record, history)


def _history() -> History:
    world = World()
    grown(world, improvement=0.02)
    history = History(ended="every entry of the race has ended", sessions=[(1.7e9, 1.7e9 + 60)])
    history.trials |= {n: dataclasses.replace(t, strategy=GROWTH) for n, t in world.trials.items()}
    timed: dict[str, Any] = {"worker": "w0", "started": 1.7e9, "ended": 1.7e9 + 5}
    history.results |= {n: dataclasses.replace(r, **timed) for n, r in world.results.items()}
    first = len(history.trials)
    for place in range(12):
        number, parameters = first + place, {"l2": 10.0 ** (-place / 4), "kind": "ab"[place % 2]}
        history.trials[number] = Trial(number, PLAIN, "logistic", parameters)
        costs = Costs(10, 100, 0.5, 0.1, 0.2 + place)
        history.results[number] = Result(number, State.FINISHED, 0.6 + 0.01 * place, 0.5, costs=costs, **timed)
    history.trials[99] = Trial(99, BROKEN, "<script>alert(1)</script>")
    history.results[99] = Result.failure(99, "no such family <script>")
    history.spent = sum(r.costs.worker_seconds for r in history.results.values())
    return history


def _scores(dataset: Dataset, split: str, number: int) -> bytes:
    labels = dataset.labels(split)
    noise = generator(number, split).normal(size=len(labels))
    array = BytesIO()
    np.save(array, (0.2 + 0.05 * (number % 7)) * (2 * labels - 1) + 0.5 * noise.astype(np.float32))
    return array.getvalue()
