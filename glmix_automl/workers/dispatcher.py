"""Gives queued trials to idle worlds, and sees each to its result: through losses, full disks and time limits.

Knows nothing of processes. Every method runs on the pool's loop, but for what `status` reads.
"""

import collections
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from glmix_automl import clock
from glmix_automl.errors import PoolError
from glmix_automl.trial import Progress, Result, Trial
from glmix_automl.workers.event_loop import EventLoop
from glmix_automl.workers.fault import DISK_SECONDS, Fault
from glmix_automl.workers.handle import WorkerHandle, World
from glmix_automl.workers.protocol import (
    Message,
    SendStackTrace,
    StackTrace,
    StopTrial,
    TrialDone,
    TrialProgress,
    TrialRaised,
)
from glmix_automl.workers.submission import ScoringCosts, Submission, TrialPolicy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ports:
    """What a dispatcher has others do.

    Attributes:
        run: has a world begin a trial.
        kill: ends a world's processes, for a reason.
        fail: ends the pool, because no trial can be carried out any more.
        show: is told what running trials report; None if nobody wants to know.
        drained: called once everything is carried out after `finish`.
    """

    run: Callable[[World, Trial], None]
    kill: Callable[[World, str], None]
    fail: Callable[[PoolError], None]
    show: Callable[[Progress], None] | None
    drained: Callable[[], None]


