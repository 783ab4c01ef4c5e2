"""Parquet shards of even size, the rows of a member together and in order of time.

Which shard a row is in, and where in it, follows from the data alone (hashes of member ids and counts of rows), never
from partitions, cores or arrival; so the same data gives the same shards on any machine. A shard is one task: its rows
are read, encoded, put beside what describes their member and item, sorted, written, and counted and hashed on the way,
so that nothing is read again.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from glmix_automl.features import arrow_schema, encode
from glmix_automl.layout import RAW, Folder
from glmix_automl.manifest import Shard
from glmix_automl.prepare.exchange import Ints, read_batch
from glmix_automl.prepare.history import keys_of
from glmix_automl.prepare.partition import Laid
from glmix_automl.prepare.profile import Edges, histograms, sum_weights
from glmix_automl.prepare.row_hash import BUCKETS, row_hashes
from glmix_automl.prepare.sides import Encoded, SidePart, attach, raw_columns
from glmix_automl.prepare.stage import LABEL, TIME, UID, WEIGHT, Staging, by_source, part_of
from glmix_automl.schema import LABEL as OUT_LABEL
from glmix_automl.schema import OFFSET, SPLITS, TIMESTAMP, Schema
from glmix_automl.schema import UID as OUT_UID
from glmix_automl.schema import WEIGHT as OUT_WEIGHT


@dataclass(frozen=True)
class Planned:
    """A shard to be written.

    Attributes:
        split: its number in `SPLITS`.
        number: of the shard.
        low, high: its first and last bucket of members.
        files: laid partitions that have rows of these.
    """

    split: int
    number: int
    low: int
    high: int
    files: tuple[str, ...]


@dataclass(frozen=True)
class WrittenShard:
    """A shard that was written, and the numbers of its rows.

    Attributes:
        planned: what was asked for.
        path: of the file among the intermediate ones; to be moved to its place.
        raw: of a file of its rows' raw columns, for shards that models are judged on.
        rows: how many.
        digest: sum of their hashes, modulo 2^64.
        labels: rows by class.
        weights: sums of their weights by class (see `profile.sum_weights`).
        histograms: of the rows' own features: [2, bins].
    """

    planned: Planned
    path: str
    raw: str | None
    rows: int
    digest: int
    labels: Ints
    weights: Ints
    histograms: Mapping[str, Ints]


@dataclass(frozen=True)
class Features:
    """The schema of the dataset, and the parts of it that are read from rows and from sides, with staged sources."""

    whole: Schema
    own: Schema
    sides: Mapping[int, Schema]


def plan_shards(found: Sequence[Laid], shard_rows: int) -> list[Planned]:
    """The shards of a dataset: runs of buckets with about `shard_rows` rows."""
    result = []
    for split in range(len(SPLITS)):
        counts = np.zeros(BUCKETS, np.int64)
        for each in found:
            counts[each.first : each.first + each.buckets.shape[1]] += each.buckets[split]
        layout = _layout(counts, shard_rows)
        for number in range(int(layout.max(initial=-1)) + 1):
            buckets = np.flatnonzero((layout == number) & (counts > 0))
            if len(buckets):
                low, high = int(buckets[0]), int(buckets[-1])
                files = tuple(f.path for f in found if f.first <= high and f.first + f.buckets.shape[1] > low)
                result.append(Planned(split, number, low, high, files))
    return result


def write_shard(
    work: Staging,
    features: Features,
    encoded: Mapping[int, Sequence[Encoded]],
    raw: Mapping[int, Sequence[SidePart]],
    edges: Edges,
    shard: Planned,
) -> WrittenShard:
    """Writes one shard under a name of its own among the intermediate files.

    Args:
        work: what is prepared.
        features: of the dataset.
        encoded: entity -> its side, in parts.
        raw: entity -> its side before it was encoded.
        edges: bins of numeric features.
        shard: which rows.
    """
    rows = _rows(work, shard)
    made = _made(work, features, encoded, rows, shard)
    label = rows[LABEL].to_numpy().astype(np.int64)
    place = Folder(work.folder)
    path = f"{uuid.uuid4().hex}.parquet"
    coded = [e.name for e in features.whole.entities] + [f.name for f in features.whole.categoricals]
    pq.write_table(made, place.path(path), filesystem=place.filesystem, compression="snappy", use_dictionary=coded)
    return WrittenShard(
        planned=shard,
        path=path,
        raw=_write_raw(work, features.whole, raw, rows, shard) if shard.split else None,
        rows=made.num_rows,
        digest=int(np.sum(row_hashes(made.columns), dtype=np.uint64)),
        labels=np.bincount(label, minlength=2),
        weights=sum_weights(made[OUT_WEIGHT].to_numpy(), label, 2),
        histograms=histograms(features.own, made, edges, label),
    )


def dataset_schema(schema: Schema) -> pa.Schema:
    """Names and types of a dataset's Parquet columns, in order."""
    return pa.schema(
        [
            pa.field(OUT_UID, pa.string()),
            pa.field(OUT_LABEL, pa.float32()),
            pa.field(OUT_WEIGHT, pa.float32()),
            pa.field(OFFSET, pa.float32()),
            pa.field(TIMESTAMP, pa.float64()),
            *(pa.field(e.name, pa.string()) for e in schema.entities),
            *arrow_schema(schema),
        ]
    )


