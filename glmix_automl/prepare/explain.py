"""Raw rows beside their encoded ones, feature by feature: what the dataset makes of a table, for a person to check."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from glmix_automl.features import encode
from glmix_automl.layout import RAW, SCHEMA, Folder
from glmix_automl.schema import SPLITS, UID, Categorical, Feature, Numeric, Schema, TermMatch

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
    by_name = {feature.name: feature for feature in schema.features}
    for feature in schema.features:
        table = Table(title=_title(feature), title_justify="left", title_style="bold")
        sources = [by_name[name].source for name in feature.of] if isinstance(feature, TermMatch) else [feature.source]
        for title in ("uid", *(f"raw {source}" for source in sources), feature.name):
            table.add_column(title, overflow="fold")
        values = ([_short(value) for value in raw.column(source).to_pylist()] for source in sources)
        for cells in zip(uids, *values, _coded(schema, feature, encoded), strict=True):
            table.add_row(*(cell.replace("[", "\\[") for cell in cells))
        console.print(table)


def raw_rows(dataset: str) -> tuple[Schema, pa.Table, list[str]]:
    """The schema of a published dataset, raw rows of its validation split as they lie beside it, and their uids."""
    folder = Folder(dataset)
    schema = Schema.model_validate_json(folder.read(SCHEMA))
    name = f"{RAW}/{SPLITS[1]}"
    with pq.ParquetFile(folder.filesystem.open_input_file(folder.path(f"{name}/{folder.files(name)[0]}"))) as file:
        table = pa.Table.from_batches([next(file.iter_batches(ROWS_EXPLAINED))])
    return schema, table, table.column(UID).to_pylist()


def _title(feature: Feature) -> str:
    if isinstance(feature, TermMatch):
        curve = {"count": "ids in both", "jaccard": "ids in both / ids in either"}[feature.measure]
        return f"{feature.name}: {curve} of {' and '.join(feature.of)}"
    if isinstance(feature, Numeric):
        curve = {"identity": "x", "log": "log(x)", "quantile": "rank(x)", "missing": "missing(x)"}[feature.transform]
        return f"{feature.name}: ({curve} - {feature.center:.6g}) / {feature.scale:.6g}, {feature.fill:.4g} if missing"
    return f"{feature.name}: {feature.kind}, id of vocabulary {feature.vocabulary} (0: unseen or missing)"


def _coded(schema: Schema, feature: Feature, encoded: pa.Table) -> Iterator[str]:
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
