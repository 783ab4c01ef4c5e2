"""What MLflow shows of a study: one parent run, every trial a child of it (depth 1: the UI loses deeper nesting)."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import (
    MLFLOW_EXPERIMENT_PRIMARY_METRIC_GREATER_IS_BETTER,
    MLFLOW_EXPERIMENT_PRIMARY_METRIC_NAME,
    MLFLOW_PARENT_RUN_ID,
)

from glmix_automl.study.controller import INTERRUPTED
from glmix_automl.study.folder import StudyFolder, StudyRecord
from glmix_automl.tracking.names import VIEW, fit
from glmix_automl.tracking.store import default_artifacts
from glmix_automl.trial import Progress, Result, State, Trial

STUDY_TAG = "glmix.study"
TRIAL_TAG = "glmix.trial"
BEST = "best_validation_auc"
METRICS_PER_CALL = 1000  # MLflow's limit
PAIRS_PER_CALL = 100
VALUE_CHARACTERS = 500  # MLflow's limit for a tag, and enough for a parameter
DIGEST_CHARACTERS = 36  # MLflow's limit
RUN_STATUS = {State.FINISHED: "FINISHED", State.STOPPED: "FINISHED", State.FAILED: "FAILED"}
EXPERIMENT_TAGS = {
    # Else the UI of MLflow 3 takes an experiment for one of generative AI, and opens it on traces.
    "mlflow.experimentKind": "custom_model_development",
    MLFLOW_EXPERIMENT_PRIMARY_METRIC_NAME: "validation_auc",
    MLFLOW_EXPERIMENT_PRIMARY_METRIC_GREATER_IS_BETTER: "true",
}


class View:
    """Writes to one tracking server, found or made anew: experiment, parent run, child runs.

    Every call may be repeated, and goes on where the server failed within one before: what is there already stays as it
    is, what is missing is added. Any call may raise what MLflow raises.
    """

    def __init__(self, uri: str, experiment: str, record: StudyRecord, began: float) -> None:
        """Finds or makes the experiment and the study's run, and finds the trials that were logged before.

        Args:
            uri: of the tracking server.
            experiment: its name.
            record: of the study.
            began: when its first controller began, in seconds since the epoch.
        """
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._record = record
        self.experiment = self._experiment(experiment)
        self.parent = self._parent(began)
        self._known = dict(self._children())
        self._best: dict[str, float] = {}
        self._ended = 0
        self._curve: list[Metric] = []  # of the parent, not logged yet

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        tags: Mapping[str, str] = {} if found is None else found.tags
        if found is None:
            folder = StudyFolder(self._record.settings.study)
            # A server chooses the place itself; the default store has nobody else to do so.
            local = default_artifacts(folder).as_uri() if self._record.settings.tracking.uri is None else None
            number = str(self.client.create_experiment(name, artifact_location=local))
        else:
            number = str(found.experiment_id)
        for key, value in {**EXPERIMENT_TAGS, **_saved_view()}.items():
            if key not in tags:
                self.client.set_experiment_tag(number, key, value)
        return number

    def _parent(self, began: float) -> str:
        run = next(self._search(f"tags.`{STUDY_TAG}` = '{self._record.id}' and tags.`{TRIAL_TAG}` = 'none'", 1), None)
        if run is None:
            tags = {STUDY_TAG: self._record.id, TRIAL_TAG: "none", "dataset": self._record.dataset_name}
            tags |= {"digest": self._record.digest, "package": self._record.package}
            day = time.strftime("%Y-%m-%d %H:%M", time.localtime(began))
            run = self.client.create_run(self.experiment, tags=tags, run_name=f"{self._record.dataset_name} {day}")
        number = str(run.info.run_id)
        settings = _flat(self._record.settings.model_dump(mode="json", exclude_defaults=True))
        # A parameter can be set once, and a study that goes on may have other limits than it began with.
        self._log(number, params=[Param(key, value) for key, value in settings if key not in run.data.params])
        self._log_dataset(number)
        return number

    def _log_dataset(self, run: str) -> None:
        """By name, digest and place: the rows stay where they are."""
        record = self._record
        source = json.dumps({"uri": record.settings.dataset})
        dataset = Dataset(record.dataset_name, record.digest[:DIGEST_CHARACTERS], "local", source)
        self.client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def _children(self) -> Iterator[tuple[int, str]]:
        for run in self._search(f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self.parent}'"):
            yield int(run.data.tags[TRIAL_TAG]), str(run.info.run_id)

    def _search(self, condition: str, most: int | None = None) -> Iterator[Any]:
        token: str | None = None
        while True:
            page = self.client.search_runs([self.experiment], condition, ViewType.ALL, most or 1000, page_token=token)
            yield from page
            token = page.token
            if not token or most:
                return

    # --- the study

    def began(self, at: float) -> None:
        """A controller took the study up."""
        self.client.update_run(self.parent, status="RUNNING")

    def left(self, reason: str, at: float) -> None:
        """A controller left it."""
        self.client.set_tag(self.parent, "ended", reason[:VALUE_CHARACTERS])
        self.client.set_terminated(self.parent, "KILLED" if reason == INTERRUPTED else "FINISHED", _milliseconds(at))

    def recall(self, trial: Trial, result: Result, at: float) -> None:
        """Takes in a result that is logged already: what came after it is compared with the best so far."""
        self._ended += 1
        # A slash, which `fit` would keep, opens a group of charts of its own.
        entry = trial.strategy.replace("/", "\0")
        for name in (BEST, fit(f"{BEST} by entry/{entry}")):
            if result.auc is not None and result.auc > self._best.get(name, 0.0):
                self._best[name] = result.auc
                at_ms = _milliseconds(result.ended or at)
                self._curve.append(Metric(name, result.auc, at_ms, self._ended))

    def flush(self) -> None:
        """Logs how the best validation AUC, of all and of each entry, rose with the number of ended trials."""
        self._log(self.parent, metrics=self._curve)
        self._curve.clear()

    # --- its trials

    def asked(self, trial: Trial, at: float) -> str:
        """The run of a trial, made if there is none."""
        if trial.number not in self._known:
            tags = {MLFLOW_PARENT_RUN_ID: self.parent, STUDY_TAG: self._record.id, TRIAL_TAG: str(trial.number)}
            tags |= {"strategy": trial.strategy, "family": trial.family, **trial.tags}
            name = f"{trial.number:04d} {trial.strategy} {trial.family}"
            run = self.client.create_run(self.experiment, _milliseconds(at), tags, name)
            self._known[trial.number] = str(run.info.run_id)
        return self._known[trial.number]

    def ended(self, run: str, trial: Trial, result: Result, at: float) -> None:
        """Parameters, metrics with their curves, costs, the dataset; the traceback of a failed one."""
        tags = {"state": result.state.value, "worker": result.worker, "attempts": str(result.attempts)}
        self._log(
            run,
            metrics=[*_curve(result, at), *_metrics(result, at)],
            params=[Param(fit(name), str(value)[:VALUE_CHARACTERS]) for name, value in _parameters(trial).items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        self._log_dataset(run)
        if result.error is not None:
            self.client.log_text(run, result.error, "traceback.txt")
        self.client.set_terminated(run, RUN_STATUS[result.state], _milliseconds(result.ended or at))
        self.recall(trial, result, at)

    def _log(
        self, run: str, metrics: Sequence[Metric] = (), params: Sequence[Param] = (), tags: Sequence[RunTag] = ()
    ) -> None:
        """As few calls as MLflow's limits allow; nearly always one."""
        points, pairs, marks = iter(metrics), iter(params), iter(tags)
        while True:
            some = list(islice(points, METRICS_PER_CALL - 2 * PAIRS_PER_CALL))
            given, named = list(islice(pairs, PAIRS_PER_CALL)), list(islice(marks, PAIRS_PER_CALL))
            if not some and not given and not named:
                return
            self.client.log_batch(run, some, given, named, synchronous=True)


