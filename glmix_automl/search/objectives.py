"""What makes a result good: the AUC, bounds on other metrics, and a second metric to trade it against."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pydantic
from scipy.special import ndtr

from glmix_automl.config import Config
from glmix_automl.search.surrogates.surrogate import Floats64, Posterior
from glmix_automl.search.transfer import Prior
from glmix_automl.space import UnitPoint
from glmix_automl.trial import Result

Acquisition = Callable[[Floats64, Floats64, float, float], Floats64]
CLIP = 2.0
"""Results further below the median than this many times the best is above it count as just that far: how bad a bad
trial was says nothing of where the best one is, and would fill the surrogate's scale."""


class Constraint(Config):
    """A bound on a metric of `Result.metrics`, for example `parameters` at most 1e6."""

    metric: str
    """Name of the metric."""
    at_most: float | None = None
    """Upper bound."""
    at_least: float | None = None
    """Lower bound."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Constraint":
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"constraint on {self.metric!r}: give either at_most or at_least")
        return self

    def keeps(self, value: float) -> bool:
        """Whether the value is within the bound."""
        return value <= self.at_most if self.at_most is not None else value >= float(self.at_least or 0.0)


class Goal(Config):
    """A second metric of `Result.metrics`."""

    metric: str
    """Name of the metric."""
    direction: Literal["minimise", "maximise"] = "minimise"
    """Which way is better."""


@dataclass(frozen=True)
class Observations:
    """What a surrogate learns of one metric.

    Attributes:
        points: snapped, [rows, parameters].
        values: scaled, larger is better, [rows].
        weights: 1 for results of this study, less for earlier ones, [rows].
        best: the best value that keeps the bounds.
        bound: the bound on the same scale, infinitely low if there is none.
    """

    points: UnitPoint
    values: Floats64
    weights: Floats64
    best: float
    bound: float = -np.inf

    def lie(self, liar: str) -> float | None:
        """The value imagined for what is pending; None to believe what is expected of it."""
        if liar == "believe":
            return None
        values = self.values
        return float(values.min() if liar == "min" else values.max() if liar == "max" else values.mean())


class Goals:
    """Turns results into what surrogates learn, and their expectations into what a candidate is worth."""

    def __init__(self, constraints: Sequence[Constraint], second: Goal | None) -> None:
        self._constraints, self._second = tuple(constraints), second

    def feasible(self, result: Result) -> bool:
        """Whether a result was scored and keeps every bound it has the metric for."""
        return result.state.scored and all(
            constraint.keeps(result.metrics[constraint.metric])
            for constraint in self._constraints
            if constraint.metric in result.metrics
        )

    def observations(
        self,
        points: UnitPoint,
        results: Sequence[Result],
        encode: Callable[[Prior], UnitPoint],
        priors: Sequence[Prior],
    ) -> dict[str, Observations]:
        """What is known of `auc` and of every further metric; empty where no result is scored.

        Args:
            points: of the results, [results, parameters].
            results: in the order of telling.
            encode: points of an earlier study's observations.
            priors: earlier studies.
        """
        aucs = np.array([r.quality if r.state.scored and r.quality is not None else np.nan for r in results], float)
        if not np.isfinite(aucs).any() and not priors:
            return {}
        worst = float(np.nanmin(aucs)) if np.isfinite(aucs).any() else 0.0
        values = standardise(np.where(np.isnan(aucs), worst, aucs))
        good = values[[self.feasible(result) for result in results]] if len(results) else values
        earlier = [(encode(p), standardise(np.array([o.auc for o in p.observations])), p.weight) for p in priors]
        found = {
            "auc": Observations(
                np.vstack([*(rows for rows, _, _ in earlier), points]),
                np.concatenate([*(own for _, own, _ in earlier), values]),
                np.concatenate([*(np.full(len(own), weight) for _, own, weight in earlier), np.ones(len(values))]),
                float(good.max()) if len(good) else float(values.min(initial=0.0)),
            )
        }
        for constraint in self._constraints:
            sign = 1.0 if constraint.at_least is not None else -1.0
            edge = constraint.at_most if constraint.at_most is not None else constraint.at_least
            self._add(found, f"bound on {constraint.metric}", constraint.metric, sign, points, results, edge)
        if self._second:
            sign = 1.0 if self._second.direction == "maximise" else -1.0
            self._add(found, "second", self._second.metric, sign, points, results, None)
        return found

    @staticmethod
    def _add(
        found: dict[str, Observations],
        name: str,
        metric: str,
        sign: float,
        points: UnitPoint,
        results: Sequence[Result],
        edge: float | None,
    ) -> None:
        rows = [row for row, result in enumerate(results) if np.isfinite(result.metrics.get(metric, np.nan))]
        if len(rows) < 2:
            return
        raw = np.array([results[row].metrics[metric] for row in rows] + ([] if edge is None else [edge]))
        if (raw > 0).all() and raw.max() > 30 * raw.min():
            raw = np.log(raw)  # sizes and latencies differ by factors
        centre, scale = raw[: len(rows)].mean(), raw[: len(rows)].std() or 1.0
        values = sign * (raw - centre) / scale
        bound = -np.inf if edge is None else float(values[-1])
        values = values[: len(rows)]
        found[name] = Observations(points[rows], values, np.ones(len(rows)), float(values.max()), bound)

    def worth(
        self,
        posteriors: Mapping[str, Posterior],
        observations: Mapping[str, Observations],
        acquisition: Acquisition,
        exploration: float,
        rng: np.random.Generator,
    ) -> Floats64:
        """What each candidate is worth trying, [candidates]."""
        mean, deviation = posteriors["auc"].moments()
        worth = acquisition(mean, deviation, observations["auc"].best, exploration)
        if "second" in posteriors:
            mean, deviation = posteriors["second"].moments()
            other = acquisition(mean, deviation, observations["second"].best, exploration)
            # A random weighting per proposal walks along the front (Paria et al. 2018; ParEGO, Knowles 2006).
            share = rng.random()
            worth = np.minimum(share * _unit(worth), (1 - share) * _unit(other)) + 0.05 * (_unit(worth) + _unit(other))
        bounds = [name for name in posteriors if observations[name].bound > -np.inf]
        if not bounds:
            return worth
        worth = _unit(worth)
        for name in bounds:  # times the chance that the bound is kept (Gardner et al. 2014, equation 6)
            mean, deviation = posteriors[name].moments()
            worth = worth * ndtr((mean - observations[name].bound) / np.maximum(deviation, 1e-9))
        return worth


def _unit(worth: Floats64) -> Floats64:
    """Moved and stretched to 0 .. 1."""
    low, high = float(worth.min()), float(worth.max())
    return (worth - low) / ((high - low) or 1.0)


def standardise(values: Floats64) -> Floats64:
    """Values with mean 0 and deviation 1, after the tail of bad ones is cut (`CLIP`)."""
    if not len(values):
        return values
    cut = clip_tail(values)
    return (cut - cut.mean()) / (cut.std() or 1.0)


def clip_tail(values: Floats64) -> Floats64:
    """Values without the tail of bad ones (`CLIP`)."""
    median, best = np.median(values), np.max(values)
    return np.maximum(values, median - CLIP * (best - median)) if best > median else values


def pareto_front(values: Floats64) -> "np.ndarray":
    """Which rows no other row beats in one column without being beaten in another, [rows]; larger is better."""
    better = (values[None] >= values[:, None]).all(2) & (values[None] > values[:, None]).any(2)
    return np.asarray(~better.any(1))
