"""What raw tables look like to somebody who has never seen them: how they are written, and what each column holds."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.errors import DataError
from glmix_automl.features import as_numbers, as_texts
from glmix_automl.prepare.dialect import HEAD, guess_dialect
from glmix_automl.prepare.local_files import LocalFiles
from glmix_automl.prepare.local_tables import read_local
from glmix_automl.prepare.recipe import Table
from glmix_automl.prepare.times import UNITS, counts_of

LARGEST_SURVEY = 1 << 30
"""Bytes of a table above which a part of it is asked for: all of it is held in memory."""
_LISTS = "|;,"
_MOSTLY = 0.95
_YEARS = (3.15e8, 4.2e9)  # seconds of 1980 and of 2103
ColumnKind = Literal["number", "text", "time", "list", "map", "other", "empty"]


@dataclass(frozen=True)
class Column:
    """What a column holds.

    Attributes:
        name: in the table.
        kind: of its values.
        rows: of the table.
        filled: values that are not missing.
        ids: the distinct values as text; of lists and maps the distinct terms; None where there is nothing to count.
        low, high: of numbers.
        whole: whether all numbers are integers.
        skewed: of numbers none of which is negative: whether few are very much larger than most.
        separator: of lists in text.
    """

    name: str
    kind: ColumnKind
    rows: int
    filled: int
    ids: frozenset[str]
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    skewed: bool = False
    separator: str | None = None

    @property
    def distinct(self) -> int:
        """Different values, or terms."""
        return len(self.ids)

    @property
    def unique(self) -> bool:
        """Whether it could be a key: every row has a value of its own."""
        return self.kind in ("number", "text") and self.filled == self.rows == self.distinct and self.rows > 1

    def told(self) -> str:
        """In a few words, for messages and comments."""
        if self.kind == "number":
            return f"{self.distinct:,} {'whole ' if self.whole else ''}numbers from {self.low:g} to {self.high:g}"
        if self.kind in ("text", "list"):
            return f"{self.distinct:,} different {'terms in lists' if self.kind == 'list' else 'texts'}"
        return {"time": "times", "map": "maps", "empty": "nothing", "other": "nested values"}[self.kind]


@dataclass(frozen=True)
class Surveyed:
    """A table.

    Attributes:
        path: as it was given.
        table: how a recipe describes it.
        columns: in order.
        lists: whether the file is JSON objects from id to a list.
        guessed: what was assumed of the way it is written.
    """

    path: str
    table: dict[str, Any]
    columns: tuple[Column, ...]
    lists: bool = False
    guessed: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Of the table."""
        return self.columns[0].rows if self.columns else 0

    @property
    def file(self) -> str:
        """The file's name."""
        return Path(self.path).name.removesuffix(".gz")

    @property
    def name(self) -> str:
        """The file's name without endings."""
        return self.file.rpartition(".")[0] or self.file

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(c for c in self.columns if c.name == name)


def survey(path: str) -> Surveyed:
    """Looks at a table.

    Raises:
        DataError: it is not there, not read, or too large to be held in memory.
    """
    files = LocalFiles()
    found, _ = files.expand(path)
    if not found:
        raise DataError(f"no file at {path}; in its folder: {files.neighbours(path)}")
    if (size := sum(Path(file).stat().st_size for file in found)) > LARGEST_SURVEY:
        raise DataError(
            f"{path} has {size / 2**30:.1f} GiB: give one of its files, or a part of it, and set `path` to the "
            "whole in the recipe"
        )
    with files.open(found[0]) as stream:
        raw = stream.read(2)
    with gzip.open(found[0]) if raw == b"\x1f\x8b" else files.open(found[0]) as stream:
        head = stream.read(HEAD)
    if (objects := _objects(path, found[0], head)) is not None:
        return objects
    table, guessed = guess_dialect(path, head)
    try:
        frame = read_local(Table(**table), "", "surveyed")
    except DataError as error:
        if "UTF8" not in str(error) or "encoding" in table:
            raise
        table["encoding"] = "latin-1"
        guessed.append("not UTF-8, so taken for latin-1")
        frame = read_local(Table(**table), "", "surveyed")
    if not len(frame):
        raise DataError(f"{path} has no rows")
    return Surveyed(path, table, tuple(_column(n, frame.column(n)) for n in frame.column_names), guessed=tuple(guessed))


