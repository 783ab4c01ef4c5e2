"""The role of a trainer: how coordinates of some families come by their weights. A family names its trainer."""

import abc
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np

from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import TrialError
from glmix_automl.layout import TRIALS, Folder
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.training.measure import Point
from glmix_automl.training.source import Source
from glmix_automl.trial import State, Trial
from glmix_automl.workers.collective import Collective


@dataclass(frozen=True)
class Moment:
    """Where training is: passes and steps so far, and the validation just made, if any."""

    epoch: float
    steps: int
    point: Point | None = None


Watch: TypeAlias = Callable[[Moment], bool]
"""Is told where training is, on rank 0; whether to stop."""


@dataclass(frozen=True)
class Budget:
    """How long to train.

    Attributes:
        epochs: passes over the training rows, fractions allowed.
        done: passes that earlier training, continued here, has made of them.
        seconds: wall-clock limit, infinite for none.
    """

    epochs: float
    done: float = 0.0
    seconds: float = math.inf


@dataclass
class Fit:
    """What training did.

    Attributes:
        state: `STOPPED` where the watcher or the clock ended it.
        steps, rows: of all ranks.
        train_seconds, eval_seconds: of this rank, in training and in validation.
        best: the validation of the weights that were left in the coordinate.
        epochs: passes made, those of earlier training included.
        moments: what an optimiser needs to go on from here, saved beside the coordinate; None for nothing.
        metrics: further ones of the result, by name.
        ensemble: of a mixture, what it found.
        held_out: scores of the validation rows to be judged by, float32 [rows], where the weights have seen labels.
        left_out: places in train, int64 [rows], and what these rows score as if training had not seen each; they are
            kept in place of what the coordinate scores there. None where training knows no better.
    """

    state: State = State.FINISHED
    steps: int = 0
    rows: int = 0
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    best: Point | None = None
    epochs: float = 0.0
    moments: Mapping[str, np.ndarray] | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    ensemble: Ensemble | None = None
    held_out: np.ndarray | None = None
    left_out: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class Setting:
    """Where training happens.

    Attributes:
        collective: the ranks that train together.
        averaging: `synchronous` or `anytime`, between them.
        threads: of libraries that have their own; as they choose if None.
    """

    collective: Collective
    averaging: str = "synchronous"
    threads: int | None = None


@dataclass(frozen=True)
class Start:
    """What a trial begins from.

    Attributes:
        trial: names it: `parent`, `checkpoint`, `fit`.
        study: folder of the study.
        block_rows: rows that any block of its training has at least.
    """

    trial: Trial
    study: Folder
    block_rows: int

    @property
    def parent(self) -> Folder:
        """Folder of the parent's coordinate."""
        return self.study.within(f"{TRIALS}/{self.trial.parent}")


C = TypeVar("C", bound=Coordinate)


class Trainer(abc.ABC, Generic[C]):
    """Trains coordinates; kept for all trials of a worker, so that what is costly to prepare is prepared once.

    A trial is `coordinate, done = begin(family.build(...), start)`, then `train(coordinate, source, budget, watch)`.
    The source has the rows in the coordinate's `form`, with the trial's offsets and labels, and validates. A trainer
    that needs all rows in one block, or one rank, says so by a `TrialError`.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def begin(self, coordinate: C, start: Start) -> tuple[C, float]:
        """The coordinate to train, with the weights that the trial begins from, and passes of the budget made already.

        It may be a kept one of the same structure as the one given. Here nothing is taken from earlier trials.

        Args:
            coordinate: as the family built it.
            start: the trial, and where earlier weights lie.

        Raises:
            DataError: they cannot be read.
            TrialError: they are of another family.
        """
        return coordinate, 0.0

    def adopt(self, coordinate: C, start: Start) -> C:
        """The coordinate with the weights of `start.trial.checkpoint`, in this dataset's columns, not to be trained.

        Raises:
            DataError: they cannot be read.
            TrialError: they are of another family, or mean nothing in this dataset's columns.
        """
        raise TrialError(f"family {coordinate.family}: cannot be locked: its trainer takes over no earlier weights")

    @abc.abstractmethod
    def train(self, coordinate: C, source: Source, budget: Budget, watch: Watch) -> Fit:
        """Trains within the budget and leaves the best weights in the coordinate.

        Args:
            coordinate: of `begin`, or of a family's `build`.
            source: the training rows of this rank, and what validates.
            budget: how long; trainers to the optimum may use less.
            watch: is told where training is, on rank 0; whether to stop.

        Raises:
            TrialError: it diverged, or the data cannot be trained on.
        """


TRAINERS = {
    "gradient_steps": "glmix_automl.training.gradient_steps.GradientSteps",
    "full_batch": "glmix_automl.training.full_batch.FullBatch",
    "boosting": "glmix_automl.training.boosting.Boosting",
    "per_entity": "glmix_automl.training.per_entity.PerEntity",
    "mixture": "glmix_automl.training.mixture.MixtureWeights",
}
"""Name, as families say it -> class."""


def make_trainer(name: str, setting: Setting) -> Trainer[Any]:
    """A trainer by name, or by the dotted path of a class of one's own."""
    module, _, kind = TRAINERS.get(name, name).rpartition(".")
    made: Trainer[Any] = getattr(importlib.import_module(module), kind)(setting)
    return made


def told(collective: Collective, *numbers: Any) -> list[int]:
    """Rank 0's numbers, on every rank: each has a clock of its own, and they must take as many steps each, as every
    step waits for all of them.
    """
    heard: list[int] = collective.broadcast(np.array(numbers, np.int64)).tolist()
    return heard
