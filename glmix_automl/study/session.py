"""One controller's work on a study, from taking the lock to giving it back."""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from glmix_automl.config import parse, pick
from glmix_automl.dataset import Dataset
from glmix_automl.dataset.fingerprint import confirm, fingerprints
from glmix_automl.errors import ConfigError, DataError, StudyError
from glmix_automl.layout import SCHEMA, TRIALS, Folder
from glmix_automl.metrics import Measure
from glmix_automl.search import STRATEGIES
from glmix_automl.search.ordered import Ordered
from glmix_automl.seeds import derive
from glmix_automl.study import executors, journal
from glmix_automl.study.controller import Controller
from glmix_automl.study.defaults import fill_in
from glmix_automl.study.earlier import read_plans, read_priors
from glmix_automl.study.folder import StudyFolder, StudyRecord, check_resume
from glmix_automl.study.journal import Journal
from glmix_automl.study.race import Entry
from glmix_automl.study.settings import EntrySettings, SearchSettings
from glmix_automl.study.stopping import rules
from glmix_automl.trial import Progress
from glmix_automl.workers.executor import Executor

STATUS = "status.json"  # in the study's folder: what its workers do, rewritten every second, and when it ends
STATUS_SECONDS = 1.0

log = logging.getLogger(__name__)

Observer = Callable[[Controller, Executor], None]


class Session:
    """Opens or begins a study and runs it. Use as a context manager: inside the block the lock is held."""

    def __init__(self, settings: SearchSettings, resume: bool = False) -> None:
        """Checks everything that can be checked before there are workers.

        Args:
            settings: what to do.
            resume: go on with the study if there is one; without, a folder that has one is refused.

        Raises:
            ConfigError: a strategy or an option of it is unknown or out of range.
            DataError: the dataset cannot be read, or nothing can be learned from it.
            StudyError: there is a study and `resume` is not set, or it is about something else.
        """
        settings.tracking.check()
        self.folder = StudyFolder(settings.study)
        self.dataset = Dataset.open(settings.dataset)
        self.dataset.check_classes()
        _check_measure(settings, self.dataset)
        begun = self.folder.record.settings if resume and self.folder.begun else None
        settings = fill_in(spell_out(settings), self.dataset, begun)
        self.settings = read_plans(read_priors(settings, self.dataset, begun), begun)
        self.entries = race(self.settings)
        self.controller: Controller | None = None
        self._resume = resume
        self._interrupted = False
        self._held = contextlib.ExitStack()

    def __enter__(self) -> "Session":
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.folder.hold())
            self._begin()
            self._held = stack.pop_all()
        return self

    def __exit__(self, *problem: object) -> None:
        self._held.close()

    def _begin(self) -> None:
        record = StudyRecord(
            digest=self.dataset.digest,
            fingerprints=fingerprints(self.dataset),
            dataset_name=self.dataset.manifest.name,
            settings=self.settings,
        )
        if self.folder.begun:
            if not self._resume:
                raise StudyError(
                    f"{self.folder.uri}: there is a study already; go on with it (--resume, or glmix-automl resume "
                    f"{self.settings.study}) or name another folder"
                )
            begun = self.folder.record
            confirm(self.dataset, begun.digest, begun.fingerprints)
            check_resume(begun, record, self.folder.uri)
            if not self.folder.is_copy:
                record = record.model_copy(update={"id": begun.id})
        self.folder.files.remove_unfinished()
        # Beside the weights that a later study may begin from, when the dataset is gone.
        self.folder.files.write(SCHEMA, self.dataset.schema.model_dump_json(indent=1))
        self.folder.write(record)
        self._record = record

    def interrupt(self) -> None:
        """Makes `run` return soon; the study can be resumed. To be called from anywhere, signal handlers too."""
        self._interrupted = True
        if self.controller is not None:
            self.controller.interrupt()

    def run(self, observe: Observer | None = None, make: Callable[..., Executor] = executors.executor) -> str:
        """Works on the study until it ends or is interrupted; returns why.

        Args:
            observe: called after every step.
            make: gives the executor; `executors.executor` unless the study is to run somewhere else.

        Raises:
            PoolError, StudyError: as `Controller.run`.
        """
        limits = self.settings.limits
        with Journal(self.folder.journal, segments=self.folder.segments) as file:
            watch = _Watch(self.folder, observe)
            controller = self.controller = Controller(
                file,
                self.entries,
                rules(limits),
                limits.grace_seconds,
                limits.trials,
                watch,
                coordinates=f"{self.folder.uri}/{TRIALS}",
            )
            controller.replay(list(journal.read_events(self.folder.journal)))
            if self._interrupted:
                controller.interrupt()
            ended = "failed"
            try:
                with self._workers(controller, make) as executor:
                    watch.executor = executor
                    ended = controller.run(executor)
                    return ended
            finally:
                watch.end(ended)

    @contextlib.contextmanager
    def _workers(self, controller: Controller, make: Callable[..., Executor]) -> Iterator[Executor]:
        def on_progress(progress: Progress) -> None:
            if controller.progress(progress):
                executor.stop(progress.number)

        executor = make(
            self.settings.workers, executors.evaluator(self._record, self.dataset), self.folder.path, on_progress
        )
        try:
            yield executor
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


