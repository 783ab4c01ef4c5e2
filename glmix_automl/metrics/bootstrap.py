"""Paired bootstrap over members: whether two models differ, without a formula (Efron, 1979; clusters resampled whole).

Members are drawn with replacement, each with all its rows, and both AUCs are computed anew. It makes no use of
normality and takes the dependence of a member's rows as it is, so it is the reference for few members (10 to 100) and
for AUCs near 1; `delong_test` with clusters is the fast answer for many, and agrees there.
"""

import math

import numpy as np

from glmix_automl.metrics.interval import Comparison
from glmix_automl.metrics.order import heads, score_keys, sorted_rows
from glmix_automl.seeds import generator


def bootstrap_test(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    members: np.ndarray,
    weights: np.ndarray | None = None,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """AUC of `second` less AUC of `first`, with the percentile interval over `replicates` draws of the members.

    Sorts once; a replicate is a few passes over the rows (20 ms for a million). Draws that leave one class are left
    out. The p-value is two-sided: the share of draws, centred, that are as far from 0 as the difference is.

    Args:
        labels: [rows] 0 or 1.
        first, second: [rows] scores of the two models.
        members: [rows] codes.
        weights: [rows] above 0, or None.
        replicates: draws.
        seed: of the draws.
        confidence: of the interval.
    """
    _, codes = np.unique(members, return_inverse=True)
    areas = [_ResampledAuc(labels, scores, codes, weights) for scores in (first, second)]
    count = int(codes.max(initial=-1)) + 1
    difference = areas[1](np.ones(count)) - areas[0](np.ones(count)) if count else math.nan
    if math.isnan(difference):
        return Comparison(math.nan, math.nan, math.nan, math.nan, math.nan)
    draw = generator(seed, "bootstrap")
    drawn = np.empty(replicates)
    for number in range(replicates):
        times = np.bincount(draw.integers(0, count, count), minlength=count).astype(np.float64)
        drawn[number] = areas[1](times) - areas[0](times)
    drawn = drawn[~np.isnan(drawn)]
    if len(drawn) < 2:
        return Comparison(difference, math.nan, math.nan, math.nan, math.nan)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    # The 1s count the sample itself; rounding must not set apart what is equal.
    as_far = np.abs(drawn - drawn.mean()) >= abs(difference) - 1e-12
    p_value = (1 + np.count_nonzero(as_far)) / (1 + len(drawn))
    return Comparison(difference, float(drawn.std(ddof=1)), float(p_value), float(low), float(high))


class _ResampledAuc:
    """AUC of one model when each member counts a number of times; the rows are sorted once."""

    def __init__(self, labels: np.ndarray, scores: np.ndarray, codes: np.ndarray, weights: np.ndarray | None) -> None:
        self._undefined = bool(np.isnan(scores).any())
        keys = score_keys(np.nan_to_num(scores) if self._undefined else scores)
        order = sorted_rows(keys)
        self._codes = codes[order]
        weight = np.ones(len(order)) if weights is None else np.asarray(weights, np.float64)[order]
        positive = (np.asarray(labels) > 0)[order]
        self._positive, self._negative = weight * positive, weight * ~positive
        self._starts = heads(keys[order])

    def __call__(self, times: np.ndarray) -> float:
        """AUC when member m counts `times[m]`; NaN without both classes."""
        if self._undefined:
            return math.nan
        of_row = times[self._codes]
        positive, negative = of_row * self._positive, of_row * self._negative
        if len(self._starts) < len(of_row):
            positive, negative = np.add.reduceat(positive, self._starts), np.add.reduceat(negative, self._starts)
        below = np.cumsum(negative)
        pairs = positive.sum() * below[-1]
        below -= negative / 2
        return float(positive @ below / pairs) if pairs else math.nan
