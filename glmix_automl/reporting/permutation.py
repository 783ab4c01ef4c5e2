"""Permutation importance: the AUC that is lost when a raw column's values are given to other rows (Breiman 2001)."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from glmix_automl import metrics
from glmix_automl.dataset import Dataset
from glmix_automl.dataset.block import Block
from glmix_automl.features.encode import transform_numbers
from glmix_automl.features.matches import RowTerms, measure_match
from glmix_automl.schema import Schema, TermMatch
from glmix_automl.seeds import generator

FEWEST_ROWS, MOST_ROWS = 3_000, 20_000  # of the sample, about: whole members
ROWS_SCORED = 100_000  # of all columns and groups together: seconds where a model is of hundreds of trees

Score = Callable[[Block], NDArray[np.float32]]
"""Log-odds of a block's rows, offsets not included; called from several threads."""


@dataclass(frozen=True)
class Importance:
    """Raw column, and group of columns -> validation AUC lost without it, on a sample of so many rows."""

    losses: Mapping[str, float] = field(default_factory=dict)
    rows: int = 0
    groups: Mapping[str, float] = field(default_factory=dict)


def permutation_importance(
    score: Score,
    dataset: Dataset,
    seed: int,
    groups: Mapping[str, Sequence[str]] | None = None,
    split: str = "validation",
) -> Importance:
    """The importance of every raw column that features are made of, all features of a column moved together; and that
    of groups of raw columns, moved together too.

    Raises:
        DataError: the dataset cannot be read.
    """
    alone = {source: (source,) for source in dict.fromkeys(f.source for f in dataset.schema.raw_features)}
    rows = min(MOST_ROWS, max(FEWEST_ROWS, ROWS_SCORED // (len(alone) + len(groups or {}) + 1)))
    block = dataset.read(split, fraction=min(1.0, rows / max(dataset.rows(split), 1)), seed=seed, entities=True)
    whole = _auc(block, score)
    if np.isnan(whole):
        return Importance()
    draws = generator(seed, "permutation importance")

    def lose(sources: Sequence[str], order: NDArray[np.int64]) -> float:
        return whole - _auc(_move(dataset.schema, block, sources, order), score)

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # scoring is compiled code
        losses, of_groups = (
            dict(
                zip(sets, threads.map(lose, sets.values(), [draws.permutation(len(block)) for _ in sets]), strict=True)
            )
            for sets in (alone, groups or {})
        )
    return Importance(losses, len(block), of_groups)


def _auc(block: Block, score: Score) -> float:
    return metrics.auc(block.label, score(block) + block.offset, block.weight)


def _move(schema: Schema, block: Block, sources: Sequence[str], order: NDArray[np.int64]) -> Block:
    """The block with the features of these raw columns taken from other rows, and matches of them made again."""
    numerics, categoricals = block.numerics.copy(), block.categoricals.copy()
    for table, features in ((numerics, schema.numerics), (categoricals, schema.categoricals)):
        own = [place for place, feature in enumerate(features) if feature.source in sources]
        table[:, own] = table[order[:, None], np.array(own, int)]
    bags = tuple(
        bag.take(order) if feature.source in sources else bag
        for feature, bag in zip(schema.bags, block.bags, strict=True)
    )
    moved = {f.name for f in schema.raw_features if f.source in sources}
    stale = [(k, f) for k, f in enumerate(schema.numerics) if isinstance(f, TermMatch) and moved & set(f.of)]
    if stale:
        terms = {
            f.name: RowTerms.of_categorical(ids) for f, ids in zip(schema.categoricals, categoricals.T, strict=True)
        }
        terms |= {f.name: RowTerms.of_bag(bag.splits, bag.ids) for f, bag in zip(schema.bags, bags, strict=True)}
        for place, match in stale:
            one, other = (terms[name] for name in match.of)
            numerics[:, place] = transform_numbers(match, measure_match(match, len(block), one, other))
    return replace(block, numerics=numerics, categoricals=categoricals, bags=bags)