def name_shards(work: Staging, written: Sequence[WrittenShard]) -> dict[str, tuple[Shard, ...]]:
    """Moves shards to their final names; by split, in order."""
    result: dict[str, list[Shard]] = {s: [] for s in SPLITS}
    for shard in sorted(written, key=lambda w: (w.planned.split, w.planned.number)):
        split = SPLITS[shard.planned.split]
        place = Folder(work.out).within(split)
        if not result[split]:
            place.filesystem.create_dir(place.path(), recursive=True)
        name = f"part-{shard.planned.number:05d}.parquet"
        place.filesystem.move(Folder(work.folder).path(shard.path), place.path(name))
        if shard.raw is not None:
            beside = Folder(work.out).within(f"{RAW}/{split}")
            beside.filesystem.create_dir(beside.path(), recursive=True)
            beside.filesystem.move(Folder(work.folder).path(shard.raw), beside.path(name))
        result[split].append(Shard(name=name, rows=shard.rows))
    return {split: tuple(shards) for split, shards in result.items()}


def _layout(counts: Ints, shard_rows: int) -> npt.NDArray[np.int64]:
    """The shard of each bucket."""
    total = int(counts.sum())
    shards = max(1, -(-total // shard_rows))
    middles = np.cumsum(counts) - counts / 2
    wanted = np.minimum((middles * shards / max(total, 1)).astype(np.int64), shards - 1)
    used = np.unique(wanted[counts > 0])  # a member of more rows than a shard leaves numbers unused
    return np.searchsorted(used, wanted).clip(0, max(len(used) - 1, 0))


def _rows(work: Staging, shard: Planned) -> pa.Table:
    """The shard's rows in order."""
    tables = []
    for path in shard.files:
        batch = read_batch(work.folder, path, shard.split)
        bucket = batch.column("bucket").to_numpy()
        begin, end = np.searchsorted(bucket, [shard.low, shard.high + 1])
        part = pa.Table.from_batches([batch.slice(begin, end - begin)])
        tables.append(part if work.negatives >= 1 else part.filter(part["kept"]))
    table = pa.concat_tables(tables).drop_columns(["bucket", "kept"]).combine_chunks()
    return table.take(_order(table)).combine_chunks()


def _write_raw(
    work: Staging, schema: Schema, raw: Mapping[int, Sequence[SidePart]], rows: pa.Table, shard: Planned
) -> str:
    """Writes the raw columns of a shard's rows as they were staged, history among them, by uid; returns the path."""
    staged = {name: rows[name] for name in rows.column_names}
    for side, parts in raw.items():
        staged |= raw_columns(work, _near(work, side, parts, shard), keys_of(rows[f"e{side}"]))
    columns = by_source(work, staged)
    columns |= {e.source: rows[f"e{i}"] for i, e in enumerate(schema.entities)}
    intermediate = Folder(work.folder)
    path = f"{uuid.uuid4().hex}.parquet"
    pq.write_table(
        pa.table({OUT_UID: rows[UID], **columns}), intermediate.path(path), filesystem=intermediate.filesystem
    )
    return path


def _near(work: Staging, side: int, parts: Sequence[Any], shard: Planned) -> list[Any]:
    """The parts of a side that may have ids of a shard: of members, those of its buckets."""
    if side:
        return list(parts)
    low, high = part_of(np.array([shard.low, shard.high]), work.parts).tolist()
    return [p for p in parts if low <= getattr(p, "side", p).part <= high]


def _order(table: pa.Table) -> pa.Array:
    """By member, time, uid. Texts are compared only where hashes and times do not decide."""
    order = [("e0", "ascending"), (TIME, "ascending"), (UID, "ascending")]
    return pc.sort_indices(table, sort_keys=order)


def _made(
    work: Staging, features: Features, encoded: Mapping[int, Sequence[Encoded]], rows: pa.Table, shard: Planned
) -> pa.Table:
    count = rows.num_rows
    own = encode(features.own, rows)
    columns = {name: own[name] for name in own.column_names}
    for side, parts in encoded.items():
        keys = keys_of(rows[f"e{side}"])
        columns.update(attach(work, _near(work, side, parts, shard), keys, features.sides[side]))
    fixed = {
        OUT_UID: rows[UID],
        OUT_LABEL: rows[LABEL].cast(pa.float32()),
        OUT_WEIGHT: rows[WEIGHT].cast(pa.float32()),
        OFFSET: pa.array(np.zeros(count, np.float32)),
        TIMESTAMP: pa.array(rows[TIME].to_numpy() / 1e6),
        **{e.name: rows[f"e{i}"] for i, e in enumerate(features.whole.entities)},
    }
    columns.update(fixed)
    wanted = dataset_schema(features.whole)
    return pa.table([columns[f.name] for f in wanted], schema=wanted)
