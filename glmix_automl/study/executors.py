"""Settings become an executor: the one place that knows where trials can run."""

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from glmix_automl.dataset import Dataset
from glmix_automl.study.folder import StudyRecord
from glmix_automl.study.settings import Workers
from glmix_automl.trial import Progress
from glmix_automl.workers.executor import Executor
from glmix_automl.workers.submission import TrialPolicy
from glmix_automl.workers.task_spec import TaskSpec

EVALUATOR = "glmix_automl.training.evaluate.Evaluator"
"""The task of the workers, by name: the study never imports how to train."""

KEPT_BYTES = 20  # per row of a split, also where rows are streamed: label, weight, offset, scores
STREAM_SHARE = 0.75  # of what is left: the rest is for the tensors of the block that is trained on

LOGS = "logs"  # in the study's folder: what the workers print


def evaluator(record: StudyRecord, dataset: Dataset) -> TaskSpec:
    """How a worker makes its task, on the dataset that the study began with and no other.

    Raises:
        DataError: the memory the workers may use is too little even for a stream of the dataset.
    """
    settings, workers = record.settings, record.settings.workers
    arguments = {
        "dataset": settings.dataset,
        "study": settings.study,
        "seed": settings.seed,
        "threads": workers.threads,
        "trial_seconds": workers.trial_seconds,
        "averaging": workers.averaging,
        "block_rows": block_rows(workers, dataset),
        "digest": record.digest,
        "fingerprints": record.fingerprints,
        "measure": settings.measure,
    }
    return TaskSpec(EVALUATOR, arguments)


def block_rows(workers: Workers, dataset: Dataset) -> int | None:
    """Rows of a streamed block; None where every split, as arrays and as tensors, fits in the memory of a process.

    Raises:
        DataError: the memory is too little even for a stream: how much would do.
    """
    if workers.memory_mb is None:
        return None
    memory = workers.memory_mb * 1e6
    rows = sum(dataset.row_bytes(split) * dataset.rows(split) for split in dataset.manifest.splits)
    if 2 * rows / workers.ranks <= memory:
        return None
    kept = KEPT_BYTES * max(dataset.rows(split) for split in dataset.manifest.splits)
    return dataset.block_rows("train", (memory - kept) * STREAM_SHARE)


def executor(workers: Workers, spec: TaskSpec, folder: Path, on_progress: Callable[[Progress], None]) -> Executor:
    """Starts the workers; whoever calls this shuts them down."""
    return PLACES[workers.place](workers, spec, folder, on_progress)


def _local(workers: Workers, spec: TaskSpec, folder: Path, on_progress: Callable[[Progress], None]) -> Executor:
    from glmix_automl.workers.local import local_pool

    return local_pool(spec, logs=folder / LOGS, **_pool_options(workers, on_progress))


def _in_process(workers: Workers, spec: TaskSpec, folder: Path, on_progress: Callable[[Progress], None]) -> Executor:
    from glmix_automl.workers.in_process import InProcessExecutor

    return InProcessExecutor(spec.make, on_progress=on_progress, time_limit=workers.trial_seconds)


def _spark(workers: Workers, spec: TaskSpec, folder: Path, on_progress: Callable[[Progress], None]) -> Executor:
    """On the running application (spark-submit made it), else on a local one with a core per rank."""
    from glmix_automl import spark
    from glmix_automl.workers.spark import spark_pool

    context = spark.session("glmix-automl search", f"local[{workers.slots * workers.ranks}]").sparkContext
    return spark_pool(context, spec, **_pool_options(workers, on_progress))


class _PoolOptions(TypedDict):
    """What any pool of worlds takes."""

    slots: int
    ranks: int
    threads: int | None
    on_progress: Callable[[Progress], None]
    policy: TrialPolicy
    memory_bytes: int | None


def _pool_options(workers: Workers, on_progress: Callable[[Progress], None]) -> _PoolOptions:
    return {
        "slots": workers.slots,
        "ranks": workers.ranks,
        "threads": workers.threads,
        "on_progress": on_progress,
        "policy": TrialPolicy(time_limit=workers.trial_seconds, attempts=workers.attempts),
        "memory_bytes": None if workers.memory_limit_mb is None else int(workers.memory_limit_mb * 1e6),
    }


PLACES = {"local": _local, "in_process": _in_process, "spark": _spark}
"""Name in a configuration -> what starts the workers."""
