"""Starts workers' processes, notices their deaths, replaces the dead. Knows nothing of trials.

Every method runs on the pool's loop.
"""

import logging
import time

from glmix_automl.errors import PoolError
from glmix_automl.workers import exit_reason
from glmix_automl.workers.channel import Channel
from glmix_automl.workers.event_loop import EventLoop
from glmix_automl.workers.executor import SlotState
from glmix_automl.workers.fault import Fault
from glmix_automl.workers.handle import Launcher, WorkerHandle, WorkerState, World
from glmix_automl.workers.process import ProcessExit
from glmix_automl.workers.protocol import (
    Heartbeat,
    Imported,
    Message,
    Quit,
    StartFailed,
    TrialDone,
    TrialRaised,
    WorldFormed,
)
from glmix_automl.workers.worker import OUT_OF_MEMORY_CODE
from glmix_automl.workers.worlds import RendezvousAddress, WorldObserver, Worlds

log = logging.getLogger(__name__)

BACK_OFF_SECONDS = 1.0  # after the first failed start of a worker, doubled after each further one
MOST_BACK_OFF_SECONDS = 120.0
EXIT_SECONDS = 30.0  # from the end of a channel to the end of its process
SILENCE_SECONDS = 120.0  # without a heartbeat, after which a process counts as hung
START_SECONDS = 600.0  # for a process to import what it needs


