"""Feature columns back to raw ones, as near as the transforms can be undone."""

from typing import Any

import numpy as np
import pandas as pd

from glmix_automl.schema import Bag, Categorical, Feature, Numeric, Schema, Vocabulary

WHOLE = ("tinyint", "smallint", "int", "bigint", "long")
REAL = ("float", "double", "decimal")
TIMES = ("timestamp", "date")
DIGITS = 7  # a feature is float32; more would be made up


def undone(schema: Schema, feature: Feature, rows: pd.DataFrame) -> list[Any]:
    """Raw values of one feature [rows]; None for what cannot be known (unseen or hashed terms)."""
    raw_type = schema.raw_types.get(feature.source, "double" if isinstance(feature, Numeric) else "string").lower()
    if isinstance(feature, Numeric):
        return [_to_raw_type(value, raw_type) for value in _numbers(feature, rows[feature.name].to_numpy(np.float64))]
    vocabulary = schema.vocabularies[feature.vocabulary]
    if isinstance(feature, Categorical):
        return [_to_raw_type(_term(vocabulary, int(number)), raw_type) for number in rows[feature.name]]
    values = rows[feature.values] if feature.weighted else [None] * len(rows)
    return [_bag(feature, vocabulary, ids, weights) for ids, weights in zip(rows[feature.name], values, strict=True)]


def later_times(until: int, rows: int) -> list[str]:
    """Times of the hours after a moment (microseconds), as people read them."""
    first = np.datetime64(until, "us").astype("datetime64[s]")
    return [f"{np.datetime_as_string(first + np.timedelta64(hour + 1, 'h'))}Z" for hour in range(rows)]


def _numbers(feature: Numeric, encoded: np.ndarray) -> np.ndarray:
    curved = encoded * feature.scale + feature.center
    if feature.transform == "log":
        return np.sign(curved) * np.expm1(np.abs(curved))
    if feature.transform == "quantile" and len(feature.knots) > 1:
        return np.interp(curved, np.linspace(0, 1, len(feature.knots)), feature.knots)
    if feature.transform == "missing":
        return np.where(curved > 0.5, np.nan, 0.0)
    return curved


def _term(vocabulary: Vocabulary, number: int) -> str | None:
    return vocabulary.terms[number - 1] if vocabulary.terms is not None and number > 0 else None


def _bag(feature: Bag, vocabulary: Vocabulary, ids: Any, weights: Any) -> Any:
    terms = [_term(vocabulary, int(number)) for number in ids]
    there = [place for place, term in enumerate(terms) if term is not None]
    if weights is not None:
        return {str(terms[place]): float(weights[place]) for place in there}
    words = [str(terms[place]) for place in there]
    return feature.separator.join(words) if feature.separator is not None else words


def _to_raw_type(value: Any, raw_type: str) -> Any:
    """A value as the raw column has it; text that is no number where one is wanted becomes None."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    try:
        if raw_type.startswith(TIMES):
            return np.datetime_as_string(np.datetime64(round(float(value)), "s"))
        if raw_type in WHOLE:
            return round(float(value))
        if raw_type.startswith(REAL):
            return float(f"{float(value):.{DIGITS}g}")
    except ValueError:
        return None
    return value if isinstance(value, str) else f"{value:.{DIGITS}g}"
