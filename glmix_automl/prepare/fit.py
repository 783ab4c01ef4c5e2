"""Statistics and vocabularies fitted on training rows: declared features become a schema.

Every number is the same in whatever order Spark adds the rows up: extremes are exact, sums are of integers, ranks are
of a sample drawn by a hash of the row.
"""

import math
from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

import numpy as np
import pydantic
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from glmix_automl.errors import ConfigError, DataError
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, Checks, NumericFeature
from glmix_automl.prepare.rows import Rows
from glmix_automl.prepare.split import share
from glmix_automl.prepare.stage import UID, Declared, plan
from glmix_automl.schema import Bag, Categorical, Feature, Numeric, Schema, Vocabulary
from glmix_automl.seeds import derive

_SAMPLE = 100_000  # rows that quantile knots are computed from; their standard error in rank is below 0.16 %
_GRID = 2.0**31  # steps between the smallest and the largest value in which sums are counted
_QUANTILE_SPREAD = 1 / math.sqrt(12)  # standard deviation of a uniform rank


class Moments(NamedTuple):
    """Of a staged column's usable values in train, after its transform."""

    present: int
    rows: int
    mean: float
    deviation: float


def fitted(train: DataFrame, rows: Rows, name: str, checks: Checks, seed: int) -> tuple[Schema, list[str]]:
    """The schema of a dataset, and what its fitting gave reason to warn of.

    Args:
        train: staged rows of the training split.
        rows: what the staged columns are.
        name: of the dataset.
        checks: whether a feature without a value is an error.
        seed: of the sample behind quantiles.

    Raises:
        DataError: no usable value of a feature in train (unless `checks` drops such features), no term of a
            vocabulary often enough.
        ConfigError: features that share a vocabulary ask for different ones.
    """
    warnings: list[str] = []
    numerics = [f for f in rows.features if isinstance(f, NumericFeature)]
    termed = [f for f in rows.features if not isinstance(f, NumericFeature)]
    places = {feature: place.name for feature, place in plan(rows.features).items()}
    moments = _moments(train, [(places[f], f.transform) for f in numerics])
    total = next(iter(moments.values())).rows if moments else 0
    knots = _knots(train, {f: places[f] for f in numerics if f.transform == "quantile"}, total, seed)
    vocabularies, empty = _vocabularies(train, {f: places[f] for f in termed})
    features: list[Feature] = []
    for feature in rows.features:
        if isinstance(feature, NumericFeature):
            found = moments[places[feature], feature.transform]
            made: list[Feature] = list(_numeric(feature, found, knots.get(feature, ()))) if found.present else []
        else:
            found = None
            made = [] if feature.key in empty else [_termed(feature)]
        if not made:
            _refuse(feature, checks, warnings)
        elif found is not None and found.deviation == 0 and found.present == found.rows:
            warnings.append(f"feature {feature.column!r} has one value only in train")
        features += made
    if not features:
        raise DataError("no feature has a usable value in train")
    kept = {f.vocabulary for f in features if not isinstance(f, Numeric)}
    try:
        schema = Schema(
            name=name,
            recipe=rows.recipe,  # type: ignore[arg-type]
            features=tuple(features),
            entities=rows.entities,
            vocabularies={key: value for key, value in sorted(vocabularies.items()) if key in kept},
            raw_types=_raw_types(rows, {f.source for f in features}),
        )
    except pydantic.ValidationError as error:  # a missing-value indicator may take the name of another feature
        raise ConfigError(f"{error.errors()[0]['msg']}: give one of the features another `name`") from error
    return schema, warnings


def _raw_types(rows: Rows, sources: set[str]) -> dict[str, str]:
    wanted = sources | {e.source for e in rows.entities}
    return {f.name: f.dataType.simpleString() for f in rows.frame.schema if f.name in wanted}


def _refuse(feature: Declared, checks: Checks, warnings: list[str]) -> None:
    wanted = "number" if isinstance(feature, NumericFeature) else f"term that occurs {feature.min_count} times"
    message = f"feature {feature.column!r} (column {feature.source!r}) has no {wanted} in the training rows"
    if checks.empty_feature == "error":
        raise DataError(f"{message}; mend the column, remove the feature, or set `checks.empty_feature: drop`")
    warnings.append(f"{message}: left out")


def _moments(train: DataFrame, wanted: list[tuple[str, str]]) -> dict[tuple[str, str], Moments]:
    """Mean and standard deviation by (staged column, transform), in two passes over the training rows.

    The first finds the range; the second counts each value and its square in whole steps of 2^-31 of the range, so that
    the sums are exact.
    """
    wanted = list(dict.fromkeys(wanted))
    if not wanted:
        return {}
    curves = [_curved(F.col(name), transform) for name, transform in wanted]
    first = train.agg(F.count(F.lit(1)), *(a for c in curves for a in (F.count(c), F.min(c), F.max(c)))).first()
    assert first is not None, "an aggregate has a row"
    ranges = [(first[1 + 3 * i], first[2 + 3 * i] or 0.0, first[3 + 3 * i] or 0.0) for i in range(len(wanted))]
    sums: list[Column] = []
    for curve, (_, low, high) in zip(curves, ranges, strict=True):
        unit = (curve - F.lit(low)) / F.lit(high - low if high > low else 1.0)
        sums += [F.sum(F.rint(u * _GRID).cast("bigint")) for u in (unit, unit * unit)]
    second = train.agg(*sums).first()
    assert second is not None, "an aggregate has a row"
    result = {}
    for i, (key, (present, low, high)) in enumerate(zip(wanted, ranges, strict=True)):
        mean, square = ((second[2 * i + k] or 0) / _GRID / max(present, 1) for k in (0, 1))
        deviation = math.sqrt(max(square - mean * mean, 0.0)) * (high - low)
        result[key] = Moments(present, first[0], low + mean * (high - low), deviation)
    return result


