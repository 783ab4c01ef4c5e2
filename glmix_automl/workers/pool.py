"""A pool of worlds that pull trials: what local and Spark workers have in common.

Its supervisor keeps processes alive, its dispatcher brings trials to their results; the state of both belongs to one
thread, the pool's loop, and every public method posts to it. The places (`local`, `spark`) only say where processes are
started and killed.
"""

import atexit
import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection
from concurrent import futures
from concurrent.futures import Future

from glmix_automl import clock
from glmix_automl.errors import PoolError
from glmix_automl.trial import Progress, Result, Trial
from glmix_automl.workers.channel import Channel, Listener
from glmix_automl.workers.dispatcher import Dispatcher, Ports
from glmix_automl.workers.event_loop import EventLoop
from glmix_automl.workers.executor import SlotState, WorkerStatus
from glmix_automl.workers.handle import WorkerState, World
from glmix_automl.workers.process import ProcessExit
from glmix_automl.workers.protocol import (
    Message,
    ProtocolError,
    RegisterWorker,
)
from glmix_automl.workers.submission import DEFAULT_POLICY, Submission, TrialPolicy
from glmix_automl.workers.supervisor import Supervisor
from glmix_automl.workers.worlds import RendezvousAddress

log = logging.getLogger(__name__)

_QUIT_SECONDS = 2.0  # for a worker told to quit
_CLOSE_SECONDS = 15.0  # for the ends of all processes to be told


