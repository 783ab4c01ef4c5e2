"""A pool whose workers are the long-lived tasks of one Spark job, in local mode or on any cluster.

Each task watches over the process of one rank: it starts it, kills it when told to, and tells how it ended. The task
itself survives its process, so a crash or a kill is not a failed Spark task. A lost executor costs the trials of its
ranks one attempt; Spark starts its tasks again elsewhere, and they join anew.
"""

import contextlib
import logging
import os
import socket
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from pyspark import SparkContext, TaskContext

from glmix_automl.errors import PoolError
from glmix_automl.trial import Progress
from glmix_automl.workers import channel
from glmix_automl.workers.channel import Channel
from glmix_automl.workers.local import thread_limits
from glmix_automl.workers.pool import WorkerPool
from glmix_automl.workers.process import ProcessExit, WorkerProcess
from glmix_automl.workers.protocol import (
    Dismiss,
    KillProcess,
    Message,
    ProcessEnded,
    ProtocolError,
    RegisterTask,
    StartProcess,
    WorkerSettings,
)
from glmix_automl.workers.submission import DEFAULT_POLICY, TrialPolicy
from glmix_automl.workers.task_spec import TaskSpec
from glmix_automl.workers.worlds import RendezvousAddress

log = logging.getLogger(__name__)

FAILED_JOBS = 5  # after which the pool fails; Spark itself has tried each task several times in each
_JOIN_SECONDS = 20.0
_QUIT_SECONDS = 3.0  # for a process told to quit, before its task kills it


def spark_pool(
    context: SparkContext,
    spec: TaskSpec,
    slots: int = 2,
    ranks: int = 1,
    *,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    policy: TrialPolicy = DEFAULT_POLICY,
    logs: str | None = None,
    memory_bytes: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> WorkerPool:
    """Starts a Spark job of `slots * ranks` tasks from a thread of its own, and returns at once.

    The tasks hold their cores until the pool is shut down; other jobs of the same application run on what is left.
    Fewer free cores than tasks make a smaller pool, which grows when cores become free.

    Args:
        context: of a running application. Workers connect to its `spark.driver.host`.
        spec: of the task; its module must be importable where Spark runs Python.
        slots: trials that run at the same time.
        ranks: processes per trial.
        threads: of each process; None: `spark.task.cpus`.
        on_progress: told what running trials report, on the pool's thread; to be quick.
        policy: time limit, attempts.
        logs: folder on the workers' machines; None: one in the system's folder for temporary files.
        memory_bytes: resident memory at which a process ends itself. The executor's container must have room for it
            beside the JVM: `spark.executor.memoryOverhead`.
        environment: further variables for the processes.
    """
    configuration = context.getConf()
    host = configuration.get("spark.driver.host") or socket.gethostname()
    local = host in ("127.0.0.1", "localhost", "::1")
    threads = threads or int(configuration.get("spark.task.cpus", "1") or 1)
    job = _SparkJob(context, slots * ranks)
    pool = WorkerPool(
        ranks,
        RendezvousAddress(host if local else "", host),
        expected=slots,
        name="spark",
        on_progress=on_progress,
        policy=policy,
        on_visitor=job.serve,
        on_ended=job.end,
    )
    settings = WorkerSettings(
        host=host,
        port=pool.port,
        secret=pool.secret.hex(),
        name="",
        task=asdict(spec),
        memory_bytes=memory_bytes,
        environment=thread_limits(threads) | dict(environment or {}),
    )
    job.begin(pool, settings, logs)
    return pool


class _SparkJob:
    """The Spark job, begun again when it fails."""

    def __init__(self, context: SparkContext, tasks: int) -> None:
        self._context = context
        self._tasks = tasks
        self._group = f"glmix-workers-{uuid.uuid4().hex[:8]}"
        self._ending = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="glmix-spark-job", daemon=True)

    def begin(self, pool: WorkerPool, settings: WorkerSettings, logs: str | None) -> None:
        self._pool, self._settings, self._logs = pool, settings, logs
        self._ready.set()
        self._thread.start()

    def end(self) -> None:
        """Waits for the job's end, which follows that of its tasks; cancels what is left of it."""
        self._ending.set()
        if not self._tasks_done():
            self._context.cancelJobGroup(self._group)
            self._thread.join(_JOIN_SECONDS)

    def serve(self, link: Channel, first: Message) -> None:
        """Serves the channel of one task."""
        if not isinstance(first, RegisterTask):
            raise ProtocolError(f"{type(first).__name__} is no first message of a worker or a task")
        self._ready.wait()
        name, supervisor = first.name, self._pool.supervisor
        self._pool.loop.post(supervisor.add, name, _SparkLauncher(link))
        for message in link:
            if isinstance(message, ProcessEnded):
                self._pool.on_exit(name, message.incarnation, ProcessExit(message.code, message.oom, message.tail))
        reason = f"its Spark task on {first.machine} was lost with its executor"
        self._pool.loop.post(supervisor.remove, name, reason)

    def _tasks_done(self) -> bool:
        """Tasks without a core never came to be told; so the wait is short."""
        self._thread.join(2.0)
        return not self._thread.is_alive()

    def _run(self) -> None:
        settings, logs = self._settings, self._logs or ""
        reason = ""
        for attempt in range(FAILED_JOBS):
            try:
                self._context.setJobGroup(self._group, "GLMix AutoML workers", interruptOnCancel=True)
                partitions = self._context.parallelize(range(self._tasks), self._tasks)
                partitions.mapPartitions(lambda _: _watch_over(settings, logs)).collect()
                return
            except Exception as error:
                if self._ending.is_set():
                    return
                reason = str(error)
                log.warning("spark job failed attempt=%s reason=%s", attempt, reason)
                if not self._pool.supervisor.proven and not self._pool.supervisor.workers:
                    break  # Not one task came as far as to connect
        message = f"the Spark job of the workers failed: {_essence(reason)}"
        self._pool.loop.post(self._pool.fail, PoolError(message))


