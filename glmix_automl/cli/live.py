"""A study at work on the terminal: a live display, or plain lines where the output is no terminal."""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from rich.console import Console
from rich.live import Live

from glmix_automl.api import Study
from glmix_automl.check import check
from glmix_automl.cli import set_aside
from glmix_automl.cli.outcome import INTERRUPTED, Outcome
from glmix_automl.conclusion import conclude, publish, summary
from glmix_automl.layout import REPORT
from glmix_automl.reporting.display import headline, leaderboard_view, status_view
from glmix_automl.study import controller as control
from glmix_automl.study.controller import Controller
from glmix_automl.study.executors import LOGS
from glmix_automl.study.session import Session, status
from glmix_automl.study.settings import Limits
from glmix_automl.tracking.tracker import Tracker, tracking
from glmix_automl.trial import QUALITY, Result
from glmix_automl.workers.executor import Executor

PLAIN_WIDTH = 160


def work(study: Study, resume: bool) -> Outcome:
    """Runs a study with its progress shown, and prints the leaderboard.

    Ctrl-C and SIGTERM interrupt the study, which can be resumed; a second one ends the process at once.
    """
    console = console_for()
    if not study.folder.begun:
        check(study.settings)
    with (
        Session(study.settings, resume) as session,
        tracking(session.folder, session.settings, session.dataset.manifest.name) as tracker,
        _signals(session),
    ):
        if not study.settings.race:
            _tell_plan(console, session)
        display = _Screen if console.is_terminal else _Lines
        with display(console, session) as observe:
            study.ended = session.run(observe)
    if study.ended == control.INTERRUPTED:
        console.print(f"interrupted; go on with: glmix-automl resume {study.folder.uri}", soft_wrap=True)
        return Outcome({"study": study.folder.uri, "ended": study.ended}, INTERRUPTED)
    console.print(f"ended: {study.ended}")
    return Outcome(show_study(console, study, tracker))


def _tell_plan(console: Console, session: Session) -> None:
    """What the default race of a dataset is, and what it leaves out."""
    limit = f"{session.settings.limits.seconds:g} seconds at most"
    console.print(f"default race: {', '.join(session.settings.race)}; {limit}", soft_wrap=True)
    for line in session.settings.left_out:
        console.print(f"left out: {line}", soft_wrap=True)


def show_study(console: Console, study: Study, tracker: Tracker | None = None) -> dict[str, Any]:
    """Writes what a study has come to, prints the leaderboard, says where the rest is, and gives it as plain data."""
    with set_aside(study.folder.path / LOGS / "report.log"):
        board = conclude(study.folder)
    console.print(leaderboard_view(board, study.folder.name, console.width))
    console.print(f"report: {study.folder.files.within(REPORT).uri}", soft_wrap=True)
    if not study.settings.tracking.enabled:
        return summary(study.folder, board)
    with set_aside(study.folder.path / LOGS / "publish.log"):
        problem = publish(study.folder, board, tracker)
    if problem is not None:
        words = f"MLflow is behind ({problem}); later: glmix-automl report {study.folder.uri}"
        console.print(words, soft_wrap=True)
    console.print(f"MLflow: glmix-automl ui {study.folder.uri}", soft_wrap=True)
    return summary(study.folder, board) | {"mlflow_behind": problem}


def console_for() -> Console:
    """Standard output; wide where it is no terminal, so that lines in logs are whole. Names and places are shown as
    they are: brackets in them are no markup.
    """
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, markup=False, highlight=False)


@contextlib.contextmanager
def _signals(session: Session) -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.default_int_handler)
        session.interrupt()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Screen:
    """A table of workers and entries, redrawn in place."""

    def __init__(self, console: Console, session: Session) -> None:
        self._limits, self._title = session.settings.limits, session.folder.name
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._next = 0.0

    def __enter__(self) -> "_Screen":
        self._live.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._live.stop()

    def __call__(self, controller: Controller, executor: Executor) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 0.25
        now = status(controller, executor)
        self._live.update(status_view(controller.history, now, self._limits, executor.now(), self._title), refresh=True)


class _Lines:
    """A line for every trial that ends, and one now and then for the whole."""

    EVERY_SECONDS = 30.0

    def __init__(self, console: Console, session: Session) -> None:
        self._console, self._limits = console, session.settings.limits
        self._shown: int | None = None
        self._next = time.monotonic() + self.EVERY_SECONDS

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *problem: object) -> None:
        """Nothing to take down."""

    def __call__(self, controller: Controller, executor: Executor) -> None:
        results = list(controller.history.results.values())
        if self._shown is None:
            self._shown = controller.replayed
        for result in results[self._shown :]:
            self._console.print(result_line(controller, result))
        self._shown = len(results)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self.EVERY_SECONDS
            self._console.print(_headline(controller, self._limits, executor))


def _headline(controller: Controller, limits: Limits, executor: Executor) -> str:
    return headline(controller.history, limits, executor.now())


def result_line(controller: Controller, result: Result) -> str:
    """One trial that ended, in keyed values."""
    trial = controller.history.trials[result.number]
    auc = "" if result.auc is None else f" auc={result.auc:.5f}"
    auc += f" quality={result.metrics[QUALITY]:.5f}" if QUALITY in result.metrics else ""
    error = "" if result.error is None else f" error={result.error.strip().splitlines()[-1]!r}"
    seconds = f" worker_seconds={result.costs.worker_seconds:.2f}"
    return (
        f"trial={trial.number} entry={trial.strategy} family={trial.family} "
        f"state={result.state.value}{auc}{seconds} worker={result.worker}{error}"
    )
