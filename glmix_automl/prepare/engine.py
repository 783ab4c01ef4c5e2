"""Where the steps of preparation run: threads of this process, or a Spark application's executors.

A step is one function applied to each of some items; the functions are the same, and so is what they give.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from glmix_automl.prepare.progress import StepProgress

Item = TypeVar("Item")
TaskResult = TypeVar("TaskResult")


class Engine(Protocol):
    """Runs steps."""

    progress: StepProgress

    def each(self, step: str, function: Callable[[Item], TaskResult], items: Sequence[Item]) -> list[TaskResult]:
        """The function of every item, in their order; the first failure ends the step."""


class Local:
    """Threads: Arrow and numpy, which do the work, let go of Python's lock."""

    def __init__(self, progress: StepProgress, threads: int | None = None) -> None:
        self.progress = progress
        self.threads = threads or len(os.sched_getaffinity(0))

    def each(self, step: str, function: Callable[[Item], TaskResult], items: Sequence[Item]) -> list[TaskResult]:
        """See `Engine`."""
        with self.progress.step(step, len(items)) as done:
            if len(items) < 2 or self.threads < 2:
                return [done(function(item)) for item in items]
            with ThreadPoolExecutor(self.threads) as pool:
                try:
                    return [done(made) for made in pool.map(function, items)]
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise


class OnSpark:
    """Tasks of Spark jobs, one per item."""

    def __init__(self, spark: Any, progress: StepProgress) -> None:
        self.context = spark.sparkContext
        self.progress = progress

    def each(self, step: str, function: Callable[[Item], TaskResult], items: Sequence[Item]) -> list[TaskResult]:
        """See `Engine`."""
        if not items:
            return []
        with self.progress.step(step, len(items)) as done:
            made = self.context.parallelize(list(items), len(items)).map(function).collect()
            return [done(each) for each in made]
