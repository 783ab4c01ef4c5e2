"""Preparation from beginning to end: a recipe's raw rows are staged, split, fitted on, encoded, written, checked."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pydantic
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glmix_automl import config
from glmix_automl.config import Config
from glmix_automl.errors import ConfigError, DataError
from glmix_automl.layout import MANIFEST, SCHEMA
from glmix_automl.manifest import Manifest, Shard, Split
from glmix_automl.prepare import graph, interactions
from glmix_automl.prepare.checks import Report, checked, warned
from glmix_automl.prepare.fit import fitted
from glmix_automl.prepare.profile import Profile, profile, staged_fill
from glmix_automl.prepare.publish import publishing
from glmix_automl.prepare.recipe import Recipe
from glmix_automl.prepare.report import write_report
from glmix_automl.prepare.rows import Rows
from glmix_automl.prepare.run_settings import run_settings
from glmix_automl.prepare.sampling import sampled
from glmix_automl.prepare.shards import digests, read_split, write
from glmix_automl.prepare.split import SPLIT, assigned
from glmix_automl.prepare.stage import LABEL, UID, plan, staged
from glmix_automl.schema import SPLITS, Schema
from glmix_automl.spark import translated

_STAGE = "_stage"

RECIPES: dict[str, tuple[type[Recipe], Callable[[SparkSession, Recipe], Rows]]] = {
    "interactions": (interactions.Interactions, interactions.rows),  # type: ignore[dict-item]
    "graph": (graph.Graph, graph.rows),  # type: ignore[dict-item]
}
"""Key `recipe` of a YAML file -> its configuration, and what makes raw rows of it."""


class _Named(Config):
    model_config = pydantic.ConfigDict(extra="ignore")
    recipe: str


def load(path: str | Path, overrides: Sequence[str] = (), key: str | None = None) -> Recipe:
    """Reads a recipe.

    Raises:
        ConfigError: as `config.load`, or a recipe of an unknown kind.
    """
    kind = config.load(path, _Named, overrides).recipe
    if kind not in RECIPES:
        raise ConfigError(f"{path}: unknown recipe {kind!r}; there are {', '.join(RECIPES)}")
    return config.load(path, RECIPES[kind][0], overrides, key)


def prepare(spark: SparkSession, recipe: Recipe, overwrite: bool = False) -> Manifest:
    """Turns the raw tables of a recipe into a dataset at `recipe.output`.

    Raises:
        DataError: the tables cannot be read or are not what the recipe says, or the output is taken.
        ConfigError: the recipe contradicts itself.
    """
    with run_settings(spark), translated(f"preparation of {recipe.name}"):
        make = RECIPES[recipe.recipe][1]
        return finish(spark, make(spark, recipe), recipe, overwrite)


def finish(spark: SparkSession, rows: Rows, recipe: Recipe, overwrite: bool = False) -> Manifest:
    """The half that recipes share: raw rows in, a published dataset out.

    Split, fit on train, down-sample, encode, write shards, check, report, publish. Reads `rows.frame` once; nothing but
    vocabularies, a bounded sample and counts reaches the driver.

    Args:
        spark: the session, with `run_settings` applied.
        rows: raw rows and the roles of their columns.
        recipe: output, split, sampling, checks, seed.
        overwrite: whether a dataset at the output may be replaced.

    Raises:
        DataError: an empty split, a split of one class, a feature without values, duplicate uids, an unreadable column.
    """
    with publishing(spark, recipe.output, overwrite) as storage:
        stage = f"{storage.uri}/{_STAGE}"
        with translated("reading the raw rows"):
            staged(rows, recipe.split).write.parquet(stage)
        for cached in rows.cached:
            cached.unpersist()
        entities = [e.name for e in rows.entities]
        frame = assigned(spark.read.parquet(stage), recipe.split, recipe.seed, entities)
        duplicates, left_out = _counted(frame)
        train = frame.where(F.col(SPLIT) == SPLITS[0])
        schema, warnings = fitted(train, rows, recipe.name, recipe.checks, recipe.seed)
        kept = sampled(frame, recipe.negatives, recipe.seed)
        shards = write(kept, staged_sources(schema, rows), storage, recipe.shard_rows)
        frames = {s: read_split(spark, schema, storage.uri, s) for s in SPLITS}
        found = profile(frames, schema)
        manifest = _manifest(schema, digests(frames), shards, found)
        places = plan(rows.features)
        features = checked(schema, found, staged_fill(frame, {p.name: p.kind for p in places.values()}), places)
        report = Report(
            name=recipe.name,
            digest=manifest.digest,
            rows=found.rows,
            base_rates=found.base_rates,
            counts={**rows.counts, **left_out},
            duplicate_uids=duplicates,
            features=features,
            entities=found.entities,
            notes=tuple(rows.remarks.notes),
            warnings=(*rows.remarks.warnings, *warnings, *warned(features, found.entities, recipe.checks)),
        )
        write_report(storage, report, found, schema)
        storage.write(SCHEMA, schema.model_dump_json(indent=1))
        storage.write(MANIFEST, manifest.model_dump_json(indent=1))
        storage.remove(stage)
    return manifest


def staged_sources(schema: Schema, rows: Rows) -> Schema:
    """The schema with staged columns for sources, to encode staged rows by the same code as raw ones."""
    places = {(p.source, p.kind, p.separator): p.name for p in plan(rows.features).values()}
    features = tuple(
        f.model_copy(update={"source": places[f.source, f.kind, getattr(f, "separator", None)]})
        for f in schema.features
    )
    return schema.model_copy(update={"features": features})


def _counted(frame: DataFrame) -> tuple[int, dict[str, int]]:
    """Rows that repeat a uid (none, or it raises), and the rows that the split leaves out.

    Raises:
        DataError: a split has no rows, or one class only, or two rows have one uid.
    """
    counts = {s: [0, 0] for s in SPLITS}
    left_out = 0
    for split, label, rows in frame.groupBy(SPLIT, LABEL).count().collect():
        if split is None:
            left_out += rows
        else:
            counts[split][label] = rows
    if empty := [s for s in SPLITS if not sum(counts[s])]:
        seen = ", ".join(f"{s}: {sum(counts[s])} rows" for s in SPLITS)
        raise DataError(f"the split leaves {' and '.join(empty)} empty ({seen}); change `split`")
    for split, (negatives, positives) in counts.items():
        if not negatives or not positives:
            one = "positive" if positives else "negative"
            raise DataError(f"all {negatives + positives} rows of {split} are {one}; both classes are needed")
    repeated = frame.groupBy(UID).count().where("count > 1")
    duplicates, example = repeated.agg(F.count(F.lit(1)), F.min(UID)).first()  # type: ignore[misc]
    if duplicates:
        raise DataError(f"{duplicates} uids have several rows, for example {example!r}; a uid names one row")
    return duplicates, {"rows in no split": left_out} if left_out else {}


def _manifest(
    schema: Schema, digests: dict[str, tuple[int, str]], shards: dict[str, tuple[Shard, ...]], found: Profile
) -> Manifest:
    splits = {}
    for name in SPLITS:
        rows, content = digests[name]
        assert rows == sum(s.rows for s in shards[name]), f"{name} has {rows} rows, not those of its shards"
        splits[name] = Split(
            rows=rows,
            base_rate=found.base_rates[name],
            entities={e: c.ids[name] for e, c in found.entities.items()},
            digest=content,
            shards=shards[name],
        )
    text = schema.model_dump_json() + "".join(splits[s].digest for s in SPLITS)
    identity = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return Manifest(name=schema.name, digest=identity, splits=splits)  # type: ignore[arg-type]
