"""What a raw table's files hold: format, compression, header and columns, told from their first and last bytes.

The one place where this is decided; Spark and Arrow are then told how to read. Files are grouped into parts that are
read alike, since an export changes over time: another order of columns, a column more, gzip from some day on.
"""

import codecs
import csv
import json
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from glmix_automl.errors import DataError
from glmix_automl.prepare.dialect import HEAD, SEPARATORS, comment_sign
from glmix_automl.prepare.local_files import Files

Format = Literal["csv", "parquet", "json"]
_FOOTERS = 64  # Parquet files whose schema is looked at; each costs two reads
_AT_ONCE = 16
_OTHERS = {
    b"Obj\x01": "Avro", b"ORC": "ORC", b"PK\x03\x04": "a zip archive or an Excel workbook", b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"SQLite": "an SQLite database", b"\x89HDF": "HDF5",
}  # fmt: skip
_Item = TypeVar("_Item")
_Got = TypeVar("_Got")


class TableFormat(Protocol):
    """How a recipe says that a table is written (`tables.Table`)."""

    path: str
    format: Format | None
    separator: str
    header: bool | None
    columns: tuple[str, ...] | None
    encoding: str
    quote: str
    multiline: bool
    comment: str | None


@dataclass(frozen=True)
class Part:
    """Files that are read alike.

    Attributes:
        format: of all files.
        files: at least one.
        gzip: whether the bytes are compressed, whatever the names say.
        columns: of CSV: the names, in the files' order.
        width: of CSV: fields of the first line; those after the named ones are left out.
        header: of CSV: whether the first line is to be skipped.
        comment: of CSV: what lines to be skipped begin with, or "".
        multiline: of JSON: whether a document spans lines; of CSV: whether a field may.
        types: of Parquet: the columns as the files have them.
        nanoseconds: of Parquet: columns of times that Spark cannot read as such.
    """

    format: Format
    files: tuple[str, ...]
    gzip: bool = False
    columns: tuple[str, ...] = ()
    width: int = 0
    header: bool = False
    comment: str = ""
    multiline: bool = False
    types: tuple[tuple[str, str], ...] = ()
    nanoseconds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Look:
    """What was found at a table's path.

    Attributes:
        parts: files by how they are read, in order of their first file.
        notes: what was guessed or left out, for the data report.
    """

    parts: tuple[Part, ...]
    notes: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        """All files."""
        return [file for part in self.parts for file in part.files]


def look(table: TableFormat, path: str, files: Files, where: str) -> Look:
    """How to read a table.

    Raises:
        DataError: there is no file, or one of a format that is not read, or another than the recipe says; a header that
            names a column twice, or does not fit the separator: which file, and what to do.
    """
    found, hidden = files.expand(path)
    if not found:
        left = f" (left out, as their names begin with _ or .: {', '.join(map(_name, hidden[:3]))})" if hidden else ""
        raise DataError(f"{where}: no file at {path}{left}; in its folder: {files.neighbours(path)}")
    notes: list[str] = []
    looked = _at_once(lambda file: _part(table, file, files, f"{where}: {_name(file)}"), found)
    formats = {part.format: part for part in looked}
    if len(formats) > 1:
        named = ", ".join(f"{_name(part.files[0])} is {kind}" for kind, part in formats.items())
        raise DataError(f"{where}: files of different formats ({named}); give each format a folder of its own")
    if looked[0].format == "parquet":
        looked = _with_types(looked, files, where)
    parts: dict[Part, list[str]] = {}
    for part in looked:
        parts.setdefault(replace(part, files=()), []).append(part.files[0])
    result = tuple(replace(part, files=tuple(names)) for part, names in parts.items())
    if strange := [
        name for name in map(_name, hidden) if not name.startswith(("_SUCCESS", "_metadata", "_common", "."))
    ]:
        notes.append(f"{where}: files whose names begin with _ were left out: {', '.join(strange[:5])}")
    notes += _remarks(table, result, where)
    return Look(result, notes)


