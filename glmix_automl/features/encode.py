"""A schema applied to raw columns."""

import re
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.errors import DataError
from glmix_automl.features.hashing import hash_texts
from glmix_automl.features.matches import RowTerms, measure_match
from glmix_automl.features.values import FLOAT32_MAX, RawBag, as_bag, as_numbers, as_texts
from glmix_automl.schema import Bag, Feature, Numeric, Schema, Vocabulary

TermIds = npt.NDArray[np.int64]

_HISTORY = re.compile(r"past_.+")  # as preparation names its columns of history


def encode(schema: Schema, table: pa.Table | pa.RecordBatch) -> pa.Table:
    """The feature columns of `schema` for the raw rows of `table`, in the order of both.

    Columns are as `arrow_schema` says: numerics float32 and never NaN, categoricals int32 with 0 for null and unseen
    terms, bags list<int32> with ascending ids and never 0 (equal terms of a row merged, their values summed). Costs a
    pass over each vocabulary per call: hand over many rows at a time.

    Raises:
        DataError: a raw column is missing (which, and what is there) or of a type that cannot be read.
    """
    columns: dict[str, pa.Array] = {}
    for feature in schema.raw_features:
        columns.update(_encode(schema, feature, _raw(table, feature.source, feature.name)))
    return pa.table(columns | match_columns(schema, columns), schema=arrow_schema(schema))


