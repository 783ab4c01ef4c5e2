"""Area under the ROC curve, exact: the share of (positive, negative) pairs in the right order, ties counting half
(Mann and Whitney, 1947); a pair weighs the product of its rows' weights.

Empty input, one class only, or a NaN among the scores: no pairs to count, so the AUC is NaN.
"""

import math

import numpy as np

from glmix_automl.metrics.order import score_keys
from glmix_automl.metrics.runs import Runs


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
        return _counted(positive, scores)
    return Runs.of(labels, scores, weights).auc()


def _constant(weights: np.ndarray, positive: np.ndarray) -> bool:
    """Whether weights are constant in each class, and so cancel."""
    weights = np.asarray(weights)
    return all(
        len(part) == 0 or (part[0] > 0 and bool((part == part[0]).all()))
        for part in (weights[positive], weights[~positive])
    )


def _counted(positive: np.ndarray, scores: np.ndarray) -> float:
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
    return (2 * at_or_below - _tied_pairs(packed, places)) / (2 * positives * negatives)


def _tied_pairs(ordered: np.ndarray, places: np.ndarray) -> int:
    """How many pairs have equal scores; ascending scores, and the places of the positives among them."""
    level = np.flatnonzero(ordered[1:] == ordered[:-1])  # rows that the next one is level with: few, as a rule
    if not len(level):
        return 0
    breaks = np.flatnonzero(np.diff(level) > 1)
    starts = level[np.append(0, breaks + 1)]
    stops = level[np.append(breaks, len(level) - 1)] + 2
    positives = np.searchsorted(places, stops) - np.searchsorted(places, starts)
    return int(positives @ (stops - starts - positives))
