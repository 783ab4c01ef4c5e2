"""Raw tables read by Spark, at any URI (`local_tables` reads the same by Arrow; `files` tells both what is there)."""

import atexit
import codecs
import difflib
import shutil
import tempfile
from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from glmix_automl.errors import DataError
from glmix_automl.prepare.files import Part, look
from glmix_automl.prepare.local_files import Files, LocalFiles, local_path
from glmix_automl.prepare.recipe import Gather, Join, Table
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.storage import HadoopFiles, resolve
from glmix_automl.spark import cause, translate_errors

_GLOB = "\\{}[]*?,"


def column(name: str) -> Column:
    """A column by its exact name, dots, spaces and backticks included."""
    return F.col("`" + name.replace("`", "``") + "`")


def id_text(value: Column, kind: DataType) -> Column:
    """An id as text, null where it is missing; the reading of `glmix_automl.features.as_texts`."""
    if isinstance(kind, DecimalType):
        whole = F.floor(value)
        text = F.when(value == whole, whole.cast("string")).otherwise(value.cast("double").cast("string"))
    elif isinstance(kind, FloatType | DoubleType):
        number = value.cast("double")
        whole = (number == F.floor(number)) & (F.abs(number) < F.lit(2.0**63))
        text = F.when(whole, number.cast("bigint").cast("string")).when(~F.isnan(number), number.cast("string"))
    elif isinstance(kind, TimestampType | TimestampNTZType):
        text = F.date_format(value, "yyyy-MM-dd HH:mm:ss.SSSSSS")
    elif isinstance(kind, StringType):
        text = term_text(value)
    else:
        text = value.cast("string")
    return F.when(text != "", text)


def term_text(value: Column) -> Column:
    """Text as a term: `12.0` is `12`, as the float is."""
    whole = F.regexp_replace(value, r"^(-?[0-9]+)\.0+$", "$1")
    return F.when(F.contains(value, F.lit(".0")), whole).otherwise(value)


def read_table(spark: SparkSession, table: Table, root: str, what: str, remarks: Remarks | None = None) -> DataFrame:
    """The table as the recipe sees it.

    Args:
        spark: the session, with `run_settings` applied.
        table: where and how.
        root: what a relative path starts from.
        what: the table's part in the recipe, for messages.
        remarks: what was guessed is added here.

    Raises:
        DataError: no such file (what is in its folder), a format that is not read, a column that `rename`, `types`,
            `gather`, `join` or `derive` needs is not there, or Spark cannot read it.
    """
    remarks = remarks if remarks is not None else Remarks()
    uri = resolve(root, table.path)
    where = f"{what} table {uri}"
    with translate_errors(where):
        frame = _raw(spark, table, uri, where, remarks)
    frame = _nulled(frame, table.nulls)
    for old, new in table.rename.items():
        frame = require(frame, [old], where).withColumnRenamed(old, new)
    for name, ddl in table.types.items():
        frame = _with(require(frame, [name], where), name, column(name).try_cast(ddl), where)
    if table.gather is not None:
        frame = _gathered(frame, table.gather, where)
    for join in table.join:
        frame = _joined(spark, frame, join, root, where, remarks)
    for name, expression in table.derive.items():
        frame = _with(frame, name, F.expr(expression), where)
    return frame


def require(frame: DataFrame, names: list[str], where: str) -> DataFrame:
    """The frame, if it has all the columns.

    Raises:
        DataError: it has not: which is missing, what is there, and what was meant perhaps.
    """
    lack(names, frame.columns, where)
    return frame


def lack(names: list[str], there: list[str], where: str) -> None:
    """Nothing where all the names are there.

    Raises:
        DataError: as `require`.
    """
    missing = [name for name in names if name not in there]
    if missing:
        near = dict.fromkeys(n for name in missing for n in difflib.get_close_matches(name, there, 1))
        meant = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
        raise DataError(f"{where}: no column {', '.join(map(repr, missing))}; columns: {', '.join(there)}{meant}")


