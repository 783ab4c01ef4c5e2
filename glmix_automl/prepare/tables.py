"""A raw table as Spark reads it: CSV, Parquet or JSON at any URI, gzip too."""

import codecs
from typing import Any, Literal

import pydantic
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from glmix_automl.config import Config
from glmix_automl.errors import DataError
from glmix_automl.prepare.storage import Storage, resolve
from glmix_automl.spark import cause, translated

_SUFFIXES = {"parquet": "parquet", "json": "json", "jsonl": "json", "ndjson": "json"}


class Table(Config):
    """Where a table is and how to read it.

    Columns of CSV are read as text, which loses nothing (`007` stays an id); features read numbers from text. `types`
    casts what must have another type before `derive` computes with it.
    """

    path: str
    """File, folder or glob; relative paths start from the recipe's `root`."""
    format: Literal["csv", "parquet", "json"] | None = None
    """By the file's ending unless given; CSV where that says nothing."""
    separator: str = ","
    header: bool | None = None
    """Whether the first CSV line names the columns; yes, unless `columns` does."""
    columns: tuple[str, ...] | None = None
    """Names of CSV columns, in order; trailing ones may be left out."""
    encoding: str = "utf-8"
    quote: str = '"'
    """CSV quoting character; empty for none."""
    multiline: bool = False
    """CSV fields with line breaks, or JSON documents that span lines (such files are read by one task each)."""
    nulls: tuple[str, ...] = ("",)
    """Texts that mean null."""
    rename: dict[str, str] = {}
    """Column in the file -> name in the recipe."""
    types: dict[str, str] = {}
    """Column -> Spark type, cast after `rename`; what cannot be cast is null."""
    derive: dict[str, str] = {}
    """New column -> Spark SQL expression over the others, after `types`."""

    @pydantic.model_validator(mode="after")
    def _named(self) -> "Table":
        if self.header is False and not self.columns and self.format in (None, "csv"):
            raise ValueError("a CSV file without header needs `columns`")
        return self

    @property
    def kind(self) -> str:
        """The format, also where it is not given."""
        ending = self.path.rstrip("/").removesuffix(".gz").rpartition(".")[2].lower()
        return self.format or _SUFFIXES.get(ending, "csv")


def column(name: str) -> Column:
    """A column by its exact name, dots, spaces and backticks included."""
    return F.col("`" + name.replace("`", "``") + "`")


def split_terms(text: Column, separator: str) -> Column:
    """The terms of a text, blanks around them left out; null for null."""
    pattern = "".join(f"\\x{{{ord(c):x}}}" for c in separator)
    # `F.transform(..., F.trim)` would hand `trim` the index as well, as the characters to trim.
    return F.transform(F.split(text, pattern), lambda term: F.trim(term))


def read(spark: SparkSession, table: Table, root: str, what: str) -> DataFrame:
    """The table as the recipe sees it.

    Args:
        spark: the session.
        table: where and how.
        root: what a relative path starts from.
        what: the table's part in the recipe, for messages.

    Raises:
        DataError: no such file (what is in its folder), a column that `rename`, `types` or `derive` needs is not there,
            or Spark cannot read it.
    """
    uri = resolve(root, table.path)
    storage = Storage(spark, uri)
    if not storage.matches():
        raise DataError(f"{what} table: no file at {uri}; in its folder: {storage.neighbours()}")
    with translated(f"{what} table {uri}"):
        frame = _reader(spark, table)(uri)
    where = f"{what} table {uri}"
    for old, new in table.rename.items():
        frame = require(frame, [old], where).withColumnRenamed(old, new)
    for name, ddl in table.types.items():
        frame = _with(require(frame, [name], where), name, column(name).try_cast(ddl), where)
    for name, expression in table.derive.items():
        frame = _with(frame, name, F.expr(expression), where)
    nulls = [text for text in table.nulls if text]
    if nulls:
        texts = {f.name for f in frame.schema if isinstance(f.dataType, StringType)}
        frame = frame.select(
            *(F.when(~column(n).isin(nulls), column(n)).alias(n) if n in texts else column(n) for n in frame.columns)
        )
    return frame


def require(frame: DataFrame, names: list[str], where: str) -> DataFrame:
    """The frame, if it has all the columns.

    Raises:
        DataError: it has not: which is missing, and what is there.
    """
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise DataError(f"{where}: no column {', '.join(map(repr, missing))}; columns: {', '.join(frame.columns)}")
    return frame


def _with(frame: DataFrame, name: str, expression: Column, where: str) -> DataFrame:
    try:
        return frame.withColumn(name, expression)
    except Exception as error:
        raise DataError(f"{where}: column {name!r}: {cause(error)}") from error


def _reader(spark: SparkSession, table: Table) -> Any:
    if table.kind == "parquet":
        return spark.read.parquet
    if table.kind == "json":
        return spark.read.option("multiLine", table.multiline).json
    reader = (
        spark.read.option("sep", table.separator)
        .option("encoding", _charset(table.encoding))
        .option("quote", table.quote)
        .option("escape", table.quote)
        .option("multiLine", table.multiline)
        .option("header", table.header if table.header is not None else table.columns is None)
    )
    if table.columns:
        reader = reader.schema(StructType([StructField(name, StringType()) for name in table.columns]))
    return reader.csv


def _charset(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise DataError(f"unknown encoding {encoding!r}") from error
    return {"latin-1": "ISO-8859-1", "iso8859-1": "ISO-8859-1"}.get(name, name.upper())
