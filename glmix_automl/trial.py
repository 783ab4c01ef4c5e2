"""Trial and Result: where *what to try* and *how to train* meet. Both are frozen and survive JSON both ways."""

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Value: TypeAlias = bool | int | float | str | None
"""What a parameter may be set to."""


class State(str, enum.Enum):
    """Every way a trial can end."""

    FINISHED = "finished"
    STOPPED = "stopped"  # early termination, time limit or deadline: its best weights so far count
    FAILED = "failed"  # raised, lost its worker too often, hung, or gave no finite score

    @property
    def scored(self) -> bool:
        """Whether the trial left a metric and scores that can be used."""
        return self is not State.FAILED


@dataclass(frozen=True)
class Mixture:
    """A model made of trained coordinates: `bias + sum_k weights[k] * score(trial members[k])` (design: one model)."""

    members: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    bias: float = 0.0

    def __post_init__(self) -> None:
        if len(self.members) != len(self.weights):
            raise ValueError(f"Mixture needs a weight per member, got {len(self.members)} and {len(self.weights)}")

    def renumbered(self, number: Callable[[int], int]) -> "Mixture":
        """The same model with its members named by other numbers."""
        return dataclasses.replace(self, members=tuple(number(member) for member in self.members))

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Mixture":
        """The inverse of `dataclasses.asdict`, also after a trip through JSON text."""
        return cls(tuple(record["members"]), tuple(record["weights"]), record["bias"])


@dataclass(frozen=True)
class Trial:
    """One piece of work for a worker: a grid point, a subnetwork, a mixture fit, a random effect, a promotion.

    Attributes:
        number: counts the study's trials from 0; the identity of the trial everywhere.
        strategy: name of the race entry that asked for it.
        family: key of the model family (`logistic`, `subnetwork`, ...) that carries it out.
        parameters: hyperparameters, by name; only those that apply.
        epochs: budget, in passes over the training rows (those of `fraction`).
        fraction: share of the training entities used; subsamples are nested and keep whole members.
        parent: trial whose checkpoint training begins from (promotion, warm start), or None.
        offset: the mixture whose score is added to each row's offset before training, or None.
        members: for family `mixture`: the trained coordinates to weigh anew, with the weights to begin from.
        teacher: the mixture that knowledge is distilled from, with weight `parameters["distillation"]`: every label
            becomes `(1 - distillation) * label + distillation * sigmoid(teacher's score)`; or None.
        seed: source of every random choice in the trial.
        tags: what the strategy wants shown beside it (`round`, `rung`, `generator`, ...).
        checkpoint: folder of a coordinate of an earlier study or exported model that training begins from, or None:
            `<study>/trials/<number>` or `<model>/coordinates/<number>`. Trees are grown anew all the same.
    """

    number: int
    strategy: str
    family: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    epochs: float = 1.0
    fraction: float = 1.0
    parent: int | None = None
    offset: Mixture | None = None
    seed: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    members: Mixture | None = None
    teacher: Mixture | None = None
    checkpoint: str | None = None

    def renumbered(self, number: Callable[[int], int]) -> "Trial":
        """The same trial with its own number and every trial it refers to named by other numbers."""
        return dataclasses.replace(
            self,
            number=number(self.number),
            parent=None if self.parent is None else number(self.parent),
            **{name: value.renumbered(number) for name in _MIXTURES if (value := getattr(self, name)) is not None},
        )

    def to_json(self) -> dict[str, Any]:
        """A plain dict that `json.dumps` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Trial":
        """The inverse of `to_json`, also after a trip through JSON text."""
        mixtures = {name: Mixture.from_json(record[name]) for name in _MIXTURES if record.get(name) is not None}
        return cls(**{**record, **mixtures})


_MIXTURES = ("offset", "members", "teacher")


@dataclass(frozen=True)
class Costs:
    """What a trial used. The poster's table keeps training and evaluation apart, and so do we.

    Attributes:
        steps: optimiser steps (iterations, for full-batch solvers), summed over ranks.
        rows: training rows seen, summed over ranks.
        train_seconds: wall-clock seconds in the training loop.
        eval_seconds: wall-clock seconds scoring and computing metrics.
        worker_seconds: wall-clock seconds the slot was held, times its ranks; what budgets are counted in.
    """

    steps: int = 0
    rows: int = 0
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    worker_seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """A point of a trial's curve, sent while it runs.

    Attributes:
        number: the trial's.
        epoch: passes over the training rows so far, fractions allowed.
        steps: optimiser steps so far.
        seconds: since the trial started on its worker.
        auc: validation AUC now (not the best so far), or None where only the loss is known.
        loss: validation log loss now, or None.
    """

    number: int
    epoch: float
    steps: int
    seconds: float
    auc: float | None = None
    loss: float | None = None


@dataclass(frozen=True)
class Result:
    """How a trial ended.

    Attributes:
        number: the trial's.
        state: one of `State`.
        auc: validation AUC of the trial's best weights, offset included; None if failed.
        loss: validation log loss of the same weights; None if failed.
        metrics: further metrics by name (`test_auc`, `member_auc`, `parameters`, `auc_variance`, ...).
        curve: points in time order.
        costs: what it used; also filled, as far as known, for failed trials.
        worker: name of the worker (world) that ran it.
        started, ended: seconds since the epoch on the controller's clock.
        attempts: how often it was started, 1 unless workers were lost.
        error: the traceback or reason, for failed trials.
    """

    number: int
    state: State
    auc: float | None = None
    loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[Progress, ...] = ()
    costs: Costs = field(default_factory=Costs)
    worker: str = ""
    started: float = 0.0
    ended: float = 0.0
    attempts: int = 1
    error: str | None = None

    def __post_init__(self) -> None:
        if self.state.scored and (self.auc is None or not math.isfinite(self.auc)):
            raise ValueError(
                f"trial {self.number} is {self.state.value} with AUC {self.auc}; without a finite one it failed"
            )

    def to_json(self) -> dict[str, Any]:
        """A plain dict that `json.dumps` takes."""
        return dataclasses.asdict(self) | {"state": self.state.value}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Result":
        """The inverse of `to_json`, also after a trip through JSON text."""
        return cls(
            **{
                **record,
                "state": State(record["state"]),
                "curve": tuple(Progress(**point) for point in record["curve"]),
                "costs": Costs(**record["costs"]),
            }
        )

    @classmethod
    def failure(cls, number: int, error: str, **known: Any) -> "Result":
        """The result of a trial that could not be scored, with what is known of its costs and worker."""
        return cls(number=number, state=State.FAILED, error=error, **known)
