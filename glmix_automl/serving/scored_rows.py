"""Raw rows become scored ones: scores, ranks and reasons beside their ids; wherever the rows come from."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.errors import DataError
from glmix_automl.schema import UID, Schema
from glmix_automl.serving.contributions import largest_shares
from glmix_automl.serving.model import Model
from glmix_automl.serving.settings import ScoreSettings

SCORE, PROBABILITY, RANK, VERSION, SHARES = "score", "probability", "rank", "model_version", "largest_shares"
BATCH_ROWS = 1 << 16


def score_rows(
    model: Model, rows: pa.Table, settings: ScoreSettings, version: str, kept: Sequence[str] | None = None
) -> pa.Table:
    """The scores of raw rows, with what is asked for beside them; `kept` are the columns that are handed on, uid and
    ids unless given.
    """
    features = model.encode(rows)
    shares = model.shares(features)
    log_odds = model.total(shares, rows.num_rows)
    kept = kept_ids(model.schema, rows.column_names) if kept is None else kept
    columns: dict[str, Any] = {name: rows.column(name) for name in kept}
    columns[SCORE] = pa.array(log_odds, pa.float32())
    columns[PROBABILITY] = pa.array(np.exp(-np.logaddexp(0, -log_odds.astype(np.float64))), pa.float64())
    if settings.coordinates:
        columns |= {name: pa.array(share, pa.float32()) for name, share in shares.items()}
    if settings.explain:
        columns[SHARES] = largest_shares(model, features, settings.explain)
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


def member_column(schema: Schema, there: Iterable[str], top: int) -> str:
    """The raw column of members.

    Raises:
        DataError: the rows have none.
    """
    source = schema.entities[0].source if schema.entities else None
    if source is None or source not in set(there):
        raise DataError(f"top: {top} keeps each member's best, and the rows have no column {source!r} of members")
    return source


def kept_ids(schema: Schema, there: Iterable[str]) -> list[str]:
    """The columns that are handed on."""
    sources = [entity.source for entity in schema.entities]
    return [name for name in dict.fromkeys((UID, *sources)) if name in set(there)]
