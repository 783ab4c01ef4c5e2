"""The structure that growth found, read back from the trials and results of a journal: for tables, pictures, replay."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import pydantic

from glmix_automl.config import Config
from glmix_automl.ensemble import MIXTURE, Ensemble, flatten
from glmix_automl.layout import TRIALS
from glmix_automl.search.growth.state import Attempt, EntryRule, fitted_ensemble
from glmix_automl.trial import FitSplit, Result, Trial, Value, Weighting


@dataclass(frozen=True)
class Grown:
    """A coordinate that entered the ensemble.

    Attributes:
        trial: number of the trial that trained it.
        name: what the generator called it.
        family, parameters: what it is.
        depth, width: of its parameters, where it has them.
        round: entries before it was started; without a barrier that can be fewer than the entries before its own.
        weight: in the final ensemble; 0 if it was pruned later.
        auc: validation AUC of the ensemble after it entered.
        own_auc: validation AUC its own trial reported, offset included.
        train_seconds: of its own training.
        complexity: r(h), if the family said.
    """

    trial: int
    name: str
    family: str
    parameters: Mapping[str, Value]
    depth: int | None
    width: int | None
    round: int
    weight: float
    auc: float
    own_auc: float
    train_seconds: float
    complexity: float | None = None

    def row(self) -> dict[str, Value]:
        """A flat row for a table."""
        flat = dataclasses.asdict(self)
        parameters = flat.pop("parameters")
        return flat | {"parameters": json.dumps(parameters, sort_keys=True)}


@dataclass(frozen=True)
class Structure:
    """Members in order of entry, and the trial that is the final ensemble; without members if nothing has entered."""

    ensemble: int | None = None
    bias: float = 0.0
    members: tuple[Grown, ...] = ()


class PlannedMember(Config):
    """A member to be trained again."""

    family: str
    name: str = ""
    parameters: dict[str, Value] = {}
    epochs: float = 1.0
    fraction: float = 1.0
    weight: float = 0.0
    """Mixture weight to begin from."""
    penalty: float = 0.0
    """What the objective charges per unit of it."""
    offset: dict[int, float] | None = None
    """Place of an earlier member -> its weight in the score that was the offset; none: trained on the labels alone."""
    offset_bias: float = 0.0
    teacher: dict[int, float] | None = None
    """The same for the teacher, if it was taught."""
    teacher_bias: float = 0.0
    parent: int | None = None
    """Place of the earlier member it began from."""
    checkpoint: str | None = None
    """Folder of its weights within the plan's `origin`; none: they were not kept."""


