"""What a written dataset looks like: the numbers behind the data checks, counted where shards are written.

Numeric features are binned at up to 100 quantiles of a sample of train, terms beyond the 1,000 most frequent are one
bin; drift and single-feature AUC are those of the bins. What describes a member or an item is counted once per id, as
often as the id has rows.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.config import Config
from glmix_automl.features.encode import transform_numbers
from glmix_automl.prepare.sides import LEVELS, IdCounts
from glmix_automl.schema import SPLITS, Bag, Entity, Feature, Numeric, Schema, TermMatch

_QUANTILES = 100
_COUNTS_APART = 20  # shared terms; more are one bin
_POWERS, _LOWEST, _BITS = 300, -160, 24  # of float32: binary exponents from -148 to 128, and bits of the mantissa
TERMS = 1_000

Counts = npt.NDArray[np.int64]


class EntityProfile(Config):
    """Who is in the dataset, of one kind of entity."""

    ids: dict[str, int]
    """Split -> distinct ids."""
    rows_with_history: dict[str, float]
    """Split -> share of its rows whose id has rows in train."""
    train_rows: dict[str, int]
    """Ids by their number of training rows: `1`, `2-4`, ..., `50+`."""


class Histograms(Config):
    """Counts of one feature: split -> class -> bins."""

    counts: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    def of(self, split: str) -> Counts:
        """[2, bins]."""
        return np.asarray(self.counts[split], np.int64)


class Profile(Config):
    """The numbers of a dataset."""

    rows: dict[str, tuple[int, int]]
    """Split -> written rows, negative and positive."""
    base_rates: dict[str, float]
    """Split -> weighted share of positives."""
    histograms: dict[str, Histograms]
    """Feature -> its counts. Bin 0 of terms is id 0; a bag's bins count its ids."""
    entities: dict[str, EntityProfile]
    edges: dict[str, tuple[float, ...]] = {}
    """Numeric feature -> upper bounds of its bins, as encoded; the last bin has none."""


Edges = dict[str, list[float]]
"""Numeric feature -> upper bounds of its bins (right bounds belong to the next bin)."""


def edges_of(samples: Mapping[str, npt.NDArray[np.float32]]) -> Edges:
    """Bins of numeric features at the quantiles of drawn values."""
    levels = np.linspace(0, 1, _QUANTILES + 1)[1:]
    return {
        name: np.unique(np.quantile(values, levels, method="lower")).tolist() if len(values) else []
        for name, values in samples.items()
    }


def match_levels(match: TermMatch) -> npt.NDArray[np.float32]:
    """Values of a match to bin it at; they are known before its rows are."""
    counts = np.arange(_COUNTS_APART + 1.0)
    return transform_numbers(match, counts if match.measure == "count" else counts / _COUNTS_APART)


def bins(schema: Schema, feature: Feature, edges: Edges) -> int:
    """How many bins a feature has."""
    if isinstance(feature, Numeric):
        return len(edges[feature.name]) + 1
    return min(schema.size(feature), TERMS + 1) + 1


def histograms(schema: Schema, table: pa.Table | pa.RecordBatch, edges: Edges, weights: Counts) -> dict[str, Counts]:
    """Feature -> rows by group and bin: [groups, bins].

    Args:
        schema: the features to count.
        table: their columns.
        edges: of numeric features.
        weights: [rows] of int64, the group of each row; or [rows, groups], how many rows of each group it stands for.
    """
    groups = weights.shape[1] if weights.ndim == 2 else 2
    result = {}
    for feature in schema.features:
        size = bins(schema, feature, edges)
        rows, places = _places(feature, table.column(feature.name), edges.get(feature.name, []), size)
        if weights.ndim == 1:
            result[feature.name] = np.bincount(weights[rows] * size + places, minlength=groups * size).reshape(-1, size)
        else:
            columns = [np.bincount(places, weights=weights[rows, g], minlength=size) for g in range(groups)]
            result[feature.name] = np.stack(columns).astype(np.int64)
    return result


def sum_weights(weights: npt.NDArray[np.float32], group: Counts, groups: int) -> Counts:
    """Exact sums of weights by group, [groups, powers]: whole multiples of each power of two. Sums of floats would
    depend on the order of rows, and sums in steps of one size lose weights that are small or large for it.
    """
    mantissa, power = np.frexp(weights.astype(np.float64))
    sums = np.zeros((groups, _POWERS), np.int64)
    np.add.at(sums, (group, power - _LOWEST), np.rint(np.ldexp(mantissa, _BITS)).astype(np.int64))
    return sums


def base_rate(weights: Counts) -> float:
    """Share of the second class in sums as `sum_weights` gives them, [2, powers]."""
    negative, positive = (
        sum(Fraction(int(n)) * Fraction(2) ** (p + _LOWEST) for p, n in enumerate(row) if n) for row in weights
    )
    return float(positive / (negative + positive)) if negative + positive else 0.0


def as_histograms(table: Counts) -> Histograms:
    """From counts by split, class and bin."""
    return Histograms(
        counts={s: (tuple(table[i, 0].tolist()), tuple(table[i, 1].tolist())) for i, s in enumerate(SPLITS)}
    )


def entity_profiles(entities: Sequence[Entity], found: Sequence[IdCounts]) -> dict[str, EntityProfile]:
    """Who is in the dataset, by entity."""
    return {
        entity.name: EntityProfile(
            ids=dict(zip(SPLITS, ids.ids.tolist(), strict=True)),
            rows_with_history={
                s: w / max(r, 1) for s, w, r in zip(SPLITS, ids.with_history.tolist(), ids.rows.tolist(), strict=True)
            },
            train_rows=dict(zip(_level_names(), ids.levels.tolist(), strict=True)),
        )
        for entity, ids in zip(entities, found, strict=True)
    }


def _places(feature: Feature, raw: pa.Array | pa.ChunkedArray, edges: list[float], size: int) -> tuple[Any, Counts]:
    """Row numbers (or all rows) and the bin of each."""
    if isinstance(feature, Numeric):
        return slice(None), np.searchsorted(np.asarray(edges), raw.to_numpy(), side="right")
    if isinstance(feature, Bag):
        array = raw.combine_chunks() if isinstance(raw, pa.ChunkedArray) else raw
        rows = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        ids = array.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
        return rows, np.minimum(ids, size - 1)
    return slice(None), np.minimum(raw.to_numpy().astype(np.int64), size - 1)


def _level_names() -> list[str]:
    ends = (*LEVELS[1:], None)
    return [
        f"{low}+" if end is None else f"{low}" if end == low + 1 else f"{low}-{end - 1}"
        for low, end in zip(LEVELS, ends, strict=True)
    ]
