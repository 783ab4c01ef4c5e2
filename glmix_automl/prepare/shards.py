"""Parquet shards of even size, the rows of a member together and in order of time.

Which shard a row is in, and where in it, follows from the data alone (hashes of member ids and counts of rows), never
from partitions, cores or arrival; so the same data gives the same shards on any machine. A shard is one task: its rows
are read, encoded, put beside what describes their member and item, sorted, written, and counted and hashed on the way,
so that nothing is read again.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from glmix_automl.features import arrow_schema, encode, match_columns
from glmix_automl.layout import RAW, Folder
from glmix_automl.manifest import Shard
from glmix_automl.prepare.blocks import sorted_blocks
from glmix_automl.prepare.exchange import Ints, read_batch
from glmix_automl.prepare.partition import Laid
from glmix_automl.prepare.profile import Edges, histograms, sum_weights
from glmix_automl.prepare.row_hash import BUCKETS, keys_of, parts_of_buckets, row_hashes
from glmix_automl.prepare.sides import Encoded, SidePart, attach, raw_columns
from glmix_automl.prepare.stage import LABEL, TIME, UID, WEIGHT, Staging, by_source
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
        rows: how many.
        files: laid partitions that have rows of these.
    """

    split: int
    number: int
    low: int
    high: int
    rows: int
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
        histograms: of what is each row's own, matches among it: [2, bins].
    """

    planned: Planned
    path: str
    raw: str | None
    rows: int
    digest: int
    labels: Ints
    weights: Ints
    histograms: Mapping[str, Ints]

    def __add__(self, other: "WrittenShard") -> "WrittenShard":
        """Both blocks of a shard."""
        return replace(
            self,
            rows=self.rows + other.rows,
            digest=(self.digest + other.digest) % 2**64,
            labels=self.labels + other.labels,
            weights=self.weights + other.weights,
            histograms={n: h + other.histograms[n] for n, h in self.histograms.items()},
        )


@dataclass(frozen=True)
class Features:
    """The schema of the dataset, and the parts of it that are read from rows and from sides, with staged sources."""

    whole: Schema
    own: Schema
    sides: Mapping[int, Schema]

    @property
    def by_row(self) -> Schema:
        """What rows of one member or item differ in: their own features, and matches."""
        return self.own.model_copy(update={"features": (*self.own.features, *self.whole.matches)})


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
                here = (f for f in found if f.first <= high and f.first + f.buckets.shape[1] > low)
                files, rows = tuple(path for f in here for path in f.paths), int(counts[low : high + 1].sum())
                result.append(Planned(split, number, low, high, rows, files))
    return result


def write_shard(
    work: Staging,
    features: Features,
    encoded: Mapping[int, Sequence[Encoded]],
    raw: Mapping[int, Sequence[SidePart]],
    edges: Edges,
    shard: Planned,
) -> WrittenShard:
    """Writes one shard under a name of its own among the intermediate files, block by block if it is a large one.

    Args:
        work: what is prepared.
        features: of the dataset.
        encoded: entity -> its side, in parts.
        raw: entity -> its side before it was encoded.
        edges: bins of numeric features.
        shard: which rows.
    """
    coded = [e.name for e in features.whole.entities] + [f.name for f in features.whole.categoricals]
    blocks = []
    with _ParquetFile(work.folder, use_dictionary=coded) as file, _ParquetFile(work.folder) as beside:
        order = ("e0", TIME, UID)  # texts that tell rows apart
        for rows in sorted_blocks(work.folder, partial(_rows, work, shard), shard.rows, order, work.held_rows):
            made = _made(work, features, encoded, rows, shard)
            file.write(made)
            if shard.split:
                beside.write(_raw(work, features.whole, raw, rows, shard))
            label = rows[LABEL].to_numpy().astype(np.int64)
            blocks.append(
                WrittenShard(
                    planned=shard,
                    path=file.path,
                    raw=beside.path if shard.split else None,
                    rows=made.num_rows,
                    digest=int(np.sum(row_hashes(made.columns), dtype=np.uint64)),
                    labels=np.bincount(label, minlength=2),
                    weights=sum_weights(made[OUT_WEIGHT].to_numpy(), label, 2),
                    histograms=histograms(features.by_row, made, edges, label),
                )
            )
    return reduce(add, blocks)


class _ParquetFile:
    """A Parquet file among the intermediate ones, written table by table; none where no table is."""

    def __init__(self, folder: str, **settings: Any) -> None:
        self._place, self._settings = Folder(folder), settings
        self.path = f"{uuid.uuid4().hex}.parquet"
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "_ParquetFile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            at, files = self._place.path(self.path), self._place.filesystem
            self._writer = pq.ParquetWriter(at, table.schema, filesystem=files, **self._settings)
        self._writer.write_table(table)


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


def _rows(work: Staging, shard: Planned) -> Iterator[pa.Table]:
    """The shard's rows, file by file."""
    for path in shard.files:
        batch = read_batch(work.folder, path, shard.split)
        bucket = batch.column("bucket").to_numpy()
        begin, end = np.searchsorted(bucket, [shard.low, shard.high + 1])
        part = pa.Table.from_batches([batch.slice(begin, end - begin)])
        part = part if work.negatives >= 1 else part.filter(part["kept"])
        yield part.drop_columns(["bucket", "kept"])


def _raw(
    work: Staging, schema: Schema, raw: Mapping[int, Sequence[SidePart]], rows: pa.Table, shard: Planned
) -> pa.Table:
    """The raw columns of some rows as they were staged, history among them, by uid."""
    staged = {name: rows[name] for name in rows.column_names}
    for side, parts in raw.items():
        staged |= raw_columns(work, _near(work, side, parts, shard), keys_of(rows[f"e{side}"]))
    columns = by_source(work, staged)
    columns |= {e.source: rows[f"e{i}"] for i, e in enumerate(schema.entities)}
    return pa.table({OUT_UID: rows[UID], **columns})


def _near(work: Staging, side: int, parts: Sequence[Any], shard: Planned) -> list[Any]:
    """The parts of a side that may have ids of a shard: of members, those of its buckets."""
    if side:
        return list(parts)
    low, high = parts_of_buckets(np.array([shard.low, shard.high]), work.parts).tolist()
    return [p for p in parts if low <= getattr(p, "side", p).part <= high]


def _made(
    work: Staging, features: Features, encoded: Mapping[int, Sequence[Encoded]], rows: pa.Table, shard: Planned
) -> pa.Table:
    count = rows.num_rows
    own = encode(features.own, rows)
    columns = {name: own[name] for name in own.column_names}
    for side, parts in encoded.items():
        keys = keys_of(rows[f"e{side}"])
        columns.update(attach(work, _near(work, side, parts, shard), keys, features.sides[side]))
    columns.update(match_columns(features.whole, columns))
    fixed = {
        OUT_UID: rows[UID],
        OUT_LABEL: rows[LABEL].cast(pa.float32()),
        OUT_WEIGHT: rows[WEIGHT].cast(pa.float32()),
        OFFSET: pa.array(np.zeros(count, np.float32)),
        TIMESTAMP: pa.array(rows[TIME].to_numpy() / 1e6 if work.timed else np.zeros(count)),
        **{e.name: rows[f"e{i}"] for i, e in enumerate(features.whole.entities)},
    }
    columns.update(fixed)
    wanted = dataset_schema(features.whole)
    return pa.table([columns[f.name] for f in wanted], schema=wanted)
