"""A pool of worker processes on this machine."""

import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from glmix_automl.trial import Progress
from glmix_automl.workers.pool import WorkerPool
from glmix_automl.workers.process import WorkerProcess
from glmix_automl.workers.protocol import WorkerSettings
from glmix_automl.workers.submission import DEFAULT_POLICY, TrialPolicy
from glmix_automl.workers.task_spec import TaskSpec
from glmix_automl.workers.worlds import RendezvousAddress

_LOOPBACK = "127.0.0.1"


def local_pool(
    spec: TaskSpec,
    slots: int = 2,
    ranks: int = 1,
    *,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    policy: TrialPolicy = DEFAULT_POLICY,
    logs: Path | None = None,
    memory_bytes: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> WorkerPool:
    """Starts `slots` worlds of `ranks` processes each, and returns at once; trials may be submitted while they start.

    Args:
        task: specification of the task, made once in every process.
        slots: trials that run at the same time.
        ranks: processes per trial.
        threads: of each process; None shares this machine's cores among them.
        on_progress: told what running trials report, on the pool's thread; to be quick.
        policy: time limit, attempts.
        logs: folder for the processes' output, a file per worker; None: one in the system's folder for temporary files.
        memory_bytes: resident memory at which a process ends itself, so that the machine does not run out of it.
        environment: further variables for the processes.
    """
    logs = logs or Path(tempfile.gettempdir()) / f"glmix-automl-{os.getpid()}"
    threads = threads or max(1, (os.cpu_count() or 1) // (slots * ranks))
    rendezvous = RendezvousAddress(_LOOPBACK, _LOOPBACK)
    pool = WorkerPool(ranks, rendezvous, expected=slots, name="local", on_progress=on_progress, policy=policy)
    for number in range(slots * ranks):
        settings = WorkerSettings(
            host=_LOOPBACK,
            port=pool.port,
            secret=pool.secret.hex(),
            name=f"local-worker-{number}",
            task=asdict(spec),
            memory_bytes=memory_bytes,
            environment=thread_limits(threads) | dict(environment or {}),
        )
        pool.loop.post(
            pool.supervisor.add, settings.name, _LocalLauncher(pool, settings, logs / f"{settings.name}.log")
        )
    return pool


SPINS = 1000  # of a thread of LightGBM that waits for others, before it sleeps


def thread_limits(threads: int) -> dict[str, str]:
    """What keeps TensorFlow and the linear algebra under it to so many threads, as environment variables.

    Threads that spin until the others are done hold a core that those may be waiting for: two threads grew trees seven
    times slower than one where something else had a core. After few spins they sleep, which costs a quarter of the
    seconds on an idle machine.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    return {name: str(threads) for name in names} | {"GOMP_SPINCOUNT": str(SPINS)} | quiet


class _LocalLauncher:
    """Child processes of the controller, started on the pool's thread, which lives as long as they do."""

    def __init__(self, pool: WorkerPool, settings: WorkerSettings, log: Path) -> None:
        self._pool = pool
        self._settings = settings
        self._log = log
        self._process: WorkerProcess | None = None

    def start(self, incarnation: int) -> None:
        process = self._process = WorkerProcess(self._settings, incarnation, self._log)
        name = f"glmix-reaper-{process.pid}"
        threading.Thread(target=self._reap, args=(process, incarnation), name=name, daemon=True).start()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def dismiss(self) -> None:
        """Nothing to give back."""

    def _reap(self, process: WorkerProcess, incarnation: int) -> None:
        self._pool.on_exit(self._settings.name, incarnation, process.wait())
