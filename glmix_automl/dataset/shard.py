"""One Parquet file of a split: opened, checked against the schema and the manifest, read by row groups.

Every way a file can be wrong ends in a `DataError` that names it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from glmix_automl import schema as names
from glmix_automl.errors import DataError
from glmix_automl.schema import Bag, Numeric, Schema

Answer = TypeVar("Answer")

_PAGE_BYTES = 65_536  # fetched at a time, per column, when memory is bounded

_CHECKS = {
    "float32": pa.types.is_float32,
    "float64": pa.types.is_float64,
    "int32": pa.types.is_int32,
    "string": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    "list<int32>": lambda kind: _is_list(kind) and pa.types.is_int32(kind.value_type),
    "list<float32>": lambda kind: _is_list(kind) and pa.types.is_float32(kind.value_type),
}


def column_kinds(schema: Schema) -> dict[str, str]:
    """Column -> the type it has in every shard, in words of Arrow."""
    kinds = {
        names.UID: "string",
        names.LABEL: "float32",
        names.WEIGHT: "float32",
        names.OFFSET: "float32",
        names.TIMESTAMP: "float64",
    }
    kinds |= {entity.name: "string" for entity in schema.entities}
    for feature in schema.features:
        if isinstance(feature, Bag):
            kinds[feature.name] = "list<int32>"
            if feature.weighted:
                kinds[feature.values] = "list<float32>"
        else:
            kinds[feature.name] = "float32" if isinstance(feature, Numeric) else "int32"
    return kinds


@dataclass(frozen=True, eq=False)
class ShardFile:
    """A Parquet file of a dataset.

    Attributes:
        filesystem, path: where it lies.
        rows: how many rows the manifest says it has.
        first: place of its first row in the split.
        kinds: column -> expected type, of the columns the schema names.
    """

    filesystem: fs.FileSystem
    path: str
    rows: int
    first: int
    kinds: Mapping[str, str]

    @cached_property
    def footer(self) -> pq.FileMetaData:
        """Its metadata, checked against manifest and schema.

        Raises:
            DataError: the file is missing, not Parquet, has other rows than the manifest says, or lacks a column.
        """
        with naming(self.path), self.filesystem.open_input_file(self.path) as source:
            file = pq.ParquetFile(source)
            footer, arrow = file.metadata, file.schema_arrow
        if footer.num_rows != self.rows:
            raise DataError(
                f"{self.path}: has {footer.num_rows} rows, {self.rows} expected by the manifest: "
                "the file is not the one that was published; prepare the dataset again"
            )
        for column, kind in self.kinds.items():
            if column not in arrow.names:
                raise DataError(f"{self.path}: column {column!r} of the schema is missing; it has {_some(arrow.names)}")
            if not _CHECKS[kind](arrow.field(column).type):
                raise DataError(f"{self.path}: column {column!r} is {arrow.field(column).type}, expected {kind}")
        return footer

    @property
    def groups(self) -> list[tuple[int, int]]:
        """(place of its first row in the split, rows) of each row group."""
        found, first = [], self.first
        for group in range(self.footer.num_row_groups):
            rows = self.footer.row_group(group).num_rows
            found.append((first, rows))
            first += rows
        return found

    def values(self, bag: str) -> int:
        """How many values the lists of a bag's column hold, by the footer: an empty list counts as one."""
        groups = (self.footer.row_group(group) for group in range(self.footer.num_row_groups))
        chunks = (group.column(place) for group in groups for place in range(group.num_columns))
        # A list lies two levels deep: `<column>.list.element`, or what other writers call the levels.
        return sum(chunk.num_values for chunk in chunks if chunk.path_in_schema.rsplit(".", 2)[0] == bag)

    def read(self, columns: Sequence[str], group: int | None = None, dictionaries: Sequence[str] = ()) -> pa.Table:
        """The columns of one row group, or of the whole file.

        Args:
            columns: names; one that is a bag's brings its lists.
            group: number of the row group, or None for all.
            dictionaries: string columns to give as dictionary codes instead of as text.
        """
        with self._open(dictionaries) as file:
            if group is None:
                return self._sound(file.read(columns=list(columns)))
            return self._sound(file.read_row_group(group, columns=list(columns)))

    def batches(self, columns: Sequence[str], group: int, rows: int) -> Iterator[pa.Table]:
        """The columns of one row group, at most `rows` at a time; a page or two of each column is in memory."""
        with self._open(paged=True) as file:
            for batch in file.iter_batches(rows, row_groups=[group], columns=list(columns)):
                yield self._sound(pa.table(batch))

    @contextmanager
    def _open(self, dictionaries: Sequence[str] = (), paged: bool = False) -> Iterator[pq.ParquetFile]:
        footer = self.footer
        with naming(self.path), self.filesystem.open_input_file(self.path) as source:
            yield pq.ParquetFile(
                source,
                metadata=footer,
                read_dictionary=list(dictionaries),
                # Pre-buffering fetches whole row groups at once: fewer round trips, but no bound on memory.
                pre_buffer=not paged,
                buffer_size=_PAGE_BYTES if paged else 0,
                # Where the writer left checksums, bits that turned on a disk are found, for a fifth of the time.
                page_checksum_verification=True,
            )

    def _sound(self, table: pa.Table) -> pa.Table:
        for name in table.column_names:
            column = table.column(name)
            if column.null_count or (_is_list(column.type) and any(c.values.null_count for c in column.chunks)):
                raise DataError(f"{self.path}: column {name!r} has nulls; a dataset has none: prepare it again")
        return table


def in_threads(tasks: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """The results of the tasks in order, run on as many threads as Arrow has; the first error ends the rest."""
    with ThreadPoolExecutor(max(min(pa.cpu_count(), len(tasks)), 1), "read") as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Turns what Arrow and the system raise about a file into an error that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: the manifest names this shard, but it is not there; prepare it again") from error
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: names in the footer that are not text
        raise DataError(f"{path}: cannot be read as Parquet, it may be cut off or damaged: {error}") from error


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _some(columns: Sequence[str]) -> str:
    shown = ", ".join(sorted(columns)[:12])
    return shown if len(columns) <= 12 else f"{shown}, ... ({len(columns)} columns)"