def _curved(value: Column, transform: str) -> Column:
    return F.signum(value) * F.log1p(F.abs(value)) if transform == "log" else value


def _knots(
    train: DataFrame, places: dict[NumericFeature, str], rows: int, seed: int
) -> dict[NumericFeature, tuple[float, ...]]:
    """Values at equal distances in rank, from a sample of the rows that passes through the driver."""
    if not places:
        return {}
    columns = sorted(set(places.values()))
    drawn = train.where(share(UID, derive(seed, "knots")) < _SAMPLE / rows) if rows > _SAMPLE else train
    sample = {c: [] for c in columns}  # type: dict[str, list[float]]
    for row in drawn.select(*columns).toLocalIterator():
        for name, value in zip(columns, row, strict=True):
            if value is not None:
                sample[name].append(value)
    return {
        feature: tuple(np.quantile(sample[name], np.linspace(0, 1, feature.knots)).tolist())
        for feature, name in places.items()
        if sample[name]
    }


def _numeric(feature: NumericFeature, found: Moments, knots: tuple[float, ...]) -> Iterable[Numeric]:
    side = feature.side or "context"
    center, scale, transform = 0.0, 1.0, feature.transform
    if transform in ("standardise", "log"):
        scale = found.deviation if found.deviation > 0 else 1.0
        center = found.mean
    elif transform == "quantile" and knots:
        center, scale = 0.5, _QUANTILE_SPREAD
    curve = "identity" if transform == "standardise" or (transform == "quantile" and not knots) else transform
    # `identity` is filled with the mean as well, whatever that is.
    fill = found.mean if transform == "identity" else 0.0
    yield Numeric(
        name=feature.column,
        source=feature.source,
        side=side,
        transform=curve,
        center=center,
        scale=scale,
        fill=fill,
        knots=knots,
    )
    if feature.missing == "always" or (feature.missing == "auto" and found.present < found.rows):
        yield Numeric(name=f"{feature.column}_missing", source=feature.source, side=side, transform="missing")


def _termed(feature: CategoricalFeature | BagFeature) -> Categorical | Bag:
    side = feature.side or "context"
    if isinstance(feature, CategoricalFeature):
        return Categorical(name=feature.column, source=feature.source, side=side, vocabulary=feature.key)
    return Bag(
        name=feature.column,
        source=feature.source,
        side=side,
        vocabulary=feature.key,
        weighted=feature.weighted,
        separator=feature.separator,
    )


def _vocabularies(
    train: DataFrame, places: dict[CategoricalFeature | BagFeature, str]
) -> tuple[dict[str, Vocabulary], set[str]]:
    """Vocabularies by key, and the keys of those that stayed empty."""
    users: dict[str, list[CategoricalFeature | BagFeature]] = {}
    for feature in places:
        users.setdefault(feature.key, []).append(feature)
    for key, features in users.items():
        first = features[0]
        if any(
            (f.min_count, f.max_size, f.buckets) != (first.min_count, first.max_size, first.buckets) for f in features
        ):
            raise ConfigError(
                f"vocabulary {key!r}: {', '.join(f.column for f in features)} share it, "
                "so their min_count, max_size and buckets must be the same"
            )
    terms = _terms(train, {key: (f[0], sorted({(places[x], x.kind) for x in f})) for key, f in users.items()})
    found = {
        key: Vocabulary(terms=tuple(terms[key])) if f[0].buckets is None else Vocabulary(buckets=f[0].buckets)
        for key, f in users.items()
        if terms[key]
    }
    return found, set(users) - set(found)


def _terms(
    train: DataFrame, wanted: dict[str, tuple[CategoricalFeature | BagFeature, list[tuple[str, str]]]]
) -> dict[str, list[str]]:
    """Terms by falling count, equal counts by text; for a hashed vocabulary any one term, to see that there is one.

    One job over all vocabularies; what reaches the driver is what the schema keeps.
    """
    result: dict[str, list[str]] = {key: [] for key in wanted}
    if not wanted:
        return result
    parts, most = [], F.lit(0)
    for number, (feature, columns) in enumerate(wanted.values()):
        hashed = feature.buckets is not None
        for name, kind in columns:
            term = F.explode(f"{name}.term") if kind == "bag" else F.col(name)
            part = train.select(F.lit(number).alias("key"), term.alias("term")).where("term is not null")
            parts.append(part.limit(1) if hashed else part)
        most = F.when(F.col("key") == number, 1 if hashed else feature.max_size).otherwise(most)
    counts = reduce(DataFrame.unionAll, parts).groupBy("key", "term").agg(F.count(F.lit(1)).alias("n"))
    least = [1 if feature.buckets is not None else feature.min_count for feature, _ in wanted.values()]
    enough = counts.where(F.col("n") >= F.element_at(F.array(*map(F.lit, least)), F.col("key") + 1))
    place = F.row_number().over(Window.partitionBy("key").orderBy(F.desc("n"), "term"))
    kept = enough.withColumn("place", place).where(F.col("place") <= most)
    keys = list(wanted)
    for number, term, _ in sorted(kept.select("key", "term", "place").collect(), key=lambda row: (row[0], row[2])):
        result[keys[number]].append(term)
    return result
