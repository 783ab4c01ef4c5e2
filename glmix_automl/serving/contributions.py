"""What the score of a row is made of: each coordinate's share, and the features that moved it most.

A coordinate's share is its weight times its score, exactly. A feature's share of a coordinate is what the coordinate's
score loses when the feature is set to what it is in a row that says nothing (numerics at the training mean, ids unseen,
bags empty): exact for a linear coordinate, and of one feature at a time for the rest, which does not add up where
features act together.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from glmix_automl.schema import Bag, Categorical, Feature, Numeric, Schema

Scores = NDArray[np.float32]

SHARE = pa.struct([("coordinate", pa.string()), ("feature", pa.string()), ("log_odds", pa.float32())])


def largest(schema: Schema, features: pa.Table, score: Callable[[pa.Table], dict[str, Scores]], most: int) -> pa.Array:
    """The largest shares of each row: list<struct<coordinate, feature, log_odds>> [rows], the largest first.

    Args:
        schema: of the encoded features.
        features: encoded rows.
        score: coordinate -> weighted scores of encoded rows, float32 [rows].
        most: how many per row.
    """
    whole = score(features)
    names: list[tuple[str, str]] = []
    shares: list[Scores] = []
    for feature in schema.features:
        without = score(_silent(features, feature))
        for coordinate, scores in whole.items():
            share = scores - without[coordinate]
            if share.any():
                names.append((coordinate, feature.name))
                shares.append(share)
    rows = features.num_rows
    table = np.stack(shares, axis=1) if shares else np.zeros((rows, 0), np.float32)
    most = min(most, table.shape[1])
    order = np.argsort(-np.abs(table), axis=1, kind="stable")[:, :most]
    kept = np.take_along_axis(table, order, axis=1)
    return pa.array(list(_records(names, order, kept)), pa.list_(SHARE))


def _records(names: list[tuple[str, str]], order: NDArray[np.int64], kept: Scores) -> Iterator[list[dict[str, object]]]:
    for places, values in zip(order, kept, strict=True):
        yield [
            {"coordinate": names[place][0], "feature": names[place][1], "log_odds": float(value)}
            for place, value in zip(places, values, strict=True)
            if value
        ]


def _silent(features: pa.Table, feature: Feature) -> pa.Table:
    """The rows with one feature saying nothing."""
    rows = features.num_rows
    columns: dict[str, pa.Array] = {}
    if isinstance(feature, Numeric):
        columns[feature.name] = pa.array(np.full(rows, 0, np.float32))
    elif isinstance(feature, Categorical):
        columns[feature.name] = pa.array(np.zeros(rows, np.int32))
    elif isinstance(feature, Bag):
        for name in (feature.name, feature.values) if feature.weighted else (feature.name,):
            columns[name] = _empty(features.schema.field(name).type, rows)
    for name, values in columns.items():
        features = features.set_column(features.column_names.index(name), name, values)
    return features


def _empty(kind: pa.DataType, rows: int) -> pa.Array:
    offsets = pa.array(np.zeros(rows + 1, np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array([], kind.value_type))
