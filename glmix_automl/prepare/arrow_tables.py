"""The tables of the interactions recipe, read by Arrow alone: each block of rows is sent on before the next is read."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.errors import DataError
from glmix_automl.prepare.block_tables import BlockTable
from glmix_automl.prepare.engine import Engine
from glmix_automl.prepare.events import EventColumns, RowCounts, is_there, odd_labels, read_roles
from glmix_automl.prepare.exchange import Spread
from glmix_automl.prepare.intake import Roles, rows_of, side_of, sources
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.stage import Staging, Taken, take_in, take_in_side
from glmix_automl.prepare.times import TimeCounts, TimeReading, choose_reading, counts_of


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
        read = read_roles(events, block, reading, where)
        lacking = {role: ~is_there(column) for role, column in read.items()}
        dropped = np.logical_or.reduce(list(lacking.values()))
        odd, examples = odd_labels(events, block)
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
