"""Members, items and times are scored: the model's recipe says where what is known of them lies, and since when."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark.sql.pandas.types import from_arrow_schema

from glmix_automl import spark as application
from glmix_automl.config import Config
from glmix_automl.errors import ConfigError, DataError
from glmix_automl.layout import RECIPE, Folder
from glmix_automl.prepare import pipeline
from glmix_automl.prepare.answers import Questions, answer, answer_schema, filled
from glmix_automl.prepare.asking import ask
from glmix_automl.prepare.interactions import Interactions
from glmix_automl.prepare.known import HISTORY, Known
from glmix_automl.prepare.local_files import local_path
from glmix_automl.prepare.local_tables import recipe_needs_spark, table_needs_spark
from glmix_automl.prepare.recipe import Recipe
from glmix_automl.prepare.run_settings import run_settings
from glmix_automl.serving.candidates import candidates
from glmix_automl.serving.frames import score_frame
from glmix_automl.serving.model import Model
from glmix_automl.serving.scored_rows import BATCH_ROWS, keep_best, score_rows
from glmix_automl.serving.settings import ScoreSettings, wants_spark
from glmix_automl.serving.source import ModelSource

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_STAGE = "_stage"


def score_interactions(settings: ScoreSettings, source: ModelSource, to: Folder) -> tuple[int, list[str]]:
    """Scores the rows into a folder: how many there were, and what was taken for granted.

    Raises:
        ConfigError, DataError: what is wrong with the settings, the model or the tables.
    """
    recipe = recipe_of_today(source.folder, settings, Interactions)
    given = [table for table in (settings.rows, settings.members) if table is not None]
    why = next((w for table in given if (w := table_needs_spark(table, settings.root or "."))), None)
    why = why or recipe_needs_spark(recipe)
    stage = Folder(local_path(to.within(_STAGE).uri))
    stage.filesystem.create_dir(stage.path(), recursive=True)
    if not wants_spark(settings, why):
        found = _scored(None, recipe, settings, source, to, stage)
    else:
        spark = application.session("glmix-automl score")
        with run_settings(spark), application.translate_errors("scoring"):
            found = _scored(spark, recipe, settings, source, to, stage)
    stage.filesystem.delete_dir(stage.path())
    return found


def recipe_of_today(model: Folder, settings: ScoreSettings, kind: type[Recipe]) -> Any:
    """The model's recipe, with the paths that the settings name.

    Raises:
        DataError: the model has none.
        ConfigError: it is of another kind, or has no such table.
    """
    if not model.exists(RECIPE):
        raise DataError(f"{model.path()}: the model brings no recipe; export it again from a dataset that has one")
    recipe = pipeline.load_recipe(json.loads(model.read(RECIPE)))
    if not isinstance(recipe, kind):
        raise ConfigError(f"kind: {settings.kind} scores by another recipe than the model's, which is {recipe.recipe}")
    update: dict[str, Any] = {} if settings.root is None else {"root": settings.root}
    for name, path in settings.tables.items():
        update[name] = _at(getattr(recipe, name, None), name, path)
    return recipe.model_copy(update=update)


def _at(part: Any, name: str, path: str) -> Any:
    """A part of the recipe with its table elsewhere; of several tables the path is of the first."""
    if isinstance(part, tuple) and part:
        return (_at(part[0], name, path), *part[1:])
    if not isinstance(part, Config) or not hasattr(part, "table"):
        raise ConfigError(f"tables: the model's recipe has no table {name!r}")
    return part.model_copy(update={"table": part.table.model_copy(update={"path": path})})


def _scored(
    spark: "SparkSession | None",
    recipe: Interactions,
    settings: ScoreSettings,
    source: ModelSource,
    to: Folder,
    stage: Folder,
) -> tuple[int, list[str]]:
    known = _known(spark is not None, recipe, settings, source, stage)
    newer = settings.history == "given" or "interactions" in settings.tables
    rows = settings.rows or candidates(spark, recipe, settings, stage)
    asked = ask(spark, recipe, rows, settings.root or ".", stage.uri, known, newer, _moment(settings.at, known))
    kept = [name for name in dict.fromkeys(asked.names) if name is not None]
    if spark is not None:
        return score_frame(_in_tasks(spark, asked), settings, source, to, kept), list(asked.notes)
    model = Model(source.folder)
    write = partial(_score_part, asked, model, settings, source.version, kept, to)
    return sum(map(write, filled(asked.rows, asked.work.parts))), list(asked.notes)


def _in_tasks(spark: "SparkSession", asked: Questions) -> "DataFrame":
    """The rows, answered partition by partition."""
    context, parts = spark.sparkContext, filled(asked.rows, asked.work.parts)
    sent = context.broadcast(asked)

    def rows_of(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for part in batch["part"].to_pylist():
                rows = answer(sent.value, part)
                if rows is not None:
                    yield from rows.to_batches(max_chunksize=BATCH_ROWS)

    dealt = spark.createDataFrame(context.parallelize([(part,) for part in parts], len(parts)), "part bigint")
    return dealt.mapInArrow(rows_of, from_arrow_schema(answer_schema(asked)))


def _known(
    on_spark: bool, recipe: Interactions, settings: ScoreSettings, source: ModelSource, stage: Folder
) -> Known | None:
    """What the model knows, where the tasks can read it."""
    if settings.history == "given" or recipe.past is None:
        return None
    place = source.folder.within(HISTORY)
    if on_spark and place.exists():  # a model from the registry lies on this machine only
        copy = stage.within(HISTORY)
        fs.copy_files(
            place.path(), copy.path(), source_filesystem=place.filesystem, destination_filesystem=copy.filesystem
        )
        place = copy
    known = Known.open(place)
    if known is None:
        raise DataError(
            f"{source.folder.path()}: the model has columns of history but does not know any; score with `history: "
            "given` and all interactions, or export it again"
        )
    return known


def _score_part(
    asked: Questions,
    model: Model,
    settings: ScoreSettings,
    version: str,
    kept: Sequence[str],
    to: Folder,
    part: int,
) -> int:
    """Scores a partition into a file of its own: how many rows."""
    rows = answer(asked, part)
    if rows is None:
        return 0
    starts = range(0, rows.num_rows, BATCH_ROWS)
    scored = pa.concat_tables([score_rows(model, rows.slice(s, BATCH_ROWS), settings, version, kept) for s in starts])
    if settings.top is not None:  # a member's rows are in one partition
        scored = keep_best(scored, asked.names[0], settings.top)
    pq.write_table(scored, to.path(f"part-{part:05d}.parquet"), filesystem=to.filesystem)
    return int(scored.num_rows)


def _moment(at: str | float | None, known: Known | None) -> int:
    """Microseconds of the moment of rows that bring none."""
    end = known.until + 1 if known is not None else 0
    if at is None:
        return max(time.time_ns() // 1000, end)
    if at == "end":
        return end
    if isinstance(at, int | float):
        return int(at * 10**6)
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise ConfigError(f"at: {at!r} is no moment; expected ISO text, seconds since the epoch, or end") from error
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * 10**6 + moment.microsecond
