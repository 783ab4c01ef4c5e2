"""Arrays as columns of a raw table (names, lists, nulls), and a table computed from its row numbers alone."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from glmix_automl.generate.draws import Array, Draws

ROWS_PER_PART = 250_000
"""Rows per Spark partition: fixed, so that the same seed writes the same files on any cluster."""
START = 1_700_000_000
"""Seconds since the epoch at which the data begin."""
DAY = 86_400


def compute_table(
    spark: SparkSession, rows: int, columns: Callable[[Array], dict[str, pa.Array]], schema: str
) -> DataFrame:
    """A table of `rows` rows, each computed from its number (from 0) alone.

    Args:
        spark: the session.
        rows: how many.
        columns: row numbers [batch] -> the columns in the order of the schema; runs in Spark's Python workers.
        schema: the columns' Spark types (DDL).
    """

    def compute(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        for batch in batches:
            yield pa.RecordBatch.from_pydict(columns(batch.column("id").to_numpy()))

    return spark.range(0, rows, 1, max(1, -(-rows // ROWS_PER_PART))).mapInArrow(compute, schema)


def missing(draws: Draws, name: str, probability: float, key: Array, values: "Array | pa.Array") -> pa.Array:
    """The values, null with the given probability."""
    column = values if isinstance(values, pa.Array) else pa.array(values)
    absent = pa.array(draws.chance(f"{name}/missing", probability, key))
    return pc.if_else(absent, pa.scalar(None, column.type), column)


def identifiers(prefix: str, number: Array) -> pa.Array:
    """`prefix` and the number, as text."""
    return pc.binary_join_element_wise(prefix, pa.array(number).cast(pa.string()), "")


def terms(names: list[str], number: Array) -> pa.Array:
    """The names at the given places."""
    return pa.array(names).take(pa.array(number))


def lists(prefix: str, numbers: Array) -> pa.Array:
    """Lists of `prefix` and number; `numbers` is [rows, most], -1 where a list is shorter."""
    there = numbers >= 0
    offsets = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), identifiers(prefix, numbers[there]))
