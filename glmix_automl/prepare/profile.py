"""What a written dataset looks like: the numbers behind the data checks, in three passes over it and its staged rows.

Histograms are counted where the rows are (one small table per partition comes back), so nothing of the size of the data
reaches the driver. Numeric features are binned at up to 100 quantiles of a sample of train, terms beyond the 1,000 most
frequent are one bin; drift and single-feature AUC are those of the bins.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import partial, reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glmix_automl.config import Config
from glmix_automl.prepare.split import SPLIT, share
from glmix_automl.prepare.stage import in_large_batches
from glmix_automl.prepare.tables import column
from glmix_automl.schema import LABEL, SPLITS, UID, WEIGHT, Bag, Entity, Feature, Numeric, Schema

_SAMPLE = 20_000
_QUANTILES = 100
TERMS = 1_000
_CLASSES, _WEIGHTS = -1, -2  # in place of a feature's number: rows per class, weight per class (see `_weighed`)
_POWERS, _LOWEST, _BITS = 300, -160, 24  # of float32: binary exponents from -148 to 128, and bits of the mantissa
_OUT = "split int, feature int, label int, bin int, n bigint"
_LEVELS = (1, 2, 5, 10, 50)

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


def profile(frames: dict[str, DataFrame], schema: Schema) -> Profile:
    """The numbers of written splits."""
    edges = _edges(frames[SPLITS[0]], schema)
    sizes = [_bins(schema, f, edges) for f in schema.features]
    # By place and under plain names: Spark's mapInArrow cannot resolve names with dots.
    wanted = [column(name).alias(f"c{i}") for i, name in enumerate([LABEL, WEIGHT, *(f.name for f in schema.features)])]
    parts = [f.select(F.lit(i).alias("s"), *wanted) for i, f in enumerate(frames.values())]
    counted = reduce(DataFrame.unionAll, parts).mapInArrow(partial(_count, schema.features, edges, sizes), _OUT)
    rows = counted.groupBy("split", "feature", "label", "bin").agg(F.sum("n").alias("n")).collect()
    tables = [np.zeros((len(SPLITS), 2, size), np.int64) for size in sizes]
    classes, weights = np.zeros((len(SPLITS), 2, 1), np.int64), np.zeros((len(SPLITS), 2, _POWERS), np.int64)
    for split, feature, label, place, n in rows:
        table = tables[feature] if feature >= 0 else classes if feature == _CLASSES else weights
        table[split, label, place] = n
    return Profile(
        rows={s: (int(classes[i, 0, 0]), int(classes[i, 1, 0])) for i, s in enumerate(SPLITS)},
        base_rates={s: base_rate(weights[i]) for i, s in enumerate(SPLITS)},
        histograms={f.name: _histograms(t) for f, t in zip(schema.features, tables, strict=True)},
        entities=_entities(frames, schema.entities),
        edges={f.name: tuple(bounds) for f, bounds in zip(schema.numerics, edges, strict=True)},
    )


def staged_fill(frame: DataFrame, kinds: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Counts of staged columns (name -> kind) by split: `rows`, `<name>_there` (rows with a value) and `<name>_extra`:
    distinct values, approximately (HyperLogLog, standard error 5 %), or all terms of a bag.
    """
    aggregates = [F.count(F.lit(1)).alias("rows")]
    for name, kind in kinds.items():
        there = F.col(name).isNotNull() if kind != "bag" else F.size(name) > 0
        aggregates.append(F.count_if(there).alias(f"{name}_there"))
        extra = F.sum(F.greatest(F.size(name), F.lit(0))) if kind == "bag" else F.approx_count_distinct(name)
        aggregates.append(extra.alias(f"{name}_extra"))
    found = frame.where(F.col(SPLIT).isNotNull()).groupBy(SPLIT).agg(*aggregates).collect()
    return {row[SPLIT]: row.asDict() for row in found}


def weighed(weights: npt.NDArray[np.float32], group: Counts, groups: int) -> Counts:
    """Exact sums of weights by group, [groups, powers]: whole multiples of each power of two. Sums of floats would
    depend on the order of rows, and sums in steps of one size lose weights that are small or large for it.
    """
    mantissa, power = np.frexp(weights.astype(np.float64))
    sums = np.zeros((groups, _POWERS), np.int64)
    np.add.at(sums, (group, power - _LOWEST), np.rint(np.ldexp(mantissa, _BITS)).astype(np.int64))
    return sums


def base_rate(weights: Counts) -> float:
    """Share of the second class in sums as `weighed` gives them, [2, powers]."""
    negative, positive = (
        sum(Fraction(int(n)) * Fraction(2) ** (p + _LOWEST) for p, n in enumerate(row) if n) for row in weights
    )
    return float(positive / (negative + positive)) if negative + positive else 0.0


def _histograms(table: Counts) -> Histograms:
    return Histograms(
        counts={s: (tuple(table[i, 0].tolist()), tuple(table[i, 1].tolist())) for i, s in enumerate(SPLITS)}
    )


