"""The steps of a night. Each gives what it found; what is there already of an earlier call, it goes on with.

A scheduler starts a process per step, so each imports what it alone needs: TensorFlow and MLflow take seconds.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from glmix_automl import config
from glmix_automl.dataset import Dataset
from glmix_automl.errors import GateError, StudyError
from glmix_automl.layout import SUCCESS
from glmix_automl.nightly.gate import refusals
from glmix_automl.nightly.tonight import DATASET, SCORES, STUDY, Tonight
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.settings import SearchSettings

if TYPE_CHECKING:
    from glmix_automl.nightly.choice import SearchChoice

CHOICE = "choice.json"  # beside the study: how it was decided what to do, in case it is resumed


def prepare(tonight: Tonight) -> dict[str, Any]:
    """Today's dataset; one that is published is kept."""
    from glmix_automl.api import prepare as prepare_dataset

    place, settings = tonight.folder.within(DATASET), tonight.settings
    if not place.exists(SUCCESS):
        prepare_dataset(settings.recipe, [f"output={place.uri}", *settings.laid_over("recipe")], key=tonight.key)
    dataset = Dataset.open(place.uri)
    rows = {f"{split}_rows": dataset.rows(split) for split in dataset.manifest.splits}
    return {"dataset": place.uri, "digest": dataset.digest, **rows}


def gate(tonight: Tonight) -> dict[str, Any]:
    """Which night today's dataset was compared with.

    Raises:
        GateError: today's data must not be trained on: why.
    """
    before = next((night for night in tonight.earlier() if night.is_over("gate")), None)
    old = None if before is None else tonight.data_report(before.key)
    broken = refusals(tonight.settings.gate, tonight.data_report(tonight.key), old)
    if broken:
        raise GateError("today's data did not pass the gate:\n" + "\n".join(f"- {line}" for line in broken))
    return {"compared_with": None if before is None else before.key}


def search(tonight: Tonight) -> dict[str, Any]:
    """How tonight's model was made, and what it is worth; a study that is there is resumed."""
    from glmix_automl.api import Study
    from glmix_automl.nightly.choice import SearchChoice, choose, look_back

    tonight.require("gate")
    folder = StudyFolder(tonight.folder.within(STUDY).uri)
    if folder.begun:
        choice, settings = SearchChoice(**json.loads(tonight.folder.read(CHOICE))), folder.record.settings
    else:
        dataset = Dataset.open(tonight.folder.within(DATASET).uri)
        choice = choose(tonight.settings.choice, dataset, look_back(tonight.home, tonight.earlier()))
        tonight.folder.write(CHOICE, json.dumps(dataclasses.asdict(choice)))
        tonight.report(f"search: {choice.way}, as {choice.reason}")
        settings = study_settings(tonight, choice, dataset)
    study = Study(settings).run(resume=True)
    if study.problem is not None:
        raise StudyError(f"{study.folder.uri}: MLflow is behind: {study.problem}; run the step again to log the rest")
    return {"way": choice.way, "reason": choice.reason, **choice.numbers, **study.found}


def study_settings(tonight: Tonight, choice: "SearchChoice", dataset: Dataset) -> SearchSettings:
    """The race of the search file, or a replay in its place."""
    places = [f"dataset={dataset.folder.uri}", f"study={tonight.folder.within(STUDY).uri}"]
    overrides = [*places, *tonight.settings.laid_over("search")]
    settings = config.load(tonight.settings.search, SearchSettings, overrides, tonight.key)
    if (
        settings.tracking.uri is None and tonight.home.is_local
    ):  # one store for all nights, so that they are compared in one UI
        uri = f"sqlite:///{tonight.home.path('mlflow.db')}"
        settings = settings.model_copy(update={"tracking": settings.tracking.model_copy(update={"uri": uri})})
    if choice.way == "search":
        return settings
    entry: dict[str, Any] = {"strategy": "replay", "plan": choice.plan, "warm_start": True}
    entry |= {"locked": list(choice.locked)} if choice.locked else {}
    return config.parse(
        {**settings.model_dump(mode="json"), "race": {choice.way: entry}, "baseline": None}, SearchSettings, "night"
    )


def promote(tonight: Tonight) -> dict[str, Any]:
    """The decision on tonight's winner, with its numbers."""
    from glmix_automl.serving import promotion

    tonight.require("search")
    folder = StudyFolder(tonight.folder.within(STUDY).uri)
    return promotion.promote(folder, tonight.settings.name, tonight.settings.promotion)


def score(tonight: Tonight) -> dict[str, Any]:
    """Rows scored by the champion, whichever night it comes from."""
    tonight.require("promote")
    if tonight.settings.score is None:
        return {"rows": 0}
    from glmix_automl.serving.scoring import score as score_table
    from glmix_automl.serving.settings import load_scoring

    promoted = tonight.night.found("promote")
    overrides = [f"model=models:/{promoted['name']}@champion", f"registry={promoted['uri']}"]
    overrides += [f"output={tonight.folder.within(SCORES).uri}", *tonight.settings.laid_over("score")]
    return score_table(load_scoring(tonight.settings.score, overrides, key=tonight.key))


def prune(tonight: Tonight) -> dict[str, Any]:
    """Which earlier nights were removed."""
    from glmix_automl.nightly import retention

    return {"removed": retention.prune(tonight.home, tonight.settings.keep, tonight.key)}


STEPS: Mapping[str, Callable[[Tonight], dict[str, Any]]] = {
    "prepare": prepare,
    "gate": gate,
    "search": search,
    "promote": promote,
    "score": score,
    "prune": prune,
}
"""In their order."""
