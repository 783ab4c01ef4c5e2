"""How sure an AUC is, and whether two models differ (DeLong, DeLong and Clarke-Pearson, Biometrics 1988).

An AUC is a mean over positives of their *placements* (the share of negatives they are ahead of) and a mean over
negatives of theirs. Placements follow from midranks, so one sort gives the variance (Sun and Xu, IEEE Signal Processing
Letters 2014), and we keep them as one *influence* per row: the AUC's deviation is the sum of its rows'. Then

    variance = sum over classes c of n_c / (n_c - 1) * sum over its rows of influence^2     (DeLong's S10 / m + S01 / n)

Rows with weights w: placements and means are weighted, and the same formula is the linearised variance of a weighted
two-sample statistic; with equal weights it is DeLong's to the last digit, so there is no separate fallback.

DeLong's takes rows for independent. Rows of one member are not: with `clusters` given, the influences of a cluster are
summed before squaring (Obuchowski, Biometrics 1997), right for many clusters (say 30 or more). So: independent rows,
DeLong as it is; rows of many members, DeLong with clusters; of few members, or of an AUC so near 1 that its interval
collapses, neither.
"""

import math

import numpy as np

from glmix_automl.metrics.interval import Comparison, Interval
from glmix_automl.metrics.order import heads, score_keys, sorted_rows


def auc_interval(
    labels: np.ndarray,
    scores: np.ndarray,
    weights: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    confidence: float = 0.95,
) -> Interval:
    """AUC with its interval, cut to [0, 1]; NaN without both classes, NaN bounds with one row of a class.

    Args:
        labels: [rows] 0 or 1.
        scores: [rows].
        weights: [rows] above 0, or None.
        clusters: [rows] codes from 0 up (members, say) whose rows are not independent, or None.
        confidence: of the interval.
    """
    area, influence = auc_influence(labels, scores, weights)
    return Interval.normal(area, _error(influence, labels, clusters), confidence, 0.0, 1.0)


def delong_test(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    weights: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """AUC of `second` less AUC of `first` on the same rows, with the paired test; arguments as `auc_interval`."""
    area, influence = auc_influence(labels, first, weights)
    other_area, other_influence = auc_influence(labels, second, weights)
    error = _error(other_influence - influence, labels, clusters)
    return Comparison.normal(other_area - area, error, confidence)


def auc_influence(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """(AUC, float64 [rows] influence of each row on it); both NaN without both classes or with a NaN among scores.

    The influence of a positive row i is w_i (placement_i - AUC) / (weight of the positives); of a negative likewise.
    They sum to 0 within each class.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    positive = labels > 0
    if positive.all() or not positive.any() or np.isnan(scores).any():
        return math.nan, np.full(len(labels), math.nan)
    keys = score_keys(scores)
    order = sorted_rows(keys)
    positive = positive[order]
    weight = np.ones(len(order)) if weights is None else np.asarray(weights, np.float64)[order]
    starts = heads(keys[order])
    positives, positives_below = _below(weight * positive, starts)
    negatives, negatives_below = _below(weight * ~positive, starts)
    placement = np.where(positive, negatives_below / negatives, 1 - positives_below / positives)
    area = float((weight * positive) @ placement / positives)
    influence = np.empty(len(order))
    influence[order] = weight * (placement - area) / np.where(positive, positives, negatives)
    return area, influence


def _below(weight: np.ndarray, starts: np.ndarray) -> tuple[float, np.ndarray]:
    """(total weight, float64 [rows] weight below each row, and half of that level with it); rows in sorted order."""
    until = np.cumsum(weight)
    total = float(until[-1])
    if len(starts) == len(weight):
        return total, until - weight / 2
    until_run = np.append(until[starts[1:] - 1], total)
    before_run = np.append(0.0, until_run[:-1])
    return total, np.repeat((before_run + until_run) / 2, np.diff(starts, append=len(weight)))


def _error(influence: np.ndarray, labels: np.ndarray, clusters: np.ndarray | None) -> float:
    """Standard error of the sum of the influences."""
    if not len(influence) or math.isnan(influence[0]):
        return math.nan
    if clusters is not None:
        _, codes = np.unique(clusters, return_inverse=True)
        sums = np.bincount(codes, influence)
        return math.sqrt(_spread(sums))
    positive = np.asarray(labels) > 0
    return math.sqrt(_spread(influence[positive]) + _spread(influence[~positive]))


def _spread(parts: np.ndarray) -> float:
    return float(parts @ parts) * len(parts) / (len(parts) - 1) if len(parts) > 1 else math.nan
