"""The tables of a network as preparation sees them: links between known nodes, and one row of attributes per node."""

from functools import reduce
from typing import Any

import pydantic
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType

from glmix_automl.config import Config
from glmix_automl.errors import ConfigError, DataError
from glmix_automl.prepare.events import id_column
from glmix_automl.prepare.recipe import BagFeature, Checks, Declared, Table
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.storage import Storage, resolve
from glmix_automl.prepare.tables import column, read, require, split_terms
from glmix_automl.prepare.times import TimeRule, spanned, time_column
from glmix_automl.seeds import derive
from glmix_automl.spark import translated

ID, KEY = "_glmix_id", "_glmix_key"


class Links(Config):
    """The edge table and the roles of its columns."""

    table: Table
    source: str
    target: str
    directed: bool = False
    """Whether source to target is another link than target to source; then the source is who gets suggestions."""
    timestamp: TimeRule | None = None
    """When the link was made; of a link that is named twice, the first time counts."""


class Nodes(Config):
    """A table with one row per node; or, with `lists`, JSON objects `{id: [term, ...], ...}`."""

    table: Table
    key: str = "id"
    """Column with the id that the links use."""
    lists: str | None = None
    """The file is JSON objects from node id to a list of terms; the lists become a column of this name. A file is read
    by one task, which holds an object in memory as a whole."""
    features: tuple[Declared, ...]

    @pydantic.model_validator(mode="after")
    def _plain_bags(self) -> "Nodes":
        if weighted := [f.column for f in self.features if isinstance(f, BagFeature) and f.weighted]:
            raise ValueError(f"bag {weighted[0]!r} of a node cannot be weighted: two ends share terms, not values")
        return self


class NetworkChecks(Checks):
    """Limits of the data checks of a network."""

    max_unknown_share: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Links with an end that a node table has no row of are kept (with no attributes there) and counted; above this
    share the run is refused."""


def read_links(
    spark: SparkSession,
    links: Links,
    root: str,
    seed: int,
    checks: Checks,
    counts: dict[str, int],
    remarks: Remarks | None = None,
) -> DataFrame:
    """Links named once: `source`, `target` (bigint keys; source < target unless directed), `source_id`, `target_id`
    (text), `time` (microseconds; 0 without times).

    Counts and drops rows without ids or time, self-loops, and links that are named again.

    Raises:
        DataError: a file or column is missing, no links are left, too many rows are incomplete.
    """
    where = f"edge table {links.table.path}"
    wanted = [links.source, links.target, *([links.timestamp.column] if links.timestamp else [])]
    remarks = remarks if remarks is not None else Remarks()
    raw = require(read(spark, links.table, root, "edge", remarks), wanted, where)
    time = time_column(raw, links.timestamp, where, remarks) if links.timestamp else F.lit(0).cast("bigint")
    ends = raw.select(
        id_column(raw, links.source).alias("source_id"),
        id_column(raw, links.target).alias("target_id"),
        time.alias("time"),
    )
    keyed = ends.withColumns({"source": key(seed, F.col("source_id")), "target": key(seed, F.col("target_id"))})
    whole = keyed.dropna()
    loop = F.col("source_id") == F.col("target_id")
    with translated(where):
        total, complete, loops, begin, end = keyed.agg(
            F.count(F.lit(1)),
            F.count_if(F.col("source").isNotNull() & F.col("target").isNotNull() & F.col("time").isNotNull()),
            F.count_if(loop),
            F.min("time"),
            F.max("time"),
        ).first()  # type: ignore[misc]
    if not total:
        raise DataError(f"{where}: has no rows")
    if total - complete > checks.max_dropped_share * total:
        raise DataError(
            f"{where}: {total - complete} of {total} rows lack an id or a time; mend them, "
            "or raise checks.max_dropped_share"
        )
    if links.timestamp is not None:
        spanned(begin, end, where, remarks)
    counts |= {
        "links read": total,
        "links dropped that lack an id or a time": total - complete,
        "self-loops dropped": loops,
    }
    straight = F.lit(True) if links.directed else F.col("source") < F.col("target")
    turned = {
        **{
            f"{one}": F.when(straight, F.col(one)).otherwise(F.col(other))
            for one, other in (("source", "target"), ("target", "source"))
        },
        **{
            f"{one}_id": F.when(straight, F.col(f"{one}_id")).otherwise(F.col(f"{other}_id"))
            for one, other in (("source", "target"), ("target", "source"))
        },
    }
    named = whole.where(~loop).withColumns(turned)
    return named.groupBy("source", "target").agg(
        F.min("source_id").alias("source_id"),
        F.min("target_id").alias("target_id"),
        F.min("time").alias("time"),
        F.count(F.lit(1)).alias("times"),
    )


def key(seed: int, node: Column) -> Column:
    """A node's key: 64 bits of a hash of its id; null for null. `check_links` makes sure that no two ids share one."""
    return F.when(node.isNotNull(), F.xxhash64(F.lit(derive(seed, "node")), node))


