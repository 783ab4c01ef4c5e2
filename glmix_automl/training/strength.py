"""How strongly the effects of an entity are pulled together, estimated from the data: empirical Bayes."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from glmix_automl.models.design import Floats

FIRST_PRECISION = 3.0  # precision to begin with: effects of 0.6 either way
LOWEST, HIGHEST = 1e-3, 1e4
PASSES = 10  # at most
SETTLED = 0.05  # relative change of every precision, at most, that ends the passes
LEAP = 10.0  # factor by which a precision may change in a pass

EffectsAt = Callable[[Floats], tuple[Floats, Floats]]


def estimate_precision(
    fit: EffectsAt, group: NDArray[np.int32], given: NDArray[np.float64], start: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """The precision of each group of coefficients that the data make most likely, about.

    Each pass fits with the precisions as they are and sets each of those to be estimated to `gamma / sum theta^2`, with
    `gamma = sum_i (1 - precision * variance_i)` the number of coefficients that the data decide (MacKay 1992, eq. 18).
    At its fixed point `1 / precision = mean(theta^2 + variance)`, as with the EM algorithm, in fewer passes.

    Args:
        fit: means and variances of the coefficients, by their precisions, float32 [coefficients].
        group: int32 [coefficients].
        given: float64 [groups], precisions; NaN for those to be estimated.
        start: float64 [groups], where to begin.

    Returns:
        float64 [groups]; those without a coefficient keep what they began with.
    """
    wanted = np.isnan(given)
    precision = np.where(wanted, FIRST_PRECISION if start is None else np.clip(start, LOWEST, HIGHEST), given)
    if not wanted.any() or not len(group):
        return precision
    groups = len(given)
    count = np.bincount(group, minlength=groups)
    for _ in range(PASSES):
        mean, variance = fit(precision[group].astype(np.float32))
        squares = np.bincount(group, np.square(mean, dtype=np.float64), groups)
        decided = np.maximum(count - precision * np.bincount(group, variance, groups), 0.0)
        better = np.where(squares > 0, decided / np.where(squares > 0, squares, 1.0), np.inf)
        better = np.clip(better, precision / LEAP, precision * LEAP).clip(LOWEST, HIGHEST)
        change = np.abs(np.log(better / precision))[wanted & (count > 0)]
        precision = np.where(wanted & (count > 0), better, precision)
        if change.max(initial=0.0) < SETTLED:
            break
    return precision
