"""Gradient-boosted trees as arrays: grown by LightGBM (`training.boosting`), scored without it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from glmix_automl.errors import DataError, TrialError
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.models.parameters import TreesParameters
from glmix_automl.models.selection import FeatureSelection
from glmix_automl.schema import Schema

if TYPE_CHECKING:
    from glmix_automl.models.rows import Rows

TREE_SCORE_ROWS = 1 << 12  # rows scored at once, a multiple of 64: bounds the memory of their columns

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
        self._plan = _Plan(self._arrays)

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
        columns = self.matrix(rows)[:, self._plan.used]
        parts = [np.empty(0)]
        for start in range(0, columns.shape[0], TREE_SCORE_ROWS):
            part = columns[start : start + TREE_SCORE_ROWS]
            part.resize(-(-part.shape[0] // 64) * 64, part.shape[1])
            parts.append(self._plan.score(part.T.toarray(order="C")))
        return np.concatenate(parts)[: columns.shape[0]].astype(np.float32)


class _Plan:
    """All trees decided together, for 64 rows with one operation on their bits, whichever way each of them goes.

    A table has a row of bits per split and per leaf, which say what data reaches it, and one of zeros. The bits of a
    split's children follow from its own and from what goes left there; they are set level by level from the roots down.
    Then one leaf per tree has a row's bit, and its number is put together from the bits of its binary digits.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        splits, count, leaves = arrays["splits"].astype(np.int64), len(arrays["column"]), len(arrays["leaf"])
        begin, trees = np.cumsum(splits) - splits, np.arange(len(splits))
        self._first_leaf, of_split = (begin + trees)[:, None], np.repeat(trees, splits)

        def row(child: np.ndarray) -> np.ndarray:
            return np.where(child < 0, count - 1 - child + begin[of_split] + of_split, child + begin[of_split])

        self._left, self._right = row(arrays["left"]), row(arrays["right"])
        self._roots = np.where(splits > 0, begin, count + begin + trees)
        self._levels: list[np.ndarray] = []
        level = self._roots[splits > 0]
        while len(level):
            self._levels.append(level)
            below = np.concatenate([self._left[level], self._right[level]])
            level = below[below < count]
        self._threshold, order = arrays["threshold"][:, None], np.argsort(arrays["column"], kind="stable")
        self.used, starts = np.unique(arrays["column"][order], return_index=True)
        self._by_column = np.split(order, starts[1:]) if count else []
        self._leaf, self._bias, self._shape = arrays["leaf"], float(arrays["bias"][0]), (count, count + leaves + 1)
        of_leaf = np.repeat(trees, splits + 1)
        number = np.arange(leaves) - self._first_leaf[of_leaf, 0]
        self._digits: list[tuple[np.ndarray, np.ndarray]] = []
        for digit in range(int(splits.max(initial=0)).bit_length()):
            chosen = np.flatnonzero(number >> digit & 1)
            starts = np.searchsorted(of_leaf[chosen], trees)
            # A row of zeros before those of each tree, as small trees have no leaf with this digit.
            self._digits.append((np.insert(chosen + count, starts, count + leaves), starts + trees))

    def score(self, values: np.ndarray) -> np.ndarray:
        """Scores, float64 [rows], from the used columns, float32 [columns, rows]; rows are a multiple of 64."""
        splits, table = self._shape
        goes_left = np.empty((splits, values.shape[1] // 8), np.uint8)
        for column, which in zip(values, self._by_column, strict=True):
            goes_left[which] = np.packbits(column <= self._threshold[which], axis=1)
        packed = goes_left.view(np.uint64)
        reached = np.zeros((table, values.shape[1] // 64), np.uint64)
        reached[self._roots] = ~np.uint64(0)
        for level in self._levels:
            left = reached[level] & packed[level]
            reached[self._right[level]] = reached[level] ^ left
            reached[self._left[level]] = left
        number = np.zeros((len(self._roots), values.shape[1]), np.uint16)
        for digit, (rows, starts) in enumerate(self._digits):
            bits = np.bitwise_or.reduceat(reached[rows], starts, axis=0)
            number |= np.unpackbits(bits.view(np.uint8), axis=1).astype(np.uint16) << np.uint16(digit)
        return self._bias + self._leaf[self._first_leaf + number].sum(axis=0)


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
