"""Boosting of symmetric trees: all nodes of a level split by one column at one border, as CatBoost's do (Prokhorenkova
et al. 2018, section 4). A tree has few ways to fit its rows, so hundreds of them learn less by heart than others do.

Columns are in bins (`bins`). A level takes the column and border with the largest sum over its nodes of
`G^2 / (H + l2)` of both sides, G and H being sums of the rows' first and second derivatives (Chen and Guestrin 2016,
equation 7); a leaf is Newton's step. Columns are shared out over threads, each summed by one of them in the order of
rows, so that the trees do not depend on how many there are.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import expit

from glmix_automl import metrics
from glmix_automl.models.rows import Rows
from glmix_automl.models.trees import Trees
from glmix_automl.seeds import generator
from glmix_automl.training.bins import Binned, descend, find_borders, put_in_bins
from glmix_automl.training.booster import choose_columns
from glmix_automl.training.measure import Point

_TINY = 1e-12  # in place of a sum of second derivatives that rounding has left below 0
_compile = njit(cache=True, nogil=True, error_model="numpy")


@dataclass(frozen=True)
class Grown:
    """A tree: the column (its number) and border of each level, and the leaves [2^levels], the rightmost last."""

    columns: Sequence[int]
    borders: Sequence[int]
    leaves: NDArray[np.float64]


class SymmetricBooster:
    """Trees that are added one by one to the scores of training and validation rows."""

    def __init__(
        self,
        coordinate: Trees,
        rows: tuple[Rows, Rows],
        bias: float,
        seed: int,
        pool: ThreadPoolExecutor,
        threads: int,
    ) -> None:
        """Without trees.

        Args:
            coordinate: which columns of rows there are, and the parameters.
            rows: of train and of validation, with the offsets of the trial.
            bias: fitted around the offsets.
            seed: of the columns of each tree.
            pool, threads: what columns are shared out over, and how many it has.
        """
        given = coordinate.parameters
        self._levels, self._rate, self._l2, self._bias = given.levels, given.learning_rate, given.l2, bias
        self._pool, self._threads = pool, threads
        self._labels, self._weights = ([getattr(r, name).numpy() for r in rows] for name in ("label", "weight"))
        self._scores = [r.offset.numpy().astype(np.float64) + bias for r in rows]
        columns, self._kept = choose_columns(coordinate, rows[0])
        train, held_out = columns.tocsc(), coordinate.matrix(rows[1])[:, self._kept].tocsc()
        self._borders = list(pool.map(lambda k: find_borders(train[:, [k]], given.bins), range(train.shape[1])))
        self._counts = np.array([len(each) for each in self._borders], np.int64)
        self._train, self._held_out = (put_in_bins(each, self._borders, pool) for each in (train, held_out))
        self._splittable = np.flatnonzero(self._counts)
        self._drawn = max(1, round(given.feature_share * len(self._splittable)))
        self._draws = generator(seed, "symmetric trees")
        sizes = np.where(self._train.place >= 0, (self._counts + 1) << max(given.levels - 1, 0), 0)
        self._first, self._tables = np.cumsum(sizes) - sizes, np.empty((int(sizes.sum()), 2))
        count = train.shape[0]
        self._leaf, self._slopes = np.zeros(count, np.uint8), np.empty((count, 2), np.float32)
        # At the root there is one node, all of whose rows are summed.
        self._root = np.zeros(1, np.uint8), np.arange(count, dtype=np.int32)
        self._trees: list[Grown] = []

    def update(self) -> bool:
        """Adds a tree; whether there was nothing left to split."""
        scores, label, weight = self._scores[0], self._labels[0], self._weights[0]
        p = expit(scores)
        self._slopes[:, 0] = weight * (label - p)
        self._slopes[:, 1] = weight * (p * (1 - p))
        wanted = self._splittable
        if self._drawn < len(wanted):
            wanted = np.sort(self._draws.choice(wanted, self._drawn, replace=False))
        self._leaf[:] = 0
        chosen: list[tuple[int, int]] = []
        sums = _sum_leaves(self._leaf, self._slopes, 1)
        fewer = (*self._root, self._slopes)
        while len(chosen) < self._levels and (split := self._find(wanted, sums, fewer)) is not None:
            chosen.append(split)
            descend(self._train, *split, self._leaf)
            side, rows = _find_fewer(self._leaf, len(sums))
            fewer = side, rows, self._slopes[rows]
            sums = _sum_leaves(self._leaf, self._slopes, 2 * len(sums))
        leaves = self._rate * sums[:, 0] / np.maximum(sums[:, 1] + self._l2, _TINY)
        tree = Grown([c for c, _ in chosen], [b for _, b in chosen], leaves)
        self._trees.append(tree)
        scores += leaves[self._leaf]
        self._scores[1][:] += leaves[_leaves_of(self._held_out, tree)]
        return not chosen

    def measure(self) -> Point:
        """AUC and log loss of the validation rows."""
        label, score, weight = self._labels[1], self._scores[1], self._weights[1]
        return Point(metrics.auc(label, score, weight), metrics.log_loss(label, score, weight))

    def arrays(self, trees: int) -> dict[str, NDArray[Any]]:
        """The first so many trees, as `Trees` has them."""
        made = [_as_arrays(tree, self._borders, self._kept) for tree in self._trees[:trees]]
        names = ("column", "threshold", "left", "right", "leaf")
        joined = {name: np.concatenate([np.empty(0), *(tree[name] for tree in made)]) for name in names}
        return joined | {"splits": np.array([len(t["column"]) for t in made]), "bias": np.array([self._bias])}

    def _find(
        self, wanted: NDArray[np.int64], sums: NDArray[np.float64], fewer: tuple[Any, ...]
    ) -> tuple[int, int] | None:
        """The best column and border, the first of equals; None where none gains."""
        t = self._train
        binned = t.dense, t.place, t.starts, t.rows, t.bins, t.zero
        rest = self._counts, self._leaf, self._slopes, sums, fewer, self._tables, self._first, self._l2
        shares = [wanted[k :: self._threads] for k in range(self._threads)]
        found = self._pool.map(lambda share: _best_split(share, binned, *rest), shares)
        gain, column, border = max(found, key=lambda each: (each[0], -each[1]))
        now = float(np.sum(sums[:, 0] ** 2 / np.maximum(sums[:, 1] + self._l2, _TINY)))
        return (int(column), int(border)) if gain > now * (1 + 1e-9) + 1e-12 else None


def _as_arrays(tree: Grown, borders: Sequence[NDArray[np.float32]], kept: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The tree as one of nodes that each name their split: node k leads to nodes 2k + 1 and 2k + 2."""
    levels = len(tree.columns)
    level = np.repeat(np.arange(levels), 1 << np.arange(levels))
    thresholds = [borders[c][b] for c, b in zip(tree.columns, tree.borders, strict=True)]
    node = np.arange(len(level))
    is_last, leaf = level == levels - 1, 2 * (node + 1 - (1 << max(levels - 1, 0)))
    return {
        "column": kept[np.asarray(tree.columns, np.int64)][level],
        "threshold": np.asarray(thresholds, np.float32)[level],
        "left": np.where(is_last, -1 - leaf, 2 * node + 1),
        "right": np.where(is_last, -2 - leaf, 2 * node + 2),
        "leaf": tree.leaves,
    }


