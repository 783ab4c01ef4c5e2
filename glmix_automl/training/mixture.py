"""Training of a mixture: trained coordinates weighed anew on their cached scores.

Weights fitted on the validation rows have seen their labels, so what they score there says too much of them. Such a fit
is judged by cross-fitting (stacking, Wolpert 1992): members are dealt into folds, and each fold is scored with weights
that were fitted on the others. The weights of the model are those of all rows.
"""

import dataclasses
import time

import numpy as np

from glmix_automl import seeds
from glmix_automl.ensemble import Ensemble, Floats
from glmix_automl.errors import TrialError
from glmix_automl.models.mixture import CachedScores, Mixture, Targets
from glmix_automl.training.mixture_weights import FittedMixture, assess_mixture, fit_mixture
from glmix_automl.training.source import Source
from glmix_automl.training.trainer import Budget, Fit, Start, Trainer, Watch
from glmix_automl.trial import MixtureFit

FITTED = ("learned", "positive")
FOLDS = 5
LEAST_MEMBERS = 50  # with fewer, rows are dealt: else a fold may be empty, or most of the rows


class MixtureWeights(Trainer[Mixture]):
    """Finds the weights that `Trial.fit` asks for; the budget is not used, as the problem is convex and small."""

    def begin(self, coordinate: Mixture, start: Start) -> tuple[Mixture, float]:
        """See `Trainer`."""
        coordinate.fit = start.trial.fit
        return coordinate, 0.0

    def train(self, coordinate: Mixture, source: Source, budget: Budget, watch: Watch) -> Fit:
        """See `Trainer`."""
        started, wanted = time.perf_counter(), coordinate.fit
        if wanted is None:
            raise TrialError("a trial of family mixture needs a fit: whom to weigh")
        is_seen = wanted.split == "validation" and wanted.weighting in FITTED
        rows = source.whole() if wanted.split == "train" else source.validation()
        found = weigh(wanted, rows)
        coordinate.ensemble = Ensemble(wanted.begin.members, found.weights, found.bias)
        metrics = {"objective": found.objective, "penalty": found.penalty, f"{wanted.split}_loss": found.loss}
        metrics |= {"members": float(len(coordinate.ensemble.pruned.members)), "mixture_steps": float(found.steps)}
        held_out = cross_fit(wanted, rows, found) if is_seen else None
        fit = Fit(steps=found.steps, train_seconds=time.perf_counter() - started, metrics=metrics, held_out=held_out)
        fit.ensemble = coordinate.ensemble
        return fit


def weigh(fit: MixtureFit, rows: CachedScores) -> FittedMixture:
    """The weights that a fit asks for, on the rows of its split.

    Raises:
        TrialError: scores that are not finite.
    """
    columns = [rows.of(member) for member in fit.begin.members]
    penalties = fit.penalties or (0.0,) * len(columns)
    if fit.weighting in FITTED:
        signed = fit.weighting == "learned"
        return fit_mixture(columns, rows.targets, penalties, fit.begin.weights, fit.begin.bias, signed)
    each = 1.0 / len(columns) if fit.weighting == "mean" else 1.0
    return assess_mixture(columns, rows.targets, [each] * len(columns), 0.0, penalties)


def cross_fit(fit: MixtureFit, rows: CachedScores, whole: FittedMixture) -> Floats:
    """Scores of rows by weights that were fitted on the rows of other members, float32 [rows].

    The folds are the same for every fit on a dataset, so that two of them can be compared row by row. Only what decides
    the order of rows is cross-fitted, the weights beside each other: mean and spread of the scores are those
    of the whole fit. A fold with many positives leaves few to the others, whose bias would set it back.

    Args:
        fit: whom to weigh; weights are fitted.
        rows: of the split.
        whole: the fit on all of them, where each fold's begins.
    """
    members, total = fit.begin.members, len(rows.targets.label)
    fold = deal_folds(rows.targets.member, total)
    columns = [np.asarray(rows.of(member), np.float32) for member in members]
    scored = dict(zip(members, columns, strict=True))
    near = Ensemble(members, whole.weights, whole.bias)
    everywhere = near.score(scored.__getitem__, total)
    scores = np.empty(total, np.float32)
    for number in range(FOLDS):
        inside = fold == number
        found = weigh(dataclasses.replace(fit, begin=near), _taken(columns, members, rows.targets, ~inside))
        theirs = Ensemble(members, found.weights).score(scored.__getitem__, total)
        spread = float(theirs.std())
        scale = float(everywhere.std()) / spread if spread else 0.0
        scores[inside] = everywhere.mean() + scale * (theirs[inside] - theirs.mean())
    return scores


def deal_folds(member: np.ndarray | None, rows: int) -> np.ndarray:
    """The fold of each row, int [rows]; all rows of a member are in one, unless there are too few members."""
    is_grouped = member is not None and len(np.unique(member)) >= LEAST_MEMBERS
    codes = np.asarray(member) if is_grouped else np.arange(rows)
    dealt = seeds.generator(0, "folds").integers(0, FOLDS, int(codes.max(initial=0)) + 1)
    return dealt[codes]


def _taken(columns: list[Floats], members: tuple[int, ...], targets: Targets, rows: np.ndarray) -> CachedScores:
    """Some of the rows; their scores are copied when they are asked for."""
    kept = (None if each is None else each[rows] for each in (targets.weight, targets.offset))
    place = {member: k for k, member in enumerate(members)}
    return CachedScores(Targets(targets.label[rows], *kept), lambda member: columns[place[member]][rows])