def _saved_view() -> dict[str, str]:
    """The tag that keeps a view of the list of runs, as the UI's button to share one writes it: what matters at a
    glance in columns, the best first.
    """
    columns = ["tags.`strategy`", "tags.`family`"]
    columns += [f"metrics.`{name}`" for name in ("validation_auc", "test_auc", "worker_seconds", BEST)]
    state = {
        "selectedColumns": columns,
        "orderByKey": "metrics.`validation_auc`",
        "orderByAsc": False,
        "runsHiddenMode": "FIRST_20_RUNS",
    }
    return {f"mlflow.sharedViewState.{VIEW}": json.dumps(state)}


def _parameters(trial: Trial) -> dict[str, object]:
    budget: dict[str, object] = {"epochs": trial.epochs, "fraction": trial.fraction, "seed": trial.seed}
    if trial.parent is not None:
        budget["parent"] = trial.parent
    if trial.checkpoint is not None:
        budget["checkpoint"] = trial.checkpoint
    members = None if trial.fit is None else trial.fit.begin
    for name, ensemble in (("offset", trial.offset), ("members", members), ("teacher", trial.teacher)):
        if ensemble is not None:
            budget[name] = " ".join(map(str, ensemble.members))
    if trial.fit is not None:
        budget |= {"weighting": trial.fit.weighting, "fit": trial.fit.split}
    return {**budget, **trial.parameters}


def _metrics(result: Result, at: float) -> Iterator[Metric]:
    costs = result.costs
    found: dict[str, float | None] = {
        "validation_auc": result.auc,
        "validation_loss": result.loss,
        "train_seconds": costs.train_seconds,
        "eval_seconds": costs.eval_seconds,
        "worker_seconds": costs.worker_seconds,
        "steps": costs.steps,
        "rows": costs.rows,
        **result.metrics,
    }
    step = max([costs.steps, *(point.steps for point in result.curve)])
    for name, value in found.items():
        if value is not None:
            yield Metric(fit(name), float(value), _milliseconds(result.ended or at), step)


def _curve(result: Result, at: float) -> Iterator[Metric]:
    start = result.started or at
    for point in result.curve:
        for name, value in _values(point):
            yield Metric(name, value, _milliseconds(start + point.seconds), point.steps)


def _values(point: Progress) -> Iterator[tuple[str, float]]:
    for name, value in (("validation_auc", point.auc), ("validation_loss", point.loss), ("epoch", point.epoch)):
        if value is not None:
            yield name, float(value)


def _flat(content: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        name = f"{path}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield fit(name), str(value)[:VALUE_CHARACTERS]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
