"""What a recipe says in YAML, the parts that every recipe has: features, split, sampling, output."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pydantic

from glmix_automl.config import Config
from glmix_automl.prepare.files import Format
from glmix_automl.schema import FIXED, Side

Proportion = Annotated[float, pydantic.Field(ge=0, le=1)]


class Gather(Config):
    """A long table, one row per key and term, made to one row per key with a bag of all its terms."""

    by: str
    """Column with the id; the only other column of the gathered table."""
    term: str
    """Column with the term."""
    value: str | None = None
    """Column with the term's value, for weighted bags."""
    name: str | None = None
    """Of the bag's column; the term's unless given."""

    @property
    def column(self) -> str:
        """Of the bag."""
        return self.name or self.term


class Table(Config):
    """Where a table is and how to read it.

    Columns of CSV are read as text, which loses nothing (`007` stays an id); features read numbers from text. `types`
    casts what must have another type before `derive` computes with it.
    """

    path: str
    """File, folder or glob; relative paths start from the recipe's `root`."""
    format: Format | None = None
    """Told from the first bytes unless given."""
    separator: str = pydantic.Field(default=",", min_length=1)
    header: bool | None = None
    """Whether the first CSV line names the columns; yes, unless `columns` does."""
    columns: tuple[str, ...] | None = None
    """Names of CSV columns, in order; trailing ones may be left out."""
    encoding: str = "utf-8"
    quote: str = '"'
    """CSV quoting character; empty for none."""
    comment: str | None = pydantic.Field(default=None, max_length=1)
    """What CSV lines that are no rows begin with; empty for none. Where the first line begins with `#` or `%` as in
    edge lists, and not all do, that is it unless given."""
    multiline: bool = False
    """CSV fields with line breaks (such files are read by one task each). Of JSON it is told from the first line."""
    nulls: tuple[str, ...] = ("",)
    """Texts that mean null."""
    rename: dict[str, str] = {}
    """Column in the file -> name in the recipe."""
    types: dict[str, str] = {}
    """Column -> Spark type, cast after `rename`; what cannot be cast is null."""
    gather: Gather | None = None
    """Makes one row per key of a long table (node, term, weight)."""
    join: "tuple[Join, ...]" = ()
    """Tables whose columns are looked up by the columns read so far."""
    derive: dict[str, str] = {}
    """New column -> Spark SQL expression over the others, after all the above."""

    @pydantic.model_validator(mode="after")
    def _named(self) -> "Table":
        if self.header is False and not self.columns and self.format in (None, "csv"):
            raise ValueError("a CSV file without header needs `columns`")
        return self


class Join(Config):
    """A table with at most one row per value of the columns `on`; rows that find none get nulls."""

    table: Table
    on: tuple[str, ...] = pydantic.Field(min_length=1)
    """Columns with the same name in both tables, compared as ids are (`12.0` is `12`)."""
    columns: tuple[str, ...] | None = None
    """Which to add; all unless given."""


Table.model_rebuild()


class _Declared(Config):
    source: str
    """Raw column."""
    name: str | None = None
    """Column in the dataset; the source's name unless given."""
    side: Side | None = None
    """Whom it describes; the recipe knows unless given."""

    @property
    def column(self) -> str:
        """Name in the dataset."""
        return self.name or self.source


class NumericFeature(_Declared):
    """A number (or boolean, date, time) per row."""

    kind: Literal["numeric"] = "numeric"
    transform: Literal["standardise", "log", "quantile", "identity"] = "standardise"
    """`log`: sign(x) log(1 + |x|), then standardised; `quantile`: rank among training rows, then standardised."""
    missing: Literal["auto", "always", "never"] = "auto"
    """Whether a column `<name>_missing` goes with it; `auto`: where a training row has no value."""
    knots: int = pydantic.Field(default=101, ge=2, le=10_001)
    """Points of the quantile transform."""


class _Terms(_Declared):
    vocabulary: str | None = None
    """Features that name the same vocabulary share ids and embedding; the feature's own unless given."""
    min_count: int = pydantic.Field(default=5, ge=1)
    """Training occurrences below which a term counts as unseen (id 0), so that id 0 is trained as well."""
    max_size: int = pydantic.Field(default=100_000, ge=1, le=20_000_000)
    """Most frequent terms kept; the vocabulary passes through the driver's memory."""
    buckets: int | None = pydantic.Field(default=None, ge=1, le=2_000_000_000)
    """Hash terms into so many ids instead of keeping a vocabulary: for very wide ids."""

    @property
    def key(self) -> str:
        """Name of the vocabulary."""
        return self.vocabulary or self.column


class CategoricalFeature(_Terms):
    """One term per row."""

    kind: Literal["categorical"] = "categorical"


class BagFeature(_Terms):
    """Many terms per row: an array, (term, value) or (name, term, value) structs, a map, or separated text."""

    kind: Literal["bag"] = "bag"
    weighted: bool = False
    """Keep the values of terms (of equal terms in a row, their sum)."""
    separator: str | None = pydantic.Field(default=None, min_length=1)
    """Splits text into terms."""


Declared = Annotated[NumericFeature | CategoricalFeature | BagFeature, pydantic.Field(discriminator="kind")]


