"""Schema: what the columns of a dataset are and how a raw row becomes them; versioned, JSON both ways.

A dataset has one Parquet column per feature (a second one for the values of a weighted bag) and the fixed columns
below. The schema carries every fitted statistic and vocabulary, so that `glmix_automl.features` turns raw rows into
features in the same way in preparation, in batch scoring and in a model that has only this file.
"""

from typing import Annotated, Literal, TypeAlias

import pydantic

from glmix_automl.config import Config

SCHEMA_VERSION = 1

LABEL = "label"  # float32, 0 or 1
WEIGHT = "weight"  # float32, > 0
OFFSET = "offset"  # float32, log-odds added to every model's score
UID = "uid"  # string, unique over the dataset
TIMESTAMP = "timestamp"  # float64, seconds since the epoch; 0 where the data has no time
FIXED = (UID, LABEL, WEIGHT, OFFSET, TIMESTAMP)

SPLITS = ("train", "validation", "test")

Side: TypeAlias = Literal["member", "item", "left", "right", "pair", "context"]
"""Whom a feature describes: one of the entities (member or item; left or right end of an edge), both, or the moment."""


class Vocabulary(Config):
    """Which id a term has. Id 0 is kept for null and unseen terms; a term's id is its place in `terms` plus 1, or, when
    hashed, 1 + hash modulo `buckets`.
    """

    terms: tuple[str, ...] | None = None
    buckets: int | None = pydantic.Field(default=None, ge=1)

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> "Vocabulary":
        if (self.terms is None) == (self.buckets is None):
            raise ValueError("a vocabulary has either terms or buckets")
        return self

    @property
    def size(self) -> int:
        """Number of ids, the 0 included: the rows of an embedding table."""
        return 1 + (self.buckets if self.terms is None else len(self.terms))  # type: ignore[operator]


class _Feature(Config):
    name: str
    """Column in the dataset."""
    source: str
    """Column in the raw rows."""
    side: Side = "context"


class Numeric(_Feature):
    """A float32 column, never NaN: `(g(x) - center) / scale` with g the transform, `fill` where x is missing."""

    kind: Literal["numeric"] = "numeric"
    transform: Literal["identity", "log", "quantile", "missing"] = "identity"
    """`log`: sign(x) log(1 + |x|); `quantile`: the share of training rows at or below x, by linear interpolation
    between `knots`; `missing`: 1 where x is null or NaN, else 0."""
    center: float = 0.0
    scale: float = pydantic.Field(default=1.0, gt=0)
    fill: float = 0.0
    """The column's value where x is missing, after centring and scaling."""
    knots: tuple[float, ...] = ()


class TermMatch(Numeric):
    """A numeric that is made of two encoded features instead of a raw column: how their ids match."""

    kind: Literal["match"] = "match"  # type: ignore[assignment]
    source: Literal[""] = ""
    side: Side = "pair"
    of: tuple[str, str]
    """Names of two features that share a vocabulary."""
    measure: Literal["count", "jaccard"] = "count"
    """`count`: how many ids both have, 1 or 0 of two categoricals; `jaccard`: that over how many either has, 0 where
    there are none. Id 0 matches nothing."""


class Categorical(_Feature):
    """An int32 column of ids of `vocabulary`."""

    kind: Literal["categorical"] = "categorical"
    vocabulary: str
    """Key of `Schema.vocabularies`; features that share it share their embedding."""


class Bag(_Feature):
    """A list<int32> column of ids of `vocabulary` (0 never in it); if `weighted`, also `<name>.values`, list<float32>.

    The raw column is an array of terms, of (term, value) or of (name, term, value) structs, a map from term to value,
    or, where `separator` is given, text.
    """

    kind: Literal["bag"] = "bag"
    vocabulary: str
    weighted: bool = False
    separator: str | None = None

    @property
    def values(self) -> str:
        """Name of the column of values."""
        return f"{self.name}.values"


Feature = Annotated[Numeric | TermMatch | Categorical | Bag, pydantic.Field(discriminator="kind")]


class Entity(Config):
    """What random effects belong to (a member, an item); the dataset keeps its id as a string column."""

    name: str
    """Column in the dataset."""
    source: str
    """Column in the raw rows."""
    side: Side


class Schema(Config):
    """The columns of a dataset and all that was fitted on its training rows."""

    version: Literal[1] = 1
    name: str
    recipe: str
    """Of what kind: a key of `prepare.pipeline.RECIPES`."""
    features: tuple[Feature, ...]
    entities: tuple[Entity, ...]
    """The first one is the member, by which per-member metrics group and shards keep rows together."""
    vocabularies: dict[str, Vocabulary]
    raw_types: dict[str, str] = {}
    """Raw column -> Spark type (DDL): what a row to be scored must have."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> "Schema":
        columns = [*FIXED, *(e.name for e in self.entities), *(f.name for f in self.features)]
        twice = sorted({c for c in columns if columns.count(c) > 1})
        if twice:
            raise ValueError(f"two columns of one name: {', '.join(twice)}")
        for feature in self.features:
            if not isinstance(feature, Numeric) and feature.vocabulary not in self.vocabularies:
                raise ValueError(f"feature {feature.name} names vocabulary {feature.vocabulary}, which is not there")
        vocabularies = {f.name: f.vocabulary for f in self.features if not isinstance(f, Numeric)}
        for match in self.matches:
            if not vocabularies.get(match.of[0]) or vocabularies[match.of[0]] != vocabularies.get(match.of[1]):
                raise ValueError(f"match {match.name}: {' and '.join(match.of)} are no features of one vocabulary")
        return self

    @property
    def raw_features(self) -> tuple[Feature, ...]:
        """The features that are read from raw columns: all but matches, in order."""
        return tuple(f for f in self.features if not isinstance(f, TermMatch))

    @property
    def matches(self) -> tuple[TermMatch, ...]:
        """The features that say how others match, in order."""
        return tuple(f for f in self.features if isinstance(f, TermMatch))

    @property
    def numerics(self) -> tuple[Numeric, ...]:
        """The numeric features, matches among them, in order."""
        return tuple(f for f in self.features if isinstance(f, Numeric))

    @property
    def categoricals(self) -> tuple[Categorical, ...]:
        """The categorical features, in order."""
        return tuple(f for f in self.features if isinstance(f, Categorical))

    @property
    def bags(self) -> tuple[Bag, ...]:
        """The feature bags, in order."""
        return tuple(f for f in self.features if isinstance(f, Bag))

    def size(self, feature: "Categorical | Bag") -> int:
        """Number of ids of a feature, the 0 included."""
        return self.vocabularies[feature.vocabulary].size
