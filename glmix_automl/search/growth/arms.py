"""Candidates of several kinds, the next one of the kind whose last gained most."""

import math
from collections.abc import Sequence

import pydantic

from glmix_automl.config import Config
from glmix_automl.search.entry import Epochs, PositiveShare
from glmix_automl.search.growth.state import Candidate, CandidateReport, GrowthState, Training
from glmix_automl.trial import Value

FADING = 0.5  # share of its last gain that another of the kind is expected to bring
SHORTEST_PLANNED = 0.1  # epochs of a candidate that is planned by the clock


class Turn(Config):
    """A candidate of an arm."""

    family: str
    """Key of the model family."""
    parameters: dict[str, Value] = {}
    """Hyperparameters."""
    epochs: Epochs | None = None
    """Budget in passes over the training rows; none: the strategy's."""
    first: Epochs | None = None
    """Budget where none of its kind has told yet how long an epoch takes; none: `epochs`."""
    fewest: Epochs = SHORTEST_PLANNED
    """Budget that it is not cut below."""
    raised: str = ""
    """Hyperparameter that is raised as much as epochs are cut: what each tree learns, where there are fewer."""
    training: Training | None = None
    """What it is trained on; none: as the strategy says."""
    fraction: PositiveShare = 1.0
    """Share of the training entities that it sees."""
    trained_by: str = ""
    """Race entry whose trial of the same family, parameters, epochs and fraction is taken over instead of training
    another; where there is none it is trained."""


class Arm(Config):
    """A kind of candidates."""

    name: str
    """What it is called, and so are its candidates."""
    turns: tuple[Turn, ...] = pydantic.Field(min_length=1)
    """Its candidates, one after the other; after the last the list begins anew, with other seeds."""
    most: int = pydantic.Field(default=4, ge=1)
    """How many are trained at most."""
    alone: bool = False
    """Whether nothing else is started before it has entered or failed to: what others build on."""


class Arms(Config):
    """Growth as a bandit: arms are tried in their order, then each is worth what its last candidate gained, halved.

    It ends where no arm is expected to gain more than `improvement`.
    """

    arms: tuple[Arm, ...] = pydantic.Field(min_length=1)
    """The kinds, cheap and strong ones first."""
    improvement: float = pydantic.Field(default=1e-4, ge=0)
    """Gain in validation AUC that is worth another candidate."""
    seconds: float | None = pydantic.Field(default=None, gt=0)
    """Training of a candidate, at most, as far as the last of its kind tells how long an epoch takes: epochs are cut
    to what fits; none: no limit."""

    def propose(self, state: GrowthState) -> list[Candidate]:
        """The next candidate; none while an undecided one is to be awaited, or at the end."""
        undecided = {r.candidate.name for r in state.reports if r.entered is None}
        pulled = {arm.name: [r for r in state.reports if r.candidate.name == arm.name] for arm in self.arms}
        worth = [self._worth(arm, pulled[arm.name]) for arm in self.arms]
        if max(worth) <= self.improvement:
            return []
        best = self.arms[worth.index(max(worth))]  # the first of equals
        if undecided and (best.alone or any(arm.alone and arm.name in undecided for arm in self.arms)):
            return []
        turn = best.turns[len(pulled[best.name]) % len(best.turns)]
        epochs = self._epochs(best, turn, state.reports)
        parameters = _raise(turn, epochs)
        own = turn.family, parameters, best.name, epochs, turn.training, turn.fraction, turn.trained_by
        return [Candidate(*own)]

    @staticmethod
    def _worth(arm: Arm, reports: Sequence[CandidateReport]) -> float:
        """What another candidate of an arm is expected to gain; without bound before the first, 0 after the last."""
        if not reports:
            return math.inf
        known = [r for r in reports if r.entered is not None]
        if not known or len(reports) >= arm.most:  # what the first brings is known soon
            return 0.0
        gain = known[-1].gain if known[-1].entered else None
        return max(gain or 0.0, 0.0) * FADING ** (1 + len(reports) - len(known))

    def _epochs(self, arm: Arm, turn: Turn, reports: Sequence[CandidateReport]) -> float | None:
        """The epochs that the pace of the arm leaves room for, or that of its kind before the arm has one."""
        if turn.epochs is None:
            return None
        kind = _kind(turn)
        kin = [report for report in reports if _kind(report.candidate) == kind and _pace(report)]
        own = [report for report in kin if report.candidate.name == arm.name]
        if self.seconds is None or not kin:
            return min(turn.epochs, turn.first or turn.epochs)
        room = self.seconds / (_pace((own or kin)[-1]) * turn.fraction)
        return round(min(turn.epochs, max(room, turn.fewest)), 2)


def _kind(told: Turn | Candidate) -> tuple[str, Value]:
    """What takes about as long: the family, and of trees those that are grown alike."""
    return told.family, told.parameters.get("shape")


def _pace(report: CandidateReport) -> float:
    """Seconds of an epoch on all rows; 0 where nothing was trained."""
    result = report.result
    if result is None or not result.curve or not result.curve[-1].epoch:
        return 0.0  # or stopped before its first step
    return result.costs.train_seconds / (result.curve[-1].epoch * report.candidate.fraction)


def _raise(turn: Turn, epochs: float | None) -> dict[str, Value]:
    value = turn.parameters.get(turn.raised)
    if not isinstance(value, int | float) or not epochs or not turn.epochs:
        return turn.parameters
    return {**turn.parameters, turn.raised: float(f"{value * turn.epochs / epochs:.3g}")}