def _raw(spark: SparkSession, table: Table, uri: str, where: str, remarks: Remarks) -> DataFrame:
    """The table's files, with the columns of all of them."""
    default = str(spark._jsc.hadoopConfiguration().get("fs.defaultFS"))
    local = uri.startswith("file:") or ("://" not in uri and default.startswith("file:"))
    files: Files = LocalFiles() if local else HadoopFiles(spark)
    found = look(table, uri, files, where)
    remarks.notes += found.notes
    parts = [_part(spark, table, part, uri, local, where) for part in found.parts]
    return reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), parts)


def _part(spark: SparkSession, table: Table, part: Part, uri: str, local: bool, where: str) -> DataFrame:
    paths = _readable(spark, part, local, where)
    reader = spark.read
    if any("=" in folder for file in part.files for folder in file.removeprefix(uri).split("/")[:-1]):
        reader = reader.option("basePath", uri)
    if part.format == "parquet":
        frame = reader.parquet(*paths)
        for name in part.nanoseconds & set(frame.columns):  # read as whole numbers, see `run_settings`
            quoted = "`" + name.replace("`", "``") + "`"
            frame = frame.withColumn(name, F.expr(f"timestamp_micros({quoted} div 1000)"))
        return _without_vectors(frame)
    if part.format == "json":
        frame = reader.option("multiLine", part.multiline).json(paths)
        if frame.columns == ["_corrupt_record"]:
            raise DataError(f"{where}: not JSON objects, one a line or a list of them")
        return frame
    reader = (
        reader.option("sep", table.separator)
        .option("encoding", charset(table.encoding))
        .option("quote", table.quote)
        .option("escape", table.quote)
        .option("multiLine", table.multiline)
        .option("header", part.header)
    )
    if part.comment:
        reader = reader.option("comment", part.comment)
    names = [*part.columns, *(f"_glmix_rest{i}" for i in range(len(part.columns), part.width))]
    frame = reader.schema(StructType([StructField(name, StringType()) for name in names])).csv(paths)
    return frame.drop(*names[len(part.columns) :])