def _remarks(table: TableFormat, parts: tuple[Part, ...], where: str) -> list[str]:
    """What the data report says of the way the files are read."""
    notes = []
    if {part.comment for part in parts} - {table.comment or ""}:
        sign = next(part.comment for part in parts if part.comment)
        notes.append(f'{where}: lines that begin with {sign!r} were taken for comments (`comment: ""` reads them)')
    names = [names_of(part) for part in parts]
    everything = list(dict.fromkeys(name for columns in names for name in columns))
    lacking = {
        n: sum(len(p.files) for p, columns in zip(parts, names, strict=True) if n not in columns) for n in everything
    }
    if short := {name: count for name, count in lacking.items() if count}:
        said = ", ".join(f"{name!r} in {count}" for name, count in list(short.items())[:5])
        total = sum(len(part.files) for part in parts)
        notes.append(f"{where}: columns that are not in all of its {total} files, null there: {said}")
    elif len(set(names)) > 1:
        notes.append(f"{where}: its files have their columns in different orders; they were read by name")
    return notes


def names_of(part: Part) -> tuple[str, ...]:
    """The columns of a part; none of JSON, where every document names its own."""
    return part.columns if part.format == "csv" else tuple(name for name, _ in part.types)


def _part(table: TableFormat, file: str, files: Files, where: str) -> Part:
    """A part of one file, from its first bytes."""
    try:
        with files.open(file) as stream:
            raw = stream.read(HEAD)
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror or error}") from error
    gzip = raw.startswith(b"\x1f\x8b")
    head = zlib.decompressobj(31).decompress(raw, HEAD) if gzip else raw
    kind = _format(table, file, head, where)
    if kind == "parquet":
        return Part("parquet", (file,))
    text = decode(head, table.encoding, where)
    if kind == "json":
        return Part("json", (file,), gzip, multiline=table.multiline or _spans_lines(text))
    return _csv(table, Part("csv", (file,), gzip, multiline=table.multiline), text, where)


def _format(table: TableFormat, file: str, head: bytes, where: str) -> Format:
    if other := next((name for magic, name in _OTHERS.items() if head.startswith(magic)), None):
        raise DataError(f"{where}: is {other}; what is read is CSV, JSON and Parquet, gzip too")
    if head.startswith(b"PAR1"):
        found: Format = "parquet"
    elif b"\x00" in head[:1024] and not _wide(table.encoding):
        raise DataError(f"{where}: is neither text nor Parquet; is it compressed, or in another `encoding` (utf-16)?")
    else:
        ending = file.removesuffix(".gz").rpartition(".")[2].lower()
        braced = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") and ending not in ("csv", "tsv", "txt", "data")
        found = "json" if braced or (ending in ("json", "jsonl", "ndjson") and not head.strip()) else "csv"
    said = table.format or ({"parquet": "parquet"}.get(file.rpartition(".")[2].lower()))
    if said == "parquet" != found:
        raise DataError(f"{where}: is not a Parquet file (it does not begin with PAR1)")
    if table.format and found == "parquet" != table.format:
        raise DataError(f"{where}: is a Parquet file, the recipe says `format: {table.format}`; leave `format` out")
    return table.format or found


def _wide(encoding: str) -> bool:
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


def decode(head: bytes, encoding: str, where: str) -> str:
    """The beginning of a text file; a character cut at its end is left out.

    Raises:
        DataError: an unknown encoding, or bytes that are not of it.
    """
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head).removeprefix("\ufeff")
    except LookupError as error:
        raise DataError(f"{where}: unknown encoding {encoding!r}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not text in {encoding} ({error.reason}); set `encoding`, latin-1 perhaps") from error


def _spans_lines(text: str) -> bool:
    """Whether JSON documents span lines: the first line that is whole is none by itself."""
    line, end, _ = text.strip().partition("\n")
    if not end and line.startswith("{"):
        return False  # one document, or one longer than what was looked at
    try:
        return not isinstance(json.loads(line), dict)
    except ValueError:
        return True


