"""Rows change places through files: a block of rows is written once, in the order of the partitions that will read it.

An exchange is a set of Arrow files with one record batch per partition, so a reader of partition j opens batch j of
each file and reads nothing else. Files have names that no other attempt has; only those that the driver was told of are
read, so tasks may be repeated, or run twice at once. Whoever runs tasks (threads here, Spark's executors there) must
see the folder.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import fs

from glmix_automl.layout import Folder
from glmix_automl.prepare.as_of import Ints


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


def read_part(folder: str, files: Sequence[Spread], number: int) -> tuple[pa.Table | None, Ints]:
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


def _batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _opened(folder: str, path: str) -> tuple[fs.FileSystem, str]:
    place = Folder(folder)
    return place.filesystem, place.path(path)
