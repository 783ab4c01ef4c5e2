"""The process of one rank: registers with the controller, is put in a world, and pulls trials until the study ends.

Run as `python -m glmix_automl.workers.worker`, its settings as one line of JSON on standard input. It never outlives
the controller: it ends when the channel closes, and on Linux when its parent ends.
"""

import contextlib
import ctypes
import faulthandler
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import Any

import psutil

from glmix_automl.errors import GlmixError, TrialError
from glmix_automl.trial import Progress, Result, Trial
from glmix_automl.workers import channel, protocol
from glmix_automl.workers.channel import Channel
from glmix_automl.workers.executor import Task
from glmix_automl.workers.fault import Fault, find_fault
from glmix_automl.workers.protocol import (
    FormWorld,
    Heartbeat,
    Imported,
    Message,
    ProtocolError,
    Quit,
    RegisterWorker,
    RunTrial,
    SendStackTrace,
    StackTrace,
    StartFailed,
    StartWorker,
    StopTrial,
    TrialDone,
    TrialProgress,
    TrialRaised,
    WorldFormed,
)
from glmix_automl.workers.task_spec import TaskSpec

_PR_SET_PDEATHSIG = 1
OUT_OF_MEMORY_CODE = 86
"""ProcessExit code of a worker that ended itself at its memory limit."""


class Worker:
    """One rank's side of the channel. Commands are carried out on the main thread; the reader thread takes only what
    must not wait: the wish to stop, the question where it stands, and the end of the channel.
    """

    def __init__(self, link: Channel, spec: TaskSpec) -> None:
        self._link = link
        self._spec = spec
        self._commands: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._stops: set[int] = set()
        self._task: Task | None = None
        self._rank = self._size = -1
        self._formed = False

    def read(self) -> None:
        """Receives until the controller closes or dies, then ends this process and all it started."""
        try:
            for message in self._link:
                match message:
                    case StopTrial(number=number):
                        self._stops.add(number)
                    case SendStackTrace():
                        self._link.send(StackTrace(_main_stack()))
                    case _:
                        self._commands.put(message)
        except Exception as error:  # The log is where a person looks for the end of a worker
            print(f"the channel to the controller ended: {error}", flush=True)
        os.killpg(0, signal.SIGKILL)

    def serve(self) -> None:
        """Imports what is heavy, then carries out commands."""
        try:
            if getattr(self._spec.resolve(), "needs_world", True):
                import horovod.tensorflow  # noqa: F401
        except BaseException:
            self._link.send(StartFailed(traceback.format_exc(), Fault.TRIAL))
        else:
            self._link.send(Imported())
        while True:
            match self._commands.get():
                case FormWorld() as command:
                    self._form(command)
                case RunTrial(trial=trial):
                    self._run(trial)
                case Quit():
                    return
                case other:
                    raise ProtocolError(f"{type(other).__name__} is no command to a worker")

    def _form(self, command: FormWorld) -> None:
        """Enters a world and, the first time and whenever its rank is another one, makes the task."""
        moved = (self._rank, self._size) != (command.rank, command.size)
        try:
            if command.size > 1 or getattr(self._spec.resolve(), "needs_world", True):
                from glmix_automl.workers import world

                interface = world.interface_of(self._link.address)
                world.form(command.rank, command.size, command.address, command.port, interface)
                self._formed = True
            if self._task is None or moved:
                self._task = self._spec.make()
            self._rank, self._size = command.rank, command.size
        except BaseException as error:
            self._leave()
            self._link.send(StartFailed(_describe(error), find_fault(error, command.size)))
        else:
            self._link.send(WorldFormed())

    def _run(self, trial: Trial) -> None:
        """Carries out a trial. An error takes this rank out of a world of several, so that none waits for it."""
        assert self._task is not None
        chief = self._rank == 0
        try:
            result = self._task(trial, self._report if chief else _report_nothing)
            self._link.send(TrialDone(trial.number, _check_result(result, trial.number) if chief else None))
        except BaseException as error:
            if self._size > 1:
                self._leave()
            self._link.send(TrialRaised(trial.number, _describe(error), find_fault(error, self._size)))
        self._stops.discard(trial.number)

    def _report(self, progress: Progress) -> bool:
        self._link.send(TrialProgress(progress))
        return progress.number in self._stops

    def _leave(self) -> None:
        if self._formed:
            from glmix_automl.workers import world

            world.leave()


def _report_nothing(progress: Progress) -> bool:
    """The report of ranks other than 0: theirs is not shown, and rank 0 hears of the wish to stop for all."""
    return False


def _check_result(result: Any, number: int) -> Result:
    if not isinstance(result, Result):
        raise TypeError(f"the task returned {type(result).__name__} for trial {number}; expected a Result")
    if result.number != number:
        raise ValueError(f"the task returned the result of trial {result.number} for trial {number}")
    return result


def _describe(error: BaseException) -> str:
    if isinstance(error, GlmixError) and not isinstance(error, TrialError):
        traceback.print_exception(error)  # into the worker's log; what a person can act on is the message
        return str(error)
    text = "".join(traceback.format_exception(error))
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"out of memory: the trial asked for more than there is\n{text}"
    return text


def _main_stack() -> str:
    """Where the main thread stands."""
    ident = threading.main_thread().ident
    frame = sys._current_frames().get(ident) if ident is not None else None
    return "".join(traceback.format_stack(frame)) if frame else ""


def _beat(link: Channel, seconds: float, memory_bytes: int | None) -> None:
    """Says that this process lives and how large it is; ends it above its memory limit.

    Imports nothing: the main thread is importing TensorFlow meanwhile, and two threads that import what the other is
    importing wait for each other (setuptools' hook for `distutils` and `subprocess` did, once in a few starts).
    """
    process = psutil.Process()
    with contextlib.suppress(OSError):
        while True:
            size = process.memory_info().rss
            link.send(Heartbeat(size))
            if memory_bytes is not None and size > memory_bytes:
                os._exit(OUT_OF_MEMORY_CODE)
            time.sleep(seconds)


def _die_with(parent: int) -> None:
    """Has the kernel end this process when the thread that started it ends, however it ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # It ended before we asked


def main() -> None:
    """Serves until told to quit."""
    first = protocol.decode_message(sys.stdin.readline().encode())
    assert isinstance(first, StartWorker)
    settings = first.settings
    _die_with(first.parent)
    faulthandler.enable()
    link = channel.connect(settings.host, settings.port, bytes.fromhex(settings.secret))
    link.send(RegisterWorker(settings.name, first.incarnation))
    worker = Worker(link, TaskSpec(**settings.task))
    threading.Thread(target=worker.read, name="glmix-reader", daemon=True).start()
    beat = (link, settings.heartbeat_seconds, settings.memory_bytes)
    threading.Thread(target=_beat, args=beat, name="glmix-heartbeat", daemon=True).start()
    worker.serve()
    sys.stdout.flush()
    os._exit(0)  # Horovod's and TensorFlow's exit handlers may wait for ranks that are gone


if __name__ == "__main__":
    main()