def _leaves_of(binned: Binned, tree: Grown) -> NDArray[np.uint8]:
    leaf = np.zeros(binned.dense.shape[1], np.uint8)
    for column, border in zip(tree.columns, tree.borders, strict=True):
        descend(binned, column, border, leaf)
    return leaf


@_compile
def _sum_leaves(leaf, slopes, leaves):  # type: ignore[no-untyped-def]
    sums = np.zeros((leaves, 2))
    for row in range(len(leaf)):
        sums[leaf[row], 0] += slopes[row, 0]
        sums[leaf[row], 1] += slopes[row, 1]
    return sums


@_compile
def _find_fewer(leaf, nodes):  # type: ignore[no-untyped-def]
    """Of two nodes that one has been split into, which has fewer rows [nodes before]; and these rows, ascending."""
    counts = np.zeros(2 * nodes, np.int64)
    for row in range(len(leaf)):
        counts[leaf[row]] += 1
    side = np.empty(nodes, np.uint8)
    total = 0
    for node in range(nodes):
        side[node] = np.uint8(counts[2 * node + 1] < counts[2 * node])
        total += counts[2 * node + side[node]]
    rows = np.empty(total, np.int32)
    total = 0
    for row in range(len(leaf)):
        if leaf[row] & 1 == side[leaf[row] >> 1]:
            rows[total] = row
            total += 1
    return side, rows