def _objects(path: str, file: str, head: bytes) -> Surveyed | None:
    """Of a JSON object from id to list of terms, which edge lists go with; None if it is none."""
    if not head.lstrip().startswith(b"{") or not file.removesuffix(".gz").endswith(".json"):
        return None
    with gzip.open(file) if file.endswith(".gz") else Path(file).open("rb") as stream:
        try:
            content = json.load(stream)
        except ValueError:
            return None
    if len(content) < 2 or not all(isinstance(value, list) for value in content.values()):
        return None
    terms = frozenset(str(term) for value in content.values() for term in value)
    columns = (
        Column("id", "text", len(content), len(content), frozenset(content)),
        Column("attributes", "list", len(content), sum(bool(v) for v in content.values()), terms),
    )
    return Surveyed(path, {"path": path}, columns, lists=True, guessed=("JSON objects from id to a list of terms",))


def _column(name: str, raw: pa.ChunkedArray) -> Column:
    array = raw.combine_chunks()
    array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
    kind, rows = array.type, len(array)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _bag(name, array, rows)
    if pa.types.is_map(kind) or pa.types.is_struct(kind):
        there = rows - array.null_count
        return Column(name, "map" if there else "empty", rows, there, frozenset())
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        return Column(name, "other", rows, rows - array.null_count, frozenset())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return Column(name, "time", rows, rows - array.null_count, frozenset())
    texts = as_texts(array)
    filled = rows - texts.null_count
    if not filled:
        return Column(name, "empty", rows, 0, frozenset())
    ids = frozenset(pc.unique(texts.drop_null()).to_pylist())
    if pa.types.is_boolean(kind):
        return Column(name, "number", rows, filled, ids, 0, 1, True)
    numbers = as_numbers(array)
    if not pa.types.is_string(kind):
        return _numeric(name, numbers, array, ids, rows, filled)
    counts = counts_of(array)
    if counts.numbers >= _MOSTLY * filled:
        return _numeric(name, numbers, array, ids, rows, filled)
    if np.isfinite(numbers).sum() >= _MOSTLY * filled and not ids <= {"true", "false", "True", "False"}:
        return Column(name, "time", rows, filled, ids)
    for mark in _LISTS:
        if (terms := _split(ids, mark)) is not None:
            return Column(name, "list", rows, filled, terms, separator=mark)
    return Column(name, "text", rows, filled, ids)


def _bag(name: str, array: pa.Array, rows: int) -> Column:
    elements = array.flatten()
    if pa.types.is_struct(elements.type):
        return Column(name, "map", rows, rows - array.null_count, frozenset())
    terms = frozenset(pc.unique(as_texts(elements).drop_null()).to_pylist())
    return Column(name, "list" if terms else "empty", rows, rows - array.null_count, terms)


def _split(ids: frozenset[str], mark: str) -> frozenset[str] | None:
    """The terms of lists in text, or None where it does not look like lists: few of the values have the mark, or most
    terms come once, as words of titles do.
    """
    holding = [text.split(mark) for text in ids if mark in text]
    if len(holding) < 0.3 * len(ids):
        return None
    terms = [term.strip() for parts in (*holding, *([text] for text in ids if mark not in text)) for term in parts]
    distinct = frozenset(term for term in terms if term)
    return distinct if len(distinct) * 2 <= len(terms) and max(map(len, distinct), default=0) <= 40 else None


def _numeric(name: str, numbers: Any, array: pa.Array, ids: frozenset[str], rows: int, filled: int) -> Column:
    found = numbers[np.isfinite(numbers)]
    if _is_time(array, len(found)):
        return Column(name, "time", rows, filled, ids, float(found.min()), float(found.max()))
    low, high = float(found.min()), float(found.max())
    spread = float(np.median(found))
    return Column(
        name, "number", rows, filled, ids, low, high,
        whole=bool((found == np.floor(found)).all()), skewed=low >= 0 and high > 10 * (spread + 1),
    )  # fmt: skip


def _is_time(array: pa.Array, found: int) -> bool:
    """Whether numbers are moments between 1980 and 2103 in one unit, or dates written as numbers."""
    counts = counts_of(array)
    if max(counts.days, counts.minutes, counts.stamps) >= _MOSTLY * found:
        return True
    size = np.abs(as_numbers(array))
    return any(
        ((size >= _YEARS[0] * ticks) & (size < _YEARS[1] * ticks)).sum() >= _MOSTLY * found for ticks in UNITS.values()
    )