class Fractions(Config):
    """Shares of the rows; they need not sum to 1 exactly, they are divided by their sum."""

    train: float = pydantic.Field(default=0.8, gt=0)
    validation: float = pydantic.Field(default=0.1, gt=0)
    test: float = pydantic.Field(default=0.1, gt=0)

    @property
    def borders(self) -> tuple[float, float]:
        """Where validation and test begin, as shares from 0 to 1."""
        total = self.train + self.validation + self.test
        return self.train / total, (self.train + self.validation) / total


class TimeSplit(Config):
    """Train is the past of validation, validation the past of test; rows of one moment stay together."""

    by: Literal["time"] = "time"
    fractions: Fractions = Fractions()
    validation_from: str | float | None = None
    """First moment of validation (ISO text or seconds since the epoch), instead of `fractions`."""
    test_from: str | float | None = None
    """First moment of test."""

    @pydantic.field_validator("validation_from", "test_from", mode="before")
    @classmethod
    def _as_text(cls, moment: Any) -> Any:
        return moment.isoformat() if hasattr(moment, "isoformat") else moment  # dates in plain data

    @pydantic.model_validator(mode="after")
    def _both_or_none(self) -> "TimeSplit":
        if (self.validation_from is None) != (self.test_from is None):
            raise ValueError("validation_from and test_from go together")
        return self


class RandomSplit(Config):
    """By a hash of the seed and the row (or an entity, whose rows then stay together)."""

    by: Literal["random"]
    unit: str = "row"
    """`row`, or the name of an entity."""
    fractions: Fractions = Fractions()


class ColumnSplit(Config):
    """A raw column says which split a row is in; rows with other values are left out and counted."""

    by: Literal["column"]
    column: str
    train: tuple[str, ...] = ("train",)
    validation: tuple[str, ...] = ("validation",)
    test: tuple[str, ...] = ("test",)

    @pydantic.field_validator("train", "validation", "test", mode="before")
    @classmethod
    def _as_texts(cls, values: Any) -> Any:
        return [str(v) for v in (values if isinstance(values, list | tuple) else [values])]


SplitRule = Annotated[TimeSplit | RandomSplit | ColumnSplit, pydantic.Field(discriminator="by")]


class Checks(Config):
    """Limits of the data checks."""

    max_dropped_share: Proportion = 0.05
    """Rows that lack an id, label or time are dropped and counted; above this share the run is refused."""
    leak_auc: Proportion = 0.99
    """Single-feature AUC above which the report warns of leakage."""
    empty_feature: Literal["error", "drop"] = "error"
    """What becomes of a feature without one usable value in train."""


class Recipe(Config):
    """The parts of every recipe."""

    recipe: str
    name: str
    output: str
    """URI of the dataset's folder."""
    root: str = "."
    """Folder or URI that relative table paths start from."""
    seed: int = 0
    split: SplitRule = TimeSplit()
    negatives: float = pydantic.Field(default=1.0, gt=0, le=1)
    """Proportion of negative training rows kept; their weight is divided by it."""
    shard_rows: int = pydantic.Field(default=250_000, ge=1)
    engine: Literal["auto", "local", "spark"] = "auto"
    """What prepares it: threads of one process, or Spark's executors; the dataset is the same. `auto`: `local` for
    tables on this machine of at most 2 GB, unless a Spark master is named, spark-submit started it, or only Spark can
    read them (`derive`)."""
    checks: Checks = Checks()

    @property
    def tables(self) -> tuple[Table, ...]:
        """The raw tables."""
        raise NotImplementedError


def reserved(names: list[str]) -> list[str]:
    """Those of `names` that the dataset keeps for its fixed columns."""
    return sorted(set(names) & set(FIXED))


def name_columns(
    place: str, features: Sequence[NumericFeature | CategoricalFeature | BagFeature]
) -> list[tuple[str, str]]:
    """The dataset's columns that features make, each with the key of the recipe it comes from."""
    return [
        (f"{place}.{number}", column)
        for number, feature in enumerate(features)
        for column in (
            feature.column,
            *([f"{feature.column}.values"] if isinstance(feature, BagFeature) and feature.weighted else []),
            *([f"{feature.column}_missing"] if getattr(feature, "missing", "") == "always" else []),
        )
    ]


def clashes(entities: Sequence[tuple[str, str]], columns: Sequence[tuple[str, str]]) -> list[str]:
    """What cannot be among the dataset's columns, each with its remedy: reserved names, and names that are taken.

    Args:
        entities: key of the recipe and raw column, whose name the dataset keeps.
        columns: as `name_columns` gives them.
    """
    found = [
        f"{key}: the dataset keeps the name {name!r} for itself; rename the column in its table: "
        f"`rename: {{{name}: {name}_id}}`"
        for key, name in entities
        if name in FIXED
    ]
    found += [
        f"{key}: the dataset keeps the name {name!r} for itself: give the feature another `name`"
        for key, name in columns
        if name in FIXED
    ]
    keys: dict[str, list[str]] = {}
    for key, name in (*entities, *columns):
        keys.setdefault(name, []).append(key)
    return found + [
        f"two columns of the dataset are named {name!r} ({', '.join(places)}): give one of them another `name`"
        for name, places in keys.items()
        if len(places) > 1 and name not in FIXED
    ]
