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

from glmix_automl.errors import PoolError
from glmix_automl.trial import Progress, Result, Trial
from glmix_automl.workers.channel import Channel, Listener, Message
from glmix_automl.workers.crew import Crew, Meeting
from glmix_automl.workers.executor import WorkerStatus
from glmix_automl.workers.job import DEFAULT_RULES, Job, Rules
from glmix_automl.workers.loop import Loop
from glmix_automl.workers.process import Exit
from glmix_automl.workers.seat import Phase, Seat, World

log = logging.getLogger(__name__)

_QUIT_SECONDS = 2.0  # for a worker told to quit
_CLOSE_SECONDS = 15.0  # for the ends of all processes to be told


class Pool:
    """An `Executor` over worker processes; see there for the laws. Ended by `shutdown` or as a context manager."""

    def __init__(
        self,
        ranks: int,
        meeting: Meeting,
        *,
        expected: int,
        name: str,
        on_progress: Callable[[Progress], None] | None = None,
        rules: Rules = DEFAULT_RULES,
        on_visit: Callable[[Channel, Message], None] | None = None,
        on_ended: Callable[[], None] | None = None,
    ) -> None:
        """Listens for workers.

        Args:
            ranks: per slot.
            meeting: where workers find the controller.
            expected: slots that will be there once every worker has come.
            name: what worlds are called in results, before their number.
            on_progress: told what running trials report, on the pool's thread; to be quick.
            rules: how trials are treated.
            on_visit: called with every channel that is opened by something else than a worker, and its first message.
            on_ended: called by `shutdown` once every worker has ended.
        """
        self.ranks = ranks
        self.rules = rules
        self._name = name
        self._expected = expected
        self._on_progress = on_progress
        self._on_visit = on_visit
        self._on_ended = on_ended
        self._queue: collections.deque[Job] = collections.deque()
        self._idle: list[World] = []
        self._running: dict[World, Job] = {}
        self._lock = threading.Lock()  # for what `submit` must know at once
        self._closed = False
        self._finishing = False
        self._closing = False
        self._failure: PoolError | None = None
        self._ended = threading.Event()
        self.secret = secrets.token_bytes(32)
        self.loop = Loop(f"glmix-{name}", self._crashed)
        self.crew = Crew(self.loop, self, ranks, meeting)
        self._listener = Listener(meeting.listen, self.secret, self._serve)
        self.port = self._listener.port
        atexit.register(self.shutdown, wait=False, cancel_futures=True)
        if rules.start_seconds is not None:
            self.loop.post(self.loop.later, rules.start_seconds, self._nobody_came, rules.start_seconds)

    # The executor

    @property
    def slots(self) -> int:
        """Slots that are there; before the first is, those expected."""
        return len(self.crew.worlds) or self._expected

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
            self.loop.post(self._enqueue, Job(trial, future))
        return future

    def stop(self, number: int) -> None:
        """Asks a running trial to stop at its next report; nothing happens if it does not run."""
        self.loop.post(self._stop, number)

    def wait(self, futures_: "Collection[Future[Result]]", seconds: float | None) -> "set[Future[Result]]":
        """Returns the done ones as soon as there is one, or an empty set after `seconds`."""
        return futures.wait(futures_, seconds, futures.FIRST_COMPLETED).done

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def status(self) -> tuple[WorkerStatus, ...]:
        """What each world does, and which seats are in none."""
        running = {id(world): job.trial.number for world, job in list(self._running.items())}
        worlds = [
            WorkerStatus(self._world_name(w), w.state, running.get(id(w)), w.since, self.ranks)
            for w in sorted(self.crew.worlds, key=lambda world: world.number)
        ]
        others = [
            WorkerStatus(s.name, "lost" if s.phase in (Phase.GONE, Phase.DYING) else "starting", None, s.heard)
            for s in list(self.crew.seats.values())
            if s.world is None
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

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)

    # What the crew tells

    def idle(self, world: World) -> None:
        """Settles the world's trial, if it had one, and gives it the next."""
        job = self._running.pop(world, None)
        if job is not None and job.result is not None:
            self._settle(job, world, job.result)
        self._idle.append(world)
        self._give()

    def said(self, world: World, seat: Seat, message: Message) -> None:
        """Progress, a result, or an error of a rank."""
        job = self._running.get(world)
        if job is None:
            return  # Settled already, by an error of another rank
        if message["kind"] == "progress":
            self._show(Progress(**message["progress"]))
        elif message["kind"] == "stack":
            job.stack += f"rank {seat.rank} was at:\n{message['text']}"
        elif message["kind"] == "raised" and not message["lost"]:
            where = f"rank {seat.rank} of {self.ranks}: " if self.ranks > 1 else ""
            del self._running[world]
            self._settle(job, world, Result.failure(job.trial.number, where + message["error"]))
        elif "result" in message:
            job.result = Result.from_json(message["result"])

    def broken(self, world: World, reason: str) -> None:
        """Has the world's trial tried again elsewhere, or fail."""
        if world in self._idle:
            self._idle.remove(world)
        job = self._running.pop(world, None)
        if job is None:
            return
        held = (time.time() - job.started) * self.ranks
        if job.attempts < self.rules.attempts and not self._closing:
            log.warning("trial lost number=%s attempt=%s reason=%s", job.trial.number, job.attempts, reason)
            job.held += held
            job.result, job.stack = None, ""
            self._queue.appendleft(job)
            self._give()
        else:
            error = f"its worker was lost {job.attempts} times, the last time: {reason}"
            self._settle(job, world, Result.failure(job.trial.number, error))

    def failed(self, error: PoolError) -> None:
        """Ends everything: no worker can start."""
        with self._lock:
            if self._failure is not None:
                return
            self._failure = error
        log.error("pool failed reason=%s", error)
        for job in [*self._running.values(), *self._queue]:
            if job.future.running() or job.future.set_running_or_notify_cancel():
                job.future.set_exception(error)
        self._running.clear()
        self._queue.clear()
        self._close()

    # Trials

    def _enqueue(self, job: Job) -> None:
        if self._failure is not None:
            job.future.set_running_or_notify_cancel()
            job.future.set_exception(self._failure)
            return
        self._queue.append(job)
        self._give()

    def _give(self) -> None:
        """Gives queued trials to idle worlds."""
        while self._queue and self._idle:
            job = self._queue.popleft()
            if job.attempts or job.future.set_running_or_notify_cancel():
                self._start(job, self._idle.pop(0))
        if self._finishing and not self._queue and not self._running:
            self._close()

    def _start(self, job: Job, world: World) -> None:
        job.attempts += 1
        job.started = time.time()
        self._running[world] = job
        self.crew.run(world, job.trial.to_json())
        if job.stopping:
            self._stop(job.trial.number)
        if self.rules.time_limit is not None:
            self.loop.later(self.rules.time_limit, self._overdue, job, world, job.attempts)

    def _stop(self, number: int) -> None:
        for job in self._queue:
            job.stopping |= job.attempts > 0 and job.trial.number == number
        for world, job in self._running.items():
            if job.trial.number == number:
                job.stopping = True
                world.seats[0].send({"do": "stop", "number": number})

    def _overdue(self, job: Job, world: World, attempt: int) -> None:
        """A trial reached its time limit: it is asked to stop, and where it stands."""
        if self._running.get(world) is job and job.attempts == attempt:
            for seat in world.seats:
                seat.send({"do": "where"})
            self._stop(job.trial.number)
            self.loop.later(self.rules.grace_seconds, self._hung, job, world, attempt)

    def _hung(self, job: Job, world: World, attempt: int) -> None:
        if self._running.get(world) is job and job.attempts == attempt:
            limit = f"{self.rules.time_limit:g} s and {self.rules.grace_seconds:g} s more"
            error = f"hung: it did not stop when asked to at its time limit, and was ended ({limit}); {job.stack}"
            del self._running[world]
            self._settle(job, world, Result.failure(job.trial.number, error))
            self.crew.kill(world, "its trial hung")

    def _settle(self, job: Job, world: World, result: Result) -> None:
        job.settle(result, self._world_name(world), self.ranks)

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
        hello = link.receive()
        if hello.get("kind") != "worker":
            if self._on_visit is not None:
                self._on_visit(link, hello)
            return
        name, incarnation = hello["seat"], hello["incarnation"]
        self.loop.post(self.crew.connected, name, incarnation, link)
        try:
            for message in link:
                self.loop.post(self.crew.heard, name, incarnation, message)
        finally:
            self.loop.post(self.crew.disconnected, name, incarnation)

    def exited(self, name: str, incarnation: int, end: Exit) -> None:
        """A seat's process has ended; from any thread."""
        self.loop.post(self.crew.exited, name, incarnation, end)

    def _nobody_came(self, seconds: float) -> None:
        if not self.crew.seats:
            self.failed(PoolError(f"no worker registered within {seconds:g} s: are there free cores on the cluster?"))

    def _finish(self, wait: bool, cancel_queued: bool) -> None:
        if cancel_queued or not wait:
            queued = [job for job in self._queue if not job.attempts]
            self._queue = collections.deque(job for job in self._queue if job.attempts)
            for job in queued:
                job.future.cancel()
                job.future.set_running_or_notify_cancel()
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
        self.crew.close()
        self._listener.close()
        self._await_exits(time.monotonic())

    def _await_exits(self, began: float) -> None:
        seconds = time.monotonic() - began
        if self.crew.seats and seconds < _CLOSE_SECONDS:
            if seconds > _QUIT_SECONDS:
                self.crew.kill_all()
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
        self.failed(PoolError(f"the pool has a defect: {type(error).__name__}: {error}"))
