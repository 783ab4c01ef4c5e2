"""Columns cut into bins: where the borders lie, which bin each value is in, and rows led to either side of a border."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

_DENSE = 0.25  # share of rows from which on a column is kept row by row instead of by its entries
_SAMPLED = 200_000  # entries of a column that borders are told from
Mapper: TypeAlias = Callable[..., Iterator[Any]]
"""As `map` does, perhaps by several threads."""
_compile = njit(cache=True, nogil=True, error_model="numpy")


@dataclass(frozen=True)
class Binned:
    """Columns of rows in bins; a value is in the bin of the first border that it is not above.

    Attributes:
        dense: uint8 [dense columns, rows].
        place: int32 [columns], each one's row of `dense`; -1 where entries are kept.
        starts: int64 [columns + 1], of the entries of each other column.
        rows, bins: int32 and uint8 [entries], those whose value is not 0.
        zero: uint8 [columns], the bin of 0.
    """

    dense: NDArray[np.uint8]
    place: NDArray[np.int32]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    bins: NDArray[np.uint8]
    zero: NDArray[np.uint8]


def find_borders(column: sparse.csc_matrix, bins: int) -> NDArray[np.float32]:
    """Borders between the values of a column, at most `bins - 1`, about as many rows between one and the next."""
    values, rows = column.data, column.shape[0]
    zeros = (rows - len(values)) / max(len(values), 1)
    values = values[:: max(1, len(values) // _SAMPLED)]
    distinct, counts = np.unique(values, return_counts=True)
    if zeros:
        place = int(np.searchsorted(distinct, 0))
        distinct, counts = np.insert(distinct, place, 0), np.insert(counts, place, max(round(zeros * len(values)), 1))
    lower, upper = distinct[:-1], distinct[1:]
    if len(distinct) > bins:
        ends = np.cumsum(counts)
        last = np.unique(np.searchsorted(ends, ends[-1] * np.arange(1, bins) / bins))
        last = last[last < len(lower)]
        lower, upper = lower[last], upper[last]
    middle = ((lower.astype(np.float64) + upper) / 2).astype(np.float32)
    return np.where(middle >= upper, lower, middle)


def put_in_bins(columns: sparse.csc_matrix, borders: Sequence[NDArray[np.float32]], over: Mapper) -> Binned:
    """The bins of rows' values, by the borders of training rows."""
    rows, count = columns.shape
    lengths = np.diff(columns.indptr)
    is_dense = lengths > _DENSE * rows
    place = np.where(is_dense, np.cumsum(is_dense) - 1, -1).astype(np.int32)
    zero = np.array([np.searchsorted(each, 0) for each in borders], np.uint8)
    dense = np.empty((int(is_dense.sum()), rows), np.uint8)
    starts = np.concatenate([[0], np.cumsum(np.where(is_dense, 0, lengths))]).astype(np.int64)
    own_rows, bins = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.uint8)

    def fill(column: int) -> None:
        entries = slice(columns.indptr[column], columns.indptr[column + 1])
        found = np.searchsorted(borders[column], columns.data[entries]).astype(np.uint8)
        if is_dense[column]:
            dense[place[column]] = zero[column]
            dense[place[column], columns.indices[entries]] = found
        else:
            here = slice(starts[column], starts[column + 1])
            own_rows[here], bins[here] = columns.indices[entries], found

    list(over(fill, range(count)))
    return Binned(dense, place, starts, own_rows, bins, zero)


def descend(binned: Binned, column: int, border: int, leaf: NDArray[np.uint8]) -> None:
    """Leads rows one level down: `2 leaf` where the column is at most the border, else `2 leaf + 1`."""
    if binned.place[column] >= 0:
        _descend_dense(binned.dense[binned.place[column]], border, leaf)
        return
    entries = slice(binned.starts[column], binned.starts[column + 1])
    above = int(binned.zero[column] > border)
    _descend_entries(binned.rows[entries], binned.bins[entries], border, above, leaf)


@_compile
def _descend_dense(bins, border, leaf):  # type: ignore[no-untyped-def]
    for row in range(len(leaf)):
        leaf[row] = 2 * leaf[row] + np.uint8(bins[row] > border)


@_compile
def _descend_entries(rows, bins, border, above, leaf):  # type: ignore[no-untyped-def]
    for row in range(len(leaf)):
        leaf[row] = 2 * leaf[row] + np.uint8(above)
    for entry in range(len(rows)):
        row = rows[entry]
        leaf[row] = leaf[row] - np.uint8(above) + np.uint8(bins[entry] > border)
