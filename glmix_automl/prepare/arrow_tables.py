"""Tables of the interactions recipe read by Arrow alone: in blocks of rows, each sent on before the next is read.

Plain Parquet is read row group by row group; whatever else `local_tables` reads is in memory as a whole first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from glmix_automl.errors import DataError
from glmix_automl.features import as_numbers, as_texts
from glmix_automl.prepare.engine import Engine
from glmix_automl.prepare.exchange import Spread
from glmix_automl.prepare.files import look
from glmix_automl.prepare.history import ASKS
from glmix_automl.prepare.intake import BLOCK_ROWS, Roles, rows_of, side_of, sources
from glmix_automl.prepare.local_files import LocalFiles
from glmix_automl.prepare.local_tables import read_local
from glmix_automl.prepare.recipe import Table
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.stage import Staging, Taken, take_in, take_in_side
from glmix_automl.prepare.storage import resolve
from glmix_automl.prepare.tables import lack
from glmix_automl.prepare.times import TimeCounts, TimeReading, TimeRule, choose_reading, counts_of, read_times

_LEAST, _MOST = 1e-30, 1e30  # of weights, as in `events`
_PLAIN = {"path", "format", "rename"}
_EXAMPLE = 40


@dataclass(frozen=True)
class EventColumns:
    """Which column of the interactions has which role, and how it is read.

    Rows without a `label` column are rows to be scored: they ask for their history. Rows up to `after` (microseconds)
    are known already and left out.
    """

    member: str
    item: str
    label: str | None
    at_least: float | None = None
    positive: tuple[str, ...] | None = None
    time: TimeRule | None = None
    weight: str | None = None
    uid: str | None = None
    fold: str | None = None
    after: int | None = None


@dataclass
class RowCounts:
    """Rows of a table, those without each role and without any, first and last time, labels that are no labels; adds
    up over blocks.
    """

    rows: int = 0
    dropped: int = 0
    lacking: dict[str, int] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None
    odd: int = 0
    examples: tuple[str, ...] = ()

    def __add__(self, other: "RowCounts") -> "RowCounts":
        lacking = {k: self.lacking.get(k, 0) + other.lacking.get(k, 0) for k in {**self.lacking, **other.lacking}}
        examples = tuple(sorted({*self.examples, *other.examples}))
        shown = (examples[0], examples[-1]) if examples else ()
        times = [t for t in (self.first, self.last, other.first, other.last) if t is not None]
        return RowCounts(
            rows=self.rows + other.rows,
            dropped=self.dropped + other.dropped,
            lacking=lacking,
            first=min(times, default=None),
            last=max(times, default=None),
            odd=self.odd + other.odd,
            examples=shown,
        )


class BlockTable(Protocol):
    """A table that is read in blocks."""

    @property
    def rows(self) -> int:
        """How many rows it has."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""

    @property
    def groups(self) -> list[Any]:
        """What can be read apart."""

    def blocks(self, group: Any, names: list[str]) -> Iterator[pa.Table]:
        """Columns of a group's rows, in blocks."""


@dataclass(frozen=True)
class ParquetTable:
    """Parquet files, seen under the recipe's names."""

    files: tuple[str, ...]
    rename: Mapping[str, str]

    @property
    def rows(self) -> int:
        """See `BlockTable`."""
        return sum(pq.read_metadata(file).num_rows for file in self.files)

    @property
    def schema(self) -> pa.Schema:
        """See `BlockTable`."""
        return pa.schema([pa.field(self.rename.get(f.name, f.name), f.type) for f in pq.read_schema(self.files[0])])

    @property
    def groups(self) -> list[tuple[str, int]]:
        """See `BlockTable`: row groups, by file and number."""
        counts = ((file, pq.read_metadata(file).num_row_groups) for file in self.files)
        return [(file, number) for file, count in counts for number in range(count)]

    def blocks(self, group: tuple[str, int], names: list[str]) -> Iterator[pa.Table]:
        """See `BlockTable`."""
        back = {new: old for old, new in self.rename.items()}
        wanted = [back.get(n, n) for n in names]
        file, number = group
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(BLOCK_ROWS, [number], wanted, use_threads=False):
                yield pa.table({n: batch.column(w) for n, w in zip(names, wanted, strict=True)})


@dataclass(frozen=True)
class WholeTable:
    """A table in memory."""

    table: pa.Table

    @property
    def rows(self) -> int:
        """See `BlockTable`."""
        return self.table.num_rows

    @property
    def schema(self) -> pa.Schema:
        """See `BlockTable`."""
        return self.table.schema

    @property
    def groups(self) -> list[int]:
        """See `BlockTable`: first rows."""
        return list(range(0, self.table.num_rows, BLOCK_ROWS))

    def blocks(self, group: int, names: list[str]) -> Iterator[pa.Table]:
        """See `BlockTable`."""
        yield self.table.select(names).slice(group, BLOCK_ROWS)


