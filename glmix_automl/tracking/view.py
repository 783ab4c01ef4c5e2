"""What MLflow shows of a study: one parent run, every trial a child of it (depth 1: the UI loses deeper nesting)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from glmix_automl.study.folder import StudyFolder, StudyRecord
from glmix_automl.tracking.tracker import default_artifacts
from glmix_automl.trial import Progress, Result, State, Trial

STUDY_TAG = "glmix.study"
TRIAL_TAG = "glmix.trial"
INTERRUPTED = "interrupted"
METRICS_PER_CALL = 1000  # MLflow's limit
PAIRS_PER_CALL = 100
VALUE_CHARACTERS = 500  # MLflow's limit for a tag, and enough for a parameter
STATUS = {State.FINISHED: "FINISHED", State.STOPPED: "FINISHED", State.FAILED: "FAILED"}


class View:
    """Writes to one tracking server, found or made anew: experiment, parent run, child runs.

    Every call may be repeated: what is there already stays as it is. Any call may raise what MLflow raises.
    """

    def __init__(self, uri: str, experiment: str, name: str, record: StudyRecord) -> None:
        """Finds or makes the experiment and the study's run, and finds the trials that were logged before."""
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._record = record
        self.experiment = self._experiment(experiment)
        self.parent = self._parent(name)
        self._known = dict(self._children())

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        folder = StudyFolder(self._record.settings.study)
        # A server chooses the place itself; the default store has nobody else to do so.
        local = default_artifacts(folder).as_uri() if self._record.settings.tracking.uri is None else None
        return str(self.client.create_experiment(name, artifact_location=local))

    def _parent(self, name: str) -> str:
        found = self._search(f"tags.`{STUDY_TAG}` = '{self._record.id}' and tags.`{TRIAL_TAG}` = 'none'", 1)
        for run in found:
            return str(run.info.run_id)
        tags = {STUDY_TAG: self._record.id, TRIAL_TAG: "none", "dataset": self._record.dataset_name}
        tags |= {"digest": self._record.digest, "package": self._record.package}
        run = self.client.create_run(self.experiment, tags=tags, run_name=name)
        settings = _flat(self._record.settings.model_dump(mode="json", exclude_defaults=True))
        self._log(run.info.run_id, params=[Param(key, value) for key, value in settings])
        return str(run.info.run_id)

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
        """Parameters, metrics with their curves, costs; the traceback of a failed one."""
        tags = {"state": result.state.value, "worker": result.worker, "attempts": str(result.attempts)}
        self._log(
            run,
            metrics=[*_curve(result, at), *_metrics(result, at)],
            params=[Param(name, str(value)[:VALUE_CHARACTERS]) for name, value in _parameters(trial).items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        if result.error is not None:
            self.client.log_text(run, result.error, "traceback.txt")
        self.client.set_terminated(run, STATUS[result.state], _milliseconds(result.ended or at))

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


def _parameters(trial: Trial) -> dict[str, object]:
    budget: dict[str, object] = {"epochs": trial.epochs, "fraction": trial.fraction, "seed": trial.seed}
    if trial.parent is not None:
        budget["parent"] = trial.parent
    if trial.checkpoint is not None:
        budget["checkpoint"] = trial.checkpoint
    for name in ("offset", "members", "teacher"):
        mixture = getattr(trial, name)
        if mixture is not None:
            budget[name] = " ".join(map(str, mixture.members))
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
            yield Metric(name, float(value), _milliseconds(result.ended or at), step)


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
        name = f"{path}{key}".replace(" ", "_")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield name[:250], str(value)[:VALUE_CHARACTERS]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