def _csv(table: TableFormat, part: Part, text: str, where: str) -> Part:
    lines = [line for line in text.splitlines() if line.strip()]
    header = table.header if table.header is not None else table.columns is None
    comment = table.comment if table.comment is not None else comment_sign(lines, header)
    lines = [line for line in lines if not comment or not line.startswith(comment)]
    if not lines:
        names = table.columns or ()
        return replace(part, columns=names, width=len(names), header=header, comment=comment)
    first = _fields(lines[0], table)
    names = table.columns or tuple(name or f"_c{place}" for place, name in enumerate(first))
    if len(first) == 1 and (len(names) > 1 or header):
        others = [mark for mark in SEPARATORS if mark != table.separator and mark in first[0]]
        if len(names) > 1 or others:
            remedy = f"set `separator: {json.dumps(others[0])}`" if others else "is `separator` right?"
            raise DataError(f"{where}: one field only with separator {table.separator!r}: {first[0][:80]!r}; {remedy}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{where}: two columns are named {twice[0]!r}; name them by `columns` with `header: true`")
    return replace(part, columns=names, width=max(len(first), len(names)), header=header, comment=comment)


def _fields(line: str, table: TableFormat) -> list[str]:
    # Separators of several characters are for Spark; here only the number of fields matters.
    mark = table.separator[0]
    if not table.quote:
        return next(csv.reader([line], delimiter=mark, quoting=csv.QUOTE_NONE), [])
    return next(csv.reader([line], delimiter=mark, quotechar=table.quote), [])


def _with_types(parts: list[Part], files: Files, where: str) -> list[Part]:
    """Parquet parts with their columns; of many files those of some, evenly chosen.

    Raises:
        DataError: a footer cannot be read, or two files have a column with types that do not go together.
    """
    chosen = (
        parts if len(parts) <= _FOOTERS else [parts[i * (len(parts) - 1) // (_FOOTERS - 1)] for i in range(_FOOTERS)]
    )
    typed = _at_once(lambda part: _footer(part, files, where), chosen)
    if len({(part.types, part.nanoseconds) for part in typed}) == 1:
        return [replace(part, types=typed[0].types, nanoseconds=typed[0].nanoseconds) for part in parts]
    seen: dict[str, tuple[str, str]] = {}
    for part in typed:
        for name, kind in part.types:
            before = seen.setdefault(name, (kind, part.files[0]))
            if before[0] != kind and not (_is_number(before[0]) and _is_number(kind)):
                raise DataError(
                    f"{where}: column {name!r} is {before[0]} in {_name(before[1])} and {kind} in "
                    f"{_name(part.files[0])}; write one of them anew"
                )
    return typed if len(typed) == len(parts) else _at_once(lambda part: _footer(part, files, where), parts)


def _kind(kind: pa.DataType) -> str:
    """A type's name, the same for all types that Spark reads alike."""
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return str(kind).removeprefix("large_").removesuffix("_view")


def _is_number(kind: str) -> bool:
    return kind.startswith(("int", "uint", "float", "double", "halffloat", "decimal"))


def _footer(part: Part, files: Files, where: str) -> Part:
    try:
        with files.open(part.files[0]) as stream, pq.ParquetFile(stream) as file:
            # Without the Arrow schema that writers leave beside it: what Spark sees.
            nanoseconds = frozenset(
                column.path
                for column in (file.schema.column(i) for i in range(len(file.schema)))
                if "nanoseconds" in str(column.logical_type) and "Timestamp" in str(column.logical_type)
            )
            types = tuple((f.name, _kind(f.type)) for f in file.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{where}: {_name(part.files[0])}: {error}") from error
    return replace(part, types=types, nanoseconds=nanoseconds)


def _at_once(work: Callable[[_Item], _Got], items: Iterable[_Item]) -> list[_Got]:
    """The work's results, in order: waiting for a store is what takes the time."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(work, items))


def _name(file: str) -> str:
    return file.rstrip("/").rpartition("/")[2]
