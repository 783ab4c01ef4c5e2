"""Trial and Result: where *what to try* and *how to train* meet. Both are frozen and survive JSON both ways."""

import dataclasses
import enum
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from glmix_automl.ensemble import Ensemble, flatten
from glmix_automl.errors import TrialError

Value: TypeAlias = bool | int | float | str | None
"""What a parameter may be set to."""
LEAST_EPOCHS = 1e-6
"""Least budget of a trial: a row of a million."""
QUALITY, QUALITY_VARIANCE = "quality", "quality_variance"
"""Metrics of a result where the study's measure is not the AUC."""

TRAINED_BY = "trained_by"
"""Tag of a trial that takes over what an entry of the race, the tag's value, has trained by the same work."""


class State(str, enum.Enum):
    """Every way a trial can end."""

    FINISHED = "finished"
    STOPPED = "stopped"  # early termination, time limit or deadline: its best weights so far count
    FAILED = "failed"  # raised, lost its worker too often, hung, or gave no finite score

    @property
    def scored(self) -> bool:
        """Whether the trial left a metric and scores that can be used."""
        return self is not State.FAILED


Weighting: TypeAlias = Literal["learned", "positive", "mean", "sum"]
"""`learned`: fitted by AdaNet's objective; `positive`: likewise, none below 0; `mean`: 1 / members; `sum`: 1 each."""
FitSplit: TypeAlias = Literal["train", "validation"]


@dataclass(frozen=True)
class MixtureFit:
    """What a trial of family `mixture` is to do: weigh trained coordinates anew.

    Attributes:
        begin: the coordinates, with the weights to begin from.
        penalties: `lambda * r(h_k) + beta` of the objective per member, at least 0; none: 0 each.
        weighting: how weights are found.
        split: rows they are fitted on.
    """

    begin: Ensemble
    penalties: tuple[float, ...] = ()
    weighting: Weighting = "learned"
    split: FitSplit = "train"

    def __post_init__(self) -> None:
        members = self.begin.members
        if not members:
            raise TrialError("a mixture needs members")
        if self.weighting not in get_args(Weighting):
            raise TrialError(f"mixture: expected weighting learned, positive, mean or sum, got {self.weighting!r}")
        if self.split not in get_args(FitSplit):
            raise TrialError(f"mixture: expected split train or validation, got {self.split!r}")
        is_short = self.penalties and len(self.penalties) != len(members)
        if is_short or not all(0 <= penalty < math.inf for penalty in self.penalties):
            raise TrialError(f"mixture: expected {len(members)} penalties of at least 0, got {self.penalties}")

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "MixtureFit":
        """The inverse of `dataclasses.asdict`, also after a trip through JSON text."""
        known = {"begin": Ensemble.from_json(record["begin"]), "penalties": tuple(record["penalties"])}
        return cls(**{**record, **known})


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
        offset: the ensemble whose score is added to each row's offset before training, or None.
        fit: for family `mixture`: the trained coordinates to weigh anew, and how.
        teacher: the ensemble that knowledge is distilled from, with weight `parameters["distillation"]`: every label
            becomes `(1 - distillation) * label + distillation * sigmoid(teacher's score)`; or None.
        seed: source of every random choice in the trial.
        tags: what the strategy wants shown beside it (`round`, `rung`, `generator`, ...).
        checkpoint: folder of a coordinate of an earlier study or exported model that training begins from, or None:
            `<study>/trials/<number>` or `<model>/coordinates/<number>`. Trees are grown anew all the same.
        locked: whether the coordinate of `checkpoint` is taken as it is, and only scored.
    """

    number: int
    strategy: str
    family: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    epochs: float = 1.0
    fraction: float = 1.0
    parent: int | None = None
    offset: Ensemble | None = None
    seed: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    fit: MixtureFit | None = None
    teacher: Ensemble | None = None
    checkpoint: str | None = None
    locked: bool = False

    def __post_init__(self) -> None:
        if not LEAST_EPOCHS <= self.epochs < math.inf:
            raise TrialError(
                f"trial {self.number}: expected epochs of at least {LEAST_EPOCHS:g} and finite, got {self.epochs:g}"
            )
        if not 0 < self.fraction <= 1:
            raise TrialError(f"trial {self.number}: expected a fraction above 0, at most 1, got {self.fraction:g}")
        if self.locked and self.checkpoint is None:
            raise TrialError(f"trial {self.number}: locked needs the checkpoint of what is taken as it is")

    @property
    def model(self) -> Ensemble:
        """The whole model that the trial stands for: what it scores itself, and what that was trained on top of."""
        below = self.offset or Ensemble()
        return Ensemble((self.number, *below.members), (1.0, *below.weights), below.bias)

    @property
    def work(self) -> tuple[object, ...]:
        """What it trains, on what; equal where trials differ at most in who asked for them, and in their seeds."""
        built = self.family, dict(self.parameters), self.epochs, self.fraction
        return *built, self.parent, self.offset, self.teacher, self.fit, self.checkpoint, self.locked

    def renumbered(self, number: Callable[[int], int]) -> "Trial":
        """The same trial with its own number and every trial it refers to named by other numbers."""
        fit = self.fit and dataclasses.replace(self.fit, begin=self.fit.begin.renumbered(number))
        return dataclasses.replace(
            self,
            number=number(self.number),
            parent=None if self.parent is None else number(self.parent),
            offset=self.offset and self.offset.renumbered(number),
            teacher=self.teacher and self.teacher.renumbered(number),
            fit=fit,
        )

    def to_json(self) -> dict[str, Any]:
        """A plain dict that `json.dumps` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Trial":
        """The inverse of `to_json`, also after a trip through JSON text; takes what older journals hold."""
        known = dict(record) if "members" not in record else _renew_trial(record)
        for name, kind in (("offset", Ensemble), ("teacher", Ensemble), ("fit", MixtureFit)):
            if known.get(name) is not None:
                known[name] = kind.from_json(known[name])
        return cls(**known)


