"""Staging: raw rows read once into plain types and written down, so that no later step computes the recipe again.

The recipe's joins and window functions are the dear part of preparation; fitting, encoding and checking each need the
rows anew. Staged columns have names of our own (`f0`, `f1`, ...), so odd names of the raw data end here, and types of
three kinds only: double, string, array of (term, value).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.functions import arrow_udf
from pyspark.sql.pandas.types import from_arrow_type
from pyspark.sql.types import ArrayType, DataType, DoubleType, FloatType, IntegralType, StringType

from glmix_automl.features import FLOAT32_MAX, as_bag, as_numbers, as_texts
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, ColumnSplit, NumericFeature
from glmix_automl.prepare.rows import Rows
from glmix_automl.prepare.tables import column, term_text

BATCH_ROWS = 200_000
"""Rows handed to Python functions at a time: Spark's own batches are small, and vocabularies are hashed per call."""

UID, LABEL, WEIGHT, TIME, FOLD = "uid", "label", "weight", "time", "fold"
_KINDS = {
    "numeric": pa.float64(),
    "categorical": pa.string(),
    "bag": pa.list_(pa.struct([("term", pa.string()), ("value", pa.float64())])),
}
Declared = NumericFeature | CategoricalFeature | BagFeature


@dataclass(frozen=True)
class Staged:
    """What a staged column holds: a raw column read as one kind. Features may share one."""

    name: str
    source: str
    kind: str
    separator: str | None = None


def plan(features: tuple[Declared, ...]) -> dict[Declared, Staged]:
    """The staged column of each feature."""
    places: dict[tuple[str, str, str | None], Staged] = {}
    result = {}
    for feature in features:
        key = (feature.source, feature.kind, getattr(feature, "separator", None))
        places.setdefault(key, Staged(f"f{len(places)}", *key))
        result[feature] = places[key]
    return result


def staged(rows: Rows, split: object) -> DataFrame:
    """The rows with columns uid, label (int), weight (double), time (bigint), e0, e1, ... (entities), f0, f1, ...
    (see `plan`), and fold (string), the raw split column, where the split goes by one.

    Raises:
        DataError: when run, on a raw column of a type that its feature cannot be read from.
    """
    places = list(dict.fromkeys(plan(rows.features).values()))
    fixed = [
        column(rows.uid).cast("string").alias(UID),
        column(rows.label).cast("int").alias(LABEL),
        (column(rows.weight).cast("double") if rows.weight else F.lit(1.0)).alias(WEIGHT),
        (column(rows.time).cast("bigint") if rows.time else F.lit(0).cast("bigint")).alias(TIME),
        *(column(e.source).cast("string").alias(f"e{i}") for i, e in enumerate(rows.entities)),
    ]
    if isinstance(split, ColumnSplit):
        fixed.append(column(split.column).cast("string").alias(FOLD))
    kinds = {f.name: f.dataType for f in rows.frame.schema}
    return rows.frame.select(*fixed, *(_plain(column(p.source), kinds[p.source], p).alias(p.name) for p in places))


def in_large_batches(batches: Iterator[pa.RecordBatch], rows: int = BATCH_ROWS) -> Iterator[pa.Table]:
    """The batches put together to tables of about `rows` rows."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(b.num_rows for b in waiting) >= rows:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _plain(raw: Column, kind: DataType, place: Staged) -> Column:
    """A raw column as its staged kind, by Spark itself where that reads it as `glmix_automl.features` does."""
    if place.kind == "numeric" and isinstance(kind, IntegralType):
        return raw.cast("double")
    if place.kind == "numeric" and isinstance(kind, FloatType | DoubleType):
        number = raw.cast("double")
        finite = F.abs(number) < float("inf")  # false of NaN, which Spark puts above infinity
        return F.when(finite, F.greatest(F.least(number, F.lit(FLOAT32_MAX)), F.lit(-FLOAT32_MAX)))
    if place.kind == "categorical" and isinstance(kind, StringType | IntegralType):
        text = term_text(raw) if isinstance(kind, StringType) else raw.cast("string")
        return F.when(text != "", text)
    if place.kind == "bag" and isinstance(kind, ArrayType) and isinstance(kind.elementType, StringType):
        terms = F.filter(F.coalesce(raw, F.array()), lambda t: t.isNotNull() & (t != ""))
        return F.transform(terms, lambda t: F.struct(t.alias("term"), F.lit(1.0).alias("value")))

    def read(values: pa.Array) -> pa.Array:
        return _read(place, values)

    return arrow_udf(read, from_arrow_type(_KINDS[place.kind]))(raw)  # type: ignore[call-overload]


def _read(place: Staged, raw: pa.Array) -> pa.Array:
    if place.kind == "numeric":
        numbers = as_numbers(raw, place.source)
        return pa.array(numbers, mask=numbers != numbers)
    if place.kind == "categorical":
        return as_texts(raw, place.source)
    bag = as_bag(raw, place.source, place.separator)
    ends = np.cumsum(np.bincount(bag.rows, minlength=len(raw)))
    pairs = pa.StructArray.from_arrays([bag.terms, pa.array(bag.values)], ["term", "value"])
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]).astype(np.int32)), pairs)