def match_columns(schema: Schema, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> dict[str, pa.Array]:
    """The columns of the schema's matches from those of the features that they are of."""
    terms = {name: RowTerms.of_column(columns[name]) for match in schema.matches for name in match.of}
    return {
        match.name: pa.array(
            transform_numbers(match, measure_match(match, len(columns[one]), terms[one], terms[other]))
        )
        for match in schema.matches
        for one, other in [match.of]
    }


def entity_ids(schema: Schema, table: pa.Table | pa.RecordBatch, named: Collection[str] | None = None) -> pa.Table:
    """The entities' ids as string columns, null where the raw row has none; of all entities, or of those named.

    Raises:
        DataError: as `encode`.
    """
    wanted = [e for e in schema.entities if named is None or e.name in named]
    return pa.table({e.name: as_texts(_raw(table, e.source, e.name), e.source) for e in wanted})


def arrow_schema(schema: Schema) -> pa.Schema:
    """Names and types of the columns that `encode` gives."""
    return pa.schema([field for feature in schema.features for field in _fields(feature)])


def _fields(feature: Feature) -> Iterator[pa.Field]:
    if isinstance(feature, Numeric):
        yield pa.field(feature.name, pa.float32())
    elif isinstance(feature, Bag):
        yield pa.field(feature.name, pa.list_(pa.int32()))
        if feature.weighted:
            yield pa.field(feature.values, pa.list_(pa.float32()))
    else:
        yield pa.field(feature.name, pa.int32())


def _raw(table: pa.Table | pa.RecordBatch, source: str, name: str) -> pa.Array | pa.ChunkedArray:
    if source not in table.schema.names:
        there = ", ".join(table.schema.names) or "none"
        if _HISTORY.fullmatch(source):
            raise DataError(
                f"no column {source!r} in the rows: it is history, what preparation counts of the events before a row; "
                "hand over rows that bring their past_* columns, as those in raw/test of a prepared dataset do (in "
                "Python: pandas.read_parquet; on the command line: rows.path of glmix-automl score), or prepare "
                f"without history; their columns: {there}"
            )
        raise DataError(f"no column {source!r} in the rows (for {name!r}); their columns: {there}")
    return table.column(source)


def _encode(schema: Schema, feature: Feature, raw: pa.Array | pa.ChunkedArray) -> dict[str, pa.Array]:
    if isinstance(feature, Numeric):
        return {feature.name: pa.array(transform_numbers(feature, as_numbers(raw, feature.source)))}
    vocabulary = schema.vocabularies[feature.vocabulary]
    if isinstance(feature, Bag):
        return _bag(feature, vocabulary, as_bag(raw, feature.source, feature.separator), len(raw))
    texts = as_texts(raw, feature.source)
    return {feature.name: pa.array(_ids(vocabulary, texts).astype(np.int32))}


def transform_numbers(feature: Numeric, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The column of a numeric feature from raw numbers [rows], NaN where missing."""
    missing = np.isnan(numbers)
    if feature.transform == "missing":
        curved = missing.astype(np.float64)
    elif feature.transform == "log":
        curved = np.sign(numbers) * np.log1p(np.abs(numbers))
    elif feature.transform == "quantile":
        curved = _quantile(np.asarray(feature.knots), numbers)
    else:
        curved = numbers
    scaled = curved - feature.center
    scaled /= feature.scale
    if feature.transform != "missing":
        scaled[missing] = feature.fill
    return np.clip(scaled, -FLOAT32_MAX, FLOAT32_MAX, out=scaled).astype(np.float32)


def invert_numbers(feature: Numeric, column: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Raw numbers from a numeric feature's column: the inverse of `transform_numbers`, up to rounding and ties."""
    curved = np.asarray(column, np.float64) * feature.scale + feature.center
    if feature.transform == "log":
        return np.sign(curved) * np.expm1(np.abs(curved))
    if feature.transform == "quantile" and len(feature.knots) > 1:
        return np.interp(curved, np.linspace(0, 1, len(feature.knots)), feature.knots)
    return curved


def _quantile(knots: npt.NDArray[np.float64], numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Share of training rows at or below each number; knot i of m stands for the share i / (m - 1).

    `side="right"` puts a number equal to several knots at the last of them, so that ties count as at or below.
    """
    last = len(knots) - 1
    if last < 1:
        return np.where(np.isnan(numbers), np.nan, 0.5)
    above = np.searchsorted(knots, numbers, side="right")
    low = np.clip(above - 1, 0, last)
    high = np.clip(above, 0, last)
    gap = knots[high] - knots[low]
    part = np.divide(numbers - knots[low], gap, out=np.zeros_like(numbers), where=gap > 0)
    return np.where(above == 0, 0.0, np.minimum((low + part) / last, 1.0))


def _ids(vocabulary: Vocabulary, texts: pa.Array) -> TermIds:
    """Ids of terms [rows], 0 for null and unseen."""
    if vocabulary.terms is not None:
        places = pc.index_in(texts, value_set=pa.array(vocabulary.terms, pa.string()))
        # A null term is not in the vocabulary, so it finds no place.
        return places.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
    ids = np.zeros(len(texts), np.int64)
    there = texts.is_valid().to_numpy(zero_copy_only=False)
    ids[there] = 1 + (hash_texts(texts.drop_null()) % np.uint64(vocabulary.buckets or 1)).astype(np.int64)
    return ids


def _bag(feature: Bag, vocabulary: Vocabulary, raw: RawBag, rows: int) -> dict[str, pa.Array]:
    ids = _ids(vocabulary, raw.terms)
    seen = ids > 0
    row, ids, values = _merge(raw.rows[seen], ids[seen], raw.values[seen], vocabulary.size)
    ends = np.cumsum(np.bincount(row, minlength=rows))
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    columns = {feature.name: pa.ListArray.from_arrays(offsets, pa.array(ids.astype(np.int32)))}
    if feature.weighted:
        numbers = np.clip(values, -FLOAT32_MAX, FLOAT32_MAX).astype(np.float32)
        columns[feature.values] = pa.ListArray.from_arrays(offsets, pa.array(numbers))
    return columns


def _merge(
    row: TermIds, ids: TermIds, values: npt.NDArray[np.float64], size: int
) -> tuple[TermIds, TermIds, npt.NDArray[np.float64]]:
    """One entry per (row, id), in that order, values summed in the order they came."""
    key = row * size + ids
    if np.all(np.diff(key) > 0):
        return row, ids, values
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    return row[order][first], ids[order][first], np.add.reduceat(values[order], first)
