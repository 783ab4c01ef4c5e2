"""Arrays as columns of a raw table (names, lists, nulls), and tables computed in parts from their row numbers alone."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.generate.draws import Array, Draws

Given = TypeVar("Given")
Made = TypeVar("Made")
ColumnsOf: TypeAlias = Callable[[Array], dict[str, pa.Array]]
"""Row numbers [batch] -> the columns of these rows."""
TablePart: TypeAlias = Callable[[], pa.Table]
"""Computes some consecutive rows of a table."""

ROWS_PER_PART = 250_000
"""Rows of a file: fixed, so that the same seed writes the same files on any machine."""
BATCH = 1 << 14
"""Rows computed at once: few enough for their arrays to stay in the caches."""
START = 1_700_000_000
"""Seconds since the epoch at which the data begin."""
DAY = 86_400


def by_threads(function: Callable[[Given], Made], items: Sequence[Given]) -> Iterator[Made]:
    """The function of every item, in their order; a few threads ahead at most."""
    width = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(width) as pool:
        for first in range(0, len(items), 2 * width):  # no more results than that wait for whoever takes them
            yield from pool.map(function, items[first : first + 2 * width])


def by_rows(function: Callable[[Array], Made], rows: int) -> Iterator[Made]:
    """The function of row numbers 0 .. rows - 1, a batch at a time, in their order."""
    return by_threads(lambda start: function(np.arange(start, min(start + BATCH, rows))), range(0, rows, BATCH))


def parts(rows: int, columns: ColumnsOf) -> list[TablePart]:
    """A table of `rows` rows, each computed from its number (from 0) alone."""
    return [
        partial(_compute, start, min(start + ROWS_PER_PART, rows), columns) for start in range(0, rows, ROWS_PER_PART)
    ]


def _compute(start: int, end: int, columns: ColumnsOf) -> pa.Table:
    batches = [columns(np.arange(first, min(first + BATCH, end))) for first in range(start, end, BATCH)]
    return pa.concat_tables([pa.table(batch) for batch in batches])


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
