"""The ceiling: AUC of the true probabilities on the labels drawn from them; no model can be expected above it."""

import numpy as np

from glmix_automl.generate.draws import Array

CELLS = 1 << 16
"""Cells of equal width that scores from 0 to 1 are counted in."""


class BinnedAuc:
    """An AUC of any number of rows, exact but for pairs in one of 65,536 cells of equal width, which count half.

    The error is at most half the share of positive-negative pairs that fall in one cell.
    """

    def __init__(self) -> None:
        self._positives = np.zeros(CELLS)
        self._negatives = np.zeros(CELLS)

    def add(self, score: Array, positive: Array, negative: Array) -> None:
        """Counts more rows.

        Args:
            score: from 0 to 1, [rows].
            positive, negative: weights with which a row is either: label and 1 - label; or, for the AUC expected over
                labels yet to be drawn, probability and 1 - probability; both times 0 for rows that do not count.
        """
        cell = np.minimum((score * CELLS).astype(np.int64), CELLS - 1)
        self._positives += np.bincount(cell, positive, CELLS)
        self._negatives += np.bincount(cell, negative, CELLS)

    def value(self) -> float:
        """The AUC of all rows so far; NaN where a class is missing."""
        positives, negatives = self._positives, self._negatives
        if positives.sum() == 0 or negatives.sum() == 0:
            return float("nan")
        below = np.cumsum(negatives) - negatives
        return float((positives * (below + negatives / 2.0)).sum() / (positives.sum() * negatives.sum()))