class Plan(Config):
    """A structure without its data: what `replay` rebuilds."""

    version: int = 1
    members: tuple[PlannedMember, ...]
    bias: float = 0.0
    weighting: Weighting = "learned"
    """How the final mixture trial finds weights."""
    split: FitSplit = "train"
    """Rows on which it does."""
    origin: str | None = None
    """Folder of the study or exported model that found it: members' weights, and the schema of their dataset."""
    source: str | None = None
    """What a replay's configuration called the study, model or file that it was read from."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _renew(cls, given: Any) -> Any:
        """Takes a plan as it was before fits were typed, `weighting` being parameters with penalties as a text."""
        fit = given.get("weighting") if isinstance(given, dict) else None
        if not isinstance(fit, dict):
            return given
        penalties = map(float, str(fit.get("penalties", "")).split())
        members = [{**m, "penalty": p} for m, p in zip(given["members"], chain(penalties, repeat(0.0)), strict=False)]
        given = {**given, "members": members, "weighting": fit.get("weighting", "learned")}
        return {**given, "split": fit.get("fit", "train")}


def structure(trials: Mapping[int, Trial], results: Mapping[int, Result], entry: str | None = None) -> Structure:
    """What growth has found so far.

    Args:
        trials, results: of a study, by number.
        entry: the race entry to look at; all, if None (where there is only one).
    """
    found = _Journal(trials, results, entry)
    chain = found.chain()
    if not chain:
        return Structure()
    final = chain[-1].ensemble
    weights = dict(final.terms)
    members = tuple(found.grown(number, attempt, weights) for attempt in chain for number in attempt.kept)
    return Structure(chain[-1].trial.number, final.bias, members)


def plan(trials: Mapping[int, Trial], results: Mapping[int, Result], entry: str | None = None) -> Plan:
    """The found structure as a plan, or that of a replay: members that have a weight, and those that the offset of such
    a one is made of, in the order in which they were asked for.

    Raises:
        ValueError: nothing has entered yet.
    """
    found = _Journal(trials, results, entry)
    final = found.final()
    if final is None:
        raise ValueError("there is no ensemble yet, so there is nothing to replay")
    ensemble, fit = found.ensemble(final), final.fit
    weights = dict(ensemble.terms)
    kept = sorted(found.needed(set(weights)))
    place = {number: k for k, number in enumerate(kept)}
    assert fit is not None
    penalties = dict(zip(fit.begin.members, fit.penalties, strict=False))
    return Plan(
        members=tuple(
            found.planned(number, weights.get(number, 0.0), penalties.get(number, 0.0), place) for number in kept
        ),
        bias=ensemble.bias,
        weighting=fit.weighting,
        split=fit.split,
    )


def final(trials: Mapping[int, Trial], results: Mapping[int, Result], entry: str | None = None) -> Trial | None:
    """The mixture trial that is an entry's ensemble: the last that growth accepted, or the only one of a replay.

    None where nothing has entered, or the entry grows nothing.
    """
    return _Journal(trials, results, entry).final()


class _Journal:
    """The trials of one entry, and which mixture fits became the ensemble."""

    def __init__(self, trials: Mapping[int, Trial], results: Mapping[int, Result], entry: str | None) -> None:
        self.trials = {n: t for n, t in trials.items() if "role" in t.tags and entry in (None, t.strategy)}
        self.results = results
        self.fitted = {n: result.ensemble for n, result in results.items() if result.ensemble is not None}
        self.grew = [trial for trial in self.trials.values() if "growth" in trial.tags]
        self.mixtures = {t.tags["growth"]: t for t in self.grew if t.family == MIXTURE}

    def attempt(self, trial: Trial) -> Attempt:
        """A mixture trial with what it tried: those of its members that were not in the ensemble before."""
        before = self.mixtures.get(trial.tags["base"])
        known = set(self.ensemble(before).members) if before is not None else set()
        members = trial.fit.begin.members if trial.fit else ()
        return Attempt(trial, tuple(m for m in members if m not in known), self.results.get(trial.number))

    def ensemble(self, trial: Trial) -> Ensemble:
        """What a mixture trial found; empty before, and where it found nothing."""
        result = self.results.get(trial.number)
        return Ensemble() if result is None else fitted_ensemble(result)

    def flat(self, ensemble: Ensemble | None) -> Ensemble:
        """The same over coordinates; empty for none."""
        return flatten(ensemble or Ensemble(), self.fitted)

    def chain(self) -> list[Attempt]:
        """The attempts that entered, in order."""
        bases = {t.tags["base"] for t in self.grew} - {""}
        last = max(bases, key=int, default="")
        # The last entry may have no trial that builds on it; the rule that it entered by is in the trials themselves.
        rivals = [self.attempt(t) for t in self.mixtures.values() if t.tags["base"] == last]
        base = self.results.get(self.mixtures[last].number) if last else None
        best = EntryRule.of(rivals[0].trial).best(rivals, base) if rivals else None
        last = best.trial.tags["growth"] if best else last
        chain: list[Attempt] = []
        while last:
            chain.append(self.attempt(self.mixtures[last]))
            last = self.mixtures[last].tags["base"]
        return chain[::-1]

    def final(self) -> Trial | None:
        """The mixture trial that is the ensemble: of growth the last that entered, of a replay its only one."""
        chain = self.chain()
        if chain or self.grew:
            return chain[-1].trial if chain else None
        replayed = [trial for trial in self.trials.values() if trial.family == MIXTURE]
        return next((trial for trial in replayed if self.ensemble(trial).members), None)

    def grown(self, number: int, attempt: Attempt, weights: Mapping[int, float]) -> Grown:
        """A member, with the AUC of the attempt it entered by."""
        trial, result = self.trials[number], self.results[number]
        depth, width = (trial.parameters.get(name) for name in ("depth", "width"))
        assert attempt.result is not None
        return Grown(
            trial=number,
            name=trial.tags["generator"],
            family=trial.family,
            parameters=dict(trial.parameters),
            depth=depth if isinstance(depth, int) else None,
            width=width if isinstance(width, int) else None,
            round=int(trial.tags["round"]),
            weight=weights.get(number, 0.0),
            auc=attempt.result.auc or 0.0,
            own_auc=result.auc or 0.0,
            train_seconds=result.costs.train_seconds,
            complexity=result.metrics.get("complexity"),
        )

    def needed(self, numbers: set[int]) -> set[int]:
        """These and all coordinates that their offsets and teachers are made of, and their parents."""
        found: set[int] = set()
        todo = list(numbers)
        while todo:
            number = todo.pop()
            if number not in found:
                found.add(number)
                trial = self.trials[number]
                todo += (*self.flat(trial.offset).members, *self.flat(trial.teacher).members)
                todo += [] if trial.parent is None else [trial.parent]
        return found

    def planned(self, number: int, weight: float, penalty: float, place: Mapping[int, int]) -> PlannedMember:
        """A member in places of the plan instead of numbers of the study."""
        trial = self.trials[number]
        offset, teacher = self.flat(trial.offset), self.flat(trial.teacher)
        return PlannedMember(
            family=trial.family,
            name=trial.tags["generator"],
            parameters=dict(trial.parameters),
            epochs=trial.epochs,
            fraction=trial.fraction,
            weight=weight,
            penalty=penalty,
            offset={place[n]: w for n, w in offset.terms} if trial.offset else None,
            offset_bias=offset.bias,
            teacher={place[n]: w for n, w in teacher.terms} if trial.teacher else None,
            teacher_bias=teacher.bias,
            parent=None if trial.parent is None else place[trial.parent],
            checkpoint=f"{TRIALS}/{number}",
        )


def to_json(found: Structure) -> dict[str, Any]:
    """A plain dict that `json.dumps` takes."""
    return dataclasses.asdict(found)
