"""Batch scoring: raw rows in, Parquet out, whole or not at all; on this machine or over Spark's executors.

Rows are scored in Arrow batches by the exported model, which encodes them with the code that made the dataset's
features. On Spark every Python worker loads the model, and with it TensorFlow, once.
"""

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pydantic

from glmix_automl import config
from glmix_automl.config import Config
from glmix_automl.errors import ConfigError, DataError
from glmix_automl.layout import SUCCESS, Folder
from glmix_automl.prepare.recipe import Table
from glmix_automl.schema import UID, Schema
from glmix_automl.serving.contributions import largest
from glmix_automl.serving.model import Model
from glmix_automl.serving.source import ModelSource, locate

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCORE, PROBABILITY, RANK, VERSION, SHARES = "score", "probability", "rank", "model_version", "largest_shares"
BATCH_ROWS = 1 << 16


class ScoreSettings(Config):
    """What to score, with what, and where to."""

    model: str
    """Folder of a model or a study, or `models:/NAME@champion`, `models:/NAME/VERSION`."""
    registry: str | None = None
    """URI of the MLflow server or store, for registered models."""
    rows: Table
    """Rows that bring the model's raw columns; the entities' ids and `uid` are handed on."""
    root: str = "."
    """What a relative path of the table starts from."""
    output: str
    """Folder of the scores; what is there is replaced when the new ones are whole."""
    engine: Literal["auto", "local", "spark"] = "auto"
    """`local` scores in this process; `auto` does where only Spark reads the table."""
    top: int | None = pydantic.Field(default=None, ge=1)
    """Keeps each member's best so many, ranked from 1."""
    coordinates: bool = False
    """Adds a column per coordinate: its share of the score."""
    explain: int = pydantic.Field(default=0, ge=0)
    """Adds each row's so many largest shares by coordinate and feature."""


def load_scoring(path: str | Path, overrides: Sequence[str] = (), key: str | None = None) -> ScoreSettings:
    """Reads a scoring file.

    Raises:
        ConfigError: as `config.load`.
    """
    return config.load(path, ScoreSettings, overrides, key)


def score(settings: ScoreSettings) -> dict[str, Any]:
    """Scores the table and publishes the scores; gives rows, members, model version and place.

    Raises:
        ConfigError, DataError, StudyError: what is wrong with the settings, the model or the table.
    """
    from glmix_automl.prepare.local_tables import table_needs_spark

    source = locate(settings.model, settings.registry)
    why = table_needs_spark(settings.rows)
    if settings.engine == "local" and why is not None:
        raise ConfigError(f"engine local: {why}; set engine: spark")
    run = _on_spark if settings.engine == "spark" or why is not None else _locally
    target = Folder(settings.output)
    unfinished = Folder(f"{str(target.uri).rstrip('/')}.new-{uuid.uuid4().hex[:8]}")
    try:
        rows = run(settings, source, unfinished)
        unfinished.write(SUCCESS, "")
        _publish(unfinished, target)
    except BaseException:
        if unfinished.exists():
            unfinished.filesystem.delete_dir(unfinished.path())
        raise
    finally:
        if settings.model.startswith("models:"):
            shutil.rmtree(source.folder.path(), ignore_errors=True)
    return {"rows": rows, "model_version": source.version, "scores": settings.output}


def score_rows(model: Model, rows: pa.Table, settings: ScoreSettings, version: str) -> pa.Table:
    """The scores of raw rows, with what is asked for beside them."""
    features = model.encode(rows)
    shares = model.shares(features)
    log_odds = model.total(shares, rows.num_rows)
    columns: dict[str, Any] = {name: rows.column(name) for name in _ids(model.schema, rows.column_names)}
    columns[SCORE] = pa.array(log_odds, pa.float32())
    columns[PROBABILITY] = pa.array(np.exp(-np.logaddexp(0, -log_odds.astype(np.float64))), pa.float64())
    if settings.coordinates:
        columns |= {name: pa.array(share, pa.float32()) for name, share in shares.items()}
    if settings.explain:
        columns[SHARES] = largest(model.schema, features, model.shares, settings.explain)
    columns[VERSION] = pa.array([version] * rows.num_rows, pa.string())
    return pa.table(columns)


def keep_best(scored: pa.Table, member: str, top: int) -> pa.Table:
    """Each member's best rows by score, ranked from 1; of equal scores the earlier row."""
    place = pa.array(np.arange(scored.num_rows))
    order = pc.sort_indices(
        scored.append_column("_place", place),
        sort_keys=[(member, "ascending"), (SCORE, "descending"), ("_place", "ascending")],
    ).to_numpy()
    codes = pc.dictionary_encode(scored.column(member).combine_chunks()).indices.to_numpy()[order]
    starts = np.ones(len(codes), bool)
    starts[1:] = codes[1:] != codes[:-1]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(codes)), 0))
    rank = np.arange(len(codes)) - first + 1
    kept = rank <= top
    best = scored.take(pa.array(order[kept]))
    return best.append_column(RANK, pa.array(rank[kept].astype(np.int32)))


def _ids(schema: Schema, there: Iterable[str]) -> list[str]:
    """The columns that are handed on."""
    sources = [entity.source for entity in schema.entities]
    return [name for name in dict.fromkeys((UID, *sources)) if name in set(there)]


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
    rows = read_local(settings.rows, settings.root, "rows")
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
    frame = read_table(spark, settings.rows, settings.root, "rows")
    schema = Schema.model_validate_json(source.folder.read("schema.json"))
    work = _scorer(_files(source.folder), settings, source.version)
    scored = frame.mapInArrow(work, _columns(schema, frame, settings, source))
    if settings.top is not None:
        member = column(_member(schema, frame.columns, settings))
        within = Window.partitionBy(member).orderBy(
            F.col(SCORE).desc(), *([F.col(UID)] if UID in frame.columns else [])
        )
        scored = scored.withColumn(RANK, F.row_number().over(within)).where(F.col(RANK) <= settings.top)
    scored.write.parquet(to.uri)
    return int(spark.read.parquet(to.uri).count())


def _files(folder: Folder, within: str = "") -> dict[str, bytes]:
    """A model's files by name, which go to the executors with the task: no shared disk is needed."""
    found = {f"{within}{name}": folder.read(f"{within}{name}") for name in folder.files(within.rstrip("/"))}
    for inner in folder.folders(within.rstrip("/")):
        found |= _files(folder, f"{within}{inner}/")
    return found


def _scorer(
    files: Mapping[str, bytes], settings: ScoreSettings, version: str
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = _unpack(tuple(sorted(files.items())))
        for batch in batches:
            yield from score_rows(model, pa.Table.from_batches([batch]), settings, version).to_batches()

    return work


@lru_cache(2)
def _unpack(files: tuple[tuple[str, bytes], ...]) -> Model:
    """The model in this process; kept, so that a worker loads it once."""
    with tempfile.TemporaryDirectory(prefix="glmix-model-") as place:
        folder = Folder(place)
        for name, content in files:
            folder.write(name, content)
        return Model(folder)


def _columns(schema: Schema, frame: "DataFrame", settings: ScoreSettings, source: ModelSource) -> str:
    """The scores' columns as Spark DDL."""
    kinds = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    columns = {name: kinds[name] for name in _ids(schema, frame.columns)} | {SCORE: "float", PROBABILITY: "double"}
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
