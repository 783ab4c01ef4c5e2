"""Earlier studies as prior observations: a nightly run begins where yesterday's ended (after Swersky et al. 2013)."""

from collections.abc import Iterable

import numpy as np
import pydantic

from glmix_automl.config import Config
from glmix_automl.schema import Numeric, Schema
from glmix_automl.search.entry import SpaceWork
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
    drift: float | None = pydantic.Field(default=None, ge=0)
    """How far the dataset has moved since, as a population stability index: 0 not at all, above 0.25 much. Measured
    when a new study is made, unless given."""
    observations: tuple[Observation, ...] = ()
    """Its results."""

    @property
    def weight(self) -> float:
        """Weight of each observation."""
        return float(TRUST * 0.5 ** ((self.drift or 0.0) / HALVING_DRIFT))


def drift(old: Schema, new: Schema) -> float:
    """How far a dataset's features have moved, from two schemas alone: the mean over the features of either.

    A numeric's is the population stability index of two normal distributions with the fitted means and deviations
    (Jeffreys' divergence; with equal deviations the square of the shift), 1 at most; a vocabulary's is the share of
    terms that only one of them has; that of a feature that only one of them has is 1.
    """
    names = dict.fromkeys(feature.name for schema in (old, new) for feature in schema.features)
    return sum(_drift(old, new, name) for name in names) / max(len(names), 1)


def _drift(old: Schema, new: Schema, name: str) -> float:
    one, other = (next((f for f in schema.features if f.name == name), None) for schema in (old, new))
    if one is None or other is None or one.kind != other.kind:
        return 1.0
    if isinstance(one, Numeric) and isinstance(other, Numeric):
        if one.knots and other.knots:  # ranks are alike in every dataset; what they are ranks of may move
            (center, scale), (center_now, scale_now) = (_spread(f.knots) for f in (one, other))
        else:
            center, scale, center_now, scale_now = one.center, one.scale, other.center, other.scale
        ratio, shift = (scale / scale_now) ** 2, (center - center_now) ** 2
        return min((ratio + 1 / ratio) / 2 - 1 + shift * (1 / scale**2 + 1 / scale_now**2) / 2, 1.0)
    terms, terms_now = (set(s.vocabularies[f.vocabulary].terms or ()) for s, f in ((old, one), (new, other)))  # type: ignore[union-attr]
    return len(terms ^ terms_now) / max(len(terms | terms_now), 1)


def _spread(knots: tuple[float, ...]) -> tuple[float, float]:
    return float(np.mean(knots)), float(np.std(knots)) or 1.0


def observations(work: SpaceWork, trials: Iterable[Trial], results: Iterable[Result]) -> tuple[Observation, ...]:
    """The scored results of an earlier study that lie in an entry's space, at the largest budget tried per point."""
    by_number = {result.number: result for result in results if result.state.scored}
    best: dict[str, tuple[float, Observation]] = {}
    for trial in trials:
        result = by_number.get(trial.number)
        point = _point(work, trial)
        if result is None or result.quality is None or point is None:
            continue
        budget, key = trial.epochs * trial.fraction, repr(sorted(point.items()))
        if key not in best or best[key][0] < budget:
            best[key] = (budget, Observation(parameters=point, auc=result.quality))
    return tuple(observation for _, observation in best.values())


def _point(work: SpaceWork, trial: Trial) -> dict[str, Value] | None:
    """The trial as a point of the space, or None if it lies outside or differs in what the entry keeps fixed."""
    point = work.locate(trial)
    family, whole = work.settle(point)
    is_same = family == trial.family and {**whole, **trial.parameters} == whole and trial.offset is None
    return point if is_same and work.space.contains(point) else None
