"""What describes members and items: weighed by the rows of each id, fitted on, encoded once per id."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.errors import DataError
from glmix_automl.features import encode
from glmix_automl.prepare.exchange import Ints, Spread, read_batch, read_part, write_batches
from glmix_automl.prepare.partition import GROUP_COUNTS, SEEN
from glmix_automl.prepare.stage import Staging, parts_of_ids
from glmix_automl.prepare.tally import ColumnRange, Tally, sums, tally, vocabularies
from glmix_automl.schema import SPLITS, Schema

LEVELS = (1, 2, 5, 10, 50)
"""Lower bounds of the groups that ids are counted in, by their rows in train."""


@dataclass(frozen=True)
class SidePart:
    """A part of a side: entity, partition, files of its rows and of the counts of its ids."""

    entity: int
    part: int
    rows: tuple[Spread, ...]
    counts: tuple[Spread, ...]


@dataclass
class IdCounts:
    """Who is in the dataset, of one entity; adds up over partitions.

    Attributes:
        ids: distinct ids by split.
        rows: written rows by split.
        with_history: those whose id has rows in train.
        levels: ids by their rows in train (`LEVELS`).
    """

    ids: Ints = field(default_factory=lambda: np.zeros(len(SPLITS), np.int64))
    rows: Ints = field(default_factory=lambda: np.zeros(len(SPLITS), np.int64))
    with_history: Ints = field(default_factory=lambda: np.zeros(len(SPLITS), np.int64))
    levels: Ints = field(default_factory=lambda: np.zeros(len(LEVELS), np.int64))

    def __add__(self, other: "IdCounts") -> "IdCounts":
        return IdCounts(*(getattr(self, n) + getattr(other, n) for n in ("ids", "rows", "with_history", "levels")))


@dataclass(frozen=True)
class Weighed:
    """The numbers of a part of a side.

    Attributes:
        ids: who is there.
        tally: of the side's columns.
        known, unknown: ids of rows that have a row in the side, and that have none.
        lost, idle: the first id of rows without a row in the side, and of the side without rows.
        repeated: ids with several rows in the side; `example` is one of them.
    """

    ids: IdCounts
    tally: Tally
    known: int = 0
    unknown: int = 0
    lost: str | None = None
    idle: str | None = None
    repeated: int = 0
    example: str | None = None


def weigh_side(work: Staging, side: SidePart) -> Weighed:
    """Counts a part of a side, each id as often as it has rows."""
    counts = _counts(work, side)
    ids = _ids(np.stack([counts[c] for c in GROUP_COUNTS], axis=1))
    table, _ = read_part(work.folder, list(side.rows), side.part)
    unknown = int(np.sum(counts["total"] > 0))
    if table is None:
        return Weighed(ids, Tally(), unknown=unknown, lost=_least(counts.ids))
    key = table["key"].to_numpy()
    unique, times = np.unique(key, return_counts=True)
    if (times > 1).any():
        twice = table["id"].filter(pa.array(np.isin(key, unique[times > 1])))
        groups = pc.value_counts(twice.combine_chunks())
        several = groups.filter(pc.greater(pc.struct_field(groups, "counts"), 1))
        example = pc.min(pc.struct_field(several, "values")).as_py()
        return Weighed(ids, Tally(), repeated=len(several), example=example)
    weights = np.stack([_of(counts, c, key) for c in SEEN], axis=1)
    keys = list(vocabularies(work.features))
    features, drawn = work.features_of(side.entity), _of(counts, "drawn", key)
    numbers = tally(work.folder, work.parts, table, features, work.places, keys, weights, drawn)
    used = _of(counts, "total", key) > 0
    known = int(used.sum())
    lost = counts.ids.filter(pa.array(~np.isin(counts["key"], key)))
    idle = table["id"].filter(pa.array(~used))
    return Weighed(ids, numbers, known=known, unknown=unknown - known, lost=_least(lost), idle=_least(idle))


def refuse_repeated(found: Sequence[Weighed], key: str, where: str) -> None:
    """Raises where ids of a side have several rows.

    Raises:
        DataError: how many, and an example.
    """
    if repeated := sum(w.repeated for w in found):
        example = min(w.example for w in found if w.example is not None)
        raise DataError(f"{where}: {repeated} ids of column {key!r} have several rows, for example {example!r}")


def sum_side(
    work: Staging, ranges: Mapping[tuple[str, str], ColumnRange], side: SidePart
) -> dict[tuple[str, str], tuple[int, int]]:
    """`sums` over a part of a side, each id as often as it has training rows."""
    table, _ = read_part(work.folder, list(side.rows), side.part)
    if table is None:
        return {}
    return sums(table, ranges, _of(_counts(work, side), SEEN[0], table["key"].to_numpy()))


@dataclass(frozen=True)
class Encoded:
    """A part of a side as features: a file of one batch (`key`, feature columns), and values of drawn rows."""

    side: SidePart
    path: str
    edges: Mapping[str, npt.NDArray[np.float32]]


def encode_side(work: Staging, schemas: Mapping[int, Schema], side: SidePart) -> Encoded | None:
    """Encodes the ids of a part of a side that rows have."""
    table, _ = read_part(work.folder, list(side.rows), side.part)
    if table is None:
        return None
    counts = _counts(work, side)
    key = table["key"].to_numpy()
    used = _of(counts, "total", key) > 0
    table, key = table.filter(pa.array(used)), key[used]
    schema = schemas[side.entity]
    made = encode(schema, table)
    drawn = _of(counts, "edge", key)
    edges = {f.name: np.repeat(made[f.name].to_numpy(), drawn) for f in schema.numerics}
    order = np.argsort(key, kind="stable")
    made = made.append_column("key", pa.array(key)).take(pa.array(order))
    return Encoded(side, write_batches(work.folder, [made]), edges)


def count_ids(work: Staging, encoded: Encoded) -> tuple[pa.RecordBatch, Ints]:
    """The encoded ids, and their written rows by split and label: [ids, 6]."""
    batch = read_batch(work.folder, encoded.path, 0)
    counts = _counts(work, encoded.side)
    key = batch.column("key").to_numpy()
    return batch, np.stack([_of(counts, c, key) for c in GROUP_COUNTS], axis=1)


def attach(work: Staging, parts: Sequence[Encoded], keys: Ints, schema: Schema) -> dict[str, pa.Array]:
    """The side's columns for rows of given ids.

    Args:
        work: what is prepared.
        parts: of the side, those that may hold the ids.
        keys: of the rows' ids: [rows].
        schema: of the side, for ids that it has no row for: they get what `encode` makes of nulls.
    """
    unique, inverse = np.unique(keys, return_inverse=True)
    found: list[pa.Table] = []
    known: list[Ints] = []
    for part, wanted in _wanted(work, parts, unique):
        batch = read_batch(work.folder, part.path, 0)
        at, there = _lookup(batch.column("key").to_numpy(), wanted)
        if there.any():
            taken = pa.Table.from_batches([batch]).take(pa.array(at[there]))
            known.append(taken["key"].to_numpy())
            found.append(taken.drop_columns(["key"]))
    missing = np.setdiff1d(unique, np.concatenate(known) if known else np.empty(0, np.int64))
    if len(missing):
        found.append(_of_nothing(schema, len(missing)))
        known.append(missing)
    every = pa.concat_tables(found).combine_chunks()
    order = np.argsort(np.concatenate(known), kind="stable")
    taken = every.take(pa.array(order[inverse])).combine_chunks()
    return {name: taken[name] for name in taken.column_names}


def raw_columns(work: Staging, parts: Sequence[SidePart], keys: Ints) -> dict[str, pa.Array]:
    """The side's staged columns for rows of given ids, null for ids that it has no row for.

    A block of the side is in memory at a time, and of the others what was asked for.

    Args:
        work: what is prepared.
        parts: of one side, those that may hold the ids.
        keys: of the rows' ids: [rows].
    """
    unique, inverse = np.unique(keys, return_inverse=True)
    found = []
    for part, wanted in _wanted(work, parts, unique):
        for block in part.rows:
            table, _ = read_part(work.folder, [block], part.part)
            if table is not None:
                found.append(table.filter(pa.array(_lookup(wanted, table["key"].to_numpy())[1])))
    if not found:
        return {}
    every = pa.concat_tables(found).combine_chunks()
    key = every["key"].to_numpy()
    order = np.argsort(key, kind="stable")
    at, there = _lookup(key[order], unique)
    place = order[at][inverse] if len(order) else np.zeros(len(keys), np.int64)
    taken = every.take(pa.array(place, mask=~there[inverse]))
    return {name: taken[name] for name in taken.column_names if name != "key"}


AnyPart = TypeVar("AnyPart", SidePart, Encoded)


def _wanted(work: Staging, parts: Sequence[AnyPart], keys: Ints) -> Iterator[tuple[AnyPart, Ints]]:
    """Parts of a side that some ids lie in, and the keys of these: ascending, as they were given."""
    if not parts:
        return
    sides = [p.side if isinstance(p, Encoded) else p for p in parts]
    of_keys = parts_of_ids(keys, sides[0].entity, work.parts)
    for part, side in zip(parts, sides, strict=True):
        here = keys[of_keys == side.part]
        if len(here):
            yield part, here


def _of_nothing(schema: Schema, rows: int) -> pa.Table:
    return encode(schema, pa.table({s: pa.nulls(rows) for s in {f.source for f in schema.raw_features}}))


class _Counts(dict[str, Ints]):
    """Columns of counts per id, and the ids' texts."""

    ids: pa.Array = pa.array([], pa.string())


