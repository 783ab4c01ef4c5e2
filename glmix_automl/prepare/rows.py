"""Rows: a recipe's raw rows with the role of every column; what the shared second half of preparation starts from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from glmix_automl.errors import ConfigError
from glmix_automl.prepare.events import NegativeSampling
from glmix_automl.prepare.history_features import HistoryFeatures
from glmix_automl.prepare.intake import Roles, SparkTables, Tables
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, NumericFeature, reserved
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.schema import Entity

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class SideTable:
    """The table that describes an entity.

    Attributes:
        name: of its part in the recipe.
        where: the table, for messages.
        key: its column of ids.
        sources: raw columns that features are made of.
    """

    name: str
    where: str
    key: str
    sources: frozenset[str]


@dataclass(frozen=True)
class RawRows:
    """Raw rows, one per example.

    Attributes:
        recipe: `interactions` or `graph`.
        label: column of integers 0 and 1, no nulls.
        uid: string column, unique, no nulls, that must not depend on partitioning; None: made of the entities' ids and
            the time.
        entities: whom random effects belong to; the first is the member, whose rows stay together. Their sources are
            string columns of `frame` without nulls.
        features: what to make of which column; `side` given in each.
        frame: raw columns, of any type that `glmix_automl.features` reads; None where `given` reads them.
        given: tables that bring their own reader.
        time: column of microseconds since the epoch (bigint, no nulls), or None where the data has no time.
        weight: column of doubles > 0, or None.
        sides: entity (its number) -> frame with one row per id, and its column of ids.
        side_tables: entity -> what its side is.
        history: what of the past is computed; its columns are in `features`, but in no frame.
        sampling: how negatives are drawn, where all rows are positive.
        repeats: whether rows that repeat a uid are dropped, all but one, rather than refused.
        matches: whether columns say how terms of a member and an item match.
        uid_column: the uid's name for people.
        where: the table of the rows, for messages.
        raw_types: raw column -> Spark type, in order; those of the frame unless given.
        remarks: what was guessed, and what looks wrong, for the report.
        cached: frames persisted for `frame`'s sake; freed when it has been read.
        size: about how many rows there are, where that is known.
        side_sizes: likewise of the tables of members and items.
        counts: what the recipe dropped, merged or noticed, name -> rows, for the report; more once rows are read.
        read: called when all tables have been read: what to count or refuse then.
    """

    recipe: str
    label: str
    entities: tuple[Entity, ...]
    features: tuple[NumericFeature | CategoricalFeature | BagFeature, ...]
    frame: "DataFrame | None" = None
    uid: str | None = None
    given: Tables | None = None
    time: str | None = None
    weight: str | None = None
    sides: "Mapping[int, tuple[DataFrame, str]]" = field(default_factory=dict)
    side_tables: Mapping[int, SideTable] = field(default_factory=dict)
    history: HistoryFeatures | None = None
    sampling: NegativeSampling | None = None
    repeats: bool = False
    matches: bool = False
    uid_column: str = "uid"
    where: str = "the rows"
    raw_types: Mapping[str, str] = field(default_factory=dict)
    cached: "tuple[DataFrame, ...]" = ()
    remarks: Remarks = field(default_factory=Remarks)
    size: int | None = None
    side_sizes: tuple[int, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    read: Callable[[], Mapping[str, int]] | None = None

    def __post_init__(self) -> None:
        names = [f.column for f in self.features] + [e.name for e in self.entities]
        names += [f"{f.column}.values" for f in self.features if isinstance(f, BagFeature) and f.weighted]
        if kept := reserved(names):
            raise ConfigError(f"the dataset keeps the name {kept[0]!r} for itself: give the feature another `name`")
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ConfigError(f"two columns of the dataset are named {twice[0]!r}: give one of them another `name`")
        if not self.features:
            raise ConfigError("the recipe declares no features")

    def tables(self, fold: str | None) -> Tables:
        """What reads the rows; `fold` is the raw column that the split goes by, if it does."""
        if self.given is not None:
            return self.given
        entities = tuple(e.source for e in self.entities)
        roles = Roles(self.label, entities, self.uid, self.time, self.weight, fold)
        return SparkTables(self.frame, roles, self.sides, self.size)

    @property
    def largest(self) -> int | None:
        """Rows of the largest table, drawn ones among them, where known: what partitions are made for."""
        drawn = self.sampling.per_positive if self.sampling is not None else 0
        sizes = (self.size * (1 + drawn) if self.size is not None else None, *self.side_sizes)
        return max((n for n in sizes if n is not None), default=None)

    def types(self) -> Mapping[str, str]:
        """Raw column -> Spark type, in the order of the tables."""
        if self.raw_types or self.frame is None:
            return self.raw_types
        return {f.name: f.dataType.simpleString() for f in self.frame.schema}
