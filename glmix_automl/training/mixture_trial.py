"""Carries out a trial of family `mixture`: weighs trained coordinates anew on their cached scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from glmix_automl.ensemble import Ensemble, Floats
from glmix_automl.errors import TrialError
from glmix_automl.models.mixture import FittedMixture, Targets, assess_mixture, fit_mixture
from glmix_automl.trial import MixtureFit


@dataclass(frozen=True)
class WeighedMixture:
    """What came of it.

    Attributes:
        ensemble: the members and their new weights, those of weight 0 included.
        metrics: `objective`, `train_loss`, `penalty`, and `members` that are left.
        scores: float32 per split, the dataset's own offset not included, as for any coordinate.
    """

    ensemble: Ensemble
    metrics: dict[str, float]
    scores: dict[str, Floats]


def weigh(
    fit: MixtureFit | None, splits: Mapping[str, Targets], scores: Callable[[int, str], Floats]
) -> WeighedMixture:
    """Finds the weights on one split and scores every split.

    Args:
        fit: whom to weigh, and how.
        splits: labels, weights and the dataset's own offset of every split to be scored.
        scores: the cached scores of a trial on a split.

    Raises:
        TrialError: nothing to fit; scores that are not finite.
    """
    if fit is None:
        raise TrialError("a trial of family mixture needs a fit: whom to weigh")
    found = _find(fit, [scores(member, fit.split) for member in fit.begin.members], splits[fit.split])
    ensemble = Ensemble(fit.begin.members, found.weights, found.bias)
    blended = {
        split: ensemble.score(partial(_of_split, scores, split), len(targets.label))
        for split, targets in splits.items()
    }
    metrics = {"objective": found.objective, "penalty": found.penalty, f"{fit.split}_loss": found.loss}
    metrics |= {"members": float(len(ensemble.pruned.members)), "mixture_steps": float(found.steps)}
    return WeighedMixture(ensemble, metrics, blended)


def _of_split(scores: Callable[[int, str], Floats], split: str, member: int) -> Floats:
    return scores(member, split)


def _find(fit: MixtureFit, columns: list[Floats], targets: Targets) -> FittedMixture:
    penalties = fit.penalties or (0.0,) * len(columns)
    if fit.weighting == "learned":
        return fit_mixture(columns, targets, penalties, fit.begin.weights, fit.begin.bias)
    each = 1.0 / len(columns) if fit.weighting == "mean" else 1.0
    return assess_mixture(columns, targets, [each] * len(columns), 0.0, penalties)