def find_twin(trial: Trial, trials: Mapping[int, Trial]) -> int | None:
    """The trial whose coordinate this one takes over: the same work, asked before by the entry that it names."""
    if (by := trial.tags.get(TRAINED_BY)) is None:
        return None
    asked = (n for n, other in trials.items() if n < trial.number and other.strategy == by)
    return next((n for n in asked if trials[n].work == trial.work), None)


def list_needed(numbers: Collection[int], trials: Mapping[int, Trial], fitted: Mapping[int, Ensemble]) -> list[int]:
    """These trials and whatever they were trained on top of (offsets, teachers, parents), in order of number.

    Args:
        numbers: of trials that trained a coordinate.
        trials: all of them, by number.
        fitted: what each mixture trial found.
    """
    found: set[int] = set()
    todo = list(numbers)
    while todo:
        number = todo.pop()
        if number not in found:
            found.add(number)
            trial = trials[number]
            todo += [] if trial.parent is None else [trial.parent]
            for below in (trial.offset, trial.teacher):
                todo += () if below is None else flatten(below, fitted).members
    return sorted(found)


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
        ensemble: what a trial of family `mixture` found, members of weight 0 included; None for every other.
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
    ensemble: Ensemble | None = None

    def __post_init__(self) -> None:
        if self.state.scored and (self.auc is None or not math.isfinite(self.auc)):
            raise ValueError(
                f"trial {self.number} is {self.state.value} with AUC {self.auc}; without a finite one it failed"
            )

    @property
    def quality(self) -> float | None:
        """What results are compared by, the more the better: the study's measure on the validation rows, which is the
        AUC unless the settings name another; None if failed.
        """
        return self.metrics.get(QUALITY, self.auc)

    @property
    def quality_variance(self) -> float:
        """Variance of `quality`; 0 if it is not known."""
        name = QUALITY_VARIANCE if QUALITY in self.metrics else "auc_variance"
        return max(self.metrics.get(name, 0.0), 0.0)

    def renumbered(self, number: Callable[[int], int]) -> "Result":
        """The same result with its own number and the members of its ensemble named by other numbers."""
        return dataclasses.replace(
            self,
            number=number(self.number),
            curve=tuple(dataclasses.replace(point, number=number(point.number)) for point in self.curve),
            ensemble=self.ensemble and self.ensemble.renumbered(number),
        )

    def to_json(self) -> dict[str, Any]:
        """A plain dict that `json.dumps` takes."""
        return dataclasses.asdict(self) | {"state": self.state.value}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], trial: Trial | None = None) -> "Result":
        """The inverse of `to_json`, also after a trip through JSON text; takes what older journals hold.

        Args:
            record: what `to_json` gave.
            trial: whose result it is: older journals have a mixture's weights without saying whose they are.
        """
        known = dict(record)
        if trial is not None and trial.fit is not None and "ensemble" not in record:
            known = _renew_result(record, trial.fit)
        if known.get("ensemble") is not None:
            known["ensemble"] = Ensemble.from_json(known["ensemble"])
        return cls(
            **{
                **known,
                "state": State(record["state"]),
                "curve": tuple(Progress(**point) for point in record["curve"]),
                "costs": Costs(**record["costs"]),
            }
        )

    @classmethod
    def failure(cls, number: int, error: str, **known: Any) -> "Result":
        """The result of a trial that could not be scored, with what is known of its costs and worker."""
        return cls(number=number, state=State.FAILED, error=error, **known)


def _renew_trial(record: Mapping[str, Any]) -> dict[str, Any]:
    """A trial as journals had it before fits were typed: `members`, the rest as texts among the parameters."""
    known = {name: value for name, value in record.items() if name != "members"}
    if record["members"] is not None:
        parameters = dict(record["parameters"])
        known["fit"] = {
            "begin": record["members"],
            "penalties": [float(number) for number in str(parameters.pop("penalties", "")).split()],
            "weighting": parameters.pop("weighting", "learned"),
            "split": parameters.pop("fit", "train"),
        }
        known["parameters"] = {}
        known["tags"] = {**record["tags"], **{name: str(value) for name, value in parameters.items()}}
    return known


def _renew_result(record: Mapping[str, Any], fit: MixtureFit) -> dict[str, Any]:
    """A mixture's result as journals had it before ensembles were typed: metrics named by the members' places."""
    metrics, members = dict(record["metrics"]), fit.begin.members
    names = [f"weight_{place}" for place in range(len(members))]
    if "bias" not in metrics or not all(name in metrics for name in names):
        return dict(record)
    weights = [metrics.pop(name) for name in names]
    ensemble = {"members": members, "weights": weights, "bias": metrics.pop("bias")}
    return {**record, "metrics": metrics, "ensemble": ensemble}