@_compile
def _best_split(wanted, binned, counts, leaf, slopes, sums, fewer, tables, first, l2):  # type: ignore[no-untyped-def]
    """The largest score of some columns, its column and its border; the first of equals.

    Sums by node and bin of a dense column are kept from level to level in `tables`, from `first` on: of two nodes that
    one was split into only the one with fewer rows is summed, the other is what is left.
    """
    dense, place, starts, rows, bins, zero = binned
    side, few_rows, few_slopes = fewer
    leaves, nodes = len(sums), len(side)
    scratch = np.empty((leaves * 256, 2))
    left = np.empty((leaves, 2))
    best, best_column, best_border = -1.0, -1, -1
    for column in wanted:
        width = counts[column] + 1
        if place[column] >= 0:
            table = tables[first[column] : first[column] + leaves * width]
            _sum_dense(dense[place[column]], leaf, few_rows, few_slopes, width, scratch[: nodes * width])
            if leaves == 1:
                table[:] = scratch[:width]
            else:
                _spread(table, scratch, side, width)
        else:
            table = scratch[: leaves * width]
            entries = slice(starts[column], starts[column + 1])
            _sum_entries(rows[entries], bins[entries], leaf, slopes, width, table)
            _fill_zeros(table, sums, zero[column], width)
        left[:] = 0
        for border in range(width - 1):
            score = 0.0
            for node in range(leaves):
                left[node, 0] += table[node * width + border, 0]
                left[node, 1] += table[node * width + border, 1]
                below, under = left[node, 0], left[node, 1]
                above, over = sums[node, 0] - below, sums[node, 1] - under
                score += below * below / max(under + l2, _TINY) + above * above / max(over + l2, _TINY)
            if score > best:
                best, best_column, best_border = score, column, border
    return best, best_column, best_border


@_compile
def _sum_dense(bins, leaf, rows, slopes, width, table):  # type: ignore[no-untyped-def]
    """Sums of some rows by the node that they were in a level before, and bin."""
    table[:] = 0
    for k in range(len(rows)):
        at = np.int64(leaf[rows[k]] >> 1) * width + bins[rows[k]]
        table[at, 0] += slopes[k, 0]
        table[at, 1] += slopes[k, 1]


@_compile
def _sum_entries(rows, bins, leaf, slopes, width, table):  # type: ignore[no-untyped-def]
    """Sums of all entries by node and bin."""
    table[:] = 0
    for entry in range(len(rows)):
        at = np.int64(leaf[rows[entry]]) * width + bins[entry]
        table[at, 0] += slopes[rows[entry], 0]
        table[at, 1] += slopes[rows[entry], 1]


@_compile
def _spread(table, fewer, side, width):  # type: ignore[no-untyped-def]
    """From sums by node to those of the two that each was split into, in place: from the last on, whose two come to lie
    behind all nodes before it.
    """
    for node in range(len(side) - 1, -1, -1):
        few, many = (2 * node + side[node]) * width, (2 * node + 1 - side[node]) * width
        for at in range(width):
            for k in range(2):
                whole, part = table[node * width + at, k], fewer[node * width + at, k]
                table[few + at, k] = part
                table[many + at, k] = whole - part


@_compile
def _fill_zeros(table, sums, zero, width):  # type: ignore[no-untyped-def]
    """Adds what no entry has to the bin of 0."""
    for node in range(len(sums)):
        for k in range(2):
            rest = sums[node, k]
            for at in range(node * width, (node + 1) * width):
                rest -= table[at, k]
            table[node * width + zero, k] += rest
