"""Batch scoring: raw rows in, Parquet out, whole or not at all; on this machine or over Spark's executors.

Rows are scored in Arrow batches by the exported model, which encodes them with the code that made the dataset's
features. On Spark every Python worker loads the model, and with it TensorFlow, once. Rows come from a table that brings
all raw columns (here), or are made by the model's recipe (`answering`, `suggesting`).
"""

import shutil
import uuid
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from glmix_automl import spark as application
from glmix_automl.errors import DataError
from glmix_automl.layout import SUCCESS, Folder
from glmix_automl.prepare.local_tables import read_local, table_needs_spark
from glmix_automl.prepare.tables import read_table
from glmix_automl.serving.answering import score_interactions
from glmix_automl.serving.frames import score_frame
from glmix_automl.serving.model import Model
from glmix_automl.serving.scored_rows import BATCH_ROWS, keep_best, member_column, score_rows
from glmix_automl.serving.settings import ScoreSettings, wants_spark
from glmix_automl.serving.source import ModelSource, locate
from glmix_automl.serving.suggesting import score_graph


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
    if not wants_spark(settings, table_needs_spark(settings.given, settings.root or ".")):
        return _locally(settings, source, to), []
    spark = application.session("glmix-automl score")
    frame = read_table(spark, settings.given, settings.root or ".", "rows")
    return score_frame(frame, settings, source, to), []


def _locally(settings: ScoreSettings, source: ModelSource, to: Folder) -> int:
    model = Model(source.folder)
    rows = read_local(settings.given, settings.root or ".", "rows")
    parts = [
        score_rows(model, rows.slice(start, BATCH_ROWS), settings, source.version)
        for start in range(0, max(rows.num_rows, 1), BATCH_ROWS)
    ]
    scored = pa.concat_tables(parts)
    if settings.top is not None:
        scored = keep_best(scored, member_column(model.schema, rows.column_names, settings.top), settings.top)
    to.filesystem.create_dir(to.path(), recursive=True)
    pq.write_table(scored, to.path("part-0.parquet"), filesystem=to.filesystem)
    return int(scored.num_rows)


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
