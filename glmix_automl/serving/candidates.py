"""Candidates where no rows are given: every wanted member with every item of the recipe's table.

Spark makes the pairs of what it reads, so that neither ids nor pairs pass through the driver.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from glmix_automl.errors import ConfigError
from glmix_automl.features import as_texts
from glmix_automl.layout import Folder
from glmix_automl.prepare.interactions import Interactions
from glmix_automl.prepare.local_tables import read_local
from glmix_automl.prepare.recipe import Table
from glmix_automl.prepare.row_hash import keys_of
from glmix_automl.prepare.spark_events import id_column
from glmix_automl.prepare.tables import lack, read_table, require
from glmix_automl.serving.settings import ScoreSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_FILE = "candidates.parquet"


def candidates(spark: "SparkSession | None", recipe: Interactions, settings: ScoreSettings, stage: Folder) -> Table:
    """Writes a table of the pairs and says where it lies.

    Args:
        spark: reads the tables and makes the pairs; None to do so by Arrow.
        recipe: with the paths of the tables of today.
        settings: whose candidates, and of how many of them.
        stage: where the table goes, which executors must see.

    Raises:
        ConfigError: the recipe has no tables of members and items.
        DataError: a table cannot be read.
    """
    if recipe.items is None or (recipe.members is None and settings.members is None):
        raise ConfigError("rows: candidates are members with items, and the recipe has no tables of both; give `rows`")
    names = recipe.interactions.member, recipe.interactions.item
    if settings.members is not None:
        who = settings.members, settings.root or ".", names[0]
    else:
        assert recipe.members is not None, "checked above"
        who = recipe.members.table, recipe.root, recipe.members.key
    what = recipe.items.table, recipe.root, recipe.items.key
    place = stage.within(_FILE)
    if spark is not None:
        members, items = _id_frame(spark, *who), _id_frame(spark, *what)
        members = members if settings.sample is None else _sampled(members, settings.sample)
        members.crossJoin(items.withColumnRenamed("id", "other")).toDF(*names).write.parquet(place.uri)
        return Table(path=place.uri)
    pq.write_table(_pairs(names, _ids(*who), _ids(*what), settings.sample), place.path(), filesystem=place.filesystem)
    return Table(path=place.path())


def _pairs(names: tuple[str, str], members: pa.Array, items: pa.Array, sample: int | None) -> pa.Table:
    members = members if sample is None else members.take(pa.array(_order(members)[:sample]))
    left = members.take(pa.array(np.repeat(np.arange(len(members)), len(items))))
    right = items.take(pa.array(np.tile(np.arange(len(items)), len(members))))
    return pa.table([left, right], names=list(names))


def _ids(table: Table, root: str, key: str) -> pa.Array:
    """The ids of a table, each once."""
    found = read_local(table, root, "scored")
    lack([key], found.column_names, f"table {table.path}")
    return pc.unique(as_texts(found.column(key), key).drop_null())


def _order(ids: pa.Array) -> np.ndarray:
    return np.argsort(keys_of(ids), kind="stable")


def _id_frame(spark: "SparkSession", table: Table, root: str, key: str) -> "DataFrame":
    """The ids of a table, each once, as column `id`."""
    frame = require(read_table(spark, table, root, "scored"), [key], f"table {table.path}")
    return frame.select(id_column(frame, key).alias("id")).dropna().distinct()


def _sampled(members: "DataFrame", sample: int) -> "DataFrame":
    """So many of the ids, those that `_pairs` takes."""

    def hashed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield pa.record_batch([batch.column(0), pa.array(keys_of(batch.column(0)))], names=["id", "hash"])

    return members.mapInArrow(hashed, "id string, hash bigint").orderBy("hash").limit(sample).select("id")
