"""A trial on its way through a pool, and the policy by which it is treated."""

import time
from concurrent.futures import Future
from dataclasses import dataclass, replace

from glmix_automl.trial import Result, Trial


@dataclass(frozen=True)
class TrialPolicy:
    """How a pool treats trials.

    Attributes:
        time_limit: seconds after which a running trial is asked to stop, or None.
        grace_seconds: from then on, until its world is killed.
        attempts: how often a trial is started at most, when its workers are lost.
        start_seconds: how long trials may wait while no worker has come at all, or None for ever.
    """

    time_limit: float | None = None
    grace_seconds: float = 15.0
    attempts: int = 3
    start_seconds: float | None = 600.0


DEFAULT_POLICY = TrialPolicy()


@dataclass(eq=False)
class Submission:
    """A submitted trial; `lost_seconds` are the worker-seconds of attempts that were lost."""

    trial: Trial
    future: "Future[Result]"
    attempts: int = 0
    lost_seconds: float = 0.0
    started: float = 0.0
    stopping: bool = False
    stack: str = ""
    result: Result | None = None

    def complete(self, result: Result, worker: str, ranks: int) -> None:
        """Completes the future with what the controller knows of the trial."""
        ended = time.time()
        seconds = self.lost_seconds + (ended - self.started) * ranks
        self.future.set_result(
            replace(
                result,
                worker=worker,
                started=self.started,
                ended=ended,
                attempts=self.attempts,
                costs=replace(result.costs, worker_seconds=seconds),
            )
        )
