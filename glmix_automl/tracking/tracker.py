"""MLflow's view of a study: a thread reads the journal behind the controller and logs what it finds.

The journal is the truth and the queue at once. A cursor beside it says how far it has been logged, so whatever was
missed (the server was away, the controller was killed) is logged later, by this controller, the next one or
`glmix-automl report`. What was logged twice for want of a cursor is the same run and the same values again: runs are
found by the study's and the trial's tags before they are made.
"""

import contextlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pydantic

from glmix_automl.config import Config, parse
from glmix_automl.errors import GlmixError
from glmix_automl.study import journal
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.journal import Event
from glmix_automl.study.settings import SearchSettings
from glmix_automl.tracking.names import run_page
from glmix_automl.tracking.store import default_uri, make_whole, settle
from glmix_automl.trial import Result, Trial

if TYPE_CHECKING:
    from glmix_automl.tracking.view import View

log = logging.getLogger(__name__)

CURSOR = "tracking.json"  # in the study's folder
READ_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
CATCH_UP_SECONDS = 30.0  # for the tracking server, when the study has ended; the rest is logged by the next command
SILENT_SECONDS = 5.0  # after which a server is given up that answers nothing in that time
HALF_MADE = re.compile("duplicate column|already exists|no such (table|column)|malformed|not a database")
CURSOR_EVENTS = 100  # logged at most before the cursor is moved


class Cursor(Config):
    """How far the journal has been logged, and where."""

    uri: str
    experiment: str
    experiment_id: str | None = None
    parent: str | None = None
    """Run of the study."""
    offset: int = pydantic.Field(default=0, ge=0)
    """Bytes of the journal that are logged."""
    out: dict[int, str] = {}
    """Trial -> run, of those whose end is not logged yet."""


class Tracker:
    """Logs a study's journal in the background. The study never waits for it."""

    def __init__(self, folder: StudyFolder, uri: str, experiment: str) -> None:
        """Nothing is done before `start`; MLflow is imported by the thread."""
        self._folder, self.uri, self._experiment = folder, uri, experiment
        self._cursor = self._saved_cursor()
        self._closing = threading.Event()
        self._caught_up = threading.Event()
        self._thread = threading.Thread(target=self._work, name="glmix-tracking", daemon=True)
        self._trials: dict[int, Trial] = {}
        self._answered: float | None = None  # when the server did last; None while MLflow is being loaded
        self._asked: float | None = None  # since when an answer is waited for; None where nothing is asked
        self.problem: str | None = None
        """Why nothing can be logged at the moment."""

    def start(self) -> None:
        """Begins to log."""
        modest()
        self._thread.start()

    def close(self, seconds: float) -> bool:
        """Waits until everything in the journal is logged, but not longer than `seconds`; whether it is.

        A server that answers nothing for `SILENT_SECONDS` is not waited for: it hangs, or is away.
        """
        began = time.monotonic()
        self._closing.set()
        while self._thread.is_alive() and time.monotonic() - began < seconds:
            self._thread.join(0.1)
            silent = self._silent_since(began)
            if self._is_remote and silent > SILENT_SECONDS:
                self.problem = self.problem or f"{self.uri} has not answered for {silent:.0f} s"
                break
        return self._caught_up.is_set()

    def _silent_since(self, began: float) -> float:
        """Seconds that the server owes an answer; one that failed before has its chance from `began` on."""
        if self.problem is not None:
            return time.monotonic() - max(began, self._answered or began)
        return 0.0 if self._asked is None else time.monotonic() - self._asked

    @property
    def caught_up(self) -> bool:
        """Whether everything in the journal was logged when it closed."""
        return self._caught_up.is_set()

    @property
    def _is_remote(self) -> bool:
        return self.uri.startswith(("http://", "https://"))

    @property
    def parent(self) -> str | None:
        """Run of the study, once there is one."""
        return self._cursor.parent

    def _saved_cursor(self) -> Cursor:
        saved = read_cursor(self._folder)
        if saved is not None and (saved.uri, saved.experiment) == (self.uri, self._experiment):
            return saved
        return Cursor(uri=self.uri, experiment=self._experiment)  # runs are found again by their tags

    # --- the thread

    def _work(self) -> None:
        pause, view = READ_SECONDS, None
        while True:
            closing = self._closing.is_set()  # read before the journal: nothing is written after it is set
            try:
                if view is None:
                    view = self._connect()
                self._asked = time.monotonic()
                self._log_new(view)
                self.problem, pause = None, READ_SECONDS
                if closing:
                    self._caught_up.set()
                    return
            except Exception as error:  # whatever goes wrong at the server's end, the study goes on
                view = None
                reason = self._explain(error)
                if self.problem is None:
                    log.warning("tracking is behind uri=%s reason=%s", self.uri, reason)
                self.problem = reason
                if closing and not self._is_remote:
                    return  # nobody brings a file back within seconds
                pause = min(2 * pause, 1.0 if closing else LONGEST_PAUSE_SECONDS)
            self._asked = None
            self._closing.wait(pause) if not closing else threading.Event().wait(pause)

    def _explain(self, error: Exception) -> str:
        first = str(error).strip().splitlines()[0] if str(error).strip() else ""
        if self.uri.startswith("sqlite:") and HALF_MADE.search(first):
            path = urlsplit(self.uri).path.removeprefix("/")
            return (
                f"{path}: is no whole database of MLflow, as a full disk leaves one that was being made, and stays so; "
                f"remove that file, then: glmix-automl report {self._folder.uri} (the journal has all that was logged)"
            )
        return f"{type(error).__name__}: {first}"

    def _connect(self) -> "View":
        from glmix_automl.tracking.view import View

        self._asked = time.monotonic()
        self._answered = self._answered or self._asked
        record = self._folder.record
        make_whole(self.uri)
        if self.uri == default_uri(self._folder):
            settle(self._folder)
        view = View(self.uri, self._experiment, record, self._began())
        self._answered = self._asked = time.monotonic()
        size = self._folder.journal.stat().st_size if self._folder.journal.is_file() else 0
        # Another store lies there now; or the end of the journal was lost with the machine that it was on.
        if self._cursor.parent not in (None, view.parent) or self._cursor.offset > size:
            self._move(offset=0, out={})
        self._move(experiment_id=view.experiment, parent=view.parent)
        if self._cursor.offset:
            self._recall(view)
        return view

    def _began(self) -> float:
        """When the study's first controller began."""
        if self._folder.journal.is_file():
            for event, _ in journal.lines(self._folder.journal):
                return float(event["at"])
        return time.time()

    def _recall(self, view: "View") -> None:
        """Trials that were asked before the cursor and end behind it, and the best that ended before it."""
        done = 0
        for event, length in journal.lines(self._folder.journal):
            done += length
            if done > self._cursor.offset:
                return
            for record in event.get("trials", ()):
                self._trials[record["number"]] = Trial.from_json(record)
            if event["event"] == "result":
                result = Result.from_json(event["result"])
                view.recall(self._trials[result.number], result, event["at"])

    def _log_new(self, view: "View") -> None:
        if not self._folder.journal.is_file():
            return
        offset, out, count = self._cursor.offset, dict(self._cursor.out), 0
        for event, length in journal.lines(self._folder.journal, offset):
            self._log(view, event, out)
            self._answered = self._asked = time.monotonic()
            offset, count = offset + length, count + 1
            if count % CURSOR_EVENTS == 0:
                view.flush()
                self._move(offset=offset, out=dict(out))
        if count:
            view.flush()
            self._move(offset=offset, out=out)

    def _log(self, view: "View", event: Event, out: dict[int, str]) -> None:
        if event["event"] == "session":
            view.began(event["at"])
        elif event["event"] == "ask":
            for record in event["trials"]:
                trial = self._trials[record["number"]] = Trial.from_json(record)
                out[trial.number] = view.asked(trial, event["at"])
        elif event["event"] == "result":
            result = Result.from_json(event["result"])
            trial = self._trials[result.number]
            view.ended(out.get(result.number) or view.asked(trial, event["at"]), trial, result, event["at"])
            out.pop(result.number, None)
        elif event["event"] == "end":
            view.left(event["reason"], event["at"])

    def _move(self, **changed: object) -> None:
        self._cursor = self._cursor.model_copy(update=changed)
        self._folder.files.write(CURSOR, self._cursor.model_dump_json())


