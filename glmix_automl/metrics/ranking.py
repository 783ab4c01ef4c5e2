"""Quality of each member's list: AUC, NDCG@k and precision@k per member, then the mean over members.

All members at once by one sort, whatever their number. Rows of a member with equal scores have no order of their own,
so a metric is the expectation over all their orders (McSherry and Najork, ECIR 2008); row weights do not count in
positions. Empty input or a NaN among the scores gives NaN.
"""

import math

import numpy as np

from glmix_automl.metrics.auc import group_aucs
from glmix_automl.metrics.order import heads
from glmix_automl.metrics.runs import GroupAucs, Runs


def member_auc(
    labels: np.ndarray,
    scores: np.ndarray,
    members: np.ndarray,
    weights: np.ndarray | None = None,
    by_rows: bool = False,
) -> float:
    """Mean AUC over the members with both classes; NaN if there is none.

    Args:
        labels: [rows] 0 or 1.
        scores: [rows].
        members: [rows] codes, 0 to 2^31 - 1.
        weights: [rows] or None; pairs weigh as in `auc`.
        by_rows: whether a member counts by the weight of its rows, instead of 1.
    """
    return math.nan if np.isnan(scores).any() else _member_aucs(labels, scores, members, weights).mean(by_rows)


def ndcg(labels: np.ndarray, scores: np.ndarray, members: np.ndarray, k: int) -> float:
    """Mean NDCG@k over the members with a positive row: sum of 1 / log2(1 + position) over the positives among the
    member's first k rows, over the same for the best order (Jarvelin and Kekalainen, 2002). NaN if there is none.
    """
    if np.isnan(scores).any():
        return math.nan
    found = ndcgs(labels, scores, members, k)
    return float(found.mean()) if len(found) else math.nan


def precision(labels: np.ndarray, scores: np.ndarray, members: np.ndarray, k: int) -> float:
    """Mean over all members of the share of positives among the first k rows, or all rows where there are fewer."""
    if np.isnan(scores).any():
        return math.nan
    found = precisions(labels, scores, members, k)
    return float(found.mean()) if len(found) else math.nan


def member_aucs(
    labels: np.ndarray, scores: np.ndarray, members: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """AUC of each member with both classes, by ascending code: float64 [members]; no score may be NaN."""
    found = _member_aucs(labels, scores, members, weights).auc
    return found[~np.isnan(found)]


def ndcgs(labels: np.ndarray, scores: np.ndarray, members: np.ndarray, k: int) -> np.ndarray:
    """NDCG@k of each member with a positive row, by ascending code: float64 [members]; no score may be NaN."""
    runs = Runs.of(labels, scores, None, members)
    if not len(runs):
        return np.zeros(0)
    gains = np.append(0.0, np.cumsum(1 / np.log2(np.arange(2, k + 2))))  # of the first 0, 1, ..., k positions
    starts, first, last = _positions(runs)
    found = np.add.reduceat(
        runs.positives / runs.rows * (gains[np.minimum(last, k)] - gains[np.minimum(first, k)]), starts
    )
    positives = np.add.reduceat(runs.positives, starts).astype(np.int64)
    ideal = gains[np.minimum(positives, k)]
    return found[positives > 0] / ideal[positives > 0]


def precisions(labels: np.ndarray, scores: np.ndarray, members: np.ndarray, k: int) -> np.ndarray:
    """Precision@k of each member, by ascending code: float64 [members]; no score may be NaN."""
    runs = Runs.of(labels, scores, None, members)
    if not len(runs):
        return np.zeros(0)
    starts, first, last = _positions(runs)
    found = np.add.reduceat(runs.positives / runs.rows * (np.minimum(last, k) - np.minimum(first, k)), starts)
    return found / np.minimum(np.add.reduceat(runs.rows, starts), k)


def _member_aucs(labels: np.ndarray, scores: np.ndarray, members: np.ndarray, weights: np.ndarray | None) -> GroupAucs:
    if weights is None:
        return group_aucs(labels, scores, members)
    return Runs.of(labels, scores, weights, members).group_aucs()


def _positions(runs: Runs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(first run of each group, how many of its rows are above each run, how many are above or in it)."""
    groups = runs.groups
    starts = heads(groups)
    total = np.cumsum(runs.rows)
    ends = np.append(starts[1:], len(groups)) - 1
    in_group = np.diff(starts, append=len(groups))
    first = np.repeat(total[ends], in_group) - total
    return starts, first, first + runs.rows
