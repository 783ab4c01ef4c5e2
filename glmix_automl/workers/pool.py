"""A pool of worlds that pull trials: what local and Spark workers have in common.

The pool's state belongs to one thread, its loop; every public method posts to it. The places (`local`, `spark`) only
say where processes are started and killed.
"""

import atexit
import collections
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
from glmix_automl.workers.event_loop import EventLoop
from glmix_automl.workers.executor import SlotState, WorkerStatus
from glmix_automl.workers.fault import DISK_SECONDS, Fault
from glmix_automl.workers.handle import WorkerHandle, WorkerState, World
from glmix_automl.workers.process import ProcessExit
from glmix_automl.workers.protocol import (
    Message,
    ProtocolError,
    RegisterWorker,
    SendStackTrace,
    StackTrace,
    StopTrial,
    TrialDone,
    TrialProgress,
    TrialRaised,
)
from glmix_automl.workers.submission import DEFAULT_POLICY, ScoringCosts, Submission, TrialPolicy
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
        self._name = name
        self._expected = expected
        self._on_progress = on_progress
        self._on_visitor = on_visitor
        self._on_ended = on_ended
        self._queue: collections.deque[Submission] = collections.deque()
        self._idle: list[World] = []
        self._running: dict[World, Submission] = {}
        self._lock = threading.Lock()  # for what `submit` must know at once
        self._closed = False
        self._finishing = False
        self._paused = False  # the disk is full
        self._full_since: float | None = None  # on the monotonic clock
        self._scoring = ScoringCosts(policy)
        self._closing = False
        self._failure: PoolError | None = None
        self._ended = threading.Event()
        self.secret = secrets.token_bytes(32)
        self.loop = EventLoop(f"glmix-{name}", self._crashed)
        self.supervisor = Supervisor(self.loop, self, ranks, rendezvous, policy.outage_seconds)
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
            self.loop.post(self._enqueue, Submission(trial, future))
        return future

    def stop(self, number: int) -> None:
        """Asks a running trial to stop at its next report; nothing happens if it does not run."""
        self.loop.post(self._stop, number)

    def wait(self, futures_: "Collection[Future[Result]]", seconds: float | None) -> "set[Future[Result]]":
        """Returns the done ones as soon as there is one, or an empty set after `seconds`."""
        return futures.wait(futures_, seconds, futures.FIRST_COMPLETED).done

    def now(self) -> float:
        """Seconds since the epoch."""
        return clock.now()

    def status(self) -> tuple[WorkerStatus, ...]:
        """What each world does, and which workers are in none."""
        running = {id(world): submission.trial.number for world, submission in list(self._running.items())}
        worlds = [
            WorkerStatus(self._world_name(w), w.state, running.get(id(w)), w.since, self.ranks)
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
        self.loop.post(self._finish, wait, cancel_futures)
        self._ended.wait()
        atexit.unregister(self.shutdown)
        if self._on_ended is not None:
            self._on_ended()

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)

    # What the supervisor tells

    def on_idle(self, world: World) -> None:
        """Completes the world's trial, if it had one, and gives it the next."""
        submission = self._running.pop(world, None)
        if submission is not None and submission.result is not None:
            self._complete(submission, world, submission.result)
        self._idle.append(world)
        self._give()

    def on_message(self, world: World, worker: WorkerHandle, message: Message) -> None:
        """Progress, a result, or an error of a rank."""
        submission = self._running.get(world)
        if submission is None:
            return  # Completed already, by an error of another rank
        match message:
            case TrialProgress(progress=progress):
                self._show(progress)
            case StackTrace(text=text):
                submission.stack += f"rank {worker.rank} was at:\n{text}"
            case TrialRaised(fault=Fault.DISK, error=error):
                del self._running[world]
                self._on_full_disk(submission, error)
            case TrialRaised(fault=Fault.TRIAL, error=error):
                where = f"rank {worker.rank} of {self.ranks}: " if self.ranks > 1 else ""
                del self._running[world]
                self._complete(submission, world, Result.failure(submission.trial.number, where + error))
            case TrialDone(result=result) if result is not None:
                submission.result = result

    def on_loss(self, world: World, reason: str) -> None:
        """Has the world's trial tried again elsewhere, or fail."""
        if world in self._idle:
            self._idle.remove(world)
        submission = self._running.pop(world, None)
        if submission is None:
            return
        if submission.attempts - submission.excused < self.policy.attempts and not self._closing:
            log.warning(
                "trial lost number=%s attempt=%s reason=%s", submission.trial.number, submission.attempts, reason
            )
            self._take_back(submission)
        else:
            error = f"its worker was lost {submission.attempts} times, the last time: {reason}"
            self._complete(submission, world, Result.failure(submission.trial.number, error))

    def _on_full_disk(self, submission: Submission, error: str) -> None:
        """Has the trial tried again when there may be room; meanwhile no trial is begun."""
        log.error(
            "the disk is full: make room; trials are begun again every %g s number=%s reason=%s",
            DISK_SECONDS,
            submission.trial.number,
            error.strip().splitlines()[-1],
        )
        submission.excused += 1
        now = time.monotonic()
        self._full_since = now if self._full_since is None else self._full_since
        if self.policy.outage_seconds is not None and now - self._full_since >= self.policy.outage_seconds:
            self._queue.appendleft(submission)
            self.on_failure(PoolError(f"the disk is full; make room, then resume the study: {error}"))
            return
        if not self._paused:
            self._paused = True
            self.loop.later(DISK_SECONDS, self._end_pause)
        self._take_back(submission)

    def _end_pause(self) -> None:
        self._paused = False
        self._give()

    def _take_back(self, submission: Submission) -> None:
        """Queues a trial that was begun and did not end, before all others."""
        submission.lost_seconds += (clock.now() - submission.started) * self.ranks
        submission.result, submission.stack = None, ""
        self._queue.appendleft(submission)
        self._give()

    def on_failure(self, error: PoolError) -> None:
        """Ends everything: no worker can start."""
        with self._lock:
            if self._failure is not None:
                return
            self._failure = error
        log.error("pool failed reason=%s", error)
        for submission in [*self._running.values(), *self._queue]:
            if submission.future.running() or submission.future.set_running_or_notify_cancel():
                submission.future.set_exception(error)
        self._running.clear()
        self._queue.clear()
        self._close()

    # Trials

    def _enqueue(self, submission: Submission) -> None:
        if self._failure is not None:
            submission.future.set_running_or_notify_cancel()
            submission.future.set_exception(self._failure)
            return
        self._queue.append(submission)
        self._give()

    def _give(self) -> None:
        """Gives queued trials to idle worlds."""
        while self._queue and self._idle and not self._paused:
            submission = self._queue.popleft()
            if submission.attempts or submission.future.set_running_or_notify_cancel():
                self._start(submission, self._idle.pop(0))
        if self._finishing and not self._queue and not self._running:
            self._close()

    def _start(self, submission: Submission, world: World) -> None:
        submission.attempts += 1
        submission.started = clock.now()
        self._running[world] = submission
        self.supervisor.worlds.run(world, submission.trial)
        if submission.stopping:
            self._stop(submission.trial.number)
        if self.policy.time_limit is not None:
            self.loop.later(self.policy.time_limit, self._overdue, submission, world, submission.attempts)

    def _stop(self, number: int) -> None:
        for submission in self._queue:
            submission.stopping |= submission.attempts > 0 and submission.trial.number == number
        for world, submission in self._running.items():
            if submission.trial.number == number:
                submission.stopping = True
                world.workers[0].send(StopTrial(number))

    def _overdue(self, submission: Submission, world: World, attempt: int) -> None:
        """A trial reached its time limit: it is asked to stop, and where it stands."""
        if self._running.get(world) is submission and submission.attempts == attempt:
            for worker in world.workers:
                worker.send(SendStackTrace())
            self._stop(submission.trial.number)
            grace = self._scoring.grace(submission.trial)
            self.loop.later(grace, self._end_hung, submission, world, attempt, grace)

    def _end_hung(self, submission: Submission, world: World, attempt: int, grace: float) -> None:
        if self._running.get(world) is submission and submission.attempts == attempt:
            limit = f"{self.policy.time_limit:g} s and {grace:g} s more"
            error = (
                f"hung: it did not stop when asked to at its time limit, and was ended ({limit}); {submission.stack}"
            )
            del self._running[world]
            self._complete(submission, world, Result.failure(submission.trial.number, error))
            self.supervisor.kill(world, "its trial hung")

    def _complete(self, submission: Submission, world: World, result: Result) -> None:
        self._scoring.add(submission.trial, result)
        if result.state.scored:
            self._full_since = None
        submission.complete(result, self._world_name(world), self.ranks)

    def _show(self, progress: Progress) -> None:
        if self._on_progress is not None:
            try:
                self._on_progress(progress)
            except Exception:
                log.exception("progress callback failed number=%s", progress.number)

    def _world_name(self, world: World) -> str:
        return f"{self._name}-{world.number}"

    # Beginning and end

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
            self.on_failure(
                PoolError(f"no worker registered within {seconds:g} s: are there free cores on the cluster?")
            )

    def _finish(self, wait: bool, cancel_queued: bool) -> None:
        if cancel_queued or not wait:
            queued = [submission for submission in self._queue if not submission.attempts]
            self._queue = collections.deque(submission for submission in self._queue if submission.attempts)
            for submission in queued:
                submission.future.cancel()
                submission.future.set_running_or_notify_cancel()
        if not wait:
            for begun in [*self._running.values(), *self._queue]:
                begun.future.set_result(Result.failure(begun.trial.number, "ended with its pool, which was shut down"))
            self._running.clear()
            self._queue.clear()
        self._finishing = True
        self._give()

    def _close(self) -> None:
        """Ends every process, then the loop."""
        if self._closing:
            return
        self._closing = True
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
        self.on_failure(PoolError(f"the pool has a defect: {type(error).__name__}: {error}"))


def _slot_state(state: WorkerState) -> SlotState:
    """What a worker that is in no world shows as."""
    return SlotState.LOST if state in (WorkerState.GONE, WorkerState.DYING) else SlotState.STARTING