def read_cursor(folder: StudyFolder) -> Cursor | None:
    """How far a study is logged; None where nothing is, or the file that says so is damaged."""
    try:
        return parse(json.loads(folder.files.read(CURSOR)), Cursor, CURSOR)
    except (GlmixError, ValueError):
        return None


def run_url(cursor: Cursor) -> str | None:
    """Where a server shows the study's run; its name in MLflow where a store is no server; None before it is made."""
    if cursor.parent is None or cursor.experiment_id is None:
        return None
    is_server = cursor.uri.startswith(("http://", "https://"))
    return run_page(cursor.uri, cursor.experiment_id, cursor.parent) if is_server else f"runs:/{cursor.parent}"


def logged(folder: StudyFolder) -> Cursor | None:
    """How far a study is logged where it is tracked; None where it is not: it may have been moved, copied, or told of
    another place since.
    """
    found = read_cursor(folder)
    here = folder.record.settings.tracking.uri or default_uri(folder)
    return found if found is not None and found.uri == here else None


def track(folder: StudyFolder, settings: SearchSettings, dataset: str) -> Tracker | None:
    """A tracker at work, or None if the study is not to be tracked."""
    tracking = settings.tracking
    if not tracking.enabled:
        return None
    tracker = Tracker(folder, tracking.uri or default_uri(folder), tracking.experiment or dataset)
    tracker.start()
    return tracker


@contextlib.contextmanager
def tracking(folder: StudyFolder, settings: SearchSettings, dataset: str) -> Iterator[Tracker | None]:
    """Tracks a study while the block works on it, then waits a little; the tracker knows whether it caught up."""
    tracker = track(folder, settings, dataset)
    try:
        yield tracker
    finally:
        if tracker is not None:
            tracker.close(CATCH_UP_SECONDS)


def modest() -> None:
    """Has MLflow's client give up soon, as waiting for a server that is away is the tracker's business, and say little:
    it would tell of its database's tables in the middle of the study's lines.
    """
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it tells of every retry
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines for every trial that ends
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
