"""Raw tables of this machine read by Arrow, column for column what `tables.read_table` gives through Spark.

Not read here are `derive` (Spark SQL) and separators of several characters; `table_needs_spark` says so beforehand.
"""

import gzip
import io
import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from glmix_automl.errors import DataError
from glmix_automl.features import as_numbers, as_texts
from glmix_automl.prepare.files import Part, look
from glmix_automl.prepare.local_files import LocalFiles, local_path
from glmix_automl.prepare.recipe import Gather, Join, Recipe, Table
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.storage import resolve
from glmix_automl.prepare.tables import lack

_TYPES = {
    "int": pa.int32(), "integer": pa.int32(), "bigint": pa.int64(), "long": pa.int64(), "smallint": pa.int16(),
    "tinyint": pa.int8(), "float": pa.float32(), "double": pa.float64(), "string": pa.string(),
}  # fmt: skip
_WHOLE = r"^\s*[+-]?\d+\s*$"


def table_needs_spark(table: Table, root: str) -> str | None:
    """Why only Spark reads the table, or None; `root` is what relative paths start from."""
    uri = resolve(root, table.path)
    if "://" in uri and not uri.startswith("file:"):
        return f"{uri} is not on this machine"
    if table.derive:
        return f"`derive` of {table.path} is Spark SQL"
    if len(table.separator) > 1:
        return f"the separator of {table.path} has several characters"
    if other := sorted(ddl for ddl in table.types.values() if ddl.lower() not in _TYPES):
        return f"`types` of {table.path} casts to {other[0]}"
    return next((why for join in table.join if (why := table_needs_spark(join.table, root))), None)


def recipe_needs_spark(recipe: Recipe) -> str | None:
    """Why only Spark reads the recipe's tables, or None."""
    return next((why for table in recipe.tables if (why := table_needs_spark(table, recipe.root))), None)


def table_bytes(table: Table, root: str) -> int:
    """The size of the table's files; 0 where they cannot be found."""
    found, _ = LocalFiles().expand(resolve(root, table.path))
    return sum(Path(local_path(file)).stat().st_size for file in found)


def read_local(table: Table, root: str, what: str, remarks: Remarks | None = None) -> pa.Table:
    """The table as the recipe sees it; arguments and errors are those of `tables.read_table`."""
    remarks = remarks if remarks is not None else Remarks()
    uri = resolve(root, table.path)
    where = f"{what} table {uri}"
    if why := table_needs_spark(table, root):
        raise DataError(f"{where}: {why}; set `engine: spark`")
    found = look(table, uri, LocalFiles(), where)
    remarks.notes += found.notes
    try:
        parts = [part for alike in found.parts for part in _parts(table, alike, uri)]
        frame = pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowException, OSError, ValueError) as error:
        remedy = "; set `encoding`, latin-1 perhaps" if "UTF8" in str(error) else ""
        raise DataError(f"{where}: {error}{remedy}") from error
    frame = _nulled(frame, table.nulls)
    for old, new in table.rename.items():
        lack([old], frame.column_names, where)
        frame = frame.rename_columns([new if name == old else name for name in frame.column_names])
    for name, ddl in table.types.items():
        lack([name], frame.column_names, where)
        place = frame.column_names.index(name)
        frame = frame.set_column(place, name, cast_to(frame.column(name), _TYPES[ddl.lower()]))
    if table.gather is not None:
        frame = _gathered(frame, table.gather, where)
    return reduce(lambda one, join: _joined(one, join, root, where, remarks), table.join, frame)


def cast_to(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """The column as another type, null where a value has none: Spark's `try_cast`."""
    if pa.types.is_string(kind):
        return pa.chunked_array([column.combine_chunks().cast(kind)], kind)
    array = column.combine_chunks()
    numbers = as_numbers(array)
    usable = ~np.isnan(numbers)
    if pa.types.is_integer(kind):
        if pa.types.is_string(array.type):
            whole = pc.fill_null(pc.match_substring_regex(array, _WHOLE), False)
            text = pc.utf8_ltrim(pc.utf8_trim_whitespace(pc.if_else(whole, array, None)), "+")
            array = text.cast(pa.decimal128(38, 0)).fill_null(0) if whole.true_count else pa.array([0] * len(array))
            usable &= whole.to_numpy(zero_copy_only=False)
        else:
            array = pa.array(np.trunc(np.where(usable, numbers, 0))) if not pa.types.is_integer(array.type) else array
        low, high = np.iinfo(kind.to_pandas_dtype()).min, np.iinfo(kind.to_pandas_dtype()).max
        usable &= (numbers >= low) & (numbers <= high)
        array = pc.if_else(pa.array(usable), array, pa.scalar(None, array.type)).cast(kind, safe=False)
        return pa.chunked_array([array], kind)
    return pa.chunked_array([pa.array(numbers, mask=~usable).cast(kind)], kind)


def _parts(table: Table, part: Part, uri: str) -> Iterator[pa.Table]:
    """A table per file, with what the names of its folders say (`day=2024-01-01/`)."""
    for file in part.files:
        if part.format == "parquet":
            found = _micros(pq.ParquetFile(file).read())
        elif part.format == "json":
            found = _json(file, part)
            found = found.select(sorted(found.column_names))  # as Spark has them
        else:
            found = _csv(table, file, part)
        for folder in file.removeprefix(local_path(uri)).split("/")[:-1]:
            name, sign, value = folder.partition("=")
            if sign and name not in found.column_names:
                found = found.append_column(name, pa.repeat(pa.scalar(value), len(found)))
        yield found


def _micros(found: pa.Table) -> pa.Table:
    """Times in microseconds, as Spark has them."""
    fields = [
        pa.field(f.name, pa.timestamp("us", f.type.tz)) if pa.types.is_timestamp(f.type) else f for f in found.schema
    ]
    return found.cast(pa.schema(fields), safe=False)


def _opened(file: str, part: Part) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file, "rb") if part.gzip else LocalFiles().open(file))


