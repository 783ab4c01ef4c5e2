"""A trial on its way through a pool, and the policy by which it is treated."""

from concurrent.futures import Future
from dataclasses import dataclass, replace

from glmix_automl import clock
from glmix_automl.trial import Result, Trial


@dataclass(frozen=True)
class TrialPolicy:
    """How a pool treats trials.

    Attributes:
        time_limit: seconds after which a running trial is asked to stop, or None.
        grace_seconds: the least a trial gets from then on to score and write its best weights, until its world is
            killed; more where scoring was seen to cost more.
        attempts: how often a trial is started at most, when its workers are lost.
        outage_seconds: how long trials may wait while no worker comes or can start, or the disk is full; None: for
            ever.
    """

    time_limit: float | None = None
    grace_seconds: float = 15.0
    attempts: int = 2
    outage_seconds: float | None = 600.0


DEFAULT_POLICY = TrialPolicy()


@dataclass(eq=False)
class Submission:
    """A submitted trial.

    Attributes:
        attempts: how often it was started.
        excused: how many of those ended for want of disk space, which says nothing against the trial.
        lost_seconds: worker-seconds of attempts that were lost.
        stack: where the ranks stood at the time limit.
    """

    trial: Trial
    future: "Future[Result]"
    attempts: int = 0
    excused: int = 0
    lost_seconds: float = 0.0
    started: float = 0.0
    stopping: bool = False
    stack: str = ""
    result: Result | None = None

    def complete(self, result: Result, worker: str, ranks: int) -> None:
        """Completes the future with what the controller knows of the trial."""
        ended = clock.now()
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


class ScoringCosts:
    """What scoring was seen to cost, by family: how long a trial may take after its time limit."""

    FACTOR = 3.0  # on the costliest seen: machines are shared, and models of one family differ in size

    def __init__(self, policy: TrialPolicy) -> None:
        self._policy = policy
        self._seen: dict[str, float] = {}

    def add(self, trial: Trial, result: Result) -> None:
        """Takes in a trial that ended."""
        if result.state.scored:
            self._seen[trial.family] = max(self._seen.get(trial.family, 0.0), result.costs.eval_seconds)

    def grace(self, trial: Trial) -> float:
        """Seconds from the time limit of a trial until it counts as hung. As long again as the limit for a family of
        which nothing is known: its scores may take as long as its training did.
        """
        known = self._seen.get(trial.family)
        expected = (self._policy.time_limit or 0.0) if known is None else self.FACTOR * known
        return max(self._policy.grace_seconds, expected)