class WorkerPool:
    """An `Executor` over worker processes; see there for the laws. Ended by `shutdown` or as a context manager."""

    def __init__(
        self,
        ranks: int,
        rendezvous: RendezvousAddress,
        *,
        expected: int,
        name: str,
        on_progress: Callable[[Progress], None] | None = None,
        policy: TrialPolicy = DEFAULT_POLICY,
        on_visitor: Callable[[Channel, Message], None] | None = None,
        on_ended: Callable[[], None] | None = None,
    ) -> None:
        """Listens for workers.

        Args:
            ranks: per slot.
            rendezvous: where workers find the controller.
            expected: slots that will be there once every worker has come.
            name: what worlds are called in results, before their number.
            on_progress: told what running trials report, on the pool's thread; to be quick.
            policy: how trials are treated.
            on_visitor: called with every channel that is opened by something else than a worker, and its first message.
            on_ended: called by `shutdown` once every worker has ended.
        """
        self.ranks = ranks
        self.policy = policy
        self._expected = expected
        self._on_visitor = on_visitor
        self._on_ended = on_ended
        self._lock = threading.Lock()  # for what `submit` must know at once
        self._closed = False
        self._closing = False
        self._failure: PoolError | None = None
        self._ended = threading.Event()
        self.secret = secrets.token_bytes(32)
        self.loop = EventLoop(f"glmix-{name}", self._crashed)
        ports = Ports(self._run, self._kill, self.fail, on_progress, self._close)
        self.dispatcher = Dispatcher(self.loop, name, ranks, policy, ports)
        self.supervisor = Supervisor(self.loop, self.dispatcher, ranks, rendezvous, policy.outage_seconds)
        self._listener = Listener(rendezvous.listen, self.secret, self._serve)
        self.port = self._listener.port
        atexit.register(self.shutdown, wait=False, cancel_futures=True)
        if policy.outage_seconds is not None:
            self.loop.post(self.loop.later, policy.outage_seconds, self._fail_if_empty, policy.outage_seconds)

    # The executor

    @property
    def slots(self) -> int:
        """Slots that are there; before the first is, those expected."""
        return len(self.supervisor.worlds.whole) or self._expected

    def submit(self, trial: Trial) -> "Future[Result]":
        """Queues a trial.

        Raises:
            PoolError: the pool has failed; futures still out end with the same error.
            RuntimeError: it was shut down.
        """
        future: Future[Result] = Future()
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._closed:
                raise RuntimeError(f"trial {trial.number} was submitted to a pool that is shut down")
            self.loop.post(self.dispatcher.enqueue, Submission(trial, future))
        return future

    def stop(self, number: int) -> None:
        """Asks a running trial to stop at its next report; nothing happens if it does not run."""
        self.loop.post(self.dispatcher.stop, number)

    def wait(self, futures_: "Collection[Future[Result]]", seconds: float | None) -> "set[Future[Result]]":
        """Returns the done ones as soon as there is one, or an empty set after `seconds`."""
        return futures.wait(futures_, seconds, futures.FIRST_COMPLETED).done

    def now(self) -> float:
        """Seconds since the epoch."""
        return clock.now()

    def status(self) -> tuple[WorkerStatus, ...]:
        """What each world does, and which workers are in none."""
        running = {id(world): submission.trial.number for world, submission in list(self.dispatcher.running.items())}
        worlds = [
            WorkerStatus(self.dispatcher.world_name(w), w.state, running.get(id(w)), w.since, self.ranks)
            for w in sorted(self.supervisor.worlds.whole, key=lambda world: world.number)
        ]
        others = [
            WorkerStatus(worker.name, _slot_state(worker.state), None, worker.since)
            for worker in list(self.supervisor.workers.values())
            if worker.world is None
        ]
        return (*worlds, *others)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the workers; returns when no process of theirs is left.

        Args:
            wait: carry out what was submitted first; else what runs ends as failed and what is queued is cancelled.
            cancel_futures: cancel what is queued.
        """
        with self._lock:
            self._closed = True
        self.loop.post(self.dispatcher.finish, wait, cancel_futures)
        self._ended.wait()
        atexit.unregister(self.shutdown)
        if self._on_ended is not None:
            self._on_ended()

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)

    # Beginning and end

    def _run(self, world: World, trial: Trial) -> None:
        self.supervisor.worlds.run(world, trial)

    def _kill(self, world: World, reason: str) -> None:
        self.supervisor.kill(world, reason)

    def _serve(self, link: Channel) -> None:
        """Reads what one worker says; on a thread of its own."""
        first = link.receive()
        if not isinstance(first, RegisterWorker):
            if self._on_visitor is not None:
                self._on_visitor(link, first)
            return
        name, incarnation = first.name, first.incarnation
        self.loop.post(self.supervisor.on_connect, name, incarnation, link)
        try:
            for message in link:
                self.loop.post(self.supervisor.on_message, name, incarnation, message)
        except ProtocolError as error:
            self.loop.post(self.supervisor.on_misunderstanding, name, incarnation, str(error))
        finally:
            self.loop.post(self.supervisor.on_disconnect, name, incarnation)

    def on_exit(self, name: str, incarnation: int, end: ProcessExit) -> None:
        """A worker's process has ended; from any thread."""
        self.loop.post(self.supervisor.on_exit, name, incarnation, end)

    def _fail_if_empty(self, seconds: float) -> None:
        if not self.supervisor.workers:
            self.fail(PoolError(f"no worker registered within {seconds:g} s: are there free cores on the cluster?"))

    def fail(self, error: PoolError) -> None:
        """Ends everything: no trial can be carried out any more. On the pool's loop."""
        with self._lock:
            if self._failure is not None:
                return
            self._failure = error
        log.error("pool failed reason=%s", error)
        self.dispatcher.fail(error)
        self._close()

    def _close(self) -> None:
        """Ends every process, then the loop."""
        if self._closing:
            return
        self._closing = True
        self.dispatcher.close()
        self.supervisor.close()
        self._listener.close()
        self._await_exits(time.monotonic())

    def _await_exits(self, began: float) -> None:
        seconds = time.monotonic() - began
        if self.supervisor.workers and seconds < _CLOSE_SECONDS:
            if seconds > _QUIT_SECONDS:
                self.supervisor.kill_all()
            self.loop.later(0.02, self._await_exits, began)
            return
        self._ended.set()
        self.loop.close()

    def _crashed(self, error: Exception) -> None:
        """A defect of ours must not become a study that waits for ever."""
        log.error("pool defect", exc_info=error)
        if self._failure is not None:
            self._ended.set()
            self.loop.close()
        self.fail(PoolError(f"the pool has a defect: {type(error).__name__}: {error}"))


def _slot_state(state: WorkerState) -> SlotState:
    """What a worker that is in no world shows as."""
    return SlotState.LOST if state in (WorkerState.GONE, WorkerState.DYING) else SlotState.STARTING