def _edges(train: DataFrame, schema: Schema) -> list[list[float]]:
    """Upper bounds of the bins of each numeric feature (right bounds belong to the next bin)."""
    names = [f.name for f in schema.numerics]
    if not names:
        return []
    rows = train.count()
    drawn = train.where(share(UID, 0) < _SAMPLE / rows) if rows > _SAMPLE else train
    sample = drawn.select(*map(column, names)).toArrow()
    levels = np.linspace(0, 1, _QUANTILES + 1)[1:]
    return [np.unique(np.quantile(c.to_numpy(), levels, method="lower")).tolist() for c in sample.columns]


def _bins(schema: Schema, feature: Feature, edges: list[list[float]]) -> int:
    if isinstance(feature, Numeric):
        return len(edges[schema.numerics.index(feature)]) + 1
    return min(schema.size(feature), TERMS + 1) + 1


def _count(
    features: tuple[Feature, ...], edges: list[list[float]], sizes: list[int], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    tables = [np.zeros((len(SPLITS), 2, size), np.int64) for size in sizes]
    classes, weights = np.zeros((len(SPLITS), 2, 1), np.int64), np.zeros((len(SPLITS), 2, _POWERS), np.int64)
    for table in in_large_batches(batches):
        group = table.column(0).to_numpy().astype(np.int64) * 2 + table.column(1).to_numpy().astype(np.int64)
        classes += np.bincount(group, minlength=6).reshape(classes.shape)
        weights += weighed(table.column(2).to_numpy(), group, 6).reshape(weights.shape)
        numeric = iter(edges)
        for i, feature in enumerate(features):
            raw = table.column(i + 3)
            rows, places = _places(feature, raw, next(numeric) if isinstance(feature, Numeric) else [], sizes[i])
            flat = group[rows] * sizes[i] + places
            tables[i] += np.bincount(flat, minlength=6 * sizes[i]).reshape(tables[i].shape)
    yield from _as_batches([(i, t) for i, t in enumerate(tables)], classes, weights)


def _places(feature: Feature, raw: pa.ChunkedArray, edges: list[float], size: int) -> tuple[Any, Counts]:
    """Row numbers (or all rows) and the bin of each."""
    if isinstance(feature, Numeric):
        return slice(None), np.searchsorted(np.asarray(edges), raw.to_numpy(), side="right")
    if isinstance(feature, Bag):
        array = raw.combine_chunks()
        array = array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)
        rows = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        ids = array.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
        return rows, np.minimum(ids, size - 1)
    return slice(None), np.minimum(raw.to_numpy().astype(np.int64), size - 1)


def _as_batches(tables: list[tuple[int, Counts]], classes: Counts, weights: Counts) -> Iterator[pa.RecordBatch]:
    named = [*tables, (_CLASSES, classes), (_WEIGHTS, weights)]
    for number, table in named:
        split, label, place = np.nonzero(table)
        columns = [split, np.full(len(split), number), label, place]
        arrays = [pa.array(c.astype(np.int32)) for c in columns] + [pa.array(table[split, label, place])]
        yield pa.RecordBatch.from_arrays(arrays, names=["split", "feature", "label", "bin", "n"])


def _entities(frames: dict[str, DataFrame], entities: tuple[Entity, ...]) -> dict[str, EntityProfile]:
    if not entities:
        return {}
    parts = [
        frame.select(F.lit(e).alias("entity"), column(entity.name).alias("id"), F.lit(s).alias("split"))
        for e, entity in enumerate(entities)
        for s, frame in enumerate(frames.values())
    ]
    per_id = reduce(DataFrame.unionAll, parts).groupBy("entity", "id")
    rows = [F.count_if(F.col("split") == s) for s in range(len(SPLITS))]
    counted = per_id.agg(*(r.alias(f"n{s}") for s, r in enumerate(rows)))
    known = F.col("n0") > 0
    levels = [F.count_if((F.col("n0") >= low) & (F.col("n0") < high)) for low, high in _ranges()]
    wanted = [F.count_if(F.col(f"n{s}") > 0) for s in range(3)] + [F.sum(f"n{s}") for s in range(3)]
    wanted += [F.sum(F.when(known, F.col(f"n{s}")).otherwise(0)) for s in range(3)]
    result = {}
    for number, *found in counted.groupBy("entity").agg(*wanted, *levels).collect():
        ids, all_rows, with_history, by_rows = found[:3], found[3:6], found[6:9], found[9:]
        result[entities[number].name] = EntityProfile(
            ids=dict(zip(SPLITS, ids, strict=True)),
            rows_with_history={s: w / max(r, 1) for s, w, r in zip(SPLITS, with_history, all_rows, strict=True)},
            train_rows=dict(zip(_level_names(), by_rows, strict=True)),
        )
    return {e.name: result[e.name] for e in entities}


def _ranges() -> list[tuple[int, int]]:
    return list(zip(_LEVELS, (*_LEVELS[1:], 2**62), strict=True))


def _level_names() -> list[str]:
    return [
        f"{low}+" if high == 2**62 else f"{low}" if high == low + 1 else f"{low}-{high - 1}" for low, high in _ranges()
    ]
