"""Gradient-boosted trees as arrays: grown by `training.boosting` with LightGBM or without, scored without it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy import sparse

from glmix_automl.errors import DataError, TrialError
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.models.parameters import TreesParameters
from glmix_automl.models.selection import FeatureSelection
from glmix_automl.schema import Schema

if TYPE_CHECKING:
    from glmix_automl.models.rows import Rows

TREE_SCORE_ROWS = 1 << 12  # rows scored at once: bounds the memory of their columns
_SPAN = 128  # rows led through a tree before the next one
_compile = njit(cache=True, nogil=True, error_model="numpy")

TREE_ARRAY_TYPES = {
    "splits": np.int32,
    "column": np.int32,
    "threshold": np.float32,
    "left": np.int32,
    "right": np.int32,
    "leaf": np.float64,
    "bias": np.float64,
}


class Trees(Coordinate):
    """`bias + sum of a leaf of every tree`; a row goes left at a split where its column is at most the threshold.

    Columns are numbered numerics first, then a column of ids per categorical (the more frequent a term the smaller),
    then one per id of every bag, which holds its value in the row or 0.

    Arrays: `splits` [trees], how many each has; `column`, `threshold`, `left`, `right` [splits of all trees], a tree's
    together and its root first, a child being a later split of its tree or `-1 - leaf`; `leaf` [leaves of all trees];
    `bias` [1]. A dataset has no missing numbers, so a split needs no default direction.

    Attributes:
        selection: which features of the dataset have columns; its `schema` has no others.
        columns: how many there are.
        seen: those that trees may split, by `inputs`.
    """

    def __init__(self, schema: Schema, parameters: TreesParameters, seed: int = 0) -> None:
        """A coordinate without trees; there is nothing to draw before training."""
        self.selection = FeatureSelection.of(schema, parameters.features, "trees")
        super().__init__("trees", self.selection.schema, parameters)
        schema = self.schema
        numerics, terms = len(schema.numerics), len(schema.categoricals) + sum(map(schema.size, schema.bags))
        self.columns, seen = numerics + terms, parameters.inputs
        self.seen = range(numerics if seen == "terms" else 0, numerics if seen == "numerics" else self.columns)
        if not self.seen:
            raise TrialError(f"family trees: inputs {seen!r}: the dataset has no such features")
        self.plant({name: np.zeros(int(name == "bias"), kind) for name, kind in TREE_ARRAY_TYPES.items()})

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """See `Coordinate`."""
        return dict(self._arrays)

    def plant(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes on trees, arrays as the class has them."""
        self._arrays = {name: np.asarray(arrays[name], kind) for name, kind in TREE_ARRAY_TYPES.items()}
        self._paths = _Paths(self._arrays)

    def restore(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        """See `Coordinate`; how many trees there are is in the arrays."""
        if not _is_whole(arrays, self.columns):
            raise DataError(f"{where}: these are no trees over {self.columns} columns: of another dataset, or damaged")
        self.plant(arrays)

    def matrix(self, rows: "Rows") -> sparse.csr_matrix:
        """All columns of rows, float32 [rows, columns], entries of 0 left out."""
        rows = self.selection.rows(rows)
        parts = [sparse.csr_matrix(part.numpy().astype(np.float32)) for part in (rows.numerics, rows.categoricals)]
        for bag, feature in zip(rows.bags, self.schema.bags, strict=True):
            shape = len(bag.splits) - 1, self.schema.size(feature)
            parts.append(sparse.csr_matrix((bag.values.numpy(), bag.ids.numpy(), bag.splits.numpy()), shape=shape))
            parts[-1].sum_duplicates()
        return sparse.hstack(parts, format="csr", dtype=np.float32)

    def score(self, rows: "Rows") -> np.ndarray:
        """See `Coordinate`."""
        rows, schema, used = self.selection.rows(rows), self.schema, self._paths.used
        numerics, categoricals = np.asarray(rows.numerics), np.asarray(rows.categoricals)
        widths = [numerics.shape[1], categoricals.shape[1], *map(schema.size, schema.bags)]
        ends = np.cumsum(widths)
        of_numerics, of_ids = used[used < ends[0]], used[(used >= ends[0]) & (used < ends[1])] - ends[0]
        places = np.full(self.columns, -1, np.int32)
        places[used] = np.arange(len(used))
        bags = [[np.asarray(column) for column in (bag.splits, bag.ids, bag.values)] for bag in rows.bags]
        total = np.empty(len(numerics), np.float32)
        for start in range(0, len(total), TREE_SCORE_ROWS):
            here = slice(start, start + TREE_SCORE_ROWS)
            part = np.zeros((len(total[here]), len(used)), np.float32)
            part[:, : len(of_numerics)] = numerics[here][:, of_numerics]
            part[:, len(of_numerics) : len(of_numerics) + len(of_ids)] = categoricals[here][:, of_ids]
            for (splits, ids, values), first in zip(bags, ends[1:], strict=False):
                _add_bag(splits[start : start + len(part) + 1], ids, values, first, places, part)
            total[here] = self._paths.score(part)
        return total


class _Paths:
    """All trees as one list of nodes, splits first and then leaves, that rows are led through from the roots.

    Attributes:
        used: the columns that some split asks for, ascending.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        splits, count, leaves = arrays["splits"].astype(np.int64), len(arrays["column"]), len(arrays["leaf"])
        begin, trees = np.cumsum(splits) - splits, np.arange(len(splits))
        of_split = np.repeat(trees, splits)

        def node(child: np.ndarray) -> np.ndarray:
            return np.where(child < 0, count - 1 - child + begin[of_split] + of_split, child + begin[of_split])

        self._roots = np.where(splits > 0, begin, count + begin + trees).astype(np.int32)
        # A leaf leads to itself, so that rows which are there wait for those beside them.
        self._children = np.repeat(np.arange(count + leaves, dtype=np.int32), 2)
        self._children[0 : 2 * count : 2], self._children[1 : 2 * count : 2] = (
            node(arrays["right"]),
            node(arrays["left"]),
        )
        self.used, place = np.unique(arrays["column"], return_inverse=True)
        self._column = np.concatenate([place, np.zeros(leaves, np.int64)]).astype(np.int32)
        self._threshold = np.concatenate([arrays["threshold"], np.zeros(leaves, np.float32)])
        self._leaf = np.concatenate([np.zeros(count), arrays["leaf"]])
        self._splits, self._bias = np.int32(count), float(arrays["bias"][0])

    def score(self, values: np.ndarray) -> np.ndarray:
        """Scores, float64 [rows], from the used columns, float32 [rows, columns]."""
        total = np.zeros(len(values))
        if len(self.used):
            _lead(values, self._roots, self._splits, self._children, self._column, self._threshold, self._leaf, total)
        else:
            total += self._leaf[self._roots].sum()
        return self._bias + total


@_compile
def _lead(values, roots, splits, children, column, threshold, leaf, total):  # type: ignore[no-untyped-def]
    """Adds to the total of each row the leaf that it comes to in every tree.

    Four rows go at once, as a core waits for memory and not for arithmetic, and rows in spans whose columns stay in its
    nearest cache.
    """
    rows = len(values)
    for start in range(0, rows, _SPAN):
        end = min(rows, start + _SPAN)
        fours = end - (end - start) % 4
        for root in roots:
            for row in range(start, fours, 4):
                a = b = c = d = root
                while min(min(a, b), min(c, d)) < splits:
                    a = children[2 * a + np.int32(values[row, column[a]] <= threshold[a])]
                    b = children[2 * b + np.int32(values[row + 1, column[b]] <= threshold[b])]
                    c = children[2 * c + np.int32(values[row + 2, column[c]] <= threshold[c])]
                    d = children[2 * d + np.int32(values[row + 3, column[d]] <= threshold[d])]
                total[row] += leaf[a]
                total[row + 1] += leaf[b]
                total[row + 2] += leaf[c]
                total[row + 3] += leaf[d]
            for row in range(fours, end):
                a = root
                while a < splits:
                    a = children[2 * a + np.int32(values[row, column[a]] <= threshold[a])]
                total[row] += leaf[a]


@_compile
def _add_bag(splits, ids, values, first, places, into):  # type: ignore[no-untyped-def]
    """Adds the values of a bag's ids to their places in the used columns; `first` is the column of its id 0."""
    for row in range(len(into)):
        for entry in range(splits[row], splits[row + 1]):
            place = places[first + ids[entry]]
            if place >= 0:
                into[row, place] += values[entry]


def _is_whole(arrays: Mapping[str, np.ndarray], columns: int) -> bool:
    """Whether arrays are trees whose every path ends in a leaf, over so many columns."""
    if not set(TREE_ARRAY_TYPES) <= set(arrays) or any(arrays[name].ndim != 1 for name in TREE_ARRAY_TYPES):
        return False
    splits, count = arrays["splits"].astype(np.int64), len(arrays["column"])
    if (splits < 0).any() or splits.sum() != count or len(arrays["bias"]) != 1:
        return False
    if len(arrays["leaf"]) != count + len(splits) or ((arrays["column"] < 0) | (arrays["column"] >= columns)).any():
        return False
    inside, size = np.arange(count) - np.repeat(np.cumsum(splits) - splits, splits), np.repeat(splits, splits)
    sides = arrays["left"], arrays["right"]
    fits = (((s < 0) & (s >= -1 - size)) | ((s > inside) & (s < size)) for s in sides if len(s) == count)
    return len(arrays["threshold"]) == count and [bool(fit.all()) for fit in fits] == [True, True]
