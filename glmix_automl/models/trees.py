"""Gradient-boosted trees as arrays: grown by LightGBM (`training.boosting`), scored without it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from glmix_automl.errors import DataError, TrialError
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.models.family import TRAINING, Parameter, resolve
from glmix_automl.models.network import EMBEDDING
from glmix_automl.models.rows import Rows
from glmix_automl.schema import Schema
from glmix_automl.trial import Value

CELLS = 1 << 22  # (row, split) pairs decided at once: bounds the memory of scoring

KINDS = {
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
        columns: how many there are.
        seen: those that trees may split, by `inputs`.
    """

    def __init__(self, schema: Schema, parameters: Mapping[str, Value]) -> None:
        super().__init__("trees", schema, parameters)
        numerics, terms = len(schema.numerics), len(schema.categoricals) + sum(map(schema.size, schema.bags))
        self.columns, seen = numerics + terms, str(parameters["inputs"])
        self.seen = range(numerics if seen == "terms" else 0, numerics if seen == "numerics" else self.columns)
        if not self.seen:
            raise TrialError(f"family trees: inputs {seen!r}: the dataset has no such features")
        self.plant({name: np.zeros(int(name == "bias"), kind) for name, kind in KINDS.items()})

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """See `Coordinate`."""
        return dict(self._arrays)

    def plant(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes on trees, arrays as the class has them."""
        self._arrays = {name: np.asarray(arrays[name], kind) for name, kind in KINDS.items()}
        self._plan = _Plan(self._arrays)

    def restore(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        """See `Coordinate`; how many trees there are is in the arrays."""
        if not _is_whole(arrays, self.columns):
            raise DataError(f"{where}: these are no trees over {self.columns} columns: of another dataset, or damaged")
        self.plant(arrays)

    def matrix(self, rows: Rows) -> sparse.csr_matrix:
        """All columns of rows, float32 [rows, columns], entries of 0 left out."""
        parts = [sparse.csr_matrix(part.numpy().astype(np.float32)) for part in (rows.numerics, rows.categoricals)]
        for bag, feature in zip(rows.bags, self.schema.bags, strict=True):
            shape = len(bag.splits) - 1, self.schema.size(feature)
            parts.append(sparse.csr_matrix((bag.values.numpy(), bag.ids.numpy(), bag.splits.numpy()), shape=shape))
            parts[-1].sum_duplicates()
        return sparse.hstack(parts, format="csr", dtype=np.float32)

    def score(self, rows: Rows) -> np.ndarray:
        """See `Coordinate`."""
        plan, columns = self._plan, self.matrix(rows)[:, self._plan.used]
        scores = np.empty(columns.shape[0], np.float32)
        step = max(1, CELLS // max(len(plan.threshold), 1))
        for start in range(0, len(scores), step):
            values = np.ascontiguousarray(columns[start : start + step].toarray().T)
            scores[start : start + step] = plan.score(values)
        return scores


class _Plan:
    """All trees decided together, splits by height: those above leaves first, then those above these, up to the roots.

    A table has a row per split, the number of the leaf below it that a row of data ends in, and a row per number of a
    leaf, the number itself. So a split picks one of two rows of the table, and its cost is that of a few bit operations
    on small integers, whichever way the data goes.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        splits, count = arrays["splits"].astype(np.int64), len(arrays["column"])
        begin = np.cumsum(splits) - splits
        shift = np.repeat(begin, splits)
        children = [np.where(arrays[side] < 0, arrays[side], arrays[side] + shift) for side in ("left", "right")]
        height, order = _by_height(children)
        place = np.empty(count, np.int64)
        place[order] = np.arange(count)
        self.used, column = np.unique(arrays["column"], return_inverse=True)
        self.threshold = arrays["threshold"][order, None]
        self._column = column[order]
        rows = [np.where(child < 0, count - 1 - child, np.append(place, 0)[child]) for child in children]
        self._left, self._right = (row[order] for row in rows)
        self._levels = np.append(np.flatnonzero(np.diff(height[order], prepend=0)), count)
        self._numbers = np.arange(int(splits.max(initial=0)) + 1)
        self._kind = np.min_scalar_type(len(self._numbers) - 1)
        self._roots = np.full(len(splits), count)
        self._roots[splits > 0] = place[begin[splits > 0]]
        self._leaf, self._bias = arrays["leaf"], float(arrays["bias"][0])
        self._first_leaf = (begin + np.arange(len(splits)))[:, None]

    def score(self, values: np.ndarray) -> np.ndarray:
        """Scores, float64 [rows], from the used columns, float32 [columns, rows]."""
        count = len(self.threshold)
        table = np.empty((count + len(self._numbers), values.shape[1]), self._kind)
        table[count:] = self._numbers[:, None]
        for start, end in zip(self._levels[:-1], self._levels[1:], strict=True):
            level = slice(start, end)
            goes_left = values[self._column[level]] <= self.threshold[level]
            mask = np.negative(goes_left.view(np.uint8), dtype=self._kind)  # all bits, or none
            right = table[self._right[level]]
            table[level] = right ^ (mask & (table[self._left[level]] ^ right))
        return self._bias + self._leaf[self._first_leaf + table[self._roots]].sum(axis=0)


def _by_height(children: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Height of every split above the leaves, from 1, and the splits in that order; children lie after parents."""
    height = np.zeros(len(children[0]) + 1, np.int64)  # the last one is a leaf's
    while True:
        above = 1 + np.maximum(*(height[np.maximum(child, -1)] for child in children))
        if np.array_equal(above, height[:-1]):
            return above, np.argsort(above, kind="stable")
        height[:-1] = above


def _is_whole(arrays: Mapping[str, np.ndarray], columns: int) -> bool:
    """Whether arrays are trees whose every path ends in a leaf, over so many columns."""
    if not set(KINDS) <= set(arrays) or any(arrays[name].ndim != 1 for name in KINDS):
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


@dataclass(frozen=True)
class TreesFamily:
    """Gradient-boosted trees by LightGBM (Ke et al. 2017), for the logistic loss."""

    name = "trees"
    parameters = {
        "trees": Parameter(300, "per epoch of the budget", low=1, high=100_000),
        "leaves": Parameter(31, "of a tree, at most", low=2, high=65_536),
        "learning_rate": Parameter(0.1, "what a tree's leaves are multiplied by", low=1e-8, high=10.0),
        "leaf_rows": Parameter(20, "rows of a leaf, at least", low=1, high=1 << 24),
        "feature_share": Parameter(1.0, "share of the columns that a tree may split", low=0.001, high=1.0),
        "row_share": Parameter(1.0, "share of the rows that a tree is grown on", low=0.001, high=1.0),
        "l2": Parameter(0.0, "strength of 1/2 |leaf|^2 beside the sum of the rows' losses", low=0.0),
        "bins": Parameter(255, "values of a column told apart, at most", low=2, high=65_535),
        "patience": Parameter(50, "trees without a better validation AUC that end training; 0: none", low=0),
        "inputs": EMBEDDING["inputs"],
        "distillation": TRAINING["distillation"],
    }

    def resolve(self, parameters: Mapping[str, Any]) -> dict[str, Value]:
        """See `ModelFamily`."""
        return resolve(self.name, self.parameters, parameters)

    def build(self, schema: Schema, parameters: Mapping[str, Any], seed: int) -> Trees:
        """See `ModelFamily`; there is nothing to draw before training."""
        return Trees(schema, self.resolve(parameters))

    def complexity(self, parameters: Mapping[str, Any]) -> float:
        """Root of the depth of a tree whose leaves are all as deep, the sum over trees counted as a layer."""
        return math.sqrt(1 + math.log2(int(self.resolve(parameters)["leaves"] or 2)))


FAMILY = TreesFamily()
