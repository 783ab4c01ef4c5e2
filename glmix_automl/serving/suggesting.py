"""Pairs of a network as it is now are scored: given ones, or what could be suggested to some members, or to all."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql.pandas.types import from_arrow_schema

from glmix_automl import spark as application
from glmix_automl.errors import DataError
from glmix_automl.features import as_texts
from glmix_automl.layout import Folder
from glmix_automl.prepare.engine import Engine, Local, OnSpark
from glmix_automl.prepare.graph import Graph, read_network
from glmix_automl.prepare.local_tables import read_local, recipe_needs_spark, table_needs_spark
from glmix_automl.prepare.pairs.candidates import Hands
from glmix_automl.prepare.pairs.describe import Network
from glmix_automl.prepare.pairs.suggestion_rows import SuggestionRows, numbered
from glmix_automl.prepare.progress import StepProgress
from glmix_automl.prepare.recipe import Table
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.run_settings import run_settings
from glmix_automl.prepare.tables import lack, read_table
from glmix_automl.serving.answering import recipe_of_today
from glmix_automl.serving.frames import score_frame
from glmix_automl.serving.model import Model
from glmix_automl.serving.scored_rows import BATCH_ROWS, keep_best, score_rows
from glmix_automl.serving.settings import ScoreSettings, wants_spark
from glmix_automl.serving.source import ModelSource

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ENDS = ("left", "right")


def score_graph(settings: ScoreSettings, source: ModelSource, to: Folder) -> tuple[int, list[str]]:
    """Scores pairs into a folder: how many there were, and what was taken for granted.

    Raises:
        ConfigError, DataError: what is wrong with the settings, the model or the tables.
    """
    recipe = recipe_of_today(source.folder, settings, Graph)
    root = settings.root or "."
    given = [table for table in (settings.rows, settings.members) if table is not None]
    why = recipe_needs_spark(recipe) or next((w for t in given if (w := table_needs_spark(t, root))), None)
    if not wants_spark(settings, why):
        made, notes = suggestion_rows(None, recipe, settings, root)
        return _locally(made, settings, source, to), notes
    spark = application.session("glmix-automl score")
    with run_settings(spark), application.translate_errors("scoring the network"):
        made, notes = suggestion_rows(spark, recipe, settings, root)
        return score_frame(_in_tasks(spark, made), settings, source, to), notes


def suggestion_rows(
    spark: "SparkSession | None", recipe: Graph, settings: ScoreSettings, root: str
) -> tuple[SuggestionRows, list[str]]:
    """What makes the rows, and notes.

    Args:
        spark: reads the tables; None to read them by Arrow.
        recipe: with the paths of the tables of today.
        settings: which pairs, or whose candidates.
        root: what paths of their tables start from.

    Raises:
        DataError: a table cannot be read, or has no node of the network.
    """
    remarks, silent = Remarks(), StepProgress(False)
    engine: Engine = Local(silent) if spark is None else OnSpark(spark, silent)
    links, attributes = read_network(engine, recipe, {}, remarks)
    now, directed = links.adjacency(), recipe.edges.directed
    network = Network.of(now, links.keys, attributes, recipe.columns, directed, recipe.seed)
    notes = list(remarks.notes)
    if settings.rows is not None:
        ends = _ends(spark, settings.rows, root, ENDS, links.ids, notes)
        order = np.argsort(ends[0], kind="stable")  # a member's pairs together
        return SuggestionRows(network, links.ids, ends[0][order], ends[1][order]), notes
    every = np.arange(len(links.ids), dtype=np.int32)
    wanted = settings.members
    left = every if wanted is None else np.unique(_ends(spark, wanted, root, ENDS[:1], links.ids, notes)[0])
    if settings.sample is not None:
        left = np.sort(left[np.argsort(links.keys[left], kind="stable")[: settings.sample]])
    hands = Hands.of(now, links.keys, recipe.candidates.fan_out, recipe.seed)
    return SuggestionRows(network, links.ids, left, hands=hands), notes


def _ends(
    spark: "SparkSession | None", table: Table, root: str, names: tuple[str, ...], ids: pa.Array, notes: list[str]
) -> "list[np.ndarray[tuple[int], np.dtype[np.int32]]]":
    """Node numbers of a table's columns, rows of unknown nodes left out and noted."""
    where = f"table {table.path}"
    if spark is None:
        found = read_local(table, root, "rows to score")
        lack(list(names), found.column_names, where)
    else:
        frame = read_table(spark, table, root, "rows to score")
        lack(list(names), frame.columns, where)
        found = frame.select(*names).toArrow()
    texts = [as_texts(found[name], name) for name in names]
    there = np.logical_and.reduce([numbered(ids, text)[1] for text in texts])
    if not there.any():
        raise DataError(f"{where}: no row of nodes that the network has")
    if not there.all():
        notes.append(f"{where}: {int((~there).sum()):,} of {len(there):,} rows have a node that the network has not")
    return [numbered(ids, text.filter(pa.array(there)))[0] for text in texts]


def _locally(made: SuggestionRows, settings: ScoreSettings, source: ModelSource, to: Folder) -> int:
    """Scores spans of whole members, a file each: how many rows."""
    model, rows = Model(source.folder), 0
    to.filesystem.create_dir(to.path(), recursive=True)
    for number, span in enumerate(made.spans(1)):
        scored = score_rows(model, made.rows(*span), settings, source.version)
        if settings.top is not None:
            scored = keep_best(scored, ENDS[0], settings.top)
        pq.write_table(scored, to.path(f"part-{number:05d}.parquet"), filesystem=to.filesystem)
        rows += scored.num_rows
    return rows


def _in_tasks(spark: "SparkSession", made: SuggestionRows) -> "DataFrame":
    """The rows, made by tasks of which each has a copy of the network."""
    context = spark.sparkContext
    spans = made.spans(2 * context.defaultParallelism)
    sent = context.broadcast(made)

    def rows_of(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for begin, end in zip(batch["begin"].to_pylist(), batch["end"].to_pylist(), strict=True):
                yield from sent.value.rows(begin, end).to_batches(max_chunksize=BATCH_ROWS)

    dealt = spark.createDataFrame(context.parallelize(spans, len(spans)), "begin bigint, end bigint")
    return dealt.mapInArrow(rows_of, from_arrow_schema(made.rows(0, 0).schema))