def _least(ids: pa.Array | pa.ChunkedArray) -> str | None:
    return pc.min(ids).as_py() if len(ids) else None


def _counts(work: Staging, side: SidePart) -> _Counts:
    """Counts per id, those of all partitions of rows together, by ascending key; `total`: rows of any split."""
    table, _ = read_part(work.folder, list(side.counts), side.part)
    names = [*SEEN, *GROUP_COUNTS, "drawn", "edge"]
    if table is None:
        return _Counts({n: np.empty(0, np.int64) for n in ("key", "total", *names)})
    key, first, at = np.unique(table["key"].to_numpy(), return_index=True, return_inverse=True)
    counts = {n: np.bincount(at, weights=table[n].to_numpy(), minlength=len(key)).astype(np.int64) for n in names}
    result = _Counts({"key": key, "total": np.sum([counts[n] for n in SEEN], axis=0), **counts})
    result.ids = table["id"].take(pa.array(first)).combine_chunks()
    return result


def _of(counts: Mapping[str, Ints], name: str, key: Ints) -> Ints:
    """A count of each key, 0 for keys without rows."""
    at, found = _lookup(counts["key"], key)
    return np.where(found, counts[name][at], 0) if len(counts["key"]) else np.zeros(len(key), np.int64)


def _lookup(keys: Ints, wanted: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Where in the ascending keys each wanted one is, and whether it is there."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


def _ids(written: Ints) -> IdCounts:
    rows = written.reshape(-1, len(SPLITS), 2).sum(axis=2)
    train = rows[:, 0]
    level = np.searchsorted(LEVELS, train[train > 0], side="right") - 1
    return IdCounts(
        ids=(rows > 0).sum(axis=0),
        rows=rows.sum(axis=0),
        with_history=rows[train > 0].sum(axis=0),
        levels=np.bincount(level, minlength=len(LEVELS)),
    )
