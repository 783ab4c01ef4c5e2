"""Products with piecewise-linear columns of numerics (Gorishniy et al., NeurIPS 2022), without making the columns.

Of a numeric's pieces those before a value are at 1, its own is part of the way and those after it are at 0. So a row's
product with the weights of a numeric is a look-up in their running sum and one product, and what a row adds to all of
them are two numbers: a pass costs the same however many pieces there are.
"""

import numpy as np

from glmix_automl.models.design import compile_fast
from glmix_automl.models.logistic import LEAST_PIECE


class Pieces:
    """Where the values of some rows lie on the pieces.

    Attributes:
        shape: numerics, pieces of each.
    """

    def __init__(self, numerics: np.ndarray, knots: np.ndarray) -> None:
        """Of numerics, float32 [rows, numerics], with pieces that end at knots, float32 [numerics, pieces + 1]."""
        self.shape = knots.shape[0], knots.shape[1] - 1
        self._piece = np.empty(numerics.shape, np.int16)
        self._along = np.empty(numerics.shape, np.float32)
        _place(numerics, knots[:, :-1].copy(), np.maximum(np.diff(knots), LEAST_PIECE), self._piece, self._along)

    def scores(self, weights: np.ndarray) -> np.ndarray:
        """The columns times weights [numerics * pieces]: float64 [rows]."""
        own = weights.reshape(self.shape)
        passed = np.cumsum(own, axis=1) - own
        found = np.zeros(len(self._piece))
        _add_scores(self._piece, self._along, passed, own, found)
        return found

    def pulled_back(self, residual: np.ndarray, power: int = 1) -> np.ndarray:
        """The columns, entries to a power, transposed times residual [rows]: float64 [numerics * pieces]."""
        at, part = np.zeros(self.shape), np.zeros(self.shape)
        _sum_back(self._piece, self._along, residual, power, at, part)
        later = at.sum(axis=1, keepdims=True) - np.cumsum(at, axis=1)
        return (part + later).ravel()


@compile_fast
def _place(numerics, begin, length, piece, along):  # type: ignore[no-untyped-def]
    """Fills piece and along [rows, numerics]; a value beyond all pieces is at the end of the last."""
    last = begin.shape[1] - 1
    for row in range(len(numerics)):
        for i in range(numerics.shape[1]):
            value, low, high = numerics[row, i], 0, last
            while low < high:
                middle = (low + high) // 2
                if value >= begin[i, middle] + length[i, middle]:
                    low = middle + 1
                else:
                    high = middle
            piece[row, i] = low
            along[row, i] = min(max((value - begin[i, low]) / length[i, low], 0.0), 1.0)


@compile_fast
def _add_scores(piece, along, passed, own, found):  # type: ignore[no-untyped-def]
    for row in range(len(piece)):
        total = 0.0
        for i in range(piece.shape[1]):
            total += passed[i, piece[row, i]] + own[i, piece[row, i]] * along[row, i]
        found[row] += total


@compile_fast
def _sum_back(piece, along, residual, power, at, part):  # type: ignore[no-untyped-def]
    for row in range(len(piece)):
        for i in range(piece.shape[1]):
            share = np.float64(along[row, i])
            at[i, piece[row, i]] += residual[row]
            part[i, piece[row, i]] += residual[row] * (share if power == 1 else share * share)