def _readable(spark: SparkSession, part: Part, local: bool, where: str) -> list[str]:
    """Paths by which Spark reads the files, whose names would mislead it: it takes compression from their ending, skips
    those that begin with `_` or `.`, cannot name those with a colon.

    A file of this machine is read through a link of a plain name. Elsewhere this is refused, as copying it is dear.
    """
    odd = [f for f in part.files if _misread(f, part.gzip)]
    plain = ["".join(f"\\{c}" if c in _GLOB else c for c in f) for f in part.files if f not in odd]
    if not odd:
        return plain
    name = odd[0].rpartition("/")[2]
    if not local or not str(spark.sparkContext.master).startswith("local"):
        raise DataError(f"{where}: {name}: {_misread(odd[0], part.gzip)}: rename it")
    folder = Path(tempfile.mkdtemp(prefix="glmix-automl-links-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for place, file in enumerate(odd):
        link = folder / f"part-{place:05}.{part.format}{'.gz' if part.gzip else ''}"
        link.symlink_to(Path(local_path(file)).resolve())
        plain.append(str(link))
    return plain


def _misread(file: str, gzip: bool) -> str | None:
    name = file.rpartition("/")[2]
    if name[:1] in ("_", "."):
        return "names that begin with _ or . are skipped by Spark"
    if ":" in name:
        return "names with a colon cannot be read by Hadoop"
    if gzip != name.endswith(".gz"):
        return "is gzip, but its name does not end in .gz" if gzip else "its name ends in .gz, but it is not gzip"
    return None


def _without_vectors(frame: DataFrame) -> DataFrame:
    """Vectors of Spark ML as the structs they are stored as, which `glmix_automl.features` reads as bags."""
    vectors = [f.name for f in frame.schema if f.dataType.typeName() in ("vectorudt", "vector", "udt")]
    for name in vectors:
        stored = F.unwrap_udt(column(name))
        # Anew, since the fields of a missing vector are null, though the stored type says that they cannot be.
        fields = F.struct(*(stored.getField(f).alias(f) for f in ("type", "size", "indices", "values")))
        frame = frame.withColumn(name, F.when(column(name).isNotNull(), fields))
    return frame


def _nulled(frame: DataFrame, texts: tuple[str, ...]) -> DataFrame:
    nulls = [text for text in texts if text]
    if not nulls:
        return frame
    named = {f.name for f in frame.schema if isinstance(f.dataType, StringType)}
    return frame.select(
        *(F.when(~column(n).isin(nulls), column(n)).alias(n) if n in named else column(n) for n in frame.columns)
    )


def _gathered(frame: DataFrame, gather: Gather, where: str) -> DataFrame:
    wanted = [gather.by, gather.term, *([gather.value] if gather.value else [])]
    kinds = {f.name: f.dataType for f in require(frame, wanted, where).schema}
    term: Column = id_text(column(gather.term), kinds[gather.term])
    pair = (
        F.struct(term.alias("term"), column(gather.value).try_cast("double").alias("value")) if gather.value else term
    )
    there = frame.select(
        id_text(column(gather.by), kinds[gather.by]).alias(gather.by), term.alias("t"), pair.alias("p")
    )
    whole = there.where(column(gather.by).isNotNull() & F.col("t").isNotNull())
    return whole.groupBy(column(gather.by)).agg(F.array_sort(F.collect_list("p")).alias(gather.column))


def _joined(spark: SparkSession, frame: DataFrame, join: Join, root: str, where: str, remarks: Remarks) -> DataFrame:
    """The frame with the columns of another table; says how many rows found one.

    Raises:
        DataError: a column is missing or in both tables, values of `on` repeat, or no row finds one.
    """
    other = require(
        read_table(spark, join.table, root, "joined", remarks), list(join.on), f"joined table {join.table.path}"
    )
    require(frame, list(join.on), where)
    added = list(join.columns) if join.columns is not None else [c for c in other.columns if c not in join.on]
    require(other, added, f"joined table {join.table.path}")
    if both := [name for name in added if name in frame.columns]:
        raise DataError(f"{where}: the joined table {join.table.path} has a column {both[0]!r} too: rename one of them")
    left = {f"_glmix_on{i}": id_text(column(n), frame.schema[n].dataType) for i, n in enumerate(join.on)}
    right = [id_text(column(n), other.schema[n].dataType).alias(f"_glmix_on{i}") for i, n in enumerate(join.on)]
    found = other.select(*right, *map(column, added), F.lit(1).alias("_glmix_found"))
    repeated = found.dropna(subset=list(left)).groupBy(*left).count().where("count > 1")
    with translate_errors(f"joined table {join.table.path}"):
        times, *example = repeated.agg(F.count(F.lit(1)), *(F.first(c) for c in left)).first()  # type: ignore[misc]
    if times:
        raise DataError(
            f"joined table {join.table.path}: {times} values of {', '.join(join.on)} have several rows, for example "
            f"{', '.join(map(repr, example))}; a row can be joined with one only"
        )
    result = frame.withColumns(left).join(found, list(left), "left")
    rows, met = result.agg(F.count(F.lit(1)), F.count("_glmix_found")).first()  # type: ignore[misc]
    said = f"{where}: {met / max(rows, 1):.1%} of its rows found one in {join.table.path} by {', '.join(join.on)}"
    if rows and not met:
        raise DataError(f"{said}; are the columns written alike in both?")
    remarks.notes.append(said)
    return result.drop(*left, "_glmix_found")


def _with(frame: DataFrame, name: str, expression: Column, where: str) -> DataFrame:
    try:
        return frame.withColumn(name, expression)
    except Exception as error:
        raise DataError(f"{where}: column {name!r}: {cause(error)}") from error


def charset(encoding: str) -> str:
    """Java's name of an encoding."""
    name = codecs.lookup(encoding).name
    return {"latin-1": "ISO-8859-1", "iso8859-1": "ISO-8859-1"}.get(name, name.upper())
