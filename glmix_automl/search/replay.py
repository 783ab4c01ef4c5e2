"""Rebuilds a structure that growth found on other data, without searching."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glmix_automl import config
from glmix_automl.config import Config
from glmix_automl.ensemble import MIXTURE, Ensemble
from glmix_automl.errors import ConfigError
from glmix_automl.search.entry import Epochs
from glmix_automl.search.growth.plan import Plan, PlannedMember
from glmix_automl.seeds import derive
from glmix_automl.trial import MixtureFit, Result, Trial


class ReplayOptions(Config):
    """What to rebuild."""

    plan: str | dict[str, Any]
    """Folder of an earlier study, or of the model it exported, or a file that holds a plan as JSON
    (`glmix_automl.search.growth.plan.plan_replay`), read once when a new study is made; or the plan itself."""
    entry: str | None = None
    """Entry of that study's race whose structure it is; needed where several found one."""
    warm_start: bool = False
    """Members begin from their weights in the plan's `origin`, which follow features and terms to the new dataset; else
    each is trained anew."""
    locked: tuple[str, ...] = ()
    """Families whose members stay as they were, with their weights in the plan's `origin`: a night that only refreshes
    random effects locks all others. Needs `warm_start`."""
    epochs: Epochs | None = None
    """Budget of every other member; none: what it had."""

    def load(self) -> Plan:
        """The plan.

        Raises:
            ConfigError: there is no such file, or it holds no plan; an offset names a member that does not come before;
                a warm start from a plan that does not say where its weights lie.
        """
        if isinstance(self.plan, str):
            found = config.load(Path(self.plan), Plan)  # JSON is YAML
        else:
            found = config.parse(self.plan, Plan, "replay: plan")
        if found.version != 1:
            raise ConfigError(f"replay: plan is of version {found.version}, this program reads version 1")
        for place, member in enumerate(found.members):
            if any(not 0 <= earlier < place for earlier in _before(member)):
                raise ConfigError(f"replay: member {place} ({member.name}) builds on one that does not come before it")
        if self.locked and not self.warm_start:
            raise ConfigError("replay: locked needs warm_start: true, as what is locked keeps its earlier weights")
        if self.warm_start and found.origin is None:
            raise ConfigError(
                "replay: warm_start: the plan has no `origin`, the folder of the study or model with its weights; "
                "name that folder as the plan"
            )
        return found


class Replay:
    """Trains the members in an order that their offsets allow, then weighs them from their previous weights."""

    def __init__(self, options: ReplayOptions, seed: int) -> None:
        self._plan, self._epochs, self._seed = options.load(), options.epochs, seed
        self._origin = self._plan.origin if options.warm_start else None
        self._locked = set(options.locked)
        self._number: dict[int, int] = {}  # place in the plan -> trial
        self._scored: dict[int, bool] = {}  # place -> whether it can be built on
        self._asked, self._mixed = 0, False

    def ask(self, n: int) -> list[Trial]:
        """Members whose offset is there; at last the mixture."""
        asked: list[Trial] = []
        for place, member in enumerate(self._plan.members):
            if len(asked) == n:
                break
            if place not in self._number and all(earlier in self._scored for earlier in _before(member)):
                asked.append(self._member(place, member))
        everything = len(self._scored) == len(self._plan.members)
        if len(asked) < n and everything and not self._mixed and any(self._scored.values()):
            self._mixed = True
            asked.append(self._mixture())
        return asked

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`."""
        for trial in trials:
            number = self._next()
            if trial.tags["role"] == "member":
                self._number[int(trial.tags["round"])] = number
            else:
                self._mixed = True

    def tell(self, result: Result) -> None:
        """A member that failed is left out of what builds on it, and of the ensemble."""
        for place, number in self._number.items():
            if number == result.number:
                self._scored[place] = result.state.scored

    def _next(self) -> int:
        self._asked += 1
        return self._asked - 1

    def _member(self, place: int, member: PlannedMember) -> Trial:
        number = self._number[place] = self._next()
        checkpoint = f"{self._origin}/{member.checkpoint}" if self._origin and member.checkpoint else None
        # A member's own weights are ahead of those of the parent that it once began from.
        parent = member.parent if checkpoint is None else None
        return Trial(
            number=number,
            strategy="",
            family=member.family,
            parameters=member.parameters,
            epochs=self._epochs or member.epochs,
            fraction=member.fraction,
            parent=None if parent is None or not self._scored[parent] else self._number[parent],
            offset=self._translated(member.offset, member.offset_bias),
            teacher=self._translated(member.teacher, member.teacher_bias),
            seed=derive(self._seed, "member", place),
            tags={"generator": member.name or member.family, "role": "member", "round": str(place)},
            checkpoint=checkpoint,
            locked=checkpoint is not None and member.family in self._locked,
        )

    def _translated(self, weights: dict[int, float] | None, bias: float) -> Ensemble | None:
        if weights is None:
            return None
        there = [place for place in weights if self._scored[place]]
        return Ensemble(tuple(self._number[p] for p in there), tuple(weights[p] for p in there), bias)

    def _mixture(self) -> Trial:
        places = sorted(place for place, scored in self._scored.items() if scored)
        members = [self._plan.members[place] for place in places]
        begin = Ensemble(
            tuple(self._number[place] for place in places),
            tuple(member.weight for member in members),
            self._plan.bias,
        )
        penalties = tuple(member.penalty for member in members)
        return Trial(
            number=self._next(),
            strategy="",
            family=MIXTURE,
            seed=derive(self._seed, "mixture"),
            tags={"role": "mixture", "round": str(len(places))},
            fit=MixtureFit(begin, penalties, self._plan.weighting, self._plan.split),
        )


def _before(member: PlannedMember) -> set[int]:
    """Places that must have been trained before."""
    parent = set() if member.parent is None else {member.parent}
    return {*(member.offset or {}), *(member.teacher or {}), *parent}