def open_table(table: Table, root: str, what: str, remarks: Remarks) -> BlockTable:
    """A table of a recipe, to be read in blocks.

    Raises:
        DataError: as `local_tables.read_local`.
    """
    uri = resolve(root, table.path)
    where = f"{what} table {uri}"
    found = look(table, uri, LocalFiles(), where)
    if len(found.parts) > 1 or found.parts[0].format != "parquet" or table.model_fields_set - _PLAIN or "=" in uri:
        return WholeTable(read_local(table, root, what, remarks))
    if any("=" in file.removeprefix(uri) for file in found.files):  # columns in the names of folders
        return WholeTable(read_local(table, root, what, remarks))
    remarks.notes += found.notes
    lack(list(table.rename), [name for name, _ in found.parts[0].types], where)
    return ParquetTable(tuple(found.files), table.rename)


class ArrowTables:
    """The tables of an interactions recipe."""

    def __init__(
        self,
        engine: Engine,
        table: BlockTable,
        events: EventColumns,
        sides: Mapping[int, tuple[BlockTable, str]],
        where: str,
        remarks: Remarks,
    ) -> None:
        """`sides`: entity -> its table and the table's column of ids."""
        self.seen = RowCounts()
        self.rows = table.rows
        self._engine = engine
        self._table = table
        self._events = events
        self._sides = sides
        self._where = where
        self._remarks = remarks

    def take_in(self, work: Staging) -> list[Taken]:
        """See `intake.Tables`.

        Raises:
            DataError: labels other than 0 and 1 without a rule.
        """
        function = partial(_take_in, work, self._table, self._events, self._times(), self._where)
        found = self._engine.each("reading", function, self._table.groups)
        self.seen = sum((seen for seen, _ in found), RowCounts())
        if self.seen.odd:
            low, high = self.seen.examples
            examples = low if low == high else f"{low} and {high}"
            raise DataError(
                f"{self._where}: label column {self._events.label!r} should hold 0 and 1, it also holds {examples} "
                f"({self.seen.odd} rows); give a rule: `at_least: NUMBER`, or `positive: [VALUE, ...]`"
            )
        return [taken for _, each in found for taken in each]

    def _times(self) -> TimeReading:
        """How the times are read, told from all of them where the type of the column does not say."""
        rule = self._events.time
        if rule is None:
            return TimeReading("type")
        kind = self._table.schema.field(rule.column).type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return TimeReading("type")
        if pa.types.is_boolean(kind) or pa.types.is_nested(kind) or pa.types.is_binary(kind):
            raise DataError(f"{self._where}: time column {rule.column!r} is {kind}, expected a number, text or time")
        counted = self._engine.each("reading", partial(_time_counts, self._table, rule.column), self._table.groups)
        counts = TimeCounts(*np.sum([list(c) for c in counted], axis=0).tolist()) if counted else TimeCounts(*[0] * 10)
        return choose_reading(counts, rule, self._where, self._remarks)

    def take_in_side(self, work: Staging, side: int) -> list[Spread]:
        """See `intake.Tables`."""
        if side not in self._sides:
            return []
        table, key = self._sides[side]
        found = self._engine.each("reading", partial(_take_in_side, work, side, table, key), table.groups)
        return [spread for each in found for spread in each]


def spark_type(kind: pa.DataType) -> str:
    """How Spark names the type of a Parquet column."""
    plain = {
        pa.int8(): "tinyint", pa.int16(): "smallint", pa.int32(): "int", pa.int64(): "bigint", pa.float32(): "float",
        pa.float64(): "double", pa.bool_(): "boolean", pa.string(): "string", pa.large_string(): "string",
        pa.date32(): "date", pa.binary(): "binary",
    }  # fmt: skip
    if kind in plain:
        return plain[kind]
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp_ntz"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_list(kind):
        return f"array<{spark_type(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{spark_type(kind.key_type)},{spark_type(kind.item_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{f.name}:{spark_type(f.type)}' for f in kind)}>"
    return str(kind)


def _time_counts(table: BlockTable, name: str, group: Any) -> TimeCounts:
    counts = [counts_of(block[name].combine_chunks()) for block in table.blocks(group, [name])]
    return TimeCounts(*np.sum([list(c) for c in counts], axis=0).tolist()) if counts else TimeCounts(*[0] * 10)


