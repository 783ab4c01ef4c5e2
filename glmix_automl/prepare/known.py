"""What is known of every key at the end of the data: written beside the dataset by the partitions of preparation, and
where scoring begins, so that rows of tomorrow need the interactions since then and no others.

history/<key>/part-*.parquet   the numbers of each key, with its ids as text
history/last/part-*.parquet   the last rows of each member
history/similar, history/factors   models of items (`together.describe`)
history/prior/part-00000.parquet   rows, positives and sums of signals of each day
history/end.json   time of the last row, and the partitions that keys were in
"""

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glmix_automl.errors import DataError
from glmix_automl.layout import Folder
from glmix_automl.prepare.as_of import KeyState
from glmix_automl.prepare.exchange import Ints
from glmix_automl.prepare.row_hash import buckets_of, keys_of, parts_of_buckets, parts_of_keys, row_hashes

HISTORY = "history"
"""Folder in the dataset, and in a model."""
END = "end.json"
PRIOR = "prior"
LAST_ROWS = "last"
_KEYS = ("member", "item", "key", "value")
_POSITIVES = "positives"  # the column of accumulator `label`; of others the column has the accumulator's name


Days = dict[int, tuple[int, ...]]
"""Day (its number since the epoch) -> rows, positives, sums of signals."""


@dataclass(frozen=True)
class Known:
    """What was known at the end of some data.

    Attributes:
        uri: of the folder.
        until: time of the last row, microseconds.
        parts: partitions that the keys were in.
        held: key -> the state of all its keys, kept for who asks again and again; None where it is read anew.
    """

    uri: str
    until: int
    parts: int
    held: dict[str, Any] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def open(cls, folder: Folder, hold: bool = False) -> "Known | None":
        """What lies in a folder, held in memory once it is read if so wanted; None where no history does.

        Raises:
            DataError: it is damaged.
        """
        if not folder.exists(END):
            return None
        try:
            end = json.loads(folder.read(END))
            return cls(folder.uri, int(end["until"]), int(end["parts"]), {} if hold else None)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{folder.path(END)}: does not say when the data ended: {error!r}") from error

    def state(self, key: str, part: int, parts: int) -> KeyState:
        """The keys that lie in one of `parts` partitions.

        Args:
            key: what kind of key, as in the names of the features.
            part: the partition.
            parts: how many there are; files that hold none of its keys are not read.
        """
        if self.held is not None and parts == 1:
            if key not in self.held:
                self.held[key] = self._read(key, part, parts)
            return self.held[key]
        return self._read(key, part, parts)

    def _read(self, key: str, part: int, parts: int) -> KeyState:
        place, columns, found = Folder(self.uri).within(key), [], []
        names = place.files("", ".parquet")
        of_members = bool(names) and "member" in pq.read_schema(place.path(names[0]), filesystem=place.filesystem).names
        for name in names:
            if not self._may_hold(int(name[len("part-") : -len(".parquet")]), part, parts, of_members):
                continue
            table = pq.read_table(place.path(name), filesystem=place.filesystem)
            keys, here = _keys(table), _part(table, parts) == part
            found.append(keys[here])
            numbers = [c for c in table.column_names if c not in _KEYS]
            columns.append({"label" if c == _POSITIVES else c: table[c].to_numpy()[here] for c in numbers})
        if not found:
            return KeyState(until=self.until)
        keys = np.concatenate(found)
        order = np.argsort(keys, kind="stable")
        together = {a: np.concatenate([c[a] for c in columns])[order] for a in columns[0]}
        return KeyState(keys[order], together, self.until)

    def last(self, part: int, parts: int) -> pa.Table | None:
        """The last rows of the members that lie in one of `parts` partitions: `key`, `other`, `time`, effects."""
        if self.held is None or parts > 1:
            return self._read_last(part, parts)
        if LAST_ROWS not in self.held:
            self.held[LAST_ROWS] = self._read_last(part, parts)
        found: pa.Table | None = self.held[LAST_ROWS]
        return found

    def _read_last(self, part: int, parts: int) -> pa.Table | None:
        place, found = Folder(self.uri).within(LAST_ROWS), []
        for name in place.files("", ".parquet"):
            if self._may_hold(int(name[len("part-") : -len(".parquet")]), part, parts, True):
                table = pq.read_table(place.path(name), filesystem=place.filesystem)
                found.append(table.filter(pa.array(_part(table, parts) == part)))
        if not found:
            return None
        every = pa.concat_tables(found)
        keys = {"key": keys_of(every["member"]), "other": keys_of(every["item"])}
        return pa.table({**keys, **{n: every[n] for n in every.column_names if n not in _KEYS}})

    def days(self) -> Days:
        """What is known of each day."""
        place = Folder(self.uri).within(PRIOR)
        table = pq.read_table(place.path(), filesystem=place.filesystem)
        day, *numbers = (column.to_pylist() for column in table.columns)
        return dict(zip(day, zip(*numbers, strict=True), strict=True))

    def _may_hold(self, file: int, part: int, parts: int, of_members: bool) -> bool:
        if of_members:  # they lie in spans of hashes, other keys by remainders
            return file * parts < (part + 1) * self.parts and part * self.parts < (file + 1) * parts
        return (file - part) % math.gcd(parts, self.parts) == 0


def write_end(out: str, until: int, parts: int, days: Days) -> None:
    """When the data ended, and what is known of each day: what the priors of days to come are made of."""
    there = sorted(days)
    numbers = np.array([days[d] for d in there], np.int64).T
    names = ["n", _POSITIVES, *(f"s{i}" for i in range(len(numbers) - 2))]
    write_part(out, PRIOR, 0, pa.table({"day": there, **dict(zip(names, numbers, strict=True))}))
    Folder(out).within(HISTORY).write(END, json.dumps({"until": until, "parts": parts}))


def write_state(out: str, key: str, part: int, key_columns: Mapping[str, Any], state: KeyState) -> None:
    """What is known of the keys of a partition at the end of the data: a column for each accumulator, `positives` for
    `label`, `last` in microseconds.

    Args:
        out: URI of the dataset's folder.
        key: what kind of key.
        part: the partition.
        key_columns: `member` or `item`, text; `key` and `value` of an attribute; `member` and `key` of both.
        state: the numbers.
    """
    numbers = {_POSITIVES if name == "label" else name: column for name, column in state.columns.items()}
    write_part(out, key, part, pa.table({**key_columns, **numbers}))


def mixed(one: Ints, other: Ints) -> Ints:
    """One key of two."""
    return row_hashes([pa.array(one), pa.array(other)]).view(np.int64) if len(one) else np.empty(0, np.int64)


def _keys(table: pa.Table) -> Ints:
    """The keys of rows as steps number them."""
    if "key" not in table.column_names:
        return keys_of(table.column(0))
    value = table["key"].to_numpy()
    return mixed(keys_of(table["member"]), value) if "member" in table.column_names else value


def _part(table: pa.Table, parts: int) -> Ints:
    if "member" in table.column_names:
        return parts_of_buckets(buckets_of(keys_of(table["member"])), parts)
    return parts_of_keys(_keys(table), parts)


def write_part(out: str, key: str, part: int, table: pa.Table) -> None:
    """One file of what is known, whole or not at all."""
    place = Folder(out).within(HISTORY).within(key)
    place.filesystem.create_dir(place.path(), recursive=True)
    name = f"part-{part:05d}.parquet"
    unfinished = place.path(f".{uuid.uuid4().hex}.{name}")  # another attempt may write the same at once
    pq.write_table(table, unfinished, filesystem=place.filesystem)
    place.filesystem.move(unfinished, place.path(name))
