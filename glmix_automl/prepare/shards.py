"""Staged rows become Parquet shards of even size, the rows of a member together and in order of time.

Which shard a row is in, and where in it, follows from the data alone (hashes of member ids and counts of rows), never
from partitions, cores or arrival; so the same data gives the same shards on any machine.
"""

from collections.abc import Iterator
from functools import partial, reduce

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from glmix_automl.features import arrow_schema, encode
from glmix_automl.manifest import Shard
from glmix_automl.prepare.split import SPLIT
from glmix_automl.prepare.stage import LABEL, TIME, UID, WEIGHT, in_large_batches
from glmix_automl.prepare.storage import Storage
from glmix_automl.prepare.tables import column
from glmix_automl.schema import LABEL as OUT_LABEL
from glmix_automl.schema import OFFSET, SPLITS, TIMESTAMP, Schema
from glmix_automl.schema import UID as OUT_UID
from glmix_automl.schema import WEIGHT as OUT_WEIGHT

_BUCKETS = 65_536  # of member ids; shards are runs of buckets, so this bounds how even they can be
_BUCKET = "bucket"
# Partition columns of the first write; no feature should be named so.
_SPLIT, _SHARD = "__split", "__shard"
_UNSORTED = "_shards"

Layout = dict[str, npt.NDArray[np.int32]]
"""Split -> the shard of each bucket."""


def write(frame: DataFrame, schema: Schema, storage: Storage, shard_rows: int) -> dict[str, tuple[Shard, ...]]:
    """Encodes staged rows with a split and writes `<split>/part-<number>.parquet` under `storage`.

    Args:
        frame: staged rows with their split; rows without one are left out.
        schema: with features whose sources are staged columns (`f0`, ...).
        storage: folder of the unfinished dataset.
        shard_rows: rows of a shard aimed at.
    """
    placed = frame.where(F.col(SPLIT).isNotNull()).withColumn(_BUCKET, F.pmod(F.xxhash64("e0"), F.lit(_BUCKETS)))
    layout, rows = _layout(placed, shard_rows)
    fields = dataset_schema(schema)
    spark_fields = from_arrow_schema(pa.schema([*fields, pa.field(_SPLIT, pa.string()), pa.field(_SHARD, pa.int32())]))
    encoded = placed.mapInArrow(partial(_encode, schema, layout), spark_fields)
    order = [column(c) for c in (_SPLIT, _SHARD, schema.entities[0].name, TIMESTAMP, OUT_UID)]
    unsorted = f"{storage.uri}/{_UNSORTED}"
    (
        encoded.repartition(sum(map(len, rows.values())), _SPLIT, _SHARD)
        .sortWithinPartitions(*order)
        .write.partitionBy(_SPLIT, _SHARD)
        .parquet(unsorted)
    )
    shards = {split: _named(storage, unsorted, split, counts) for split, counts in rows.items()}
    storage.remove(unsorted)
    return shards


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


def read_split(spark: SparkSession, schema: Schema, uri: str, split: str) -> DataFrame:
    """The rows of a written split."""
    return spark.read.schema(from_arrow_schema(dataset_schema(schema))).parquet(f"{uri}/{split}")


def digests(frames: dict[str, DataFrame]) -> dict[str, tuple[int, str]]:
    """Rows of each written split, and the sum of their hashes as hexadecimal text: the same in whatever order."""
    hashed = [
        frame.select(F.lit(name).alias("name"), F.xxhash64(*(column(c) for c in frame.columns)).alias("hash"))
        for name, frame in frames.items()
    ]
    total = F.sum(F.col("hash").cast("decimal(38,0)"))
    found = reduce(DataFrame.unionAll, hashed).groupBy("name").agg(F.count(F.lit(1)), total).collect()
    return {name: (rows, f"{int(number) % 2**64:016x}") for name, rows, number in found}


def _layout(placed: DataFrame, shard_rows: int) -> tuple[Layout, dict[str, list[int]]]:
    """The shard of each bucket, and the rows of each shard, by split; the driver sees one count per bucket."""
    layout, rows = {}, {}
    counted = {s: np.zeros(_BUCKETS, np.int64) for s in SPLITS}
    for split, bucket, count in placed.groupBy(SPLIT, _BUCKET).count().collect():
        counted[split][bucket] = count
    for split, counts in counted.items():
        total = int(counts.sum())
        shards = max(1, -(-total // shard_rows))
        middles = np.cumsum(counts) - counts / 2
        wanted = np.minimum((middles * shards / max(total, 1)).astype(np.int64), shards - 1)
        used = np.unique(wanted[counts > 0])  # a member of more rows than a shard leaves numbers unused
        layout[split] = np.searchsorted(used, wanted).clip(0, max(len(used) - 1, 0)).astype(np.int32)
        rows[split] = np.bincount(layout[split], weights=counts, minlength=len(used)).astype(int).tolist()
    return layout, rows


def _encode(schema: Schema, layout: Layout, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for table in in_large_batches(batches):
        rows = table.num_rows
        buckets = table.column(_BUCKET).to_numpy()
        split = table.column(SPLIT)
        shard = np.zeros(rows, np.int32)
        names = split.to_numpy(zero_copy_only=False)
        for name, shard_of in layout.items():
            here = names == name
            shard[here] = shard_of[buckets[here]]
        fixed = [
            table.column(UID),
            table.column(LABEL).cast(pa.float32()),
            table.column(WEIGHT).cast(pa.float32()),
            pa.array(np.zeros(rows, np.float32)),
            pa.array(table.column(TIME).to_numpy() / 1e6),
            *(table.column(f"e{i}") for i in range(len(schema.entities))),
        ]
        made = pa.table([*fixed, *encode(schema, table).columns], schema=dataset_schema(schema))
        made = made.append_column(_SPLIT, split).append_column(_SHARD, pa.array(shard))
        yield from made.to_batches(max_chunksize=20_000)


def _named(storage: Storage, unsorted: str, split: str, rows: list[int]) -> tuple[Shard, ...]:
    """Moves the one file of each shard to its final name."""
    storage.make(f"{storage.uri}/{split}")
    shards = []
    for number, count in enumerate(rows):
        folder = f"{unsorted}/{_SPLIT}={split}/{_SHARD}={number}"
        (name,) = (n for n in storage.names(folder) if n.endswith(".parquet"))
        final = f"part-{number:05d}.parquet"
        storage.rename(f"{folder}/{name}", f"{storage.uri}/{split}/{final}")
        shards.append(Shard(name=final, rows=count))
    return tuple(shards)
