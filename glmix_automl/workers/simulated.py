"""Trials on a virtual clock: thousands of workers in one thread, to study strategies by their cost, not their patience.

A function says how a trial would have ended and how long it would have taken; the clock jumps from event to event.
An event costs O(log n) in the number of running trials.
"""

import heapq
import itertools
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from glmix_automl.trial import Costs, Progress, Result, State, Trial
from glmix_automl.workers.executor import SlotState, WorkerStatus

Simulation = Callable[[Trial], tuple[Result, float]]
"""How a trial ends, and after how many seconds. The points of its curve are reported at their `seconds`."""


@dataclass(eq=False)
class _Run:
    """A running trial; `reported` counts the points of its curve that are past."""

    trial: Trial
    future: "Future[Result]"
    slot: int
    started: float
    result: Result
    seconds: float
    pace: float
    reported: int = 0
    stopping: bool = False


class SimulatedExecutor:
    """An `Executor` whose time passes only inside `wait`, as fast as events can be handled. One thread may use it."""

    def __init__(
        self,
        evaluate: Simulation,
        slots: int,
        *,
        ranks: int = 1,
        slowness: Sequence[float] = (),
        on_progress: Callable[[Progress], None] | None = None,
        start: float = 0.0,
    ) -> None:
        """An idle pool.

        Args:
            evaluate: says how trials end; may raise, which is a failed trial of no duration.
            slots: workers.
            ranks: per slot; multiplies worker-seconds.
            slowness: factors on the durations of the first slots, by slot; 1 for the others.
            on_progress: told every point of a curve when the clock passes it; may call `stop`.
            start: the clock's first reading, seconds since the epoch.
        """
        self.slots = slots
        self.ranks = ranks
        self._evaluate = evaluate
        self._slowness = slowness
        self._on_progress = on_progress
        self._now = start
        self._free = list(range(slots))  # a heap: the lowest slot first
        self._queue: deque[tuple[Trial, Future[Result]]] = deque()
        self._events: list[tuple[float, int, _Run]] = []
        self._order = itertools.count()
        self._running: dict[int, _Run] = {}
        self._fresh: set[Future[Result]] = set()  # done, and not returned by `wait` yet
        self._returned: weakref.WeakSet[Future[Result]] = weakref.WeakSet()
        self._closed = False

    def submit(self, trial: Trial) -> "Future[Result]":
        """Queues a trial; a free slot begins it at once.

        Raises:
            RuntimeError: after `shutdown`.
        """
        if self._closed:
            raise RuntimeError(f"trial {trial.number} was submitted to a pool that is shut down")
        future: Future[Result] = Future()
        self._queue.append((trial, future))
        self._give()
        return future

    def stop(self, number: int) -> None:
        """Ends a running trial at the next point of its curve, with the best AUC so far."""
        if number in self._running:
            self._running[number].stopping = True

    def wait(self, futures: "Collection[Future[Result]]", seconds: float | None) -> "set[Future[Result]]":
        """Lets time pass until one is done, or so many virtual seconds. Returns the done ones.

        Raises:
            RuntimeError: `seconds` is None and nothing runs that could end.
        """
        end = None if seconds is None else self._now + seconds
        while not (done := self._done(futures)):
            if not self._events and end is None:
                raise RuntimeError("nothing runs on the simulated pool, so waiting would never end")
            if not self._events or (end is not None and self._events[0][0] > end):
                self._now = self._now if end is None else end
                return set()
            self._step()
        self._fresh -= done
        self._returned.update(done)
        return done

    def now(self) -> float:
        """The virtual clock."""
        return self._now

    def status(self) -> tuple[WorkerStatus, ...]:
        """What each slot does."""
        busy = {run.slot: run for run in self._running.values()}
        return tuple(
            WorkerStatus(_name(slot), SlotState.BUSY, busy[slot].trial.number, busy[slot].started, self.ranks)
            if slot in busy
            else WorkerStatus(_name(slot), SlotState.IDLE, None, self._now, self.ranks)
            for slot in range(self.slots)
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Lets what runs (and, unless cancelled, what is queued) end in virtual time; without `wait`, ends it now."""
        self._closed = True
        if cancel_futures or not wait:
            for _, future in self._queue:
                future.cancel()
                future.set_running_or_notify_cancel()
            self._queue.clear()
        while wait and self._events:
            self._step()
        for run in list(self._running.values()):
            self._end(run, Result.failure(run.trial.number, "ended with its pool, which was shut down"))

    def __enter__(self) -> "SimulatedExecutor":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)

    def _done(self, futures: "Collection[Future[Result]]") -> "set[Future[Result]]":
        """The done among `futures`. Callers rarely ask for one twice, so few of those returned earlier still live."""
        asked = futures if isinstance(futures, set | frozenset | dict) else set(futures)
        done = {future for future in self._fresh if future in asked}
        if self._events and len(self._returned) < len(asked):
            return done | {future for future in self._returned if future in asked}
        return done | {future for future in asked if future.done()}

    def _give(self) -> None:
        while self._queue and self._free:
            trial, future = self._queue.popleft()
            if not future.set_running_or_notify_cancel():
                self._fresh.add(future)
                continue
            slot = heapq.heappop(self._free)
            pace = self._slowness[slot] if slot < len(self._slowness) else 1.0
            result, seconds = self._simulate(trial)
            run = _Run(trial, future, slot, self._now, result, seconds * pace, pace)
            self._running[trial.number] = run
            self._schedule(run)

    def _simulate(self, trial: Trial) -> tuple[Result, float]:
        try:
            return self._evaluate(trial)
        except Exception:
            return Result.failure(trial.number, traceback.format_exc()), 0.0

    def _schedule(self, run: _Run) -> None:
        """Puts the run's next event on the heap: a point of its curve, or its end."""
        after = run.seconds
        if run.reported < len(run.result.curve):
            after = min(after, run.result.curve[run.reported].seconds * run.pace)
        heapq.heappush(self._events, (run.started + after, next(self._order), run))

    def _step(self) -> None:
        """The next event."""
        self._now, _, run = heapq.heappop(self._events)
        if run.reported == len(run.result.curve):
            self._end(run, run.result)
            return
        point = run.result.curve[run.reported]
        run.reported += 1
        if self._on_progress is not None:
            self._on_progress(replace(point, number=run.trial.number, seconds=self._now - run.started))
        if run.stopping:
            self._end(run, _cut_short(run, self._now - run.started))
        else:
            self._schedule(run)

    def _end(self, run: _Run, result: Result) -> None:
        del self._running[run.trial.number]
        heapq.heappush(self._free, run.slot)
        costs = replace(result.costs, worker_seconds=(self._now - run.started) * self.ranks)
        name = _name(run.slot)
        result = replace(result, started=run.started, ended=self._now, worker=name, attempts=1, costs=costs)
        run.future.set_result(result)
        self._fresh.add(run.future)
        self._give()


def _cut_short(run: _Run, seconds: float) -> Result:
    """The result of a run that was stopped at its last reported point."""
    curve = run.result.curve[: run.reported]
    best = max((p for p in curve if p.auc is not None), key=lambda p: p.auc or 0.0, default=None)
    if best is None:
        return Result.failure(run.trial.number, "stopped before its first AUC was known")
    costs = Costs(steps=curve[-1].steps, train_seconds=seconds)
    return Result(run.trial.number, State.STOPPED, auc=best.auc, loss=best.loss, curve=curve, costs=costs)


def _name(slot: int) -> str:
    return f"simulated-{slot}"