class Supervisor:
    """The workers of a pool."""

    def __init__(
        self,
        loop: EventLoop,
        observer: WorldObserver,
        ranks: int,
        rendezvous: RendezvousAddress,
        outage_seconds: float | None,
    ) -> None:
        self._loop = loop
        self._observer = observer
        self.workers: dict[str, WorkerHandle] = {}
        self.worlds = Worlds(loop, observer, ranks, rendezvous, self.workers, self._kill)
        self.proven = False  # some rank has made its task
        self._patience = outage_seconds
        self._outage: float | None = None  # since when no worker could start, on the monotonic clock
        self._closing = False
        loop.post(self._listen_for_silence)

    # What places tell

    def add(self, name: str, launcher: Launcher) -> None:
        """A new worker; its process is started."""
        if self._closing:
            launcher.dismiss()
            return
        worker = self.workers[name] = WorkerHandle(name, launcher)
        log.info("worker joined worker=%s", name)
        self._start(worker)

    def remove(self, name: str, reason: str) -> None:
        """A worker is gone with its process: its machine or its executor was lost, or wanted back."""
        worker = self.workers.pop(name, None)
        if worker is not None and worker.state is not WorkerState.GONE:
            log.info("worker left worker=%s reason=%s", name, reason)
            worker.enter(WorkerState.GONE)
            self._drop_process(worker, reason)

    def on_exit(self, name: str, incarnation: int, end: ProcessExit) -> None:
        """A worker's process has ended."""
        worker = self._find(name, incarnation)
        if worker is None:
            return
        worker.alive = False
        if self._closing or worker.state is WorkerState.GONE:
            del self.workers[name]
            return
        early = worker.state is WorkerState.STARTING
        reason = worker.kill_reason or _explain(worker, end)
        log.info("worker process ended worker=%s code=%s reason=%s", name, end.code, reason)
        whole_reason = f"{reason}\n--- end of its log ---\n{end.tail}"
        worker.enter(WorkerState.STARTING)
        self._drop_process(worker, whole_reason if end.tail else reason)
        if early and not worker.kill_reason:
            self._count_failure(worker, whole_reason)
        self._start_again(worker)

    # What workers say

    def on_connect(self, name: str, incarnation: int, link: Channel) -> None:
        """A process has registered."""
        worker = self._find(name, incarnation)
        if worker is None or self._closing:
            link.close()
        else:
            worker.link, worker.heard = link, time.monotonic()

    def on_disconnect(self, name: str, incarnation: int) -> None:
        """A process's channel has ended: it has died or will at once; its exit tells why."""
        worker = self._find(name, incarnation)
        if worker is None or self._closing:
            return
        worker.launcher.kill()
        if worker.state is not WorkerState.STARTING:
            worker.enter(WorkerState.DYING)
        self._loop.later(EXIT_SECONDS, self._end_overdue, worker, incarnation)

    def on_message(self, name: str, incarnation: int, message: Message) -> None:
        """A process has said something."""
        worker = self._find(name, incarnation)
        if worker is None or self._closing:
            return
        worker.heard = time.monotonic()
        match message:
            case Heartbeat(resident_bytes=size):
                worker.resident_bytes = size
            case Imported():
                self.worlds.release(worker)
            case StartFailed():
                self._on_start_failed(worker, message)
            case _ if worker.world is None:
                pass  # Its world was dissolved and it has answered already
            case WorldFormed() | TrialDone() | TrialRaised():
                if isinstance(message, WorldFormed):
                    worker.failures, worker.hopeless = 0, False
                    self.proven, self._outage = True, None
                self.worlds.on_answer(worker, worker.world, message)
            case _ if worker.world.state is SlotState.BUSY:
                self._observer.on_message(worker.world, worker, message)

    def on_misunderstanding(self, name: str, incarnation: int, reason: str) -> None:
        """A process sent what is no message."""
        worker = self._find(name, incarnation)
        if worker is not None and not self._closing:
            self._kill(worker, reason)

    # What the pool asks

    def kill(self, world: World, reason: str) -> None:
        """Kills every rank of a world; they are replaced."""
        for worker in world.workers:
            self._kill(worker, reason)
        self.worlds.dissolve(world, reason)

    def close(self) -> None:
        """Ends every process: those that wait at once and by themselves, the others by force."""
        self._closing = True
        for world in self.worlds.whole:
            world.close_rendezvous()
        for worker in list(self.workers.values()):
            waits = worker.world is not None and worker.world.state is SlotState.IDLE
            if worker.state is WorkerState.FREE or waits:
                worker.send(Quit())
            else:
                worker.launcher.kill()
            worker.launcher.dismiss()
            if not worker.alive:
                del self.workers[worker.name]

    def kill_all(self) -> None:
        """Kills every process that is still there."""
        for worker in self.workers.values():
            worker.launcher.kill()

    # Processes

    def _find(self, name: str, incarnation: int) -> WorkerHandle | None:
        worker = self.workers.get(name)
        return worker if worker is not None and worker.incarnation == incarnation else None

    def _start(self, worker: WorkerHandle) -> None:
        if self._closing or worker.state is WorkerState.GONE or worker.alive:
            return
        worker.incarnation += 1
        worker.enter(WorkerState.STARTING)
        worker.kill_reason, worker.resident_bytes = "", 0
        self._loop.later(START_SECONDS, self._kill_overdue, worker, worker.incarnation)
        try:
            worker.launcher.start(worker.incarnation)
            worker.alive = True
        except OSError as error:
            self._count_failure(worker, f"its process cannot be started: {error}")
            self._start_again(worker)

    def _kill_overdue(self, worker: WorkerHandle, incarnation: int) -> None:
        if worker.incarnation == incarnation and worker.state is WorkerState.STARTING:
            worker.launcher.kill()

    def _end_overdue(self, worker: WorkerHandle, incarnation: int) -> None:
        if worker.incarnation == incarnation and worker.state is WorkerState.DYING:
            self.on_exit(worker.name, incarnation, ProcessExit(-9, False, ""))

    def _kill(self, worker: WorkerHandle, reason: str) -> None:
        if worker.state is not WorkerState.GONE:
            worker.enter(WorkerState.DYING)
            worker.kill_reason = reason
            worker.launcher.kill()

    def _drop_process(self, worker: WorkerHandle, reason: str) -> None:
        """Forgets a dead process and dissolves its world."""
        if worker.link is not None:
            worker.link.close()
            worker.link = None
        if worker.world is not None:
            rank = f"rank {worker.rank} of {len(worker.world.workers)}"
            self.worlds.remove(worker, f"{worker.name} ({rank}): {reason}")

    def _on_start_failed(self, worker: WorkerHandle, message: StartFailed) -> None:
        """A rank could not import or make its task, or lost its peers in trying."""
        self.worlds.remove(worker, message.error)
        if message.fault is Fault.PEER:
            self.worlds.release(worker)
            return
        self._kill(worker, f"it cannot make its task\n{message.error}")
        self._count_failure(worker, worker.kill_reason, message.fault)

    def _count_failure(self, worker: WorkerHandle, reason: str, fault: Fault | None = None) -> None:
        """Counts a failed start, and gives up when no worker at all can start: at once before one of them has ever made
        its task, for the cause is likely the same everywhere, and where the dataset has changed; else after an outage
        of some minutes.
        """
        worker.failures += 1
        worker.hopeless = fault in (Fault.TRIAL, Fault.DATA) or worker.failures > 1
        log.warning("worker cannot start worker=%s failures=%s reason=%s", worker.name, worker.failures, reason)
        now = time.monotonic()
        if self._closing or not all(other.hopeless for other in self.workers.values()):
            self._outage = None
            return
        self._outage = now if self._outage is None else self._outage
        patience = self._patience if self.proven and fault is not Fault.DATA else 0.0
        if patience is not None and now - self._outage >= patience:
            self._observer.on_failure(
                PoolError(f"no worker can start; the last to be tried, worker {worker.name}, cannot start: {reason}")
            )

    def _start_again(self, worker: WorkerHandle) -> None:
        """At once after a death at work; after failed starts later and later, for as long as others work."""
        if worker.failures:
            seconds = min(BACK_OFF_SECONDS * 2 ** (worker.failures - 1), MOST_BACK_OFF_SECONDS)
            self._loop.later(seconds, self._start, worker)
        else:
            self._start(worker)

    def _listen_for_silence(self) -> None:
        for worker in self.workers.values():
            if worker.link is not None and time.monotonic() - worker.heard > SILENCE_SECONDS:
                self._kill(worker, f"it said nothing for {SILENCE_SECONDS:g} seconds and was killed")
        self._loop.later(SILENCE_SECONDS / 10, self._listen_for_silence)


def _explain(worker: WorkerHandle, end: ProcessExit) -> str:
    if end.code == OUT_OF_MEMORY_CODE:
        return f"out of memory: its process used {worker.resident_bytes / 1e9:.2f} GB, more than its limit"
    return exit_reason.explain_exit(end.code, oom=end.oom, resident_bytes=worker.resident_bytes)