class _SparkLauncher:
    """Asks a Spark task to start and kill processes."""

    def __init__(self, link: Channel) -> None:
        self._link = link

    def start(self, incarnation: int) -> None:
        self._send(StartProcess(incarnation))

    def kill(self) -> None:
        self._send(KillProcess())

    def dismiss(self) -> None:
        self._send(Dismiss())

    def _send(self, message: Message) -> None:
        try:
            self._link.send(message)
        except OSError:
            self._link.close()  # Its reader tells the pool


def _watch_over(settings: WorkerSettings, logs: str) -> Iterator[int]:
    """Runs in a Spark task: starts and kills the process of one worker as the controller says, until dismissed."""
    context = TaskContext.get()
    place = f"{context.partitionId()}-{context.taskAttemptId()}" if context else "0"
    settings = replace(settings, name=f"spark-worker-{place}-{uuid.uuid4().hex[:4]}")
    folder = Path(logs or Path(tempfile.gettempdir()) / f"glmix-automl-{os.getpid()}")
    link = channel.connect(settings.host, settings.port, bytes.fromhex(settings.secret))
    link.send(RegisterTask(settings.name, socket.gethostname()))
    process, told = None, threading.Event()
    told.set()
    try:
        for message in link:
            match message:
                case StartProcess(incarnation=incarnation):
                    told = threading.Event()
                    process = _start(settings, incarnation, folder, link, told)
                case KillProcess() if process is not None:
                    process.kill()
                case Dismiss():
                    told.wait(_QUIT_SECONDS)
                    break
    finally:  # Also when the controller is gone
        if process is not None:
            process.kill()
            told.wait()
        link.close()
    return iter(())


def _start(
    settings: WorkerSettings, incarnation: int, folder: Path, link: Channel, told: threading.Event
) -> WorkerProcess | None:
    try:
        process = WorkerProcess(settings, incarnation, folder / f"{settings.name}.log")
    except OSError as error:
        _tell(link, incarnation, ProcessExit(1, False, f"its process cannot be started: {error}"))
        told.set()
        return None

    def reap() -> None:
        _tell(link, incarnation, process.wait())
        told.set()

    threading.Thread(target=reap, daemon=True).start()
    return process


def _tell(link: Channel, incarnation: int, end: ProcessExit) -> None:
    with contextlib.suppress(OSError):  # Nobody is left to tell
        link.send(ProcessEnded(incarnation, end.code, end.oom, end.tail))


def _essence(reason: str) -> str:
    """The Python part of a Spark error, without the stack of the JVM."""
    lines = [line for line in reason.splitlines() if not line.startswith("\tat ")]
    return "\n".join(lines[-12:]) + "\n(is the package installed where Spark runs Python, PYSPARK_PYTHON?)"
