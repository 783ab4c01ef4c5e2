"""One night, step by step: each step is done once under the night's key, whoever calls it how often.

<home>/<key>/dataset, study, scores and night.json. A step that fails leaves its reason there, and whether a retry is
worth it; called again it goes on where it was: a study resumes, a dataset that is published is kept.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from glmix_automl import config
from glmix_automl.api import Study, prepare
from glmix_automl.dataset import Dataset
from glmix_automl.errors import DataError, GlmixError, StudyError
from glmix_automl.layout import DATA_REPORT_JSON, DESCRIPTION, MODEL, SUCCESS, Folder
from glmix_automl.nightly import record
from glmix_automl.nightly.choice import Choice, Earlier, choose
from glmix_automl.nightly.gate import refusals
from glmix_automl.nightly.record import STEPS, Night, State, Step
from glmix_automl.nightly.settings import NightSettings
from glmix_automl.prepare.checks import Report
from glmix_automl.serving.promotion import promote, registered_name
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.settings import SearchSettings
from glmix_automl.tracking.registry import Registry

DATASET, STUDY, SCORES = "dataset", "study", "scores"
CHOICE = "choice.json"  # beside the study: how it was decided what to do, in case it is resumed


class RefusedError(DataError):
    """Today's data did not pass the gate; a retry changes nothing until they are delivered anew."""

    exit_code = 2