class Dispatcher:
    """The trials of a pool; told by the supervisor what worlds do (`WorldObserver`)."""

    def __init__(self, loop: EventLoop, name: str, ranks: int, policy: TrialPolicy, ports: Ports) -> None:
        """Begins without trials and worlds.

        Args:
            loop: of the pool.
            name: what worlds are called in results, before their number.
            ranks: per world.
            policy: how trials are treated.
            ports: what others do.
        """
        self._loop, self._name, self._ranks = loop, name, ranks
        self._policy, self._ports = policy, ports
        self._queue: collections.deque[Submission] = collections.deque()
        self._idle: list[World] = []
        self.running: dict[World, Submission] = {}
        self._failure: PoolError | None = None
        self._finishing = False
        self._closing = False
        self._paused = False  # the disk is full
        self._full_since: float | None = None  # on the monotonic clock
        self._scoring = ScoringCosts(policy)

    def world_name(self, world: World) -> str:
        """What a world is called in results."""
        return f"{self._name}-{world.number}"

    # What the pool asks for

    def enqueue(self, submission: Submission) -> None:
        """Has a trial carried out after those that wait."""
        if self._failure is not None:
            submission.future.set_running_or_notify_cancel()
            submission.future.set_exception(self._failure)
            return
        self._queue.append(submission)
        self._give()

    def stop(self, number: int) -> None:
        """Asks a running trial to stop at its next report."""
        for submission in self._queue:
            submission.stopping |= submission.attempts > 0 and submission.trial.number == number
        for world, submission in self.running.items():
            if submission.trial.number == number:
                submission.stopping = True
                world.workers[0].send(StopTrial(number))

    def finish(self, wait: bool, cancel_queued: bool) -> None:
        """Carries out what is there, or ends it, and then says that all is done."""
        if cancel_queued or not wait:
            queued = [submission for submission in self._queue if not submission.attempts]
            self._queue = collections.deque(submission for submission in self._queue if submission.attempts)
            for submission in queued:
                submission.future.cancel()
                submission.future.set_running_or_notify_cancel()
        if not wait:
            for begun in [*self.running.values(), *self._queue]:
                begun.future.set_result(Result.failure(begun.trial.number, "ended with its pool, which was shut down"))
            self.running.clear()
            self._queue.clear()
        self._finishing = True
        self._give()

    def fail(self, error: PoolError) -> None:
        """Ends every trial with the error, those still to come as well."""
        self._failure = error
        for submission in [*self.running.values(), *self._queue]:
            if submission.future.running() or submission.future.set_running_or_notify_cancel():
                submission.future.set_exception(error)
        self.running.clear()
        self._queue.clear()

    def close(self) -> None:
        """Nothing that is lost from now on is tried again."""
        self._closing = True

    # What the supervisor tells

    def on_idle(self, world: World) -> None:
        """Completes the world's trial, if it had one, and gives it the next."""
        submission = self.running.pop(world, None)
        if submission is not None and submission.result is not None:
            self._complete(submission, world, submission.result)
        self._idle.append(world)
        self._give()

    def on_message(self, world: World, worker: WorkerHandle, message: Message) -> None:
        """Progress, a result, or an error of a rank."""
        submission = self.running.get(world)
        if submission is None:
            return  # Completed already, by an error of another rank
        match message:
            case TrialProgress(progress=progress):
                self._show(progress)
            case StackTrace(text=text):
                submission.stack += f"rank {worker.rank} was at:\n{text}"
            case TrialRaised(fault=Fault.DISK, error=error):
                del self.running[world]
                self._on_full_disk(submission, error)
            case TrialRaised(fault=Fault.DATA, error=error):
                self._queue.appendleft(self.running.pop(world))
                self._ports.fail(PoolError(error))
            case TrialRaised(fault=Fault.TRIAL, error=error):
                where = f"rank {worker.rank} of {self._ranks}: " if self._ranks > 1 else ""
                del self.running[world]
                self._complete(submission, world, Result.failure(submission.trial.number, where + error))
            case TrialDone(result=result) if result is not None:
                submission.result = result

    def on_loss(self, world: World, reason: str) -> None:
        """Has the world's trial tried again elsewhere, or fail."""
        if world in self._idle:
            self._idle.remove(world)
        submission = self.running.pop(world, None)
        if submission is None:
            return
        if submission.attempts - submission.excused < self._policy.attempts and not self._closing:
            log.warning(
                "trial lost number=%s attempt=%s reason=%s", submission.trial.number, submission.attempts, reason
            )
            self._take_back(submission)
        else:
            error = f"its worker was lost {submission.attempts} times, the last time: {reason}"
            self._complete(submission, world, Result.failure(submission.trial.number, error))

    def on_failure(self, error: PoolError) -> None:
        """No worker can start."""
        self._ports.fail(error)

    # One trial

    def _give(self) -> None:
        """Gives queued trials to idle worlds."""
        while self._queue and self._idle and not self._paused:
            submission = self._queue.popleft()
            if submission.attempts or submission.future.set_running_or_notify_cancel():
                self._start(submission, self._idle.pop(0))
        if self._finishing and not self._queue and not self.running:
            self._ports.drained()

    def _start(self, submission: Submission, world: World) -> None:
        submission.attempts += 1
        submission.started = clock.now()
        self.running[world] = submission
        self._ports.run(world, submission.trial)
        if submission.stopping:
            self.stop(submission.trial.number)
        if self._policy.time_limit is not None:
            self._loop.later(self._policy.time_limit, self._on_time_limit, submission, world, submission.attempts)

    def _take_back(self, submission: Submission) -> None:
        """Queues a trial that was begun and did not end, before all others."""
        submission.lost_seconds += (clock.now() - submission.started) * self._ranks
        submission.result, submission.stack = None, ""
        self._queue.appendleft(submission)
        self._give()

    def _complete(self, submission: Submission, world: World, result: Result) -> None:
        self._scoring.add(submission.trial, result)
        if result.state.scored:
            self._full_since = None
        submission.complete(result, self.world_name(world), self._ranks)

    def _show(self, progress: Progress) -> None:
        if self._ports.show is not None:
            try:
                self._ports.show(progress)
            except Exception:
                log.exception("progress callback failed number=%s", progress.number)

    # Full disks, time limits

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
        if self._policy.outage_seconds is not None and now - self._full_since >= self._policy.outage_seconds:
            self._queue.appendleft(submission)
            self._ports.fail(PoolError(f"the disk is full; make room, then resume the study: {error}"))
            return
        if not self._paused:
            self._paused = True
            self._loop.later(DISK_SECONDS, self._end_pause)
        self._take_back(submission)

    def _end_pause(self) -> None:
        self._paused = False
        self._give()

    def _on_time_limit(self, submission: Submission, world: World, attempt: int) -> None:
        """A trial reached its time limit: it is asked to stop, and where it stands."""
        if self.running.get(world) is submission and submission.attempts == attempt:
            for worker in world.workers:
                worker.send(SendStackTrace())
            self.stop(submission.trial.number)
            grace = self._scoring.grace(submission.trial)
            self._loop.later(grace, self._end_hung, submission, world, attempt, grace)

    def _end_hung(self, submission: Submission, world: World, attempt: int, grace: float) -> None:
        if self.running.get(world) is submission and submission.attempts == attempt:
            limit = f"{self._policy.time_limit:g} s and {grace:g} s more"
            error = (
                f"hung: it did not stop when asked to at its time limit, and was ended ({limit}); {submission.stack}"
            )
            del self.running[world]
            self._complete(submission, world, Result.failure(submission.trial.number, error))
            self._ports.kill(world, "its trial hung")
