"""Permutation importance: the AUC that is lost when a raw column's values are given to other rows (Breiman 2001)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from glmix_automl import metrics
from glmix_automl.dataset import Dataset
from glmix_automl.dataset.block import Block
from glmix_automl.schema import Schema
from glmix_automl.seeds import generator

ROWS_SAMPLED = 20_000  # of the sample, about: whole members

Score = Callable[[Block], NDArray[np.float32]]
"""Log-odds of a block's rows, offsets not included."""


@dataclass(frozen=True)
class Importance:
    """Raw column -> validation AUC lost without it, on a sample of so many rows."""

    losses: Mapping[str, float] = field(default_factory=dict)
    rows: int = 0


def permutation_importance(score: Score, dataset: Dataset, seed: int, split: str = "validation") -> Importance:
    """The importance of every raw column that features are made of; all features of a column move together.

    Raises:
        DataError: the dataset cannot be read.
    """
    block = dataset.read(split, fraction=min(1.0, ROWS_SAMPLED / max(dataset.rows(split), 1)), seed=seed, entities=True)
    whole = _auc(block, score)
    if np.isnan(whole):
        return Importance()
    draws = generator(seed, "permutation importance")
    losses = {source: whole - _auc(moved, score) for source, moved in _permute(dataset.schema, block, draws)}
    return Importance(losses, len(block))


def _auc(block: Block, score: Score) -> float:
    return metrics.auc(block.label, score(block) + block.offset, block.weight)


def _permute(schema: Schema, block: Block, draws: np.random.Generator) -> Iterator[tuple[str, Block]]:
    """(raw column, the block with its features taken from other rows) for every raw column in turn."""
    for source in dict.fromkeys(feature.source for feature in schema.features):
        order = draws.permutation(len(block))
        numerics, categoricals = block.numerics.copy(), block.categoricals.copy()
        for table, features in ((numerics, schema.numerics), (categoricals, schema.categoricals)):
            own = [place for place, feature in enumerate(features) if feature.source == source]
            table[:, own] = table[order[:, None], np.array(own, int)]
        bags = tuple(
            bag.take(order) if feature.source == source else bag
            for feature, bag in zip(schema.bags, block.bags, strict=True)
        )
        yield source, replace(block, numerics=numerics, categoricals=categoricals, bags=bags)
