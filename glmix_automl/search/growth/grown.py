"""The ensemble that growth found, member by member, for tables and pictures."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

from glmix_automl.search.growth.growth_trials import GrowthTrials
from glmix_automl.search.growth.state import Attempt
from glmix_automl.trial import Result, Trial, Value


@dataclass(frozen=True)
class GrownMember:
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
class GrownEnsemble:
    """Members in order of entry, and the trial that is the final ensemble; without members if nothing has entered."""

    ensemble: int | None = None
    bias: float = 0.0
    members: tuple[GrownMember, ...] = ()


def trace_growth(trials: Mapping[int, Trial], results: Mapping[int, Result], entry: str | None = None) -> GrownEnsemble:
    """What growth has found so far.

    Args:
        trials, results: of a study, by number.
        entry: the race entry to look at; all, if None (where there is only one).
    """
    found = GrowthTrials(trials, results, entry)
    chain = found.chain()
    if not chain:
        return GrownEnsemble()
    final = chain[-1].ensemble
    weights = dict(final.terms)
    members = tuple(_grown_member(found, number, attempt, weights) for attempt in chain for number in attempt.kept)
    return GrownEnsemble(chain[-1].trial.number, final.bias, members)


def _grown_member(found: GrowthTrials, number: int, attempt: Attempt, weights: Mapping[int, float]) -> GrownMember:
    """A member, with the AUC of the attempt it entered by."""
    trial, result = found.trials[number], found.results[number]
    depth, width = (trial.parameters.get(name) for name in ("depth", "width"))
    assert attempt.result is not None
    return GrownMember(
        trial=number,
        name=trial.tags["generator"],
        family=trial.family,
        parameters=dict(trial.parameters),
        depth=depth if isinstance(depth, int) else None,
        width=width if isinstance(width, int) else None,
        round=int(trial.tags["round"]),
        weight=weights.get(number, 0.0),
        auc=attempt.result.quality or 0.0,
        own_auc=result.quality or 0.0,
        train_seconds=result.costs.train_seconds,
        complexity=result.metrics.get("complexity"),
    )