class NightRun:
    """The work of one night."""

    def __init__(self, settings: NightSettings, key: str, report: Callable[[str], None] = print) -> None:
        """Reads what earlier calls left.

        Args:
            settings: with dates filled.
            key: of the night.
            report: told what each step does, a line each.
        """
        self.settings, self.key, self._report = settings, key, report
        self.home = Folder(settings.home)
        self.folder = self.home.within(key)
        self.night = Night.read(self.folder, key)

    def run(self, steps: Sequence[str] = STEPS) -> dict[str, Any]:
        """Does the steps that are not done; gives what came of the night so far.

        Raises:
            GlmixError: a step failed; the night's record says which and why.
        """
        for name in steps:
            if self.night.is_over(name):
                self._report(f"{name}: done already ({self.night.steps[name].at})")
                continue
            self._do(name)
        return self.summary()

    def summary(self) -> dict[str, Any]:
        """A flat record of the night: key, and every number by `step.name`."""
        flat: dict[str, Any] = {"key": self.key}
        for name, step in self.night.steps.items():
            flat[f"{name}.state"] = step.state
            flat |= {f"{name}.{key}": value for key, value in step.found.items()}
        return flat

    def _do(self, name: str) -> None:
        started = time.monotonic()
        work: Callable[[], dict[str, Any]] = getattr(self, f"_{name}")
        try:
            found = work()
        except BaseException as error:
            state: State = "refused" if isinstance(error, RefusedError) else "failed"
            known = isinstance(error, GlmixError)
            text = str(error) if known else f"{type(error).__name__}: {error}"
            retry = not (isinstance(error, GlmixError) and error.exit_code == 2)
            self._keep(name, Step(state=state, **self._when(started), error=text, retry=retry))
            raise
        state = "kept" if found.get("action") == "kept" else "done"
        self._keep(name, Step(state=state, **self._when(started), found=found))
        self._report(f"{name}: {state}" + "".join(f", {key} {_shown(value)}" for key, value in found.items()))

    def _when(self, started: float) -> dict[str, Any]:
        return {"at": record.now(), "seconds": time.monotonic() - started}

    def _keep(self, name: str, step: Step) -> None:
        self.night = self.night.with_step(name, step)
        self.night.write(self.folder)

    # --- the steps

    def _prepare(self) -> dict[str, Any]:
        place = self.folder.within(DATASET)
        if not place.exists(SUCCESS):
            prepare(self.settings.recipe, [f"output={place.uri}", *self.settings.laid_over("recipe")], key=self.key)
        dataset = Dataset.open(place.uri)
        rows = {f"{split}_rows": dataset.rows(split) for split in dataset.manifest.splits}
        return {"dataset": place.uri, "digest": dataset.digest, **rows}

    def _gate(self) -> dict[str, Any]:
        before = next((night for night in self._earlier() if night.is_over("gate")), None)
        old = None if before is None else self._data_report(before.key)
        broken = refusals(self.settings.gate, self._data_report(self.key), old)
        if broken:
            raise RefusedError("today's data did not pass the gate:\n" + "\n".join(f"- {line}" for line in broken))
        return {"compared_with": None if before is None else before.key}

    def _search(self) -> dict[str, Any]:
        self._require("gate")
        dataset = Dataset.open(self.folder.within(DATASET).uri)
        folder = StudyFolder(self.folder.path(STUDY))
        choice = self._choice(dataset) if not folder.begun else None
        study = Study(folder.record.settings) if choice is None else Study(self._study_settings(choice, dataset))
        study.run(resume=True)
        if study.problem is not None:
            raise StudyError(
                f"{study.folder.path}: MLflow is behind: {study.problem}; run the step again to log the rest"
            )
        winner = study.leaderboard().iloc[0]
        found = {"study": str(study.folder.path), "entry": winner.entry, "trial": int(winner.trial)}
        found |= {"validation_auc": float(winner.validation_auc), "test_auc": float(winner.test_auc)}
        told = choice or self._begun_choice()
        return {"way": told.way, "reason": told.reason, **told.numbers, **found}

    def _promote(self) -> dict[str, Any]:
        self._require("search")
        return promote(StudyFolder(self.folder.path(STUDY)), self.settings.name, self.settings.promotion)

    def _score(self) -> dict[str, Any]:
        self._require("promote")
        if self.settings.score is None:
            return {"rows": 0}
        from glmix_automl.serving.scoring import load, score

        promoted = self.night.found("promote")
        model = f"models:/{promoted['name']}@champion"
        overrides = [f"model={model}", f"registry={promoted['uri']}", f"output={self.folder.within(SCORES).uri}"]
        return score(load(self.settings.score, [*overrides, *self.settings.laid_over("score")], key=self.key))

    def _prune(self) -> dict[str, Any]:
        """Removes what is older than the nights to keep, but for nights whose study the champion comes from."""
        champion = self._registry().champion() if self.night.found("promote") else None
        old = self._earlier()[self.settings.keep - 1 :]
        removed = []
        for night in old:
            study = StudyFolder(self.home.within(night.key).path(STUDY))
            if champion is not None and study.begun and champion.tags.get("glmix.study") == study.record.id:
                continue
            self.home.remove(night.key)
            removed.append(night.key)
        return {"removed": removed}

    # --- what they share

    def _require(self, step: str) -> None:
        if not self.night.is_over(step):
            raise StudyError(f"{self.folder.uri}: step {step} is not done; run it first, or all steps")

    def _earlier(self) -> list[Night]:
        """The records of nights before this one, the last first."""
        keys = sorted((name for name in self.home.folders() if name < self.key), reverse=True)
        return [Night.read(self.home.within(key), key) for key in keys if self.home.exists(f"{key}/{record.NIGHT}")]

    def _data_report(self, key: str) -> Report:
        return Report.model_validate_json(self.home.read(f"{key}/{DATASET}/{DATA_REPORT_JSON}"))

    def _registry(self) -> Registry:
        found = self.night.found("promote") or next((n.found("promote") for n in self._earlier()), {})
        return Registry(found["uri"], registered_name(found["name"]))

    def _choice(self, dataset: Dataset) -> Choice:
        earlier = self._earlier()
        searched = [night for night in earlier if night.is_over("search")]
        models = [self.home.within(f"{n.key}/{STUDY}/{MODEL}") for n in searched]
        model = next((folder for folder in models if folder.exists(DESCRIPTION)), None)
        since = next((k for k, night in enumerate(searched) if night.found("search")["way"] == "search"), len(searched))
        promoted = next((night.found("promote") for night in earlier if night.found("promote")), None)
        registry = None if promoted is None else Registry(promoted["uri"], promoted["name"])
        found = choose(self.settings.choice, dataset, Earlier(model, since, registry))
        self.folder.write(CHOICE, json.dumps(dataclasses.asdict(found)))
        self._report(f"search: {found.way}, as {found.reason}")
        return found

    def _begun_choice(self) -> Choice:
        return Choice(**json.loads(self.folder.read(CHOICE)))

    def _study_settings(self, choice: Choice, dataset: Dataset) -> SearchSettings:
        places = [f"dataset={dataset.folder.uri}", f"study={self.folder.path(STUDY)}"]
        overrides = [*places, *self.settings.laid_over("search")]
        settings = config.load(self.settings.search, SearchSettings, overrides, self.key)
        if settings.tracking.uri is None:  # one store for all nights, so that they are compared in one UI
            uri = f"sqlite:///{self.home.path('mlflow.db')}"
            settings = settings.model_copy(update={"tracking": settings.tracking.model_copy(update={"uri": uri})})
        if choice.way == "search":
            return settings
        searched = next(night for night in self._earlier() if night.is_over("search"))
        plan = self.home.within(f"{searched.key}/{STUDY}/{MODEL}").path()
        entry = {"strategy": "replay", "plan": plan, "warm_start": True}
        return config.parse(
            {**settings.model_dump(mode="json"), "race": {choice.way: entry}, "baseline": None}, SearchSettings, "night"
        )


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
