"""Where the steps of preparation run: threads of this process, or a Spark application's executors.

A step is one function applied to each of some items; the functions are the same, and so is what they give.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from glmix_automl.prepare.progress import StepProgress

Item = TypeVar("Item")
TaskResult = TypeVar("TaskResult")
SharedValue = TypeVar("SharedValue")


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
        with self.progress.step(step, len(items)) as done:
            made = self.context.parallelize(list(items), len(items)).map(function).collect()
            return [done(each) for each in made]
