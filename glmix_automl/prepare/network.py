"""The tables of a network as preparation sees them: links, and one row of attributes per node.

They are in memory as Arrow, read by Arrow or by Spark, through whose driver they then pass: a hundred million links
with ids of ten bytes take some 6 GB, and more of `spark.driver.maxResultSize` than its default.
"""

import gzip
import json

import pyarrow as pa
import pyarrow.compute as pc
import pydantic
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glmix_automl.config import Config
from glmix_automl.errors import ConfigError, DataError
from glmix_automl.features import as_texts
from glmix_automl.prepare.engine import Engine
from glmix_automl.prepare.local_files import LocalFiles
from glmix_automl.prepare.local_tables import read_local
from glmix_automl.prepare.recipe import Checks, Declared, Table
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.spark_events import id_column
from glmix_automl.prepare.spark_times import time_column
from glmix_automl.prepare.storage import Storage, resolve
from glmix_automl.prepare.tables import column, lack, read_table, require
from glmix_automl.prepare.times import TimeRule, report_span, time_micros
from glmix_automl.spark import translate_errors

ID = "_glmix_id"


class LinksTable(Config):
    """The edge table and the roles of its columns."""

    table: Table
    source: str
    target: str
    directed: bool = False
    """Whether source to target is another link than target to source; then the source is who gets suggestions."""
    timestamp: TimeRule | None = None
    """When the link was made; of a link that is named twice, the first time counts."""


class NodesTable(Config):
    """A table with one row per node; or, with `lists`, JSON objects `{id: [term, ...], ...}`."""

    table: Table
    key: str = "id"
    """Column with the id that the links use."""
    lists: str | None = None
    """The file is JSON objects from node id to a list of terms; the lists become a column of this name. A file is read
    by one task, which holds an object in memory as a whole."""
    features: tuple[Declared, ...]


