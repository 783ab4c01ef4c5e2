"""What is known of every key at the end of the data: written beside the dataset by the partitions of preparation, and
where scoring begins, so that rows of tomorrow need the interactions since then and no others.

history/<key>/part-*.parquet   the numbers of each key, with its ids as text
history/prior/part-00000.parquet   rows and positives of each day
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
from glmix_automl.prepare.row_hash import BUCKETS, row_hashes

HISTORY = "history"
"""Folder in the dataset, and in a model."""
END = "end.json"
PRIOR = "prior"
_NUMBERS = {"n": "n", "label": "positives", "last": "last"}  # accumulator -> its column


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
    held: dict[str, KeyState] | None = field(default=None, compare=False, repr=False)

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
            columns.append({a: table[c].to_numpy()[here] for a, c in _NUMBERS.items()})
        if not found:
            return KeyState(until=self.until)
        keys = np.concatenate(found)
        order = np.argsort(keys, kind="stable")
        numbers = {a: np.concatenate([c[a] for c in columns])[order] for a in _NUMBERS}
        return KeyState(keys[order], numbers, self.until)

    def days(self) -> dict[int, tuple[int, int]]:
        """Day -> rows and positives."""
        place = Folder(self.uri).within(PRIOR)
        table = pq.read_table(place.path(), filesystem=place.filesystem)
        day, n, positives = (table[c].to_pylist() for c in ("day", "n", "positives"))
        return dict(zip(day, zip(n, positives, strict=True), strict=True))

    def _may_hold(self, file: int, part: int, parts: int, of_members: bool) -> bool:
        if of_members:  # they lie in spans of hashes, other keys by remainders
            return file * parts < (part + 1) * self.parts and part * self.parts < (file + 1) * parts
        return (file - part) % math.gcd(parts, self.parts) == 0


def write_end(out: str, until: int, parts: int, days: Mapping[int, tuple[int, int]]) -> None:
    """When the data ended, and rows and positives of each day (number since the epoch): what the priors of days to
    come are made of.
    """
    there = sorted(days)
    n, positives = ([days[d][i] for d in there] for i in (0, 1))
    _write(out, PRIOR, 0, pa.table({"day": there, "n": n, "positives": positives}))
    Folder(out).within(HISTORY).write(END, json.dumps({"until": until, "parts": parts}))


def write_state(out: str, key: str, part: int, key_columns: Mapping[str, Any], state: KeyState) -> None:
    """What is known of the keys of a partition at the end of the data, `last` in microseconds.

    Args:
        out: URI of the dataset's folder.
        key: what kind of key.
        part: the partition.
        key_columns: `member` or `item`, text; `key` and `value` of an attribute; `member` and `key` of both.
        state: the numbers.
    """
    numbers = {column: state.columns[name] for name, column in _NUMBERS.items()}
    _write(out, key, part, pa.table({**key_columns, **numbers}))


def mixed(one: Ints, other: Ints) -> Ints:
    """One key of two."""
    return row_hashes([pa.array(one), pa.array(other)]).view(np.int64) if len(one) else np.empty(0, np.int64)


def _keys(table: pa.Table) -> Ints:
    """The keys of rows as steps number them."""
    if "key" not in table.column_names:
        return _hashed(table.column(0))
    value = table["key"].to_numpy()
    return mixed(_hashed(table["member"]), value) if "member" in table.column_names else value


def _part(table: pa.Table, parts: int) -> Ints:
    if "member" in table.column_names:
        bucket = (_hashed(table["member"]).view(np.uint64) % np.uint64(BUCKETS)).astype(np.int64)
        return bucket * parts // BUCKETS
    return (_keys(table).view(np.uint64) % np.uint64(parts)).astype(np.int64)


def _hashed(texts: pa.ChunkedArray) -> Ints:
    return row_hashes([texts]).view(np.int64)


def _write(out: str, key: str, part: int, table: pa.Table) -> None:
    place = Folder(out).within(HISTORY).within(key)
    place.filesystem.create_dir(place.path(), recursive=True)
    name = f"part-{part:05d}.parquet"
    unfinished = place.path(f".{uuid.uuid4().hex}.{name}")  # another attempt may write the same at once
    pq.write_table(table, unfinished, filesystem=place.filesystem)
    place.filesystem.move(unfinished, place.path(name))
