"""What growth knows when it decides: candidates, what became of them, and which may enter the ensemble.

The words are those of AdaNet (Cortes et al. 2017; Weill et al. 2019): a generator proposes candidates, each is trained,
(ensemble so far + candidate) is scored, the best enters.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from glmix_automl.ensemble import Ensemble
from glmix_automl.trial import Result, Trial, Value

Selection: TypeAlias = Literal["objective", "auc", "loss"]

Training: TypeAlias = Literal["residual", "labels"]
"""`residual`: with the ensemble's score as offset; `labels`: on the labels alone."""


@dataclass(frozen=True)
class Candidate:
    """A coordinate that a generator proposes to train.

    Attributes:
        family: key of the model family.
        parameters: hyperparameters; those common to all candidates need not be repeated.
        name: what the proposal is called on the leaderboard; the family, if empty.
        epochs: budget in passes over the training rows; as the strategy says, if None.
        training: what it is trained on; as the strategy says, if None.
        fraction: share of the training entities that it sees.
        trained_by: race entry whose trial of the same work is taken over, where there is one.
    """

    family: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    name: str = ""
    epochs: float | None = None
    training: Training | None = None
    fraction: float = 1.0
    trained_by: str = ""


@dataclass(frozen=True)
class CandidateReport:
    """What is known of a candidate.

    Attributes:
        candidate: what was proposed.
        trial: number of the trial that trained it.
        round: entries before it was started.
        result: how its training ended; None while it runs.
        auc: hold-out AUC of (ensemble + candidate) when it was last tried; None before, or if that failed.
        gain: that AUC less the ensemble's own; 0.5 counts as the AUC of no ensemble.
        entered: whether it became a member; None while undecided.
    """

    candidate: Candidate
    trial: int
    round: int
    result: Result | None = None
    auc: float | None = None
    gain: float | None = None
    entered: bool | None = None


@dataclass(frozen=True)
class GrowthState:
    """What a generator proposes from.

    Attributes:
        round: entries so far.
        proposals: how often the generator was asked before.
        members: candidates that entered, in order of entry, those pruned since left out.
        reports: every candidate started so far, in order of its trial's number.
        auc: hold-out AUC of the ensemble so far; None before the first entry.
    """

    round: int = 0
    proposals: int = 0
    members: tuple[CandidateReport, ...] = ()
    reports: tuple[CandidateReport, ...] = ()
    auc: float | None = None


class Generator(Protocol):
    """Proposes what to train next. Laws: no I/O; a function of its seed and the states it was shown."""

    def propose(self, state: GrowthState) -> Sequence[Candidate]:
        """The candidates of a round, at least one; none ends growth."""
        ...


@dataclass(frozen=True)
class Attempt:
    """A mixture trial: the ensemble so far together with candidates, weighed anew."""

    trial: Trial
    candidates: tuple[int, ...]
    result: Result | None = None

    @property
    def ensemble(self) -> Ensemble:
        """What was fitted, without members of weight 0; empty where the fit failed or pruned everything."""
        return Ensemble() if self.result is None else fitted_ensemble(self.result)

    @property
    def kept(self) -> tuple[int, ...]:
        """Those of its candidates that the fit gave a weight."""
        members = self.ensemble.members
        return tuple(candidate for candidate in self.candidates if candidate in members)


def fitted_ensemble(result: Result) -> Ensemble:
    """What a mixture trial found, members of weight 0 left out; empty where it failed or kept none."""
    found = result.ensemble.pruned if result.state.scored and result.ensemble else Ensemble()
    return found if found.members else Ensemble()


@dataclass(frozen=True)
class EntryRule:
    """Which attempt becomes the ensemble: of those better on hold-out, the first by `select`.

    Attributes:
        select: `objective` (AdaNet's, on the training rows), hold-out `auc` or hold-out `loss`.
        holdout: what must improve on the validation rows for anything to enter: `auc` or `loss`.
        improvement: by how much at least.
    """

    select: Selection = "auc"
    holdout: Literal["auc", "loss"] = "auc"
    improvement: float = 0.0

    def improves(self, attempt: Attempt, base: Result | None) -> bool:
        """Whether the attempt is better on hold-out than the ensemble it was made from, by more than `improvement`."""
        if attempt.result is None or not attempt.kept:
            return False
        if base is None:
            return True
        return _cost(attempt.result, self.holdout) < _cost(base, self.holdout) - self.improvement

    def best(self, attempts: Sequence[Attempt], base: Result | None) -> Attempt | None:
        """The attempt that enters, the earliest of equals; None if none improves."""
        better = [attempt for attempt in attempts if self.improves(attempt, base)]
        return min(better, key=lambda a: (_cost(a.result, self.select), a.trial.number)) if better else None

    @property
    def tags(self) -> dict[str, str]:
        """The rule as it is written into the trials it judges, so that a journal explains itself."""
        return {"select": self.select, "holdout": self.holdout, "improvement": str(self.improvement)}

    @classmethod
    def of(cls, trial: Trial) -> "EntryRule":
        """The rule by which a mixture trial was judged."""
        tags = trial.tags
        return cls(tags["select"], tags["holdout"], float(tags["improvement"]))  # type: ignore[arg-type]


def _cost(result: Result | None, measure: Selection) -> float:
    """Smaller is better; whatever is missing or not finite loses."""
    assert result is not None
    value = {
        "auc": None if result.quality is None else -result.quality,
        "loss": result.loss,
        "objective": result.metrics.get("objective"),
    }[measure]
    return math.inf if value is None or not math.isfinite(value) else value


def complexity(trial: Trial, result: Result) -> float:
    """r(h) of the objective: what the family says of the trained coordinate, else the root of its depth."""
    said = result.metrics.get("complexity")
    if said is not None and math.isfinite(said) and said >= 0:
        return said
    depth = trial.parameters.get("depth")
    return math.sqrt(max(depth, 1)) if isinstance(depth, int | float) else 1.0
