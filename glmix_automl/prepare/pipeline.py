"""Preparation from beginning to end: which recipe, by which engine, and its publication as a dataset."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic

from glmix_automl import config
from glmix_automl.config import Config
from glmix_automl.errors import ConfigError
from glmix_automl.layout import MANIFEST, RECIPE, SCHEMA
from glmix_automl.manifest import Manifest
from glmix_automl.prepare import graph, interaction_rows, interactions
from glmix_automl.prepare.engine import Engine, Local, OnSpark
from glmix_automl.prepare.intake import partitions
from glmix_automl.prepare.local_files import local_path
from glmix_automl.prepare.local_tables import recipe_needs_spark, table_bytes
from glmix_automl.prepare.progress import StepProgress
from glmix_automl.prepare.publish import publishing
from glmix_automl.prepare.recipe import Recipe
from glmix_automl.prepare.rows import RawRows
from glmix_automl.prepare.run_settings import run_settings
from glmix_automl.prepare.split import entity_column
from glmix_automl.prepare.stage import HELD_ROWS, Staging
from glmix_automl.prepare.steps import Preparation
from glmix_automl.spark import translate_errors

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_STAGE = "_stage"
_LOCAL_BYTES = 2 * 10**9

RECIPES: dict[str, tuple[type[Recipe], Callable[[Engine, Any], RawRows]]] = {
    "interactions": (interactions.Interactions, interaction_rows.interaction_rows),
    "graph": (graph.Graph, graph.graph_rows),
}
"""Key `recipe` of a YAML file -> its configuration, and what makes raw rows of it on an engine."""


class _Named(Config):
    model_config = pydantic.ConfigDict(extra="ignore")
    recipe: str


def load_recipe(given: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), key: str | None = None) -> Recipe:
    """Reads a recipe, from a YAML file or plain data.

    Raises:
        ConfigError: as `config.load`, or a recipe of an unknown kind.
    """
    where = "recipe" if isinstance(given, Mapping) else given
    kind = config.load(given, _Named, overrides).recipe
    known = config.pick(RECIPES, kind, f"{where}: unknown recipe")
    return config.load(given, known[0], overrides, key)


def wants_spark(recipe: Recipe, asked: bool = False) -> bool:
    """Whether Spark prepares the recipe.

    Args:
        recipe: which may name an engine.
        asked: whether a Spark master is named, or a session is there.

    Raises:
        ConfigError: `engine: local` for what only Spark can read.
    """
    why = recipe_needs_spark(recipe)
    if recipe.engine == "local" and why is not None:
        raise ConfigError(f"engine: local cannot prepare this: {why}; leave `engine` out, or set it to spark")
    if recipe.engine != "auto":
        return recipe.engine == "spark"
    return asked or why is not None or sum(table_bytes(t, recipe.root) for t in recipe.tables) > _LOCAL_BYTES


def prepare_dataset(
    spark: "SparkSession | None", recipe: Recipe, overwrite: bool = False, shown: bool = False
) -> Manifest:
    """Turns the raw tables of a recipe into a dataset at `recipe.output`.

    Args:
        spark: the session that prepares it, or None for threads of this process.
        recipe: what and where.
        overwrite: whether a dataset at the output may be replaced.
        shown: whether progress is shown.

    Raises:
        DataError: the tables cannot be read or are not what the recipe says, or the output is taken.
        ConfigError: the recipe contradicts itself, or needs Spark and there is none.
    """
    with StepProgress(shown) as progress:
        if spark is None:
            if (why := recipe_needs_spark(recipe)) is not None:
                raise ConfigError(f"this recipe needs Spark: {why}")
            return finish(Local(progress), recipe, overwrite)
        with run_settings(spark), translate_errors(f"preparation of {recipe.name}"):
            return finish(OnSpark(spark, progress), recipe, overwrite)


def finish(engine: Engine, recipe: Recipe, overwrite: bool = False) -> Manifest:
    """Raw tables in, a published dataset out.

    Args:
        engine: what runs the steps; a session of Spark with `run_settings` applied.
        recipe: what and where.
        overwrite: whether a dataset at the output may be replaced.

    Raises:
        DataError: an empty split, a split of one class, a feature without values, duplicate uids, an unreadable column.
    """
    with engine.progress.step("reading", 1):
        rows = RECIPES[recipe.recipe][1](engine, recipe)
    if getattr(recipe.split, "unit", "row") != "row":
        entity_column(recipe.split.unit, [e.name for e in rows.entities])  # type: ignore[union-attr]
    engine.progress.rows = rows.size
    with publishing(engine.spark, recipe.output, overwrite) as storage:
        storage.make(f"{storage.uri}/{_STAGE}")
        work = _work(rows, recipe, storage.uri)
        made = Preparation(engine, work, rows, recipe).run()
        with engine.progress.step("report", 1):
            from glmix_automl.prepare.report import write_report  # loads matplotlib

            write_report(storage, made.report, made.profile, made.schema)
            storage.write(SCHEMA, made.schema.model_dump_json(indent=1))
            storage.write(RECIPE, recipe.model_dump_json(indent=1))
            storage.write(MANIFEST, made.manifest.model_dump_json(indent=1))
            storage.remove(work.folder)
    return made.manifest


def _work(rows: RawRows, recipe: Recipe, uri: str) -> Staging:
    out = local_path(uri)  # Hadoop's URIs of local files are not escaped
    return Staging(
        folder=f"{out}/{_STAGE}",
        out=out,
        parts=partitions(rows.largest),
        features=rows.features,
        entities=rows.entities,
        sides={number: table.sources for number, table in rows.side_tables.items()},
        split=recipe.split,
        negatives=recipe.negatives,
        seed=recipe.seed,
        history=rows.history,
        uid="uid" if rows.uid is not None else None,
        repeats=rows.repeats,
        timed=rows.time is not None,
        sampling=rows.sampling,
        held_rows=rows.history.heavy_rows if rows.history is not None else HELD_ROWS,
    )
