"""Sums of rows' derivatives by node and bin, and the split that they say is best.

A row's first and second derivatives are whole numbers, in the upper and the lower half of 64 bits, so that one addition
adds both and no order of adding rounds otherwise: threads share rows out, and the sums do not depend on how many there
are. Rows of a node lie together, so that what they are added to stays in the nearest cache; of two nodes that one was
split into, only the one with fewer rows is summed, the other is what is left (Ke et al. 2017).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from glmix_automl.training.bins import Binned, Mapper

_LARGEST = 2**31 - 1  # of the sum of either derivative, as a whole number
_SHIFT, _LOWER = 32, 2**32 - 1
_TINY = 1e-12  # beside an l2 of 0
_compile = njit(cache=True, nogil=True, error_model="numpy")


@dataclass(frozen=True)
class Slopes:
    """Derivatives of the loss by each row's score, the first with its sign turned.

    Attributes:
        packed: int64 [rows], both as whole numbers.
        unit: what 1 of either is worth.
    """

    packed: NDArray[np.int64]
    unit: tuple[float, float]

    @classmethod
    def of(cls, first: NDArray[np.float64], second: NDArray[np.float64]) -> "Slopes":
        """Derivatives [rows], rounded as finely as no sum of them leaves its half."""
        room = _LARGEST - len(first)  # each may be rounded up
        by_first, by_second = (max(float(np.abs(each).sum()), _TINY) / room for each in (first, second))
        return cls(_pack(first, second, by_first, by_second), (by_first, by_second))


class NodeHistograms:
    """Sums of all rows, level after level of a tree; every row's bins lie together here."""

    def __init__(self, binned: Binned, counts: NDArray[np.int64], levels: int, threads: int, over: Mapper) -> None:
        """For trees of so many levels on columns with `counts` [columns] borders; `over` has so many threads."""
        widths = counts + 1
        self._counts, self._first = counts, np.cumsum(widths) - widths
        self._zero = np.where(binned.place < 0, binned.zero.astype(np.int16), -1)
        self._place, self._dense = binned.place, binned.dense.T
        slots = binned.bins + np.repeat(self._first, np.diff(binned.starts))
        shape = binned.dense.shape[1], len(counts)
        by_row = sparse.csc_matrix((slots.astype(np.int32), binned.rows, binned.starts), shape).tocsr()
        self._starts, self._slots = by_row.indptr.astype(np.int64), by_row.data
        self._width, self._threads, self._over = int(widths.sum()), threads, over
        most = 1 << max(levels - 1, 0)
        self._tables = np.empty((most, self._width), np.int64)
        self._parts = np.empty((threads, max(most // 2, 1), self._width), np.int64)

    def begin(self, slopes: Slopes, wanted: NDArray[np.int64]) -> None:
        """Sums of the root, by the columns that the tree may be split by."""
        self._slopes, self._wanted = slopes, wanted
        dense = wanted[self._place[wanted] >= 0]
        self._places, self._firsts = self._place[dense].astype(np.int64), self._first[dense]
        rows = np.arange(len(slopes.packed), dtype=np.int32)
        self._totals = self._sum(rows, np.array([0, len(rows)]))
        self._tables[0] = self._parts[0, 0]

    def descend(self, leaf: NDArray[np.uint8]) -> None:
        """To the next level, `leaf` [all rows] being each one's node there."""
        nodes = len(self._totals)
        side, rows, ends = _find_fewer(leaf, nodes)
        few = self._sum(rows, ends)
        many = self._totals - few
        self._totals = np.column_stack([np.where(side, many, few), np.where(side, few, many)]).ravel()
        tables, fewer = self._tables, self._parts[0]
        list(self._over(lambda here: _spread(tables, fewer, side, *here), self._spans(self._width)))

    def find_split(self, l2: float) -> tuple[int, int] | None:
        """The best column and border, the first of equals; None where none gains."""
        shares = [self._wanted[k :: self._threads] for k in range(self._threads)]
        rest = self._counts, self._first, self._tables, self._totals, *self._slopes.unit, l2 + _TINY
        found = self._over(lambda columns: _best_split(columns, *rest), shares)
        gain, column, border = max(found, key=lambda each: (each[0], -each[1]))
        first, second = _unpack(self._totals, self._slopes.unit)
        now = float(np.sum(first**2 / (second + l2 + _TINY)))
        return (int(column), int(border)) if gain > now * (1 + 1e-9) + 1e-12 else None

    def _sum(self, rows: NDArray[np.int32], ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """Into the first part, sums of rows by node and bin, node k having those from `ends[k]` to `ends[k + 1]`; gives
        the nodes' totals.
        """
        packed, parts = self._slopes.packed, self._parts[:, : len(ends) - 1]
        shared = self._dense, self._places, self._firsts, self._starts, self._slots

        def add(part: NDArray[np.int64], span: tuple[int, int]) -> None:
            _sum_rows(*shared, rows, ends, *span, packed, part)

        list(self._over(add, parts, self._spans(len(rows))))
        for part in parts[1:]:
            parts[0] += part
        totals = _sum_nodes(rows, ends, packed)
        _fill_zeros(parts[0], totals, self._zero, self._first, self._counts)
        return totals

    def _spans(self, count: int) -> Iterator[tuple[int, int]]:
        ends = [count * k // self._threads for k in range(self._threads + 1)]
        return itertools.pairwise(ends)


def _unpack(packed: NDArray[np.int64], unit: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (packed >> _SHIFT) * unit[0], (packed & _LOWER) * unit[1]


@_compile
def _pack(first, second, first_unit, second_unit):  # type: ignore[no-untyped-def]
    packed = np.empty(len(first), np.int64)
    for row in range(len(first)):
        packed[row] = (np.int64(np.rint(first[row] / first_unit)) << 32) + np.int64(np.rint(second[row] / second_unit))
    return packed


@_compile
def _sum_nodes(rows, ends, packed):  # type: ignore[no-untyped-def]
    totals = np.zeros(len(ends) - 1, np.int64)
    for node in range(len(totals)):
        for k in range(ends[node], ends[node + 1]):
            totals[node] += packed[rows[k]]
    return totals


@_compile
def _find_fewer(leaf, nodes):  # type: ignore[no-untyped-def]
    """Of two nodes that one has been split into, which has fewer rows [nodes before]; these rows, those of a node
    together and ascending; and where each node's begin and end [nodes before + 1].
    """
    counts = np.zeros(2 * nodes, np.int64)
    for each in leaf:
        counts[each] += 1
    side, ends = np.empty(nodes, np.uint8), np.zeros(nodes + 1, np.int64)
    for node in range(nodes):
        side[node] = np.uint8(counts[2 * node + 1] < counts[2 * node])
        ends[node + 1] = ends[node] + counts[2 * node + side[node]]
    fewer, place = np.empty(ends[nodes] + 1, np.int32), ends[:nodes].copy()
    for row in range(len(leaf)):
        node = leaf[row] >> 1
        is_one = np.int64(leaf[row] & 1 == side[node])
        fewer[place[node] if is_one else ends[nodes]] = row  # every row is written, which is faster than a branch
        place[node] += is_one
    return side, fewer[:-1], ends


@_compile
def _sum_rows(dense, places, firsts, starts, slots, rows, ends, begin, end, packed, table):  # type: ignore[no-untyped-def]
    """Sums of the rows from `begin` to `end` of the list, by node and bin."""
    table[:] = 0
    for node in range(len(ends) - 1):
        own = table[node]
        for k in range(max(begin, ends[node]), min(end, ends[node + 1])):
            row = rows[k]
            slope, bins = packed[row], dense[row]
            for column in range(len(places)):
                own[firsts[column] + bins[places[column]]] += slope
            for entry in range(starts[row], starts[row + 1]):
                own[slots[entry]] += slope


@_compile
def _fill_zeros(tables, totals, zero, first, counts):  # type: ignore[no-untyped-def]
    """Adds what no entry of a column has to its bin of 0."""
    for node in range(len(totals)):
        own = tables[node]
        for column in range(len(zero)):
            if zero[column] >= 0:
                rest = totals[node]
                for at in range(first[column], first[column] + counts[column] + 1):
                    rest -= own[at]
                own[first[column] + zero[column]] += rest


@_compile
def _spread(tables, fewer, side, begin, end):  # type: ignore[no-untyped-def]
    """From sums by node to those of the two that each was split into, in place: from the last on, whose two come to lie
    behind all nodes before it.
    """
    for node in range(len(side) - 1, -1, -1):
        few, many = 2 * node + side[node], 2 * node + 1 - side[node]
        for at in range(begin, end):
            whole, part = tables[node, at], fewer[node, at]
            tables[few, at] = part
            tables[many, at] = whole - part


@_compile
def _best_split(wanted, counts, first, tables, totals, first_unit, second_unit, l2):  # type: ignore[no-untyped-def]
    """The largest sum over nodes of `G^2 / (H + l2)` of both sides among some columns, its column and its border."""
    score, left, under = np.empty(256), np.empty(256), np.empty(256)
    best, best_column, best_border = -1.0, -1, -1
    for column in wanted:
        borders = counts[column]
        score[:borders] = 0
        for node in range(len(totals)):
            whole, both = (totals[node] >> 32) * first_unit, (totals[node] & 0xFFFFFFFF) * second_unit + 2 * l2
            own = tables[node, first[column] : first[column] + borders]
            sums = 0
            for border in range(borders):
                sums += own[border]
                left[border] = np.int32(sums >> 32) * first_unit
                under[border] = np.uint32(sums & 0xFFFFFFFF) * second_unit + l2
            for border in range(borders):
                right, over = whole - left[border], both - under[border]
                top = left[border] * left[border] * over + right * right * under[border]
                score[border] += top / (under[border] * over)
        for border in range(borders):
            if score[border] > best:
                best, best_column, best_border = score[border], column, border
    return best, best_column, best_border