def check_links(
    links: DataFrame, nodes: DataFrame | None, checks: NetworkChecks, where: str, counts: dict[str, int]
) -> None:
    """Counts links and their ends.

    Raises:
        DataError: no links are left, or too many have an end without a row in the node tables.
        ConfigError: two ids have one key under this seed (once in 37 million networks of a million nodes).
    """
    kept, again = links.agg(F.count(F.lit(1)), F.sum(F.col("times") - 1)).first()  # type: ignore[misc]
    if not kept:
        raise DataError(f"{where}: no link between two different nodes is left")
    counts |= {"links dropped that were named before": again, "links": kept}
    ends = links.select(F.col("source").alias(KEY), F.col("source_id").alias(ID)).unionAll(
        links.select(F.col("target").alias(KEY), F.col("target_id").alias(ID))
    )
    each = ends.groupBy(KEY).agg(F.min(ID).alias("first"), F.max(ID).alias("last"))
    shared, count = each.agg(F.count_if(F.col("first") != F.col("last")), F.count(F.lit(1))).first()  # type: ignore[misc]
    if shared:
        raise ConfigError("two node ids have the same hash under this seed: set another `seed`")
    counts["nodes with links"] = count
    if nodes is None:
        return
    known = nodes.select(KEY, F.lit(1).alias("known"))
    met = links
    for end in ("source", "target"):
        met = met.join(known.withColumnsRenamed({KEY: end, "known": f"{end}_known"}), end, "left")
    unknown = met.where(F.col("source_known").isNull() | F.col("target_known").isNull())
    lacking, example = unknown.agg(
        F.count(F.lit(1)),
        F.min(F.when(F.col("source_known").isNull(), F.col("source_id")).otherwise(F.col("target_id"))),
    ).first()  # type: ignore[misc]
    counts["links with an end that has no row in a node table"] = lacking
    if lacking > checks.max_unknown_share * kept:
        raise DataError(
            f"{where}: {lacking} of {kept} links ({lacking / kept:.1%}) have an end without a row in the node tables, "
            f"for example {example!r}; at most {checks.max_unknown_share:.1%} are allowed: mend the tables, or raise "
            "checks.max_unknown_share"
        )


def read_nodes(
    spark: SparkSession, tables: tuple[Nodes, ...], root: str, seed: int, remarks: Remarks | None = None
) -> DataFrame | None:
    """One row per node that is in any table: `_glmix_key` and the sources of all features; bags as sorted arrays of
    distinct strings. None without tables.

    Raises:
        DataError: a file or column is missing, an id has several rows, a bag cannot be read.
        ConfigError: two tables have a feature of the same source.
    """
    sources = [f.source for table in tables for f in table.features]
    if twice := sorted({s for s in sources if sources.count(s) > 1}):
        raise ConfigError(f"two features of nodes have the source {twice[0]!r}: derive a copy under another name")
    frames = [_nodes(spark, table, root, seed, remarks) for table in tables]
    return reduce(lambda one, other: one.join(other, KEY, "full"), frames) if frames else None


def _nodes(spark: SparkSession, table: Nodes, root: str, seed: int, remarks: Remarks | None) -> DataFrame:
    where = f"node table {table.table.path}"
    raw = _objects(spark, table, root) if table.lists else read(spark, table.table, root, "node", remarks)
    raw = require(raw, [table.key, *(f.source for f in table.features)], where)
    bags = {f.source: _bag(raw, f, where) for f in table.features if isinstance(f, BagFeature)}
    kept = [bags.get(f.source, column(f.source)).alias(f.source) for f in table.features]
    frame = raw.select(id_column(raw, table.key).alias(ID), *kept).where(F.col(ID).isNotNull())
    repeated = frame.groupBy(ID).count().where("count > 1")
    with translated(where):
        count, example = repeated.agg(F.count(F.lit(1)), F.min(ID)).first()  # type: ignore[misc]
    if count:
        raise DataError(f"{where}: {count} ids of column {table.key!r} have several rows, for example {example!r}")
    return frame.withColumn(KEY, key(seed, F.col(ID))).drop(ID)


def _objects(spark: SparkSession, table: Nodes, root: str) -> DataFrame:
    """Rows of (key, list) from JSON objects; a file holds one object, over any number of lines."""
    uri = resolve(root, table.table.path)
    storage = Storage(spark, uri)
    if not storage.matches():
        raise DataError(f"node table: no file at {uri}; in its folder: {storage.neighbours()}")
    where = f"node table {uri}"
    with translated(where):
        parsed = spark.read.text(uri, wholetext=True).select(
            F.from_json("value", "map<string, array<string>>", {"mode": "PERMISSIVE"}).alias("object")
        )
        if parsed.where(F.col("object").isNull() | (F.size("object") == 0)).limit(1).count():
            raise DataError(f"{where}: expected a JSON object from node id to list of terms")
    return parsed.select(F.explode("object").alias(table.key, str(table.lists)))


def _bag(raw: DataFrame, feature: BagFeature, where: str) -> Column:
    """The bag as a sorted array of distinct strings, nulls and empty terms left out; null where it is missing."""
    kind: Any = raw.schema[feature.source].dataType
    value = column(feature.source)
    if isinstance(kind, StringType) and feature.separator is not None:
        terms = split_terms(value, feature.separator)
    elif isinstance(kind, ArrayType) and feature.separator is None:
        terms = F.transform(value.cast("array<string>"), lambda term: F.trim(term))
    else:
        raise DataError(
            f"{where}: bag {feature.source!r} is {kind.simpleString()}; expected an array, or text with a `separator`"
        )
    return F.array_sort(F.array_distinct(F.filter(terms, lambda term: term != "")))
