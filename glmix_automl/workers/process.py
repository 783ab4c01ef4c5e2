"""Starts, watches and kills the process of one rank; the same on the controller's machine and inside a Spark task."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from glmix_automl.workers import protocol
from glmix_automl.workers.exit_reason import OomKillCounts
from glmix_automl.workers.protocol import StartWorker, WorkerSettings

_TAIL_BYTES = 4000


@dataclass(frozen=True)
class ProcessExit:
    """How a worker process ended: `code` as `Popen.returncode`, whether the kernel counted an out-of-memory kill
    meanwhile, and the last lines of its log.
    """

    code: int
    oom: bool
    tail: str


class WorkerProcess:
    """A worker process, started by the constructor. It dies with the thread that started it (on Linux), and by itself
    when the controller is gone.
    """

    def __init__(self, settings: WorkerSettings, incarnation: int, log: Path) -> None:
        """Starts it.

        Args:
            settings: what it is told.
            incarnation: how many processes the worker had before.
            log: file to which its output is appended.

        Raises:
            OSError: the process or its log cannot be made.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._log_start = log.stat().st_size if log.exists() else 0
        self._lock = threading.Lock()
        self._oom_kills = OomKillCounts.read()
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "glmix_automl.workers.worker"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": paths, **settings.environment},
                start_new_session=True,  # Ctrl-C reaches the controller alone, which decides what becomes of trials
            )
        first = StartWorker(settings, incarnation, os.getpid())
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:  # Broken: its exit will tell
            pipe.write(protocol.encode_message(first) + b"\n")

    @property
    def pid(self) -> int:
        """Its process id, also that of its group."""
        return self._process.pid

    def wait(self) -> ProcessExit:
        """Waits for its end, and ends what it started itself."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._signal()  # Its number is not another's yet, for its end was not collected
            code = self._process.wait()
        return ProcessExit(code, self._oom_kills.rose(OomKillCounts.read()), self._tail())

    def kill(self) -> None:
        """Sends SIGKILL to it and all it started, unless it has ended."""
        with self._lock:
            if self._process.returncode is None:
                self._signal()

    def _signal(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _tail(self) -> str:
        try:
            with self._log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start, size - _TAIL_BYTES))
                return file.read().decode(errors="replace").strip()
        except OSError:
            return ""
