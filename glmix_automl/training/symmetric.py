"""Boosting of symmetric trees: all nodes of a level split by one column at one border, as CatBoost's do (Prokhorenkova
et al. 2018, section 4). A tree has few ways to fit its rows, so hundreds of them learn less by heart than others do.

Columns are in bins (`bins`). A level takes the column and border with the largest sum over its nodes of
`G^2 / (H + l2)` of both sides, G and H being sums of the rows' first and second derivatives (Chen and Guestrin 2016,
equation 7; `histograms`); a leaf is Newton's step. The trees are the same by any number of threads.
"""

from collections.abc import Sequence
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
from glmix_automl.training.bins import Binned, Mapper, descend, find_borders, put_in_bins
from glmix_automl.training.booster import choose_columns
from glmix_automl.training.histograms import NodeHistograms, Slopes
from glmix_automl.training.measure import Point

_TINY = 1e-12  # in place of a sum of second derivatives, where none is left and l2 is 0
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
        over: Mapper,
        threads: int,
    ) -> None:
        """Without trees.

        Args:
            coordinate: which columns of rows there are, and the parameters.
            rows: of train and of validation, with the offsets of the trial.
            bias: fitted around the offsets.
            seed: of the columns of each tree.
            over, threads: what work is shared out by, and how many threads it has.
        """
        given = coordinate.parameters
        self._levels, self._rate, self._l2, self._bias = given.levels, given.learning_rate, given.l2, bias
        self._labels, self._weights = ([getattr(r, name).numpy() for r in rows] for name in ("label", "weight"))
        self._scores = [r.offset.numpy().astype(np.float64) + bias for r in rows]
        columns, self._kept = choose_columns(coordinate, rows[0])
        train, held_out = columns.tocsc(), coordinate.matrix(rows[1])[:, self._kept].tocsc()
        self._borders = list(over(lambda k: find_borders(train[:, [k]], given.bins), range(train.shape[1])))
        self._counts = np.array([len(each) for each in self._borders], np.int64)
        self._train, self._held_out = (put_in_bins(each, self._borders, over) for each in (train, held_out))
        self._splittable = np.flatnonzero(self._counts)
        self._drawn = max(1, round(given.feature_share * len(self._splittable)))
        self._draws = generator(seed, "symmetric trees")
        self._histograms = NodeHistograms(self._train, self._counts, given.levels, threads, over)
        self._leaf = np.zeros(train.shape[0], np.uint8)
        self._trees: list[Grown] = []

    def update(self) -> bool:
        """Adds a tree; whether there was nothing left to split."""
        scores, label, weight = self._scores[0], self._labels[0], self._weights[0]
        p = expit(scores)
        first, second = weight * (label - p), weight * (p * (1 - p))
        wanted = self._splittable
        if self._drawn < len(wanted):
            wanted = np.sort(self._draws.choice(wanted, self._drawn, replace=False))
        self._histograms.begin(Slopes.of(first, second), wanted)
        self._leaf[:] = 0
        chosen: list[tuple[int, int]] = []
        while (split := self._histograms.find_split(self._l2)) is not None:
            chosen.append(split)
            descend(self._train, *split, self._leaf)
            if len(chosen) == self._levels:
                break
            self._histograms.descend(self._leaf)
        sums = _sum_leaves(self._leaf, first, second, 1 << len(chosen))
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
def _sum_leaves(leaf, first, second, leaves):  # type: ignore[no-untyped-def]
    sums = np.zeros((leaves, 2))
    for row in range(len(leaf)):
        sums[leaf[row], 0] += first[row]
        sums[leaf[row], 1] += second[row]
    return sums
