"""Rows gathered by score: what exact ranking metrics need of them."""

import math
from dataclasses import dataclass

import numpy as np

from glmix_automl.metrics.order import grouped_keys, heads, score_keys, sorted_rows


@dataclass(frozen=True, eq=False)
class Runs:
    """The distinct (group, score) pairs of some rows in ascending order, with what lies on each.

    Attributes:
        keys: uint64 [runs], ascending and distinct: the group's code, then the score's key.
        positives, negatives: float64 [runs], weight of the positive and negative rows.
        rows: int64 [runs], number of rows.
    """

    keys: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(
        cls,
        labels: np.ndarray,
        scores: np.ndarray,
        weights: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> "Runs":
        """Gathers rows, by one sort.

        Args:
            labels: [rows] 0 or 1.
            scores: [rows] float32; none NaN.
            weights: [rows] at least 0, or None for 1 each.
            groups: [rows] codes from 0 to 2^31 - 1 (of members, say), or None for one group.
        """
        positive = np.asarray(labels) > 0
        if weights is None:
            return cls._counted(positive, scores, groups)
        keys = score_keys(scores)
        if groups is None:
            order = sorted_rows(keys)
            ordered = keys[order].astype(np.uint64)
        else:
            packed = grouped_keys(groups, keys)
            order = np.argsort(packed)
            ordered = packed[order]
        weights, positive = np.asarray(weights, np.float64)[order], positive[order]
        starts = heads(ordered)
        rows = np.diff(starts, append=len(ordered))
        return cls(ordered[starts], _sums(weights * positive, starts), _sums(weights * ~positive, starts), rows)

    @classmethod
    def _counted(cls, positive: np.ndarray, scores: np.ndarray, groups: np.ndarray | None) -> "Runs":
        """Without weights only the label must follow the sort: it does so in the lowest bit."""
        keys = score_keys(scores)
        packed = keys.astype(np.uint64) if groups is None else grouped_keys(groups, keys)
        packed <<= np.uint64(1)
        packed |= positive
        packed.sort()
        ones = (packed & np.uint64(1)).astype(np.int64)
        packed >>= np.uint64(1)
        starts = heads(packed)
        rows = np.diff(starts, append=len(packed))
        positives = _sums(ones, starts)
        return cls(packed[starts], positives.astype(np.float64), (rows - positives).astype(np.float64), rows)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def groups(self) -> np.ndarray:
        """int64 [runs]: the group each run belongs to."""
        return (self.keys >> np.uint64(32)).astype(np.int64)

    def auc(self) -> float:
        """AUC over all rows, which must be of one group; NaN without both classes."""
        areas = self.group_aucs()
        return float(areas.auc[0]) if len(areas.auc) == 1 else math.nan

    def group_aucs(self) -> "GroupAucs":
        """AUC within each group."""
        groups = self.groups
        starts = heads(groups)
        below = np.cumsum(self.negatives) - self.negatives
        below -= np.repeat(below[starts], np.diff(starts, append=len(groups)))
        pairs = _sums(self.positives * (below + self.negatives / 2), starts)
        positives, negatives = _sums(self.positives, starts), _sums(self.negatives, starts)
        with np.errstate(invalid="ignore"):  # no pairs: 0 / 0 is the NaN we want
            area = pairs / (positives * negatives)
        return GroupAucs(groups[starts], area, _sums(self.rows, starts), positives + negatives)


@dataclass(frozen=True, eq=False)
class GroupAucs:
    """AUC within groups, by ascending code.

    Attributes:
        groups: int64 [groups], the codes.
        auc: float64 [groups]; NaN where a group has one class only.
        rows: int64 [groups].
        weights: float64 [groups], summed over the rows.
    """

    groups: np.ndarray
    auc: np.ndarray
    rows: np.ndarray
    weights: np.ndarray

    def mean(self, by_rows: bool = False) -> float:
        """Mean over the groups with both classes, each counting its rows' weights or 1; NaN if there is none."""
        defined = ~np.isnan(self.auc)
        if not defined.any():
            return math.nan
        return float(np.average(self.auc[defined], weights=self.weights[defined] if by_rows else None))


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums over the runs that begin at `starts`."""
    return np.add.reduceat(values, starts) if len(starts) else values[:0]
