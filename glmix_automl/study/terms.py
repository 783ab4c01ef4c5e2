"""The model behind a trial as a weighted sum of trained coordinates, and its scores from the cached ones."""

from collections.abc import Mapping
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from glmix_automl.errors import StudyError
from glmix_automl.layout import SCORES, Folder
from glmix_automl.trial import Mixture, Result, Trial

MIXTURE = "mixture"
"""Family of the trials that weigh other trials' scores; they train no coordinate of their own."""


class Terms:
    """Adds up coordinates: `bias + sum_k weights[k] * score(members[k])`, members being trials that trained something.

    Takes trials and results by number, as a history has them.
    """

    def __init__(self, trials: Mapping[int, Trial], results: Mapping[int, Result]) -> None:
        self._trials, self._results = trials, results

    def model(self, number: int) -> Mixture:
        """The whole model of a trial: what it trained itself and the mixture it was trained on top of."""
        total: dict[int, float] = {}
        bias = self._add(total, number, 1.0)
        offset = self._trials[number].offset
        if offset is not None:
            bias += self._add_all(total, offset, 1.0)
        return Mixture(tuple(total), tuple(total.values()), bias)

    def _add(self, total: dict[int, float], number: int, weight: float) -> float:
        """Adds `weight` times what trial `number` scores itself; returns the bias that comes with it."""
        trial = self._trials[number]
        if trial.family == MIXTURE:
            return weight * self._add_all(total, self._weighed(trial), weight, scale_bias=False)
        total[number] = total.get(number, 0.0) + weight
        return 0.0

    def _add_all(self, total: dict[int, float], mixture: Mixture, weight: float, scale_bias: bool = True) -> float:
        bias = mixture.bias
        for member, inner in zip(mixture.members, mixture.weights, strict=True):
            if inner:
                added = self._add(total, member, weight * inner)
                bias += added if scale_bias else added / weight
        return bias

    def _weighed(self, trial: Trial) -> Mixture:
        """The weights that a mixture trial found; its result has one `weight_<place>` per member, and `bias`."""
        if trial.members is None:
            raise StudyError(f"trial {trial.number} is a mixture without members")
        found = self._results[trial.number].metrics
        weights = tuple(found[f"weight_{place}"] for place in range(len(trial.members.members)))
        return Mixture(trial.members.members, weights, found.get("bias", 0.0))


def cached(trials: Folder, number: int, split: str) -> NDArray[np.float32]:
    """What trial `number` scored itself on a split, float32 [rows] in dataset order, offsets not included.

    Raises:
        DataError: there is no such file, or it is no array.
    """
    content = trials.read(f"{number}/{SCORES.format(split=split)}")
    scores: NDArray[np.float32] = np.load(BytesIO(content), allow_pickle=False)
    return scores


def scores(trials: Folder, model: Mixture, split: str, offset: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-odds of a model on a split, float32 [rows]; `offset` is the dataset's own."""
    total = offset + np.float32(model.bias)
    for member, weight in zip(model.members, model.weights, strict=True):
        total += np.float32(weight) * cached(trials, member, split)
    return total
