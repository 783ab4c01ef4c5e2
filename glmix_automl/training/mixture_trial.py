"""Carries out a trial of family `mixture`: weighs trained coordinates anew on their cached scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from glmix_automl.errors import TrialError
from glmix_automl.models.mixture import FittedMixture, Floats, Rows, assess_mixture, blend, fit_mixture
from glmix_automl.trial import Mixture, Trial

FAMILY = "mixture"


@dataclass(frozen=True)
class WeighedMixture:
    """What came of it.

    Attributes:
        mixture: the members and their new weights, those of weight 0 included.
        metrics: `objective`, `train_loss`, `penalty`, `bias`, `weight_<place>` per member and `members` that are left.
        scores: float32 per split, the dataset's own offset not included, as for any coordinate.
    """

    mixture: Mixture
    metrics: dict[str, float]
    scores: dict[str, Floats]


def weigh(trial: Trial, splits: Mapping[str, Rows], scores: Callable[[int, str], Floats]) -> WeighedMixture:
    """Fits the weights on one split (`fit`, train if not given) and blends the scores of every split.

    Args:
        trial: `members` names whom to weigh and where to begin; parameters `weighting` (learned, mean, sum),
            `penalties` (a number per member, separated by spaces; `lambda * r(h) + beta` of the objective), `fit`.
        splits: labels, weights and the dataset's own offset of every split to be scored.
        scores: the cached scores of a trial on a split.

    Raises:
        TrialError: no members, another number of penalties, scores that are missing or not finite.
    """
    if trial.members is None or not trial.members.members:
        raise TrialError(f"trial {trial.number}: a mixture needs members")
    members, split = trial.members, str(trial.parameters.get("fit", "train"))
    if split not in splits:
        raise TrialError(f"trial {trial.number}: expected fit to be one of {', '.join(splits)}, got {split!r}")
    columns = [scores(member, split) for member in members.members]
    found = _fit(trial, members, columns, splits[split])
    kept = [member for member, weight in zip(members.members, found.weights, strict=True) if weight]
    weights = [weight for weight in found.weights if weight]
    blended = {
        name: blend([scores(member, name) for member in kept or members.members[:1]], weights or [0.0], found.bias)
        for name in splits
    }
    metrics = {f"weight_{place}": weight for place, weight in enumerate(found.weights)}
    metrics |= {"bias": found.bias, "objective": found.objective, "penalty": found.penalty}
    metrics |= {f"{split}_loss": found.loss, "members": float(len(kept)), "mixture_steps": float(found.steps)}
    return WeighedMixture(Mixture(members.members, found.weights, found.bias), metrics, blended)


def _fit(trial: Trial, members: Mixture, columns: list[Floats], rows: Rows) -> FittedMixture:
    penalties = _penalties(trial, len(columns))
    weighting = trial.parameters.get("weighting", "learned")
    if weighting == "learned":
        return fit_mixture(columns, rows, penalties, members.weights, members.bias)
    if weighting not in ("mean", "sum"):
        raise TrialError(f"trial {trial.number}: expected weighting learned, mean or sum, got {weighting!r}")
    each = 1.0 / len(columns) if weighting == "mean" else 1.0
    return assess_mixture(columns, rows, [each] * len(columns), 0.0, penalties)


def _penalties(trial: Trial, members: int) -> list[float]:
    text = str(trial.parameters.get("penalties", " ".join(["0"] * members)))
    try:
        penalties = [float(part) for part in text.split()]
    except ValueError as error:
        raise TrialError(f"trial {trial.number}: penalties must be numbers, got {text!r}") from error
    if len(penalties) != members or any(not 0 <= penalty < float("inf") for penalty in penalties):
        raise TrialError(f"trial {trial.number}: expected {members} penalties of at least 0, got {text!r}")
    return penalties
