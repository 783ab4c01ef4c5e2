"""Settings become an executor: the one place that knows where trials can run."""

from collections.abc import Callable
from pathlib import Path

from glmix_automl.errors import ConfigError
from glmix_automl.study.settings import SearchSettings, Workers
from glmix_automl.trial import Progress
from glmix_automl.workers.executor import Executor
from glmix_automl.workers.recipe import Recipe

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
    """Starts the workers; whoever calls this shuts them down.

    Raises:
        ConfigError: there is no such place.
    """
    if workers.place == "local":
        return _local(workers, recipe, folder, on_progress)
    raise ConfigError(f"workers.place: {workers.place!r} is not there")


def _local(workers: Workers, recipe: Recipe, folder: Path, on_progress: Callable[[Progress], None]) -> Executor:
    from glmix_automl.workers.local import local_pool
    from glmix_automl.workers.pool import Rules

    rules = Rules(time_limit=workers.trial_seconds, attempts=workers.attempts)
    return local_pool(
        recipe,
        workers.slots,
        workers.ranks,
        threads=workers.threads,
        on_progress=on_progress,
        rules=rules,
        logs=folder / LOGS,
    )