def _take_in(
    work: Staging, table: BlockTable, events: EventColumns, reading: TimeReading, where: str, group: Any
) -> tuple[RowCounts, list[Taken]]:
    time = events.time.column if events.time is not None else None
    roles = [events.member, events.item, events.label, time, events.weight, events.uid, events.fold]
    names = list(dict.fromkeys([*(r for r in roles if r is not None), *sources(work, None)]))
    seen, taken = RowCounts(), []
    for block in table.blocks(group, names):
        read = _roles(events, block, reading, where)
        lacking = {role: ~_there(column) for role, column in read.items()}
        dropped = np.logical_or.reduce(list(lacking.values()))
        odd, examples = _odd(events, block)
        counts = {role: int(lack.sum()) for role, lack in lacking.items()}
        span = pc.min_max(read["time"]).as_py() if "time" in read else {"min": None, "max": None}
        seen = seen + RowCounts(
            block.num_rows, int(dropped.sum()), counts, span["min"], span["max"], odd=odd, examples=examples
        )
        raw = {n: block[n] for n in names} | {f" {role}": column for role, column in read.items()}
        if events.after is not None:
            dropped = dropped | ~pc.fill_null(pc.greater(read["time"], events.after), False).to_numpy(
                zero_copy_only=False
            )
        if dropped.any():
            kept = pa.table(raw).filter(pa.array(~dropped))
            raw = {n: kept[n] for n in kept.column_names}
        rows = block.num_rows - int(dropped.sum())
        if rows and not odd:
            # Role columns are under names that no table has.
            given = {r: f" {r}" if r in read else None for r in ("uid", "time", "weight")}
            named = Roles(" label", (" member", " item"), fold=events.fold, **given)
            taken.append(take_in(work, rows_of(work, named, raw, rows)))
    return seen, taken


def _take_in_side(work: Staging, side: int, table: BlockTable, key: str, group: Any) -> list[Spread]:
    names = list(dict.fromkeys([key, *sources(work, side)]))
    blocks = table.blocks(group, names)
    return [take_in_side(work, side, side_of(work, side, b[key], {n: b[n] for n in names})) for b in blocks]


def _roles(events: EventColumns, block: pa.Table, reading: TimeReading, where: str) -> dict[str, pa.Array]:
    """Role -> its column, null where it cannot be used."""
    found = {
        "member": as_texts(block[events.member], events.member),
        "item": as_texts(block[events.item], events.item),
        "label": _label(events, block),
    }
    if events.time is not None:
        raw = block[events.time.column].combine_chunks()
        if reading.how == "type":
            found["time"] = raw.cast(pa.timestamp("us", getattr(raw.type, "tz", None)), safe=False).cast(pa.int64())
        else:
            found["time"] = read_times(reading, raw, where)
    if events.weight is not None:
        numbers = as_numbers(block[events.weight], events.weight)
        found["weight"] = pa.array(numbers, mask=~((numbers >= _LEAST) & (numbers <= _MOST)))
    if events.uid is not None:
        found["uid"] = as_texts(block[events.uid], events.uid)
    return found


def _label(events: EventColumns, block: pa.Table) -> pa.Array:
    if events.label is None:
        return pa.array(np.full(block.num_rows, ASKS, np.int8))
    raw = block[events.label]
    if events.positive is not None:
        text = pc.utf8_lower(pc.utf8_trim_whitespace(as_texts(raw, events.label)))
        known = pc.is_in(text, value_set=pa.array([p.lower() for p in events.positive], pa.string()))
        return pc.if_else(text.is_valid(), known, pa.scalar(None, pa.bool_())).cast(pa.int8())
    numbers = as_numbers(raw, events.label)
    positive = numbers >= (1 if events.at_least is None else events.at_least)
    return pa.array(positive.astype(np.int8), mask=np.isnan(numbers))


def _odd(events: EventColumns, block: pa.Table) -> tuple[int, tuple[str, ...]]:
    """Labels other than 0 and 1 where there is no rule: how many, the least and the greatest text of them."""
    if events.label is None or events.at_least is not None or events.positive is not None:
        return 0, ()
    numbers = as_numbers(block[events.label], events.label)
    texts = as_texts(block[events.label], events.label)
    other = texts.filter(pa.array(_there(texts) & (numbers != 0) & (numbers != 1)))
    if not len(other):
        return 0, ()
    shown = pc.utf8_slice_codeunits(other, 0, _EXAMPLE)
    return len(other), (pc.min(shown).as_py(), pc.max(shown).as_py())


def _there(column: pa.Array) -> Any:
    return column.is_valid().to_numpy(zero_copy_only=False)