class _Watch:
    """Writes the status file now and then, and passes every step on."""

    def __init__(self, folder: StudyFolder, observe: Observer | None) -> None:
        self.executor: Executor | None = None
        self._folder, self._observe, self._next = folder, observe, 0.0
        self._failed = False

    def __call__(self, controller: Controller) -> None:
        if self.executor is None:
            return
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + STATUS_SECONDS
            self._write(json.dumps(status(controller, self.executor)))
        if self._observe is not None:
            self._observe(controller, self.executor)

    def end(self, reason: str) -> None:
        """Leaves a file that is true from now on: nobody works any more."""
        if self.executor is not None:
            self._write(json.dumps({"at": self.executor.now(), "ended": reason, "workers": [], "progress": {}}))

    def _write(self, text: str) -> None:
        """The file is a mere view: a disk that takes no more of it must not end the study."""
        try:
            self._folder.files.write(STATUS, text)
            self._failed = False
        except DataError as error:
            if not self._failed:
                log.warning("status is not shown reason=%s", error)
            self._failed = True


def status(controller: Controller, executor: Executor) -> dict[str, Any]:
    """What workers do now, for whoever looks at the study from outside."""
    return {
        "at": executor.now(),
        "ended": None,
        "workers": [asdict(worker) for worker in executor.status()],
        "progress": {number: asdict(progress) for number, progress in list(controller.latest.items())},
    }


def spell_out(settings: SearchSettings) -> SearchSettings:
    """The same with the places of study and dataset spelled out, so that it means the same from any directory."""
    dataset = Folder(settings.dataset)
    place = dataset.path() if dataset.is_local else dataset.uri
    return settings.model_copy(update={"study": StudyFolder(settings.study).uri, "dataset": place})


def race(settings: SearchSettings) -> dict[str, Entry]:
    """The entries of a race, none of which has been asked yet. Each has a seed of its own, by its name.

    Raises:
        ConfigError: an unknown strategy, or options that it refuses.
    """
    return {name: _entry(name, entry, settings.seed) for name, entry in settings.race.items()}


def _entry(name: str, entry: EntrySettings, seed: int) -> Entry:
    kind = pick(STRATEGIES, entry.strategy, f"race.{name}.strategy: no strategy")
    options = parse(entry.options, kind.options, f"race.{name}")
    try:
        strategy = kind.make(options, derive(seed, "race", name))
        strategy = strategy if entry.lag is None else Ordered(strategy, entry.lag)
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"race.{name}: {error}") from error
    return Entry(name, strategy, entry.budget, entry.share)


def _check_measure(settings: SearchSettings, dataset: Dataset) -> None:
    """Refuses a mean over members where rows have none."""
    if Measure(settings.measure).needs_members and not dataset.schema.entities:
        raise ConfigError(
            f"measure {settings.measure}: is a mean over members, and {settings.dataset} names no entity; use measure: "
            "auc, or prepare with one"
        )
