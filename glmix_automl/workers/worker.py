"""The process of one rank: registers with the controller, is put in a world, and pulls trials until the study ends.

Run as `python -m glmix_automl.workers.worker`, its settings as one line of JSON on standard input. It never outlives
the controller: it ends when the channel closes, and on Linux when its parent ends.
"""

import contextlib
import ctypes
import faulthandler
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import Any

import psutil

from glmix_automl.trial import Progress, Result, Trial
from glmix_automl.workers import channel, collective
from glmix_automl.workers.executor import Task
from glmix_automl.workers.recipe import Recipe

_PR_SET_PDEATHSIG = 1
OUT_OF_MEMORY_CODE = 86
"""Exit code of a worker that ended itself at its memory limit."""


class Worker:
    """One rank's side of the channel. Commands are carried out on the main thread; the reader thread takes only what
    must not wait: the wish to stop, the question where it stands, and the end of the channel.
    """

    def __init__(self, link: channel.Channel, recipe: Recipe) -> None:
        self._link = link
        self._recipe = recipe
        self._commands: queue.SimpleQueue[channel.Message] = queue.SimpleQueue()
        self._stops: set[int] = set()
        self._task: Task | None = None
        self._place: tuple[int, int] | None = None
        self._formed = False

    def read(self) -> None:
        """Receives until the controller closes or dies, then ends this process and all it started."""
        with contextlib.suppress(Exception):
            for message in self._link:
                if message["do"] == "stop":
                    self._stops.add(message["number"])
                elif message["do"] == "where":
                    self._link.send({"kind": "stack", "text": _main_stack()})
                else:
                    self._commands.put(message)
        os.killpg(0, signal.SIGKILL)

    def serve(self) -> None:
        """Imports what is heavy, then carries out commands."""
        try:
            if getattr(self._recipe.resolve(), "needs_world", True):
                import horovod.tensorflow  # noqa: F401
        except BaseException:
            self._link.send({"kind": "broken", "stage": "import", "lost": False, "error": traceback.format_exc()})
        else:
            self._link.send({"kind": "imported"})
        while True:
            command = self._commands.get()
            if command["do"] == "form":
                self._form(command)
            elif command["do"] == "run":
                self._run(Trial.from_json(command["trial"]))
            elif command["do"] == "quit":
                return

    def _form(self, command: channel.Message) -> None:
        """Enters a world and, the first time and whenever its place is another one, makes the task."""
        place = (command["rank"], command["size"])
        try:
            if place[1] > 1 or getattr(self._recipe.resolve(), "needs_world", True):
                from glmix_automl.workers import world

                interface = world.interface_of(self._link.address)
                world.form(world.Place(*place, command["address"], command["port"], interface))
                self._formed = True
            if self._task is None or self._place != place:
                self._task = self._recipe.make()
            self._place = place
        except BaseException as error:
            self._leave()
            lost = collective.is_lost(error)
            self._link.send({"kind": "broken", "stage": "task", "lost": lost, "error": traceback.format_exc()})
        else:
            self._link.send({"kind": "formed"})

    def _run(self, trial: Trial) -> None:
        """Carries out a trial. An error takes this rank out of a world of several, so that none waits for it."""
        assert self._task is not None
        assert self._place is not None
        number, chief = trial.number, self._place[0] == 0
        report = self._report if chief else _silent
        try:
            result = self._task(trial, report)
            answer: channel.Message = {"kind": "done", "number": number}
            if chief:
                answer["result"] = _checked(result, number).to_json()
                json.dumps(answer, default=channel._plain)
        except BaseException as error:
            if self._place[1] > 1:
                self._leave()
            lost = self._place[1] > 1 and collective.is_lost(error)
            answer = {"kind": "raised", "number": number, "lost": lost, "error": _describe(error)}
        self._stops.discard(number)
        self._link.send(answer)

    def _report(self, progress: Progress) -> bool:
        self._link.send({"kind": "progress", "progress": vars(progress)})
        return progress.number in self._stops

    def _leave(self) -> None:
        if self._formed:
            from glmix_automl.workers import world

            world.leave()


def _silent(progress: Progress) -> bool:
    """The report of ranks other than 0: theirs is not shown, and rank 0 hears of the wish to stop for all."""
    return False


def _checked(result: Any, number: int) -> Result:
    if not isinstance(result, Result):
        raise TypeError(f"the task returned {type(result).__name__} for trial {number}; expected a Result")
    if result.number != number:
        raise ValueError(f"the task returned the result of trial {result.number} for trial {number}")
    return result


def _describe(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"out of memory: the trial asked for more than there is\n{text}"
    return text


def _main_stack() -> str:
    """Where the main thread stands."""
    ident = threading.main_thread().ident
    frame = sys._current_frames().get(ident) if ident is not None else None
    return "".join(traceback.format_stack(frame)) if frame else ""


def _beat(link: channel.Channel, seconds: float, memory_bytes: int | None) -> None:
    """Says that this process lives and how large it is; ends it above its memory limit.

    Imports nothing: the main thread is importing TensorFlow meanwhile, and two threads that import what the other is
    importing wait for each other (setuptools' hook for `distutils` and `subprocess` did, once in a few starts).
    """
    process = psutil.Process()
    with contextlib.suppress(OSError):
        while True:
            rss = process.memory_info().rss
            link.send({"kind": "alive", "rss": rss})
            if memory_bytes is not None and rss > memory_bytes:
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
    told = json.loads(sys.stdin.readline())
    _die_with(told["parent"])
    faulthandler.enable()
    link = channel.connect(told["host"], told["port"], bytes.fromhex(told["secret"]))
    link.send({"kind": "worker", "seat": told["seat"], "incarnation": told["incarnation"]})
    worker = Worker(link, Recipe(**told["recipe"]))
    threading.Thread(target=worker.read, name="glmix-reader", daemon=True).start()
    beat = (link, told["heartbeat_seconds"], told["memory_bytes"])
    threading.Thread(target=_beat, args=beat, name="glmix-heartbeat", daemon=True).start()
    worker.serve()
    sys.stdout.flush()
    os._exit(0)  # Horovod's and TensorFlow's exit handlers may wait for ranks that are gone


if __name__ == "__main__":
    main()