def _json(file: str, part: Part) -> pa.Table:
    with _opened(file, part) as stream:
        if part.multiline:
            found = json.load(io.TextIOWrapper(stream, "utf-8-sig"))
            return pa.Table.from_pylist(found if isinstance(found, list) else [found])
        content = stream.read()
    table = pa.json.read_json(io.BytesIO(content))
    # Arrow makes times of text that looks so; Spark does not, and ids must stay what they are.
    texts = pa.schema([pa.field(f.name, pa.string()) for f in table.schema if pa.types.is_timestamp(f.type)])
    return pa.json.read_json(io.BytesIO(content), parse_options=pa.json.ParseOptions(texts)) if len(texts) else table


def _csv(table: Table, file: str, part: Part) -> pa.Table:
    names = [*part.columns, *(f"_glmix_rest{i}" for i in range(len(part.columns), part.width))]
    with _opened(file, part) as stream:
        source: Any = _Uncommented(stream, part.comment.encode()) if part.comment else stream
        return pa.csv.read_csv(
            source,
            pa.csv.ReadOptions(column_names=names, skip_rows=int(part.header), encoding=table.encoding),
            pa.csv.ParseOptions(
                delimiter=table.separator, quote_char=table.quote or False, newlines_in_values=table.multiline
            ),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=list(part.columns),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )


class _Uncommented(io.RawIOBase):
    """The lines of a file that do not begin with a mark."""

    def __init__(self, stream: BinaryIO, mark: bytes) -> None:
        self._lines = (line for line in stream if not line.startswith(mark))
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while len(self._left) < len(buffer):
            line = next(self._lines, b"")
            if not line:
                break
            self._left += line
        given, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(given)] = given
        return len(given)


def _nulled(frame: pa.Table, texts: tuple[str, ...]) -> pa.Table:
    nulls = pa.array([text for text in texts if text], pa.string())
    for place, field in enumerate(frame.schema if len(nulls) else ()):
        if pa.types.is_string(field.type):
            column = frame.column(place)
            kept = pc.if_else(pc.is_in(column, nulls), pa.scalar(None, pa.string()), column)
            frame = frame.set_column(place, field.name, kept)
    return frame


def _gathered(frame: pa.Table, gather: Gather, where: str) -> pa.Table:
    wanted = [gather.by, gather.term, *([gather.value] if gather.value else [])]
    lack(wanted, frame.column_names, where)
    columns = {"by": as_texts(frame.column(gather.by)), "term": as_texts(frame.column(gather.term))}
    if gather.value:
        numbers = as_numbers(frame.column(gather.value))
        columns["value"] = pa.array(numbers, mask=np.isnan(numbers))
    whole = pa.table(columns)
    whole = whole.filter(pc.and_(whole["by"].is_valid(), whole["term"].is_valid()))
    whole = whole.sort_by([(name, "ascending") for name in columns]).combine_chunks()
    keys, counts = whole.group_by("by", use_threads=False).aggregate([("by", "count")]).columns
    ends = np.concatenate([[0], np.cumsum(counts.to_numpy())]).astype(np.int32)
    terms = whole["term"].combine_chunks()
    if gather.value:
        terms = pa.StructArray.from_arrays([terms, whole["value"].combine_chunks()], ["term", "value"])
    return pa.table({gather.by: keys, gather.column: pa.ListArray.from_arrays(pa.array(ends), terms)})


def _joined(frame: pa.Table, join: Join, root: str, where: str, remarks: Remarks) -> pa.Table:
    """As `tables`' own."""
    named = f"joined table {join.table.path}"
    other = read_local(join.table, root, "joined", remarks)
    lack(list(join.on), other.column_names, named)
    lack(list(join.on), frame.column_names, where)
    added = list(join.columns) if join.columns is not None else [c for c in other.column_names if c not in join.on]
    lack(added, other.column_names, named)
    if both := [name for name in added if name in frame.column_names]:
        raise DataError(f"{where}: the joined table {join.table.path} has a column {both[0]!r} too: rename one of them")
    left, right = (_keys(t, join.on) for t in (frame, other))
    counted = pc.value_counts(right.drop_null())
    if repeated := int(np.sum(counted.field("counts").to_numpy() > 1)):
        example = counted.field("values")[int(np.argmax(counted.field("counts").to_numpy()))].as_py()
        raise DataError(
            f"{named}: {repeated} values of {', '.join(join.on)} have several rows, for example {example!r}; "
            "a row can be joined with one only"
        )
    places = pc.index_in(left, right, skip_nulls=True)
    met = len(places) - places.null_count
    said = f"{where}: {met / max(len(frame), 1):.1%} of its rows found one in {join.table.path} by {', '.join(join.on)}"
    if len(frame) and not met:
        raise DataError(f"{said}; are the columns written alike in both?")
    remarks.notes.append(said)
    for name in added:
        frame = frame.append_column(name, other.column(name).take(places))
    return frame


def _keys(table: pa.Table, on: tuple[str, ...]) -> pa.Array:
    """The values of the columns as one text, null where one is."""
    texts = [as_texts(table.column(name)) for name in on]
    return pc.binary_join_element_wise(*texts, "\x1f") if len(texts) > 1 else texts[0]
