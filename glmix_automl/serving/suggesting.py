"""Pairs of a network as it is now are scored: given ones, or what could be suggested to some members, or to all."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glmix_automl import spark as application
from glmix_automl.errors import ConfigError, DataError
from glmix_automl.features import as_texts
from glmix_automl.layout import Folder
from glmix_automl.prepare.engine import OnSpark
from glmix_automl.prepare.graph import Graph, read_network
from glmix_automl.prepare.pairs.candidates import Hands
from glmix_automl.prepare.pairs.describe import Network
from glmix_automl.prepare.pairs.suggestion_rows import SuggestionRows, numbered
from glmix_automl.prepare.progress import StepProgress
from glmix_automl.prepare.recipe import Table
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.run_settings import run_settings
from glmix_automl.prepare.tables import read_table, require
from glmix_automl.serving.answering import recipe_of_today
from glmix_automl.serving.scored_rows import keep_best, model_files, score_rows, unpack_model
from glmix_automl.serving.settings import ScoreSettings
from glmix_automl.serving.source import ModelSource

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ENDS = ("left", "right")


def score_graph(settings: ScoreSettings, source: ModelSource, to: Folder) -> tuple[int, list[str]]:
    """Scores pairs into a folder: how many there were, and what was taken for granted.

    Raises:
        ConfigError, DataError: what is wrong with the settings, the model or the tables.
    """
    if settings.engine == "local":
        raise ConfigError("engine local: recipe graph is made by Spark; leave `engine` out, or set it to spark")
    recipe = recipe_of_today(source.folder, settings, Graph)
    spark = application.session("glmix-automl score")
    engine = OnSpark(spark, StepProgress(False))
    with run_settings(spark), application.translate_errors("scoring the network"):
        made, notes = suggestion_rows(spark, recipe, settings.rows, settings.members, settings.root or ".")
        write = partial(_score_span, made, model_files(source.folder), settings, source.version, to.uri)
        spans = made.spans(2 * spark.sparkContext.defaultParallelism)
        to.filesystem.create_dir(to.path(), recursive=True)
        return sum(engine.each("scoring", write, [(n, *span) for n, span in enumerate(spans)])), notes


def suggestion_rows(
    spark: "SparkSession", recipe: Graph, pairs: Table | None, members: Table | None, root: str
) -> tuple[SuggestionRows, list[str]]:
    """What makes the rows, and notes.

    Args:
        spark: reads the tables.
        recipe: with the paths of the tables of today.
        pairs: with columns `left` and `right`; None for candidates.
        members: whose candidates, column `left`; None for all.
        root: what paths of `pairs` and `members` start from.

    Raises:
        DataError: a table cannot be read, or has no node of the network.
    """
    remarks = Remarks()
    links, attributes = read_network(OnSpark(spark, StepProgress(False)), recipe, {}, remarks)
    now, directed = links.adjacency(), recipe.edges.directed
    network = Network.of(now, links.keys, attributes, recipe.columns, directed, recipe.seed)
    notes = list(remarks.notes)
    if pairs is not None:
        ends = _ends(spark, pairs, root, ENDS, links.ids, notes)
        order = np.argsort(ends[0], kind="stable")  # a member's pairs together
        return SuggestionRows(network, links.ids, ends[0][order], ends[1][order]), notes
    every = np.arange(len(links.ids), dtype=np.int32)
    left = every if members is None else np.unique(_ends(spark, members, root, ENDS[:1], links.ids, notes)[0])
    hands = Hands.of(now, links.keys, recipe.candidates.fan_out, recipe.seed)
    return SuggestionRows(network, links.ids, left, hands=hands), notes


def _ends(
    spark: "SparkSession", table: Table, root: str, names: tuple[str, ...], ids: pa.Array, notes: list[str]
) -> "list[np.ndarray[tuple[int], np.dtype[np.int32]]]":
    """Node numbers of a table's columns, rows of unknown nodes left out and noted."""
    where = f"table {table.path}"
    found = (
        require(read_table(spark, table, root, "rows to score", Remarks()), list(names), where).select(*names).toArrow()
    )
    texts = [as_texts(found[name], name) for name in names]
    there = np.logical_and.reduce([numbered(ids, text)[1] for text in texts])
    if not there.any():
        raise DataError(f"{where}: no row of nodes that the network has")
    if not there.all():
        notes.append(f"{where}: {int((~there).sum()):,} of {len(there):,} rows have a node that the network has not")
    return [numbered(ids, text.filter(pa.array(there)))[0] for text in texts]


def _score_span(
    made: SuggestionRows,
    files: tuple[tuple[str, bytes], ...],
    settings: ScoreSettings,
    version: str,
    to: str,
    span: tuple[int, int, int],
) -> int:
    """Scores a span of whole members into a file of its own: how many rows."""
    number, begin, end = span
    rows = made.rows(begin, end)
    scored = score_rows(unpack_model(files), rows, settings, version)
    if settings.top is not None:
        scored = keep_best(scored, ENDS[0], settings.top)
    place = Folder(to)
    pq.write_table(scored, place.path(f"part-{number:05d}.parquet"), filesystem=place.filesystem)
    return int(scored.num_rows)
