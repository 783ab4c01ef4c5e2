"""Rows change places through files: a block of rows is written once, in the order of the partitions that will read it.

An exchange is a set of Arrow files with one record batch per partition, so a reader of partition j opens batch j of
each file and reads nothing else. Files have names that no other attempt has; only those that the driver was told of are
read, so tasks may be repeated, or run twice at once. Whoever runs tasks (threads here, Spark's executors there) must
see the folder.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import fs

from glmix_automl.layout import Folder
from glmix_automl.prepare.as_of import Ints

_SAMPLE = 1_000  # times per batch that the borders of blocks are chosen from


@dataclass(frozen=True)
class Spread:
    """One file of an exchange.

    Attributes:
        path: of the file, in the folder of intermediate files.
        rows: of each partition.
    """

    path: str
    rows: tuple[int, ...]


def spread(folder: str, table: pa.Table, part: Ints, parts: int) -> tuple[Spread, Ints]:
    """Writes a table as one file of an exchange.

    Args:
        folder: URI of intermediate files.
        table: the rows.
        part: the partition of each, from 0 to `parts` - 1.
        parts: how many there are.

    Returns:
        The file, and where each row came to lie in the batch of its partition: [rows].
    """
    rows = np.bincount(part, minlength=parts)
    starts = np.cumsum(rows) - rows
    order = np.argsort(part, kind="stable")
    place = np.empty(len(part), np.int64)
    place[order] = np.arange(len(part)) - starts[part[order]]
    sorted_table = table.take(pa.array(order)).combine_chunks()
    path = f"{uuid.uuid4().hex}.arrow"
    files, at = _opened(folder, path)
    with files.open_output_stream(at, compression=None) as sink, pa.ipc.new_file(sink, table.schema) as writer:
        for begin, count in zip(starts.tolist(), rows.tolist(), strict=True):
            writer.write_batch(_batch(sorted_table.slice(begin, count)))
    return Spread(path, tuple(rows.tolist())), place


def read_part(folder: str, files: list[Spread], number: int) -> tuple[pa.Table | None, Ints]:
    """The rows of a partition, those of the first file first, and the file of each row; None where there are none."""
    there = [(i, f) for i, f in enumerate(files) if f.rows[number]]
    if not there:
        return None, np.empty(0, np.int64)
    table = pa.Table.from_batches([read_batch(folder, f.path, number) for _, f in there])
    return table, np.repeat([i for i, _ in there], [f.rows[number] for _, f in there])


def read_batch(folder: str, path: str, number: int) -> pa.RecordBatch:
    """One record batch of a file; mapped into memory where the file is on this machine."""
    files, at = _opened(folder, path)
    source = pa.memory_map(at) if isinstance(files, fs.LocalFileSystem) else files.open_input_file(at)
    return pa.ipc.open_file(source).get_batch(number)


def write_batches(folder: str, batches: list[pa.Table]) -> str:
    """Writes tables of one schema as the batches of a file; returns its path."""
    path = f"{uuid.uuid4().hex}.arrow"
    files, at = _opened(folder, path)
    with files.open_output_stream(at, compression=None) as sink, pa.ipc.new_file(sink, batches[0].schema) as writer:
        for table in batches:
            writer.write_batch(_batch(table))
    return path


def in_blocks(folder: str, files: list[Spread], number: int, time: str, limit: int) -> Iterator[tuple[pa.Table, Ints]]:
    """The rows of a partition in blocks of at most about `limit` rows, later blocks strictly later in time.

    What fits is read at once. A larger partition (a key that most rows have) is written once more, by spans of time, so
    that no more than a block of it is in memory; rows of one moment are never parted.

    Yields:
        Rows, and the file (its place in `files`) of each.
    """
    rows = sum(f.rows[number] for f in files)
    if rows <= limit:
        table, file = read_part(folder, files, number)
        if table is not None:
            yield table, file
        return
    borders = _borders(folder, files, number, time, -(-rows // limit))
    again = []
    for place, source in enumerate(files):
        if source.rows[number]:
            table = pa.Table.from_batches([read_batch(folder, source.path, number)])
            part = np.searchsorted(borders, table[time].to_numpy(), side="right")
            table = table.append_column("_file", pa.array(np.full(table.num_rows, place)))
            again.append(spread(folder, table, part, len(borders) + 1)[0])
    for block in range(len(borders) + 1):
        table, _ = read_part(folder, again, block)
        if table is not None:
            yield table.drop_columns(["_file"]), table["_file"].to_numpy()


def _borders(folder: str, files: list[Spread], number: int, time: str, blocks: int) -> Ints:
    """Times at which all blocks but the first begin."""
    sample = []
    for file in files:
        if file.rows[number]:
            times = read_batch(folder, file.path, number).column(time).to_numpy()
            sample.append(times[:: max(1, len(times) // _SAMPLE)])
    return np.unique(np.quantile(np.concatenate(sample), np.linspace(0, 1, blocks + 1)[1:-1], method="lower"))


def _batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _opened(folder: str, path: str) -> tuple[fs.FileSystem, str]:
    place = Folder(folder)
    return place.filesystem, place.path(path)
