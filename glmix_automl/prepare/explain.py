"""Raw rows beside their encoded ones, feature by feature: what the dataset makes of a table, for a person to check."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

from glmix_automl.features import encode
from glmix_automl.layout import SCHEMA
from glmix_automl.prepare.pipeline import RECIPES
from glmix_automl.prepare.recipe import Recipe
from glmix_automl.prepare.run_settings import run_settings
from glmix_automl.prepare.shards import read_split
from glmix_automl.prepare.storage import Storage
from glmix_automl.prepare.tables import column
from glmix_automl.schema import SPLITS, UID, Bag, Categorical, Numeric, Schema
from glmix_automl.spark import translated

ROWS = 10
_TERMS = 6  # of a bag that are shown


def explain(schema: Schema, raw: pa.Table, uids: list[str], console: Console | None = None) -> None:
    """Prints a table per feature: uid, raw value, encoded value, and what an id stands for.

    Args:
        schema: of the dataset.
        raw: raw rows with the sources of all features.
        uids: of the rows.
        console: where to.
    """
    console = console or Console()
    encoded = encode(schema, raw)
    for feature in schema.features:
        table = Table(title=_title(feature), title_justify="left", title_style="bold")
        table.add_column("uid", overflow="fold")
        table.add_column(f"raw {feature.source}", overflow="fold")
        table.add_column(feature.name, overflow="fold")
        for uid, value, coded in zip(
            uids, raw.column(feature.source).to_pylist(), _coded(schema, feature, encoded), strict=True
        ):
            table.add_row(*(cell.replace("[", "\\[") for cell in (uid, _short(value), coded)))
        console.print(table)


def raw_rows(spark: SparkSession, recipe: Recipe) -> tuple[Schema, pa.Table, list[str]]:
    """The schema of a recipe's published dataset, the raw rows of its first training rows, and their uids.

    The recipe's joins are computed anew, since a dataset keeps no raw columns.
    """
    storage = Storage(spark, recipe.output)
    schema = Schema.model_validate_json(storage.read(SCHEMA))
    with run_settings(spark), translated(f"raw rows of {recipe.name}"):
        written = read_split(spark, schema, storage.uri, SPLITS[0]).select(UID).limit(ROWS).collect()
        made = RECIPES[recipe.recipe][1](spark, recipe)
        sources = dict.fromkeys(feature.source for feature in schema.features)
        found = made.frame.where(column(made.uid).isin([row[0] for row in written]))
        table = found.select(column(made.uid).alias(UID), *map(column, sources)).orderBy(UID).toArrow()
        for cached in made.cached:
            cached.unpersist()
    return schema, table, table.column(0).to_pylist()


def _title(feature: Numeric | Categorical | Bag) -> str:
    if isinstance(feature, Numeric):
        curve = {"identity": "x", "log": "log(x)", "quantile": "rank(x)", "missing": "missing(x)"}[feature.transform]
        return f"{feature.name}: ({curve} - {feature.center:.6g}) / {feature.scale:.6g}, {feature.fill:.4g} if missing"
    return f"{feature.name}: {feature.kind}, id of vocabulary {feature.vocabulary} (0: unseen or missing)"


def _coded(schema: Schema, feature: Numeric | Categorical | Bag, encoded: pa.Table) -> Iterator[str]:
    values = encoded.column(feature.name).to_pylist()
    if isinstance(feature, Numeric):
        yield from (f"{value:.6g}" for value in values)
        return
    terms = schema.vocabularies[feature.vocabulary].terms
    if isinstance(feature, Categorical):
        yield from (_id(value, terms) for value in values)
        return
    weights = encoded.column(feature.values).to_pylist() if feature.weighted else [None] * len(values)
    for ids, weight in zip(values, weights, strict=True):
        shown = [_id(i, terms) + (f": {weight[n]:.4g}" if weight else "") for n, i in enumerate(ids[:_TERMS])]
        yield ", ".join(shown) + (f", ... ({len(ids)} terms)" if len(ids) > _TERMS else "")


def _id(number: int, terms: tuple[str, ...] | None) -> str:
    return f"{number} ({terms[number - 1]})" if terms is not None and number else str(number)


def _short(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, list) and len(value) > _TERMS:
        return f"{', '.join(map(str, value[:_TERMS]))}, ... ({len(value)} terms)"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
