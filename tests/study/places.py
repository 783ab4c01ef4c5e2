"""A place to run trials in threads of the test's own process, and strategies of a few lines."""

import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from glmix_automl.seeds import generator
from glmix_automl.trial import Costs, Progress, Result, State, Trial
from glmix_automl.workers.executor import Reporter, WorkerStatus

Work = Callable[[Trial, Reporter], Result]


class Threads:
    """An `Executor` of threads, which trials that never report cannot be stopped in."""

    ranks = 1

    def __init__(self, work: Work, slots: int = 2, progress: Reporter | None = None) -> None:
        self.slots, self._work, self._progress = slots, work, progress
        self._pool = ThreadPoolExecutor(slots)
        self._stopped: set[int] = set()
        self.submitted: list[Trial] = []
        self.running: dict[int, float] = {}

    def submit(self, trial: Trial) -> "Future[Result]":
        self.submitted.append(trial)
        return self._pool.submit(self._run, trial)

    def _run(self, trial: Trial) -> Result:
        started = self.running[trial.number] = time.time()

        def report(progress: Progress) -> bool:
            asked = self._progress(progress) if self._progress else False
            return asked or trial.number in self._stopped

        try:
            result = self._work(trial, report)
        except Exception as error:
            result = Result.failure(trial.number, str(error))
        finally:
            del self.running[trial.number]
        ended = time.time()
        spent = result.costs.worker_seconds or ended - started
        costs = Costs(result.costs.steps, result.costs.rows, spent, 0.0, spent)
        known = {**result.__dict__, "costs": costs, "started": started, "ended": ended}
        return Result(**{**known, "worker": threading.current_thread().name[-1]})

    def stop(self, number: int) -> None:
        self._stopped.add(number)

    def wait(self, futures: "Collection[Future[Result]]", seconds: float | None) -> "set[Future[Result]]":
        if not futures:
            time.sleep(0.01)
            return set()
        return set(wait(futures, seconds, FIRST_COMPLETED).done)

    def now(self) -> float:
        return time.time()

    def status(self) -> tuple[WorkerStatus, ...]:
        busy = [WorkerStatus(f"thread {n}", "busy", n, since) for n, since in self.running.items()]
        return tuple(busy + [WorkerStatus("thread", "idle", None, 0.0)] * (self.slots - len(busy)))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


class Hill:
    """A strategy that climbs: each trial steps from the best told so far; depends on every call it gets."""

    def __init__(self, trials: int, seed: int = 0) -> None:
        self._left, self._seed, self._asked, self._best = trials, seed, 0, (0.5, 0.0)
        self.calls: list[object] = []
        self._parent: int | None = None

    def ask(self, n: int) -> list[Trial]:
        self.calls.append(("ask", n))
        n = min(n, self._left)
        self._left -= n
        return [self._draw() for _ in range(n)]

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        self.calls.append(("ask", n))
        self._left -= len(trials)
        self._asked += len(trials)

    def _draw(self) -> Trial:
        number, self._asked = self._asked, self._asked + 1
        x = self._best[0] + 0.2 * float(generator(self._seed, len(self.calls), number).normal())
        return Trial(number, "", "toy", {"x": x}, parent=self._parent, seed=number)

    def tell(self, result: Result) -> None:
        self.calls.append(("tell", result.number, result.auc))
        if result.auc is not None and result.auc > self._best[1]:
            self._best, self._parent = (self._best[0] + 0.01, result.auc), result.number


class Rounds:
    """A strategy that waits for a round's trials before it asks the next."""

    def __init__(self, rounds: int, width: int) -> None:
        self._rounds, self._width, self._asked, self._told, self.told = rounds, width, 0, 0, [0]

    def ask(self, n: int) -> list[Trial]:
        open_until = (self._told // self._width + 1) * self._width
        last = min(open_until, self._rounds * self._width, self._asked + n)
        first, self._asked = self._asked, max(last, self._asked)
        parent = None if first < self._width else first // self._width * self._width - 1
        return [Trial(i, "", "toy", {"x": i / 10}, parent=parent) for i in range(first, last)]

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        self._asked += len(trials)

    def tell(self, result: Result) -> None:
        self._told += 1


def peak(trial: Trial, report: Reporter) -> Result:
    """Best at x = 1."""
    x = float(trial.parameters.get("x") or 0.0)
    auc = 0.5 + 0.4 * math.exp(-((x - 1) ** 2)) + 1e-6 * trial.number
    point = Progress(trial.number, 1.0, 10, 0.001, auc)
    report(point)
    return Result(trial.number, State.FINISHED, auc, 1 - auc, {}, (point,), Costs(10, 100, worker_seconds=1.0))
