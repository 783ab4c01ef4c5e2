"""Area under the ROC curve, exact: the share of (positive, negative) pairs in the right order, ties counting half
(Mann and Whitney, 1947); a pair weighs the product of its rows' weights.

Empty input, one class only, or a NaN among the scores: no pairs to count, so the AUC is NaN.
"""

import math

import numpy as np

from glmix_automl.metrics.order import grouped_keys, heads, score_keys
from glmix_automl.metrics.runs import GroupAucs, Runs


def auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """AUC of scores (any monotone transform of them gives the same); NaN where it is not defined.

    Args:
        labels: [rows] 0 or 1, of any type.
        scores: [rows]; float32 is fastest.
        weights: [rows] at least 0, or None. Weights that are constant within each class cost nothing.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    if len(labels) != len(scores):
        raise ValueError(f"{len(labels)} labels and {len(scores)} scores")
    if not len(scores) or np.isnan(scores).any():
        return math.nan
    positive = labels > 0
    if weights is None or _constant(weights, positive):
        return _count_wins(positive, scores)
    return Runs.of(labels, scores, weights).auc()


def _constant(weights: np.ndarray, positive: np.ndarray) -> bool:
    """Whether weights are constant in each class, and so cancel."""
    weights = np.asarray(weights)
    return all(
        len(part) == 0 or (part[0] > 0 and bool((part == part[0]).all()))
        for part in (weights[positive], weights[~positive])
    )


def _count_wins(positive: np.ndarray, scores: np.ndarray) -> float:
    """AUC of rows that all count the same, in exact integers up to the last division."""
    rows, positives = len(positive), int(np.count_nonzero(positive))
    negatives = rows - positives
    if not positives or not negatives:
        return math.nan
    packed = score_keys(scores).astype(np.uint64)
    packed <<= np.uint64(1)
    packed |= positive
    packed.sort()
    places = np.flatnonzero(packed & np.uint64(1))
    # A positive at place i has i rows before it; less the positives among them, these are the negatives at or below
    # its score, as negatives come first among equals.
    at_or_below = int(places.sum()) - positives * (positives - 1) // 2
    packed >>= np.uint64(1)
    _, tied = _ties(packed, places)
    return (2 * at_or_below - int(tied.sum())) / (2 * positives * negatives)


def group_aucs(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> GroupAucs:
    """AUC within each group, rows unweighted: one sort, whatever the number of groups.

    Args:
        labels: [rows] 0 or 1.
        scores: [rows], none NaN.
        groups: [rows] codes, 0 to 2^31 - 1.
    """
    packed = grouped_keys(groups, score_keys(scores))
    packed <<= np.uint64(1)
    packed |= np.asarray(labels) > 0
    packed.sort()
    places = np.flatnonzero(packed & np.uint64(1))
    packed >>= np.uint64(1)
    codes = packed >> np.uint64(32)
    starts = heads(codes)
    rows = np.diff(starts, append=len(packed))
    first = np.searchsorted(places, starts)  # of the group's own positives
    positives = np.diff(first, append=len(places))
    until = np.append(0, np.cumsum(places))
    # As in `_count_wins`, with places counted from the group's first row.
    at_or_below = until[first + positives] - until[first] - positives * starts - positives * (positives - 1) // 2
    level, tied = _ties(packed, places)
    tied_here = np.bincount(np.searchsorted(starts, level, side="right") - 1, tied, len(starts))
    pairs = positives * (rows - positives)
    area = np.full(len(starts), math.nan)
    np.divide(at_or_below - tied_here / 2, pairs, out=area, where=pairs > 0)
    return GroupAucs(codes[starts].astype(np.int64), area, rows, rows.astype(np.float64))


def _ties(ordered: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(first row, pairs) of each run of equal keys, given ascending keys and the places of the positives among them."""
    level = np.flatnonzero(ordered[1:] == ordered[:-1])  # rows that the next one is level with: few, as a rule
    if not len(level):
        return level, level
    breaks = np.flatnonzero(np.diff(level) > 1)
    starts = level[np.append(0, breaks + 1)]
    stops = level[np.append(breaks, len(level) - 1)] + 2
    positives = np.searchsorted(places, stops) - np.searchsorted(places, starts)
    return starts, positives * (stops - starts - positives)
