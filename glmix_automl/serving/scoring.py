"""Batch scoring: raw rows in, Parquet out, whole or not at all; on this machine or over Spark's executors.

Rows are scored in Arrow batches by the exported model, which encodes them with the code that made the dataset's
features. On Spark every Python worker loads the model, and with it TensorFlow, once. Rows come from a table that brings
all raw columns (here), or are made by the model's recipe (`answering`, `suggesting`).
"""

import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from glmix_automl.errors import DataError
from glmix_automl.layout import SUCCESS, Folder
from glmix_automl.schema import UID, Schema
from glmix_automl.serving.answering import score_interactions
from glmix_automl.serving.model import Model
from glmix_automl.serving.scored_rows import (
    BATCH_ROWS,
    PROBABILITY,
    RANK,
    SCORE,
    SHARES,
    VERSION,
    keep_best,
    kept_ids,
    model_files,
    score_rows,
    unpack_model,
)
from glmix_automl.serving.settings import ScoreSettings, wants_spark
from glmix_automl.serving.source import ModelSource, locate
from glmix_automl.serving.suggesting import score_graph

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def score(settings: ScoreSettings) -> dict[str, Any]:
    """Scores the table and publishes the scores; gives rows, members, model version and place.

    Raises:
        ConfigError, DataError, StudyError: what is wrong with the settings, the model or the table.
    """
    source = locate(settings.model, settings.registry)
    target = Folder(settings.output)
    unfinished = Folder(f"{str(target.uri).rstrip('/')}.new-{uuid.uuid4().hex[:8]}")
    try:
        rows, notes = _run(settings, source, unfinished)
        unfinished.write(SUCCESS, "")
        _publish(unfinished, target)
    except BaseException:
        if unfinished.exists():
            unfinished.filesystem.delete_dir(unfinished.path())
        raise
    finally:
        if settings.model.startswith("models:"):
            shutil.rmtree(source.folder.path(), ignore_errors=True)
    return {"rows": rows, "model_version": source.version, "scores": settings.output, "notes": notes}


def _run(settings: ScoreSettings, source: ModelSource, to: Folder) -> tuple[int, list[str]]:
    """How many rows were scored into a folder, and what was taken for granted."""
    if settings.kind == "interactions":
        return score_interactions(settings, source, to)
    if settings.kind == "graph":
        return score_graph(settings, source, to)
    from glmix_automl.prepare.local_tables import table_needs_spark

    on_spark = wants_spark(settings, table_needs_spark(settings.given, settings.root or "."))
    return (_on_spark if on_spark else _locally)(settings, source, to), []


def _member(schema: Schema, there: Iterable[str], settings: ScoreSettings) -> str:
    source = schema.entities[0].source if schema.entities else None
    if source is None or source not in set(there):
        raise DataError(
            f"top: {settings.top} keeps each member's best, and the rows have no column {source!r} of members"
        )
    return source


# --- on this machine


def _locally(settings: ScoreSettings, source: ModelSource, to: Folder) -> int:
    from glmix_automl.prepare.local_tables import read_local

    model = Model(source.folder)
    rows = read_local(settings.given, settings.root or ".", "rows")
    parts = [
        score_rows(model, rows.slice(start, BATCH_ROWS), settings, source.version)
        for start in range(0, max(rows.num_rows, 1), BATCH_ROWS)
    ]
    scored = pa.concat_tables(parts)
    if settings.top is not None:
        scored = keep_best(scored, _member(model.schema, rows.column_names, settings), settings.top)
    to.filesystem.create_dir(to.path(), recursive=True)
    pq.write_table(scored, to.path("part-0.parquet"), filesystem=to.filesystem)
    return int(scored.num_rows)


# --- on Spark


def _on_spark(settings: ScoreSettings, source: ModelSource, to: Folder) -> int:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from glmix_automl import spark as application
    from glmix_automl.prepare.tables import column, read_table

    spark = application.session("glmix-automl score")
    frame = read_table(spark, settings.given, settings.root or ".", "rows")
    schema = Schema.model_validate_json(source.folder.read("schema.json"))
    work = _scorer(model_files(source.folder), settings, source.version)
    scored = frame.mapInArrow(work, _columns(schema, frame, settings, source))
    if settings.top is not None:
        member = column(_member(schema, frame.columns, settings))
        within = Window.partitionBy(member).orderBy(
            F.col(SCORE).desc(), *([F.col(UID)] if UID in frame.columns else [])
        )
        scored = scored.withColumn(RANK, F.row_number().over(within)).where(F.col(RANK) <= settings.top)
    scored.write.parquet(to.uri)
    return int(spark.read.parquet(to.uri).count())


def _scorer(
    files: tuple[tuple[str, bytes], ...], settings: ScoreSettings, version: str
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = unpack_model(files)
        for batch in batches:
            yield from score_rows(model, pa.Table.from_batches([batch]), settings, version).to_batches()

    return work


def _columns(schema: Schema, frame: "DataFrame", settings: ScoreSettings, source: ModelSource) -> str:
    """The scores' columns as Spark DDL."""
    kinds = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    columns = {name: kinds[name] for name in kept_ids(schema, frame.columns)} | {SCORE: "float", PROBABILITY: "double"}
    if settings.coordinates:
        columns |= dict.fromkeys(Model(source.folder).coordinates, "float")
    if settings.explain:
        columns[SHARES] = "array<struct<coordinate: string, feature: string, log_odds: float>>"
    columns[VERSION] = "string"
    return ", ".join(f"`{name}` {kind}" for name, kind in columns.items())


def _publish(unfinished: Folder, target: Folder) -> None:
    """Puts the new scores in the place of the old ones."""
    old = Folder(f"{str(target.uri).rstrip('/')}.old-{uuid.uuid4().hex[:8]}")
    aside = target.exists()
    if aside and not target.exists(SUCCESS):
        raise DataError(f"{target.uri}: holds something else than scores; name another output")
    if aside:
        target.filesystem.move(target.path(), old.path())
    unfinished.filesystem.move(unfinished.path(), target.path())
    if aside:
        old.filesystem.delete_dir(old.path())
