"""Earlier studies as prior observations: a nightly run begins where yesterday's ended (after Swersky et al. 2013)."""

from collections.abc import Iterable

import pydantic

from glmix_automl.config import Config
from glmix_automl.search.entry import SpaceWork
from glmix_automl.space import Space
from glmix_automl.trial import Result, Trial, Value

TRUST = 0.5
"""Weight of an earlier result on an unchanged dataset, against 1 of a result of this study."""
HALVING_DRIFT = 0.1
"""Drift (population stability index) that halves the weight; 0.1 is the usual border of a noticeable change."""


class Observation(Config):
    """One earlier result."""

    parameters: dict[str, Value]
    """Point of the space."""
    auc: float
    """Validation AUC it had there."""


class Prior(Config):
    """What an earlier study found. Only differences within it count, as the level of the AUC moves with the data."""

    study: str = ""
    """Where the study lies; its results are read into `observations` when a new study is made."""
    drift: float = pydantic.Field(default=0.0, ge=0)
    """How far the dataset has moved since, as a population stability index: 0 not at all, above 0.25 much."""
    observations: tuple[Observation, ...] = ()
    """Its results."""

    @property
    def weight(self) -> float:
        """Weight of each observation."""
        return float(TRUST * 0.5 ** (self.drift / HALVING_DRIFT))


def observations(work: SpaceWork, trials: Iterable[Trial], results: Iterable[Result]) -> tuple[Observation, ...]:
    """The scored results of an earlier study that lie in an entry's space, at the largest budget tried per point."""
    by_number = {result.number: result for result in results if result.state.scored}
    best: dict[str, tuple[float, Observation]] = {}
    for trial in trials:
        result = by_number.get(trial.number)
        point = _point(work, work.space, trial)
        if result is None or result.auc is None or point is None:
            continue
        budget, key = trial.epochs * trial.fraction, repr(sorted(point.items()))
        if key not in best or best[key][0] < budget:
            best[key] = (budget, Observation(parameters=point, auc=result.auc))
    return tuple(observation for _, observation in best.values())


def _point(work: SpaceWork, space: Space, trial: Trial) -> dict[str, Value] | None:
    """The trial as a point of the space, or None if it lies outside or differs in what the entry keeps fixed."""
    parameters = dict(trial.parameters)
    if work.family is None:
        parameters["family"] = trial.family
    elif work.family != trial.family:
        return None
    if any(parameters.pop(name, value) != value for name, value in work.parameters.items()):
        return None
    return parameters if trial.offset is None and space.contains(parameters) else None
