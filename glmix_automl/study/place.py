"""Settings become an executor: the one place that knows where trials can run."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from glmix_automl.study.settings import SearchSettings, Workers
from glmix_automl.trial import Progress
from glmix_automl.workers.executor import Executor
from glmix_automl.workers.recipe import Recipe

if TYPE_CHECKING:
    from glmix_automl.workers.pool import Rules

EVALUATOR = "glmix_automl.training.evaluate.Evaluator"
"""The task of the workers, by name: the study never imports how to train."""

LOGS = "logs"  # in the study's folder: what the workers print


def evaluator(settings: SearchSettings) -> Recipe:
    """How a worker makes its task."""
    workers = settings.workers
    arguments = {
        "dataset": settings.dataset,
        "study": settings.study,
        "seed": settings.seed,
        "threads": workers.threads,
        "trial_seconds": workers.trial_seconds,
        "averaging": workers.averaging,
    }
    return Recipe(EVALUATOR, arguments)


def executor(workers: Workers, recipe: Recipe, folder: Path, on_progress: Callable[[Progress], None]) -> Executor:
    """Starts the workers; whoever calls this shuts them down."""
    return PLACES[workers.place](workers, recipe, folder, on_progress)


def _local(workers: Workers, recipe: Recipe, folder: Path, on_progress: Callable[[Progress], None]) -> Executor:
    from glmix_automl.workers.local import local_pool

    return local_pool(
        recipe,
        workers.slots,
        workers.ranks,
        threads=workers.threads,
        on_progress=on_progress,
        rules=_rules(workers),
        logs=folder / LOGS,
    )


def _in_process(workers: Workers, recipe: Recipe, folder: Path, on_progress: Callable[[Progress], None]) -> Executor:
    from glmix_automl.workers.in_process import InProcessExecutor

    return InProcessExecutor(recipe.make, workers.slots, on_progress=on_progress, time_limit=workers.trial_seconds)


def _spark(workers: Workers, recipe: Recipe, folder: Path, on_progress: Callable[[Progress], None]) -> Executor:
    """On the running application (spark-submit made it), else on a local one with a core per rank."""
    import importlib

    # By name: Spark is at home with the workers, and only a study that asks for it pays for its import.
    spark = importlib.import_module("glmix_automl.workers.spark")
    context = importlib.import_module("pyspark").SparkContext
    # Executors on this machine run the Python that has the locked packages, not the first on PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    active = context._active_spark_context
    if active is None:
        cores = workers.slots * workers.ranks
        conf = importlib.import_module("pyspark").SparkConf().setAppName("glmix-automl search")
        if "PYSPARK_GATEWAY_PORT" not in os.environ:  # not under spark-submit, which says where
            conf = conf.setMaster(f"local[{cores}]").set("spark.ui.showConsoleProgress", "false")
            conf = conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
        active = context.getOrCreate(conf)
    pool: Executor = spark.spark_pool(
        active,
        recipe,
        workers.slots,
        workers.ranks,
        threads=workers.threads,
        on_progress=on_progress,
        rules=_rules(workers),
    )
    return pool


def _rules(workers: Workers) -> "Rules":
    from glmix_automl.workers.pool import Rules

    return Rules(time_limit=workers.trial_seconds, attempts=workers.attempts)


PLACES = {"local": _local, "in_process": _in_process, "spark": _spark}
"""Name in a configuration -> what starts the workers."""
