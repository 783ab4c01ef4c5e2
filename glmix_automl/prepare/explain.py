"""Raw rows beside their encoded ones, feature by feature: what the dataset makes of a table, for a person to check."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from glmix_automl.features import encode
from glmix_automl.layout import RAW, SCHEMA, Folder
from glmix_automl.schema import SPLITS, UID, Bag, Categorical, Numeric, Schema

ROWS_EXPLAINED = 10
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


def raw_rows(dataset: str) -> tuple[Schema, pa.Table, list[str]]:
    """The schema of a published dataset, raw rows of its validation split as they lie beside it, and their uids."""
    folder = Folder(dataset)
    schema = Schema.model_validate_json(folder.read(SCHEMA))
    name = f"{RAW}/{SPLITS[1]}"
    with pq.ParquetFile(folder.filesystem.open_input_file(folder.path(f"{name}/{folder.files(name)[0]}"))) as file:
        table = pa.Table.from_batches([next(file.iter_batches(ROWS_EXPLAINED))])
    return schema, table, table.column(UID).to_pylist()


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
    if not isinstance(value, list):
        return str(value)
    shown = [_term(term) for term in value[:_TERMS]]
    return ", ".join(shown) + (f", ... ({len(value)} terms)" if len(value) > _TERMS else "")


def _term(term: Any) -> str:
    """A term as it is, or as it was staged: with its value, unless that is 1."""
    if not isinstance(term, dict):
        return str(term)
    return str(term["term"]) if term["value"] == 1 else f"{term['term']}: {term['value']:.4g}"
