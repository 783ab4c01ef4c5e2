"""Trials on threads of this process: for tests and debugging; a breakpoint in the task works."""

import logging
import queue
import threading
import traceback
from collections.abc import Callable, Collection
from concurrent import futures
from concurrent.futures import Future
from dataclasses import replace

from glmix_automl import clock
from glmix_automl.trial import Progress, Result, Trial
from glmix_automl.workers.executor import SlotState, Task, WorkerStatus
from glmix_automl.workers.fault import DISK_SECONDS, is_disk_full

log = logging.getLogger(__name__)


class InProcessExecutor:
    """An `Executor` whose slots are threads with a task each. A trial that never reports cannot be stopped, and one
    that kills its process kills the study: that is what the other places are for.
    """

    ranks = 1

    def __init__(
        self,
        make: Callable[[], Task],
        slots: int = 1,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        time_limit: float | None = None,
    ) -> None:
        """Starts the threads.

        Args:
            make: returns a task; called once per slot, here, so that its errors are raised here.
            slots: threads.
            on_progress: told what running trials report, on the trial's thread.
            time_limit: seconds after which a trial is asked to stop at its next report, or None.
        """
        self.slots = slots
        self._on_progress = on_progress
        self._time_limit = time_limit
        self._queue: queue.SimpleQueue[tuple[Trial, Future[Result]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._halted = threading.Event()
        self._stops: set[int] = set()
        self._status = [WorkerStatus(f"thread-{n}", SlotState.IDLE, None, clock.now()) for n in range(slots)]
        self._threads = [
            threading.Thread(target=self._serve, args=(n, make()), name=f"glmix-thread-{n}", daemon=True)
            for n in range(slots)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, trial: Trial) -> "Future[Result]":
        """Queues a trial.

        Raises:
            RuntimeError: after `shutdown`.
        """
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"trial {trial.number} was submitted to a pool that is shut down")
            self._queue.put((trial, future))
        return future

    def stop(self, number: int) -> None:
        """Asks a running trial to stop at its next report; nothing happens if it does not run."""
        if any(status.trial == number for status in self._status):
            self._stops.add(number)

    def wait(self, futures_: "Collection[Future[Result]]", seconds: float | None) -> "set[Future[Result]]":
        """Returns the done ones as soon as there is one, or an empty set after `seconds`."""
        return futures.wait(futures_, seconds, futures.FIRST_COMPLETED).done

    def now(self) -> float:
        """Seconds since the epoch."""
        return clock.now()

    def status(self) -> tuple[WorkerStatus, ...]:
        """What each thread does."""
        return tuple(self._status)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the threads; without `wait`, running trials are asked to stop at their next report, and waited for."""
        with self._lock:
            if not self._closed:
                self._closed = True
                if cancel_futures or not wait:
                    self._cancel_queued()
                for _ in self._threads:
                    self._queue.put(None)
        if not wait:
            self._halted.set()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> "InProcessExecutor":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)

    def _cancel_queued(self) -> None:
        while True:
            try:
                queued = self._queue.get_nowait()
            except queue.Empty:
                return
            if queued is not None:
                queued[1].cancel()
                queued[1].set_running_or_notify_cancel()

    def _serve(self, slot: int, task: Task) -> None:
        while (queued := self._queue.get()) is not None:
            trial, future = queued
            if future.set_running_or_notify_cancel():
                self._set_status(slot, SlotState.BUSY, trial.number)
                result = self._run(task, trial, f"thread-{slot}")
                self._stops.discard(trial.number)
                self._set_status(slot, SlotState.IDLE, None)
                future.set_result(result)
        self._set_status(slot, SlotState.LOST, None)

    def _set_status(self, slot: int, state: SlotState, number: int | None) -> None:
        self._status[slot] = WorkerStatus(f"thread-{slot}", state, number, clock.now())

    def _run(self, task: Task, trial: Trial, worker: str) -> Result:
        started = clock.now()

        def report(progress: Progress) -> bool:
            if self._on_progress is not None:
                self._on_progress(progress)
            late = self._time_limit is not None and clock.now() - started > self._time_limit
            return self._halted.is_set() or late or progress.number in self._stops

        attempts = 1
        while True:
            try:
                result = _check_result(task(trial, report), trial)
            except Exception as error:
                if is_disk_full(error) and not self._halted.wait(DISK_SECONDS):
                    log.exception("the disk is full: make room; the trial is begun again number=%s", trial.number)
                    attempts += 1
                    continue
                result = Result.failure(trial.number, traceback.format_exc())
            break
        ended = clock.now()
        costs = replace(result.costs, worker_seconds=ended - started)
        return replace(result, started=started, ended=ended, worker=worker, attempts=attempts, costs=costs)


def _check_result(result: object, trial: Trial) -> Result:
    if not isinstance(result, Result) or result.number != trial.number:
        raise TypeError(f"the task returned {result!r} for trial {trial.number}; expected its Result")
    return result
