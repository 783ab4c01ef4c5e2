"""Where the steps of preparation run: threads of this process, or a Spark application's executors.

A step is one function applied to each of some items; the functions are the same, and so is what they give.
"""

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from glmix_automl.prepare.progress import StepProgress

Item = TypeVar("Item")
TaskResult = TypeVar("TaskResult")
SharedValue = TypeVar("SharedValue")
_GROUP = ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel")
_SECONDS = 0.5  # between looks at a running job


@dataclass
class Shared(Generic[SharedValue]):
    """Something large that every task reads, in the memory of this process; or a broadcast of Spark."""

    value: SharedValue


class Engine(Protocol):
    """Runs steps.

    Attributes:
        progress: where they are.
        spark: the session, or None.
        width: tasks that run at once.
    """

    progress: StepProgress
    spark: Any
    width: int

    def share(self, value: SharedValue) -> Shared[SharedValue]:
        """Brings a value to where tasks run, once for all tasks of a process."""

    def each(self, step: str, function: Callable[[Item], TaskResult], items: Sequence[Item]) -> list[TaskResult]:
        """The function of every item, in their order; the first failure ends the step."""


class Local:
    """Threads: Arrow and numpy, which do the work, let go of Python's lock."""

    spark = None

    def __init__(self, progress: StepProgress, threads: int | None = None) -> None:
        self.progress = progress
        self.width = threads or len(os.sched_getaffinity(0))

    def share(self, value: SharedValue) -> Shared[SharedValue]:
        """See `Engine`."""
        return Shared(value)

    def each(self, step: str, function: Callable[[Item], TaskResult], items: Sequence[Item]) -> list[TaskResult]:
        """See `Engine`."""
        with self.progress.step(step, len(items)) as done:
            if len(items) < 2 or self.width < 2:
                return [done(function(item)) for item in items]
            with ThreadPoolExecutor(self.width) as pool:
                try:
                    return [done(made) for made in pool.map(function, items)]
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise


class OnSpark:
    """Tasks of Spark jobs, one per item."""

    def __init__(self, spark: Any, progress: StepProgress) -> None:
        self.spark = spark
        self.context = spark.sparkContext
        self.width = int(self.context.defaultParallelism)
        self.progress = progress

    def share(self, value: SharedValue) -> Shared[SharedValue]:
        """See `Engine`."""
        return self.context.broadcast(value)

    def each(self, step: str, function: Callable[[Item], TaskResult], items: Sequence[Item]) -> list[TaskResult]:
        """See `Engine`."""
        if not items:
            return []
        with self.progress.step(step, len(items)) as done, self._watched(step, len(items)):
            made = self.context.parallelize(list(items), len(items)).map(function).collect()
            return [done(each) for each in made]

    @contextmanager
    def _watched(self, step: str, tasks: int) -> Iterator[None]:
        """Shows how many tasks of a job have ended while it runs, on a terminal."""
        if not self.progress.live:
            yield
            return
        before = {name: self.context.getLocalProperty(name) for name in _GROUP}
        group, over = uuid.uuid4().hex, threading.Event()
        self.context.setJobGroup(group, step)

        def watch() -> None:
            tracker = self.context.statusTracker()
            while not over.wait(_SECONDS):
                jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
                stages = [tracker.getStageInfo(stage) for job in jobs if job is not None for stage in job.stageIds]
                self.progress.at(step, sum(s.numCompletedTasks for s in stages if s is not None) / tasks)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            for name, value in before.items():
                self.context.setLocalProperty(name, value)
