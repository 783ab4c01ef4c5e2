"""Starts, watches and kills the process of one rank; the same on the controller's machine and inside a Spark task."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from glmix_automl.workers import death

_TAIL_BYTES = 4000


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker process is told at its start, over its standard input (its environment could be read by others).

    Attributes:
        host, port: where the controller listens.
        secret: of the study, hexadecimal.
        seat: the name under which it registers.
        recipe: of the task: `name` and `arguments`.
        heartbeat_seconds: how often it says that it lives, and how large it is.
        memory_bytes: resident memory at which it ends itself, or None.
        environment: variables set before anything heavy is imported (threads of TensorFlow, log levels).
    """

    host: str
    port: int
    secret: str = field(repr=False)
    seat: str
    recipe: Mapping[str, Any]
    heartbeat_seconds: float = 2.0
    memory_bytes: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exit:
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
            incarnation: how many processes the seat had before.
            log: file to which its output is appended.

        Raises:
            OSError: the process or its log cannot be made.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._log_start = log.stat().st_size if log.exists() else 0
        self._lock = threading.Lock()
        self._witness = death.MemoryWitness.now()
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
        told = asdict(settings) | {"incarnation": incarnation, "parent": os.getpid()}
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:  # Broken: its exit will tell
            pipe.write(json.dumps(told).encode() + b"\n")

    @property
    def pid(self) -> int:
        """Its process id, also that of its group."""
        return self._process.pid

    def wait(self) -> Exit:
        """Waits for its end, and ends what it started itself."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._signal()  # Its number is not another's yet, for its end was not collected
            code = self._process.wait()
        return Exit(code, self._witness.accuses(death.MemoryWitness.now()), self._tail())

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
