"""Raw tables of this machine in blocks of rows: plain Parquet by row groups, all else as `local_tables` reads it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from glmix_automl.prepare.files import look
from glmix_automl.prepare.intake import BLOCK_ROWS
from glmix_automl.prepare.local_files import LocalFiles
from glmix_automl.prepare.local_tables import read_local
from glmix_automl.prepare.recipe import Table
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.storage import resolve
from glmix_automl.prepare.tables import lack

_PLAIN = {"path", "format", "rename"}


class BlockTable(Protocol):
    """A table that is read in blocks."""

    @property
    def rows(self) -> int:
        """How many rows it has."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""

    @property
    def groups(self) -> list[Any]:
        """What can be read apart."""

    def blocks(self, group: Any, names: list[str]) -> Iterator[pa.Table]:
        """Columns of a group's rows, in blocks."""


@dataclass(frozen=True)
class ParquetTable:
    """Parquet files, seen under the recipe's names."""

    files: tuple[str, ...]
    rename: Mapping[str, str]

    @property
    def rows(self) -> int:
        """See `BlockTable`."""
        return sum(pq.read_metadata(file).num_rows for file in self.files)

    @property
    def schema(self) -> pa.Schema:
        """See `BlockTable`."""
        return pa.schema([pa.field(self.rename.get(f.name, f.name), f.type) for f in pq.read_schema(self.files[0])])

    @property
    def groups(self) -> list[tuple[str, int]]:
        """See `BlockTable`: row groups, by file and number."""
        counts = ((file, pq.read_metadata(file).num_row_groups) for file in self.files)
        return [(file, number) for file, count in counts for number in range(count)]

    def blocks(self, group: tuple[str, int], names: list[str]) -> Iterator[pa.Table]:
        """See `BlockTable`."""
        back = {new: old for old, new in self.rename.items()}
        wanted = [back.get(n, n) for n in names]
        file, number = group
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(BLOCK_ROWS, [number], wanted, use_threads=False):
                yield pa.table({n: batch.column(w) for n, w in zip(names, wanted, strict=True)})


@dataclass(frozen=True)
class WholeTable:
    """A table in memory."""

    table: pa.Table

    @property
    def rows(self) -> int:
        """See `BlockTable`."""
        return self.table.num_rows

    @property
    def schema(self) -> pa.Schema:
        """See `BlockTable`."""
        return self.table.schema

    @property
    def groups(self) -> list[int]:
        """See `BlockTable`: first rows."""
        return list(range(0, self.table.num_rows, BLOCK_ROWS))

    def blocks(self, group: int, names: list[str]) -> Iterator[pa.Table]:
        """See `BlockTable`."""
        yield self.table.select(names).slice(group, BLOCK_ROWS)


def open_table(table: Table, root: str, what: str, remarks: Remarks) -> BlockTable:
    """A table of a recipe, to be read in blocks.

    Raises:
        DataError: as `local_tables.read_local`.
    """
    uri = resolve(root, table.path)
    where = f"{what} table {uri}"
    found = look(table, uri, LocalFiles(), where)
    if len(found.parts) > 1 or found.parts[0].format != "parquet" or table.model_fields_set - _PLAIN or "=" in uri:
        return WholeTable(read_local(table, root, what, remarks))
    if any("=" in file.removeprefix(uri) for file in found.files):  # columns in the names of folders
        return WholeTable(read_local(table, root, what, remarks))
    remarks.notes += found.notes
    lack(list(table.rename), [name for name, _ in found.parts[0].types], where)
    return ParquetTable(tuple(found.files), table.rename)


def spark_type(kind: pa.DataType) -> str:
    """How Spark names the type of a Parquet column."""
    plain = {
        pa.int8(): "tinyint", pa.int16(): "smallint", pa.int32(): "int", pa.int64(): "bigint", pa.float32(): "float",
        pa.float64(): "double", pa.bool_(): "boolean", pa.string(): "string", pa.large_string(): "string",
        pa.date32(): "date", pa.binary(): "binary",
    }  # fmt: skip
    if kind in plain:
        return plain[kind]
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp_ntz"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_list(kind):
        return f"array<{spark_type(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{spark_type(kind.key_type)},{spark_type(kind.item_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{f.name}:{spark_type(f.type)}' for f in kind)}>"
    return str(kind)
