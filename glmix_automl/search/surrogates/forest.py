"""Random forest and extra trees as surrogates, cheap to keep up to date: new results and lies only touch leaves.

Trees are built as by Breiman (2001) and Geurts et al. (2006); mean and variance follow the law of total variance over
trees and leaves (Hutter et al. 2014, section 4.3.2). Between builds every tree's leaves take in new rows, and with each
round of news only as many trees are built anew as the news are worth. So a proposal's price does not grow with the
number of trials told, and a lie costs one addition per tree.
"""

import math
from typing import Literal

import numpy as np

from glmix_automl.search.surrogates.surrogate import Floats64

FOREST_TREES = 64
REBUILD = 10
"""Times each tree is built anew while the told rows double: at 1,000 of them, about one of 64 trees per new row."""


class Forest:
    """A forest whose leaves hold weight, sum and sum of squares of the values that fell into them."""

    def __init__(self, kind: Literal["random_forest", "extra_trees"], trees: int = FOREST_TREES) -> None:
        self._kind, self._size = kind, trees
        self._trees: list = [None] * trees
        self._bags: Floats64 = np.empty((0, trees))
        self._values: Floats64 = np.empty(0)
        self._oldest = 0
        self._leaves: list[Floats64] = [np.empty((3, 0))] * trees

    def fit(self, columns: Floats64, values: Floats64, weights: Floats64, rng: np.random.Generator) -> None:
        """As `Surrogate.fit`."""
        rows, known = len(columns), len(self._bags)
        if rows == known and np.array_equal(values, self._values):
            return
        self._values = values
        # A bootstrap by independent Poisson counts: a row's count is drawn once, when it arrives (Oza 2005).
        counts = rng.poisson(1, (rows - known, self._size)) if self._kind == "random_forest" else 1.0
        self._bags = np.vstack([self._bags, np.broadcast_to(counts, (rows - known, self._size))])
        stale = self._size if not known else math.ceil(self._size * REBUILD * (rows - known) / rows)
        narrow = np.asarray(columns, np.float32)
        rebuilt = {(self._oldest + i) % self._size for i in range(min(stale, self._size))}
        self._oldest = (self._oldest + len(rebuilt)) % self._size
        for position in sorted(rebuilt):
            self._build(position, narrow, values, weights, rng)
        for position in range(self._size):
            leaf = self._trees[position].apply(narrow)
            weight = self._bags[:, position] * weights
            self._leaves[position] = np.stack(
                [np.bincount(leaf, part, self._trees[position].node_count) for part in _parts(weight, values)]
            )

    def _build(
        self, position: int, narrow: np.ndarray, values: Floats64, weights: Floats64, rng: np.random.Generator
    ) -> None:
        from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

        seed = int(rng.integers(2**31))
        inside = self._bags[:, position] * weights
        if not (inside > 0).any():
            inside = weights
        kept = inside > 0
        if self._kind == "random_forest":
            tree = DecisionTreeRegressor(max_features=0.75, min_samples_split=3, random_state=seed)
        else:
            tree = ExtraTreeRegressor(max_features=1.0, min_samples_split=3, random_state=seed)
        tree.fit(narrow[kept], values[kept], sample_weight=inside[kept], check_input=False)
        self._trees[position] = tree.tree_

    def posterior(self, pending: Floats64, lie: float | None, candidates: Floats64) -> "ForestPosterior":
        """As `Surrogate.posterior`."""
        starts = np.cumsum([0] + [leaves.shape[1] for leaves in self._leaves])
        leaves = np.hstack(self._leaves)
        places = self._places(candidates, starts)
        posterior = ForestPosterior(leaves, places, lie)
        posterior.imagine_at(self._places(pending, starts))
        return posterior

    def _places(self, columns: Floats64, starts: np.ndarray) -> np.ndarray:
        narrow = np.asarray(columns, np.float32)
        return np.stack([tree.apply(narrow) + start for tree, start in zip(self._trees, starts, strict=False)])


def _parts(weight: Floats64, values: Floats64) -> tuple[Floats64, Floats64, Floats64]:
    return weight, weight * values, weight * values**2


class ForestPosterior:
    """Leaf statistics with lies laid over them.

    A lie moves the mean of the leaves it falls into and makes them surer, as its result will. Taken as one more value
    it would widen a leaf that holds better ones, and so attract the next proposal instead of turning it away.

    Args:
        leaves: weight, sum and sum of squares per leaf of all trees one after the other, [3, leaves].
        places: the leaf of each candidate in each tree, [trees, candidates].
        lie: the value of what is pending, or None to believe each leaf.
    """

    def __init__(self, leaves: Floats64, places: np.ndarray, lie: float | None) -> None:
        self._places, self._lie = places, lie
        self._weight = np.maximum(leaves[0], 1e-12)  # a leaf may hold nothing of a tree's bag
        self._sum, self._lies = leaves[1], np.zeros(len(self._weight))
        mean = self._sum / self._weight
        spread = np.maximum(leaves[2] / self._weight - mean**2, 0)
        self._variance = mean[places].var(axis=0) + spread[places].mean(axis=0)

    def imagine_at(self, places: np.ndarray) -> None:
        """Adds the lie to the leaves of points, [trees, points]."""
        np.add.at(self._lies, places.ravel(), 1.0)

    def imagine(self, position: int) -> None:
        """As `Posterior.imagine`."""
        self.imagine_at(self._places[:, position : position + 1])

    def moments(self) -> tuple[Floats64, Floats64]:
        """As `Posterior.moments`."""
        weight = self._weight + self._lies
        mean = self._sum / self._weight if self._lie is None else (self._sum + self._lies * self._lie) / weight
        unsure = (self._weight / weight)[self._places].mean(axis=0)
        return mean[self._places].mean(axis=0), np.sqrt(self._variance * unsure)
