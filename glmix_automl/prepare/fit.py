"""Statistics and vocabularies fitted on training rows: declared features become a schema.

Every number is the same in whatever order partitions are added up: extremes are exact, sums are of integers, ranks are
of a sample drawn by a hash of the row (`tally`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa
import pydantic

from glmix_automl.errors import ConfigError, DataError
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, Checks, NumericFeature
from glmix_automl.prepare.stage import DeclaredFeature, Staged
from glmix_automl.prepare.tally import Tally, moments, vocabularies
from glmix_automl.schema import Bag, Categorical, Entity, Feature, Numeric, Schema, TermMatch, Vocabulary

_QUANTILE_SPREAD = 1 / math.sqrt(12)  # standard deviation of a uniform rank
_MOST_PAIRS = 20  # of features of one vocabulary whose matches are told: a vocabulary of everything means nothing
Sums = Mapping[tuple[str, str], tuple[int, int]]


def fit_schema(
    name: str,
    recipe: str,
    features: Sequence[DeclaredFeature],
    places: Mapping[DeclaredFeature, Staged],
    entities: tuple[Entity, ...],
    raw_types: Mapping[str, str],
    found: Tally,
    totals: Sums,
    terms: Mapping[str, tuple[str, ...]],
    checks: Checks,
    matches: bool = False,
) -> tuple[Schema, list[str]]:
    """The schema of a dataset, and what its fitting gave reason to warn of.

    Args:
        name, recipe: of the dataset.
        features: declared, with their sides.
        places: feature -> its staged column.
        entities: of the dataset.
        raw_types: raw column -> Spark type.
        found: numbers of all rows and sides.
        totals: their sums, in a second pass.
        terms: of each vocabulary, as `vocabulary_terms` gives them.
        checks: whether a feature without a value is an error.
        matches: whether there are columns of how terms of two sides match.

    Raises:
        DataError: no usable value of a feature in train (unless `checks` drops such features), no term of a
            vocabulary often enough.
        ConfigError: a feature and a missing-value indicator have one name.
    """
    warnings: list[str] = []
    made: list[Feature] = []
    for feature in features:
        here = _made(feature, places[feature].name, found, totals, terms, warnings)
        if not here:
            _refuse(feature, checks, warnings)
        made += here
    if not made:
        raise DataError("no feature has a usable value in train")
    if matches:
        made += term_matches(made, warnings)
    kept = {f.vocabulary: f for f in made if not isinstance(f, Numeric)}
    buckets = {f.key: f.buckets for f in features if not isinstance(f, NumericFeature)}
    found_vocabularies = {
        key: Vocabulary(terms=terms[key]) if buckets[key] is None else Vocabulary(buckets=buckets[key])
        for key in sorted(kept)
    }
    sources = {f.source for f in made if f.source} | {e.source for e in entities}
    try:
        schema = Schema(
            name=name,
            recipe=recipe,
            features=tuple(made),
            entities=entities,
            vocabularies=found_vocabularies,
            raw_types={name: kind for name, kind in raw_types.items() if name in sources},
        )
    except pydantic.ValidationError as error:  # a missing-value indicator may take the name of another feature
        raise ConfigError(f"{error.errors()[0]['msg']}: give one of the features another `name`") from error
    return schema, warnings


def term_matches(features: Sequence[Feature], warnings: list[str]) -> list[TermMatch]:
    """How features of two sides that share a vocabulary match: `same_x` of two categoricals, else `shared_x_count` and,
    of two bags, `shared_x_jaccard`; x is the vocabulary, or both features where it has more than one such pair. A name
    that a feature has already is that feature's.
    """
    termed = [f for f in features if isinstance(f, Categorical | Bag)]
    pairs = [(a, b) for a, b in combinations(termed, 2) if a.vocabulary == b.vocabulary and a.side != b.side]
    often = Counter(a.vocabulary for a, _ in pairs)
    taken = {f.name for f in features}
    for vocabulary, count in often.items():
        if count > _MOST_PAIRS:
            warnings.append(f"vocabulary {vocabulary!r}: {count} pairs of features share it, too many for matches")
    pairs = [pair for pair in pairs if often[pair[0].vocabulary] <= _MOST_PAIRS]
    found: list[TermMatch] = []
    for a, b in pairs:
        subject = a.vocabulary if often[a.vocabulary] == 1 else f"{a.name}_{b.name}"
        of, bags = (a.name, b.name), isinstance(a, Bag) + isinstance(b, Bag)
        if not bags:
            here = [TermMatch(name=f"same_{subject}", of=of)]
        else:
            here = [TermMatch(name=f"shared_{subject}_count", of=of, transform="log")]
        if bags == 2:
            here.append(TermMatch(name=f"shared_{subject}_jaccard", of=of, measure="jaccard"))
        found += [match for match in here if match.name not in taken]
    return found


def limits(features: Sequence[DeclaredFeature]) -> tuple[list[str], list[int], list[int]]:
    """Vocabularies by number, and of each: occurrences that a term needs, and how many terms are kept.

    Of a hashed vocabulary one term is kept, to see that there is one.

    Raises:
        ConfigError: features that share a vocabulary ask for different ones.
    """
    users = vocabularies(features)
    for key, sharing in users.items():
        first = sharing[0]
        if any(
            (f.min_count, f.max_size, f.buckets) != (first.min_count, first.max_size, first.buckets) for f in sharing
        ):
            raise ConfigError(
                f"vocabulary {key!r}: {', '.join(f.column for f in sharing)} share it, "
                "so their min_count, max_size and buckets must be the same"
            )
    least = [1 if f[0].buckets is not None else f[0].min_count for f in users.values()]
    most = [1 if f[0].buckets is not None else f[0].max_size for f in users.values()]
    return list(users), least, most


def vocabulary_terms(
    keys: Sequence[str], most: Sequence[int], found: Sequence[pa.Table | None]
) -> dict[str, tuple[str, ...]]:
    """Terms by falling count, equal counts by text, from the common terms of each partition."""
    tables = [t for t in found if t is not None]
    result: dict[str, tuple[str, ...]] = dict.fromkeys(keys, ())
    if not tables:
        return result
    every = pa.concat_tables(tables).sort_by([("vocabulary", "ascending"), ("n", "descending"), ("term", "ascending")])
    number = every["vocabulary"].to_numpy()
    for place, key in enumerate(keys):
        begin, end = np.searchsorted(number, [place, place + 1])
        result[key] = tuple(every["term"].slice(begin, min(end - begin, most[place])).to_pylist())
    return result


def _made(
    feature: DeclaredFeature,
    place: str,
    found: Tally,
    totals: Sums,
    terms: Mapping[str, tuple[str, ...]],
    warnings: list[str],
) -> list[Feature]:
    """The columns of a feature; none where train has no value of it."""
    if not isinstance(feature, NumericFeature):
        return [_termed(feature)] if terms[feature.key] else []
    values = found.ranges[place, feature.transform]
    if not values.present:
        return []
    mean, deviation = moments(values, totals[place, feature.transform])
    whole = values.present == int(found.rows[0])
    if deviation == 0 and whole:
        warnings.append(f"feature {feature.column!r} has one value only in train")
    sample = np.concatenate(found.samples.get(place, [np.empty(0)]))
    knots = tuple(np.quantile(sample, np.linspace(0, 1, feature.knots)).tolist()) if len(sample) else ()
    return list(_numeric(feature, mean, deviation, whole, knots if feature.transform == "quantile" else ()))


def _refuse(feature: DeclaredFeature, checks: Checks, warnings: list[str]) -> None:
    wanted = "number" if isinstance(feature, NumericFeature) else f"term that occurs {feature.min_count} times"
    message = f"feature {feature.column!r} (column {feature.source!r}) has no {wanted} in the training rows"
    if checks.empty_feature == "error":
        raise DataError(f"{message}; mend the column, remove the feature, or set `checks.empty_feature: drop`")
    warnings.append(f"{message}: left out")


def _numeric(
    feature: NumericFeature, mean: float, deviation: float, whole: bool, knots: tuple[float, ...]
) -> Iterable[Numeric]:
    side = feature.side or "context"
    center, scale, transform = 0.0, 1.0, feature.transform
    if transform in ("standardise", "log"):
        scale = deviation if deviation > 0 else 1.0
        center = mean
    elif transform == "quantile" and knots:
        center, scale = 0.5, _QUANTILE_SPREAD
    curve = "identity" if transform == "standardise" or (transform == "quantile" and not knots) else transform
    # `identity` is filled with the mean as well, whatever that is.
    fill = mean if transform == "identity" else 0.0
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
    if feature.missing == "always" or (feature.missing == "auto" and not whole):
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
