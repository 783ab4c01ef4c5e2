"""What the score of a row is made of: each coordinate's share, and the features that moved it most.

A coordinate's share is its weight times its score, exactly. A feature's share of a coordinate is what the coordinate's
score loses when the feature says nothing, as in a row that says nothing (numerics at the training mean, ids unseen,
bags empty): exact for a linear coordinate, which says in one pass what each feature adds, and of one feature at a time
for the rest, which does not add up where features act together.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from glmix_automl.ensemble import Floats
from glmix_automl.schema import Bag, Categorical, Feature, Numeric
from glmix_automl.serving.model import Model

SHARE = pa.struct([("coordinate", pa.string()), ("feature", pa.string()), ("log_odds", pa.float32())])
SILENT_ROWS = 1 << 17
"""Rows, with each of several features silent, that are scored together."""


def largest_shares(model: Model, features: pa.Table, most: int) -> pa.Array:
    """The largest shares of each row: list<struct<coordinate, feature, log_odds>> [rows], the largest first.

    Args:
        model: what scores.
        features: rows of `Model.encode`.
        most: how many per row.
    """
    found = _of_linear(model, features) | _of_others(model, features)
    found = {name: share for name, share in found.items() if share.any()}
    rows, names = features.num_rows, list(found)
    table = np.stack([found[name] for name in names], axis=1) if found else np.zeros((rows, 0), np.float32)
    order = np.argsort(-np.abs(table), axis=1, kind="stable")[:, : min(most, table.shape[1])]
    kept = np.take_along_axis(table, order, axis=1)
    there = kept != 0
    place, values = pa.array(order[there]), pa.array(kept[there], pa.float32())
    texts = [pa.array([name[part] for name in names], pa.string()).take(place) for part in (0, 1)]
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.StructArray.from_arrays([*texts, values], fields=list(SHARE)))


def _of_linear(model: Model, features: pa.Table) -> dict[tuple[str, str], Floats]:
    """Shares by coordinate and feature, of coordinates whose scores are sums over features."""
    if not model.linear:
        return {}
    silent = features
    for feature in model.schema.features:
        silent = _silence(silent, feature)
    full, without = (model.linear_terms(rows) for rows in (features, silent))
    return {key: term - without[key] for key, term in full.items()}


def _of_others(model: Model, features: pa.Table) -> dict[tuple[str, str], Floats]:
    """Shares by coordinate and feature, of all other coordinates."""
    others = tuple(name for name in model.coordinates if name not in model.linear)
    rows = features.num_rows
    if not others or not rows:
        return {}
    whole, found = model.shares(features, others), {}
    at_once = max(1, SILENT_ROWS // rows)
    declared = model.schema.features
    for first in range(0, len(declared), at_once):
        here = declared[first : first + at_once]
        stacked = pa.concat_tables([_silence(features, feature) for feature in here]).combine_chunks()
        without = model.shares(stacked, others)
        for name in others:
            for feature, scores in zip(here, without[name].reshape(len(here), rows), strict=True):
                found[name, feature.name] = whole[name] - scores
    return found


def _silence(features: pa.Table, feature: Feature) -> pa.Table:
    """The rows with one feature saying nothing."""
    rows = features.num_rows
    columns: dict[str, pa.Array] = {}
    if isinstance(feature, Numeric):
        columns[feature.name] = pa.array(np.zeros(rows, np.float32))
    elif isinstance(feature, Categorical):
        columns[feature.name] = pa.array(np.zeros(rows, np.int32))
    elif isinstance(feature, Bag):
        for name in (feature.name, feature.values) if feature.weighted else (feature.name,):
            columns[name] = _empty(features.schema.field(name).type, rows)
    for name, values in columns.items():
        features = features.set_column(features.column_names.index(name), name, values)
    return features


def _empty(kind: pa.DataType, rows: int) -> pa.Array:
    offsets: NDArray[np.int32] = np.zeros(rows + 1, np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array([], kind.value_type))
