"""Raw rows taken in: read as staged kinds and sent to their partitions, block by block, whoever reads the files."""

import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from glmix_automl.features import as_numbers, as_texts
from glmix_automl.prepare.drawn_order import in_drawn_order
from glmix_automl.prepare.exchange import Spread
from glmix_automl.prepare.followed import signals_of
from glmix_automl.prepare.history_features import values_of
from glmix_automl.prepare.past_columns import fixed, past_features
from glmix_automl.prepare.stage import (
    FOLD,
    LABEL,
    TIME,
    UID,
    WEIGHT,
    Staging,
    Taken,
    in_large_tables,
    read_as,
    take_in,
    take_in_side,
)

BLOCK_ROWS = 250_000
"""Rows that a task holds at a time, about; also what partitions are made for."""


@dataclass(frozen=True)
class Roles:
    """Raw columns by their role: `label` holds 0 and 1, `time` microseconds, `uid` text; None for what is not there."""

    label: str
    entities: tuple[str, ...]
    uid: str | None = None
    time: str | None = None
    weight: str | None = None
    fold: str | None = None


class Tables(Protocol):
    """The raw tables of a recipe."""

    @property
    def rows(self) -> int | None:
        """About how many rows there are, where that is known."""

    def take_in(self, work: Staging) -> list[Taken]:
        """Reads the rows."""

    def take_in_side(self, work: Staging, side: int) -> list[Spread]:
        """Reads what describes an entity."""


def rows_of(work: Staging, roles: Roles, raw: Mapping[str, Any], count: int) -> pa.Table:
    """Raw columns as `stage.take_in` wants them.

    Args:
        work: what is prepared.
        roles: of the raw columns.
        raw: the columns, by name.
        count: how many rows.

    Raises:
        DataError: a column is of a type that its feature cannot be read from.
    """
    columns: dict[str, Any] = {}
    if roles.uid is not None:
        columns[UID] = as_texts(raw[roles.uid])
    columns[LABEL] = _plain(raw[roles.label]).cast(pa.int8())
    columns[WEIGHT] = _plain(raw[roles.weight]).cast(pa.float64()) if roles.weight else np.ones(count)
    columns[TIME] = _plain(raw[roles.time]).cast(pa.int64()) if roles.time else np.zeros(count, np.int64)
    columns |= {f"e{i}": as_texts(raw[name]) for i, name in enumerate(roles.entities)}
    columns |= _staged(work, None, raw)
    if work.history is not None:
        for name, source in zip(signals_of(work.history), work.history.signals, strict=True):
            columns[name] = np.zeros(count, np.int64) if work.asks else fixed(as_numbers(raw[source], source))
    if roles.fold is not None:
        columns[FOLD] = as_texts(raw[roles.fold])
    table = pa.table(columns)
    return in_drawn_order(work, table) if work.history is not None and not work.timed else table


def side_of(work: Staging, side: int, ids: pa.ChunkedArray, raw: Mapping[str, Any]) -> pa.Table:
    """Raw columns of a side as `stage.take_in_side` wants them; rows without an id are left out.

    Raises:
        DataError: as `rows_of`.
    """
    columns: dict[str, Any] = {"id": as_texts(ids), **_staged(work, side, raw)}
    if work.history is not None and side == 1:
        columns |= {f"a{i}": values_of(raw[a.column], a) for i, a in enumerate(work.history.attributes)}
    table = pa.table(columns)
    return table.filter(table["id"].is_valid()) if table["id"].null_count else table


def sources(work: Staging, side: int | None) -> list[str]:
    """Raw columns that features (and history) need of a side, or of the rows."""
    wanted = [f.source for f in work.features_of(side)]
    if side is None and work.history is not None:
        past = {f.source for f in past_features(work.history)}
        wanted = [*(s for s in wanted if s not in past), *(() if work.asks else work.history.signals)]
    if side == 1 and work.history is not None:
        wanted += [a.column for a in work.history.attributes]
    return list(dict.fromkeys(wanted))


def _staged(work: Staging, side: int | None, raw: Mapping[str, Any]) -> dict[str, pa.Array]:
    there = set(sources(work, side))
    wanted = (p for f, p in work.places.items() if work.side_of(f.source) == side and f.source in there)
    return {place.name: read_as(place, raw[place.source]) for place in dict.fromkeys(wanted)}


def _plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


class SparkTables:
    """Frames: Spark reads them and hands their rows to Arrow functions on its executors."""

    def __init__(self, frame: Any, roles: Roles, sides: Mapping[int, tuple[Any, str]], rows: int | None) -> None:
        """`sides`: entity -> its frame and the frame's column of ids."""
        self.rows = rows
        self._frame = frame
        self._roles = roles
        self._sides = sides

    def take_in(self, work: Staging) -> list[Taken]:
        """See `Tables`."""
        roles = self._roles
        named = [roles.label, *roles.entities, roles.uid, roles.time, roles.weight, roles.fold]
        names = list(dict.fromkeys([*(n for n in named if n is not None), *sources(work, None)]))
        return _mapped(self._frame, names, partial(_take_in, work, roles, names))

    def take_in_side(self, work: Staging, side: int) -> list[Spread]:
        """See `Tables`."""
        if side not in self._sides:
            return []
        frame, key = self._sides[side]
        names = list(dict.fromkeys([key, *sources(work, side)]))
        return _mapped(frame, names, partial(_take_in_side, work, side, names))


def _mapped(frame: Any, names: list[str], function: Any) -> list[Any]:
    """Results of a function of Arrow batches, over the partitions of a frame's columns.

    Columns go by place and under plain names: Spark's mapInArrow cannot resolve names with dots.
    """
    from glmix_automl.prepare.tables import column

    plain = frame.select(*(column(n).alias(f"r{i}") for i, n in enumerate(names)))
    return [pickle.loads(row[0]) for row in plain.mapInArrow(function, "made binary").collect()]


def _take_in(
    work: Staging, roles: Roles, names: list[str], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for table in in_large_tables(batches, BLOCK_ROWS):
        raw = dict(zip(names, table.columns, strict=True))
        yield _sent(take_in(work, rows_of(work, roles, raw, table.num_rows)))


def _take_in_side(
    work: Staging, side: int, names: list[str], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for table in in_large_tables(batches, BLOCK_ROWS):
        raw = dict(zip(names, table.columns, strict=True))
        yield _sent(take_in_side(work, side, side_of(work, side, table.column(0), raw)))


def _sent(result: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([pickle.dumps(result)], pa.binary())], names=["made"])


def partitions(rows: int | None) -> int:
    """How many partitions to make for so many rows: a power of two."""
    wanted = (rows or 4 * BLOCK_ROWS) / BLOCK_ROWS
    parts = 1
    while parts < wanted and parts < 4096:
        parts *= 2
    return parts
