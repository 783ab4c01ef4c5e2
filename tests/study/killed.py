"""A real controller in a process of its own, to be killed: real strategies, real dataset, trials of a few milliseconds.

python -m tests.study.killed DATASET STUDY SECONDS_PER_TRIAL
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from glmix_automl.study.controller import Controller
from glmix_automl.study.session import Session
from glmix_automl.study.settings import SearchSettings, Workers
from glmix_automl.trial import Costs, Progress, Result, State, Trial
from glmix_automl.workers.executor import Executor, Reporter
from glmix_automl.workers.task_spec import TaskSpec
from tests.study.places import Threads

SECONDS = float(sys.argv[3]) if __name__ == "__main__" and len(sys.argv) > 3 else 0.0
SPACE = {"x": {"type": "float", "low": 0.0, "high": 1.0}, "y": {"choice": ["a", "b", "c"]}}


def settings(dataset: str, study: str) -> SearchSettings:
    return SearchSettings.model_validate(
        {
            "dataset": dataset,
            "study": study,
            "seed": 3,
            "tracking": {"enabled": False},
            "race": {
                "baseline": {"strategy": "fixed", "family": "toy"},
                "grid": {"strategy": "grid", "family": "toy", "space": SPACE, "resolution": 10},
                "random": {"strategy": "random", "family": "toy", "space": SPACE, "trials": 30},
            },
        }
    )


def trial_of_few_milliseconds(trial: Trial, report: Reporter) -> Result:
    time.sleep(SECONDS)
    auc = 0.6 + (trial.seed % 100_000) / 1e6
    point = Progress(trial.number, 1.0, 1, 0.03, auc)
    report(point)
    return Result(trial.number, State.FINISHED, auc, curve=(point,), costs=Costs(1, 1, 0.03, 0.0, 0.03))


def place(workers: Workers, spec: TaskSpec, folder: Path, on_progress: Callable[[Progress], None]) -> Executor:
    return Threads(trial_of_few_milliseconds, 2)


def main(dataset: str, study: str) -> None:
    """Runs the study, and says after every step how many trials have ended."""

    def observe(controller: Controller, executor: Executor) -> None:
        print(len(controller.history.results), flush=True)

    with Session(settings(dataset, study), resume=True) as session:
        print(session.run(observe, place), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
