"""The role of a place where trials run, and of the task a worker keeps resident."""

import enum
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from glmix_automl.trial import Progress, Result, Trial

Reporter: TypeAlias = Callable[[Progress], bool]
"""Sends a trial's progress to the controller; returns whether the trial should stop now and keep its best weights."""


class SlotState(str, enum.Enum):
    """What a slot is up to."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    LOST = "lost"


@dataclass(frozen=True)
class WorkerStatus:
    """What a slot does: its name, its state, its trial if any, since when (seconds since the epoch)."""

    name: str
    state: SlotState
    trial: int | None
    since: float
    ranks: int = 1


class Executor(Protocol):
    """Runs trials; a `concurrent.futures` executor whose futures give a `Result` and never raise for a failed trial.

    Laws, checked by one suite over every place:
    - Every submitted trial's future ends: with a result (failed ones carry their traceback), or cancelled.
    - Never more trials at once than `slots`; a free slot takes the next submitted trial at once.
    - `Result.started`, `.ended`, `.worker`, `.attempts` and `.costs.worker_seconds` are filled by the executor.
    """

    @property
    def slots(self) -> int:
        """How many trials can run at once now."""
        ...

    @property
    def ranks(self) -> int:
        """Ranks per slot: the factor between a trial's seconds and its worker-seconds."""
        ...

    def submit(self, trial: Trial) -> "Future[Result]":
        """Queues a trial."""
        ...

    def stop(self, number: int) -> None:
        """Asks a running trial to stop at its next report; it ends as `stopped` with its best weights so far."""
        ...

    def wait(self, futures: "Collection[Future[Result]]", seconds: float | None) -> "set[Future[Result]]":
        """Returns the done ones as soon as there is one, or an empty set after `seconds` of this place's clock."""
        ...

    def now(self) -> float:
        """Seconds since the epoch on this place's clock (virtual, where it is simulated)."""
        ...

    def status(self) -> tuple[WorkerStatus, ...]:
        """What each slot does now."""
        ...

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the workers; no process is left. Running trials are finished first if `wait`, else ended at once."""
        ...


class Task(Protocol):
    """What a worker keeps resident for the length of a study: the dataset, and how to carry out a trial on it.

    Made once in every rank of a world from a dotted name and plain keyword arguments, so that no code crosses the wire.
    """

    def __call__(self, trial: Trial, report: Reporter) -> Result:
        """Carries out one trial; called on every rank of the world, the result of rank 0 counts. May raise."""
        ...
