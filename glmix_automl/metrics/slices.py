"""Where one model gains on another: AUC and calibration of both in every slice of the rows, with intervals."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from glmix_automl.metrics.delong import auc_interval, delong_test
from glmix_automl.metrics.interval import Comparison, Interval
from glmix_automl.metrics.order import heads


@dataclass(frozen=True)
class SliceGain:
    """Two models on the rows of one slice.

    Attributes:
        group: the slice's value, as given.
        rows, positives: how many.
        first_auc, second_auc: with intervals; NaN where the slice has one class only.
        gain: second less first, with the paired test.
        first_calibration, second_calibration: expected over observed positives, with intervals.
    """

    group: object
    rows: int
    positives: int
    first_auc: Interval
    second_auc: Interval
    gain: Comparison
    first_calibration: Interval
    second_calibration: Interval


def slice_gains(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    confidence: float = 0.95,
) -> list[SliceGain]:
    """Every slice, the largest gain of `second` on `first` first, the largest loss last; without an AUC at the end.

    Many slices are looked at, so some will seem to gain by chance: read the intervals with their number in mind.

    Args:
        labels: [rows] 0 or 1.
        first, second: [rows] log-odds of the two models (calibration needs more than an order).
        groups: [rows] the slice of each row (a feature's value, `activity_groups`, `quantile_groups`), of any type
            that sorts.
        weights: [rows] above 0, or None.
        clusters: [rows] codes of members, or None (see `delong_test`).
        confidence: of the intervals.
    """
    if not len(groups):
        return []
    values, codes = np.unique(groups, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    found = []
    for value, rows in zip(values.tolist(), np.split(order, heads(codes[order])[1:]), strict=True):
        weight = None if weights is None else weights[rows]
        cluster = None if clusters is None else clusters[rows]
        found.append(_gain(value, labels[rows], first[rows], second[rows], weight, cluster, confidence))
    return sorted(found, key=lambda s: (math.isnan(s.gain.difference), -s.gain.difference))


def _gain(
    group: object,
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    weights: np.ndarray | None,
    clusters: np.ndarray | None,
    confidence: float,
) -> SliceGain:
    return SliceGain(
        group=group,
        rows=len(labels),
        positives=int(np.count_nonzero(labels)),
        first_auc=auc_interval(labels, first, weights, clusters, confidence),
        second_auc=auc_interval(labels, second, weights, clusters, confidence),
        gain=delong_test(labels, first, second, weights, clusters, confidence),
        first_calibration=calibration_interval(labels, first, weights, clusters, confidence),
        second_calibration=calibration_interval(labels, second, weights, clusters, confidence),
    )


def calibration_interval(
    labels: np.ndarray,
    logits: np.ndarray,
    weights: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Expected over observed positives with the interval of a ratio: normal on its logarithm, by linearisation.

    NaN without positives.
    """
    weight = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    label = np.asarray(labels, np.float64)
    expected = weight * np.exp(-np.logaddexp(0, -np.asarray(logits, np.float64)))
    observed = float(weight @ label)
    if not observed:
        return Interval(math.nan, math.nan, math.nan, math.nan)
    ratio = float(expected.sum()) / observed
    deviations = (expected - ratio * weight * label) / observed
    if clusters is not None:
        deviations = np.bincount(np.unique(clusters, return_inverse=True)[1], deviations)
    error = math.sqrt(float(deviations @ deviations))
    if not ratio:
        return Interval(ratio, error, 0.0, 0.0)
    reach = math.exp(NormalDist().inv_cdf((1 + confidence) / 2) * error / ratio)
    return Interval(ratio, error, ratio / reach, ratio * reach)


def activity_groups(codes: np.ndarray, train_codes: np.ndarray) -> np.ndarray:
    """The slice of each row by how many rows of train its entity has: 0, or the power of two at or below the count.

    Args:
        codes: [rows] of the split in hand (`Dataset.entity_codes`).
        train_codes: [train rows] of the same entity.

    Returns:
        int64 [rows]: 0, 1, 2, 4, 8, ...
    """
    size = max(int(codes.max(initial=-1)), int(train_codes.max(initial=-1))) + 1
    counts = np.bincount(train_codes, minlength=size)
    floors = np.where(counts > 0, 2 ** (np.frexp(np.maximum(counts, 1))[1].astype(np.int64) - 1), 0)
    return np.asarray(floors[codes])


def quantile_groups(values: np.ndarray, groups: int = 10) -> np.ndarray:
    """The slice of each row by a number: the lower edge of its quantile bin; a value that repeats stays in one bin."""
    edges = np.unique(np.quantile(values, np.arange(groups) / groups, method="inverted_cdf"))
    return np.asarray(edges[np.searchsorted(edges, values, side="right") - 1])
