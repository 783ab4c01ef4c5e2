"""A plan: the ensemble that growth found without its data, from which `replay` rebuilds it."""

from collections.abc import Mapping
from itertools import chain, repeat
from typing import Any

import pydantic

from glmix_automl.config import Config
from glmix_automl.layout import TRIALS
from glmix_automl.search.growth.growth_trials import GrowthTrials
from glmix_automl.trial import FitSplit, Result, Trial, Value, Weighting


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


def plan_replay(trials: Mapping[int, Trial], results: Mapping[int, Result], entry: str | None = None) -> Plan:
    """The found structure as a plan, or that of a replay: members that have a weight, and those that the offset of such
    a one is made of, in the order in which they were asked for.

    Raises:
        ValueError: nothing has entered yet.
    """
    found = GrowthTrials(trials, results, entry)
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
            _plan_member(found, number, weights.get(number, 0.0), penalties.get(number, 0.0), place) for number in kept
        ),
        bias=ensemble.bias,
        weighting=fit.weighting,
        split=fit.split,
    )


def _plan_member(
    found: GrowthTrials, number: int, weight: float, penalty: float, place: Mapping[int, int]
) -> PlannedMember:
    """A member in places of the plan instead of numbers of the study."""
    trial = found.trials[number]
    offset, teacher = found.flat(trial.offset), found.flat(trial.teacher)
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