class NetworkChecks(Checks):
    """Limits of the data checks of a network."""

    max_unknown_share: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Links with an end that a node table has no row of are kept (with no attributes there) and counted; above this
    share the run is refused."""


def read_links(engine: Engine, links: LinksTable, root: str, remarks: Remarks) -> pa.Table:
    """The rows of the edge table: `source`, `target` (strings), `time` (int64 microseconds; 0 without times), null
    where they are missing or cannot be read. What was guessed is added to the remarks.

    Raises:
        DataError: a file or column is missing.
    """
    where = f"edge table {links.table.path}"
    wanted = [links.source, links.target, *([links.timestamp.column] if links.timestamp else [])]
    if engine.spark is None:
        found = _links_here(links, wanted, root, where, remarks)
    else:
        found = _links_by_spark(engine.spark, links, wanted, root, where, remarks)
    if links.timestamp is not None:
        span = pc.min_max(found["time"]).as_py()
        report_span(span["min"], span["max"], where, remarks)
    return found


def _links_here(links: LinksTable, wanted: list[str], root: str, where: str, remarks: Remarks) -> pa.Table:
    raw = read_local(links.table, root, "edge", remarks)
    lack(wanted, raw.column_names, where)
    ends = {end: as_texts(raw[name], name) for end, name in zip(("source", "target"), wanted, strict=False)}
    times = pa.repeat(pa.scalar(0, pa.int64()), len(raw))
    if links.timestamp is not None:
        times = time_micros(raw[links.timestamp.column].combine_chunks(), links.timestamp, where, remarks)
    return pa.table({**ends, "time": times})


def _links_by_spark(
    spark: SparkSession, links: LinksTable, wanted: list[str], root: str, where: str, remarks: Remarks
) -> pa.Table:
    raw = require(read_table(spark, links.table, root, "edge", remarks), wanted, where)
    time = time_column(raw, links.timestamp, where, remarks) if links.timestamp else F.lit(0).cast("bigint")
    ends = (id_column(raw, name) for name in (links.source, links.target))
    with translate_errors(where):
        source, target = (end.alias(name) for end, name in zip(ends, ("source", "target"), strict=True))
        return raw.select(source, target, time.alias("time")).toArrow()


def read_nodes(engine: Engine, tables: tuple[NodesTable, ...], root: str, remarks: Remarks) -> list[pa.Table]:
    """The rows of each node table: `_glmix_id` (string, no nulls) and the sources of its features.

    Raises:
        DataError: a file or column is missing, an id has several rows.
        ConfigError: two tables have a feature of the same source.
    """
    sources = [f.source for table in tables for f in table.features]
    if twice := sorted({s for s in sources if sources.count(s) > 1}):
        raise ConfigError(f"two features of nodes have the source {twice[0]!r}: derive a copy under another name")
    return [_nodes(engine, table, root, remarks) for table in tables]


def _nodes(engine: Engine, table: NodesTable, root: str, remarks: Remarks) -> pa.Table:
    where = f"node table {table.table.path}"
    if engine.spark is None:
        found = _nodes_here(table, root, where, remarks)
    else:
        found = _nodes_by_spark(engine.spark, table, root, where, remarks)
    if table.lists and found[ID].null_count:
        raise DataError(f"{where}: expected a JSON object from node id to list of terms")
    found = found.filter(pc.is_valid(found[ID]))
    times = pc.value_counts(found[ID].combine_chunks())
    repeated = times.field("values").filter(pc.greater(times.field("counts"), 1))
    if len(repeated):
        example = pc.min(repeated).as_py()
        raise DataError(
            f"{where}: {len(repeated)} ids of column {table.key!r} have several rows, for example {example!r}"
        )
    return found


def _nodes_here(table: NodesTable, root: str, where: str, remarks: Remarks) -> pa.Table:
    raw = _objects_here(table, root) if table.lists else read_local(table.table, root, "node", remarks)
    lack([table.key, *(f.source for f in table.features)], raw.column_names, where)
    return pa.table({ID: as_texts(raw[table.key], table.key), **{f.source: raw[f.source] for f in table.features}})


def _nodes_by_spark(spark: SparkSession, table: NodesTable, root: str, where: str, remarks: Remarks) -> pa.Table:
    raw = (
        _objects_by_spark(spark, table, root) if table.lists else read_table(spark, table.table, root, "node", remarks)
    )
    raw = require(raw, [table.key, *(f.source for f in table.features)], where)
    sources = [column(f.source).alias(f.source) for f in table.features]
    with translate_errors(where):
        return raw.select(id_column(raw, table.key).alias(ID), *sources).toArrow()


def _objects_here(table: NodesTable, root: str) -> pa.Table:
    """Rows of (key, list) from JSON objects, one a file; what is none gives a row of nulls."""
    uri, files = resolve(root, table.table.path), LocalFiles()
    found, _ = files.expand(uri)
    if not found:
        raise DataError(f"node table: no file at {uri}; in its folder: {files.neighbours(uri)}")
    ids, lists = [], []
    for file in found:
        with files.open(file) as stream:
            raw = stream.read()
        try:
            # Objects as tuples of pairs: a key that is there twice is to be refused.
            pairs = json.loads(gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw, object_pairs_hook=tuple)
        except ValueError:
            pairs = None
        there = isinstance(pairs, tuple) and all(isinstance(terms, list) for _, terms in pairs)
        for key, terms in pairs if there else [(None, None)]:
            ids.append(key)
            lists.append(terms)
    return pa.table({table.key: pa.array(ids, pa.string()), str(table.lists): _of_texts(lists)})


def _of_texts(lists: list[list[object] | None]) -> pa.Array:
    """Terms of any type as Spark reads them where it expects text."""
    kind = pa.list_(pa.string())
    try:
        found = pa.array(lists)
        if pa.types.is_list(found.type) and found.type.value_type in (pa.string(), pa.int64()):
            return found.cast(kind)
    except pa.ArrowException:  # of several types
        pass
    texts = [
        t and [x if x is None or isinstance(x, str) else json.dumps(x, separators=(",", ":")) for x in t] for t in lists
    ]
    return pa.array(texts, kind)


def _objects_by_spark(spark: SparkSession, table: NodesTable, root: str) -> DataFrame:
    """As `_objects_here`; a file may have any number of lines."""
    uri = resolve(root, table.table.path)
    storage = Storage(spark, uri)
    if not storage.matches():
        raise DataError(f"node table: no file at {uri}; in its folder: {storage.neighbours()}")
    parsed = spark.read.text(uri, wholetext=True).select(
        F.from_json("value", "map<string, array<string>>", {"mode": "PERMISSIVE"}).alias("object")
    )
    return parsed.select(F.explode_outer("object").alias(table.key, str(table.lists)))
