"""Rows: a recipe's raw rows with the role of every column; what the shared second half of preparation starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import DataFrame

from glmix_automl.errors import ConfigError
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, NumericFeature, reserved
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.schema import Entity


@dataclass(frozen=True)
class Rows:
    """Raw rows, one per example.

    Attributes:
        frame: raw columns, of any type that `glmix_automl.features` reads.
        recipe: `interactions` or `graph`.
        label: column of integers 0 and 1, no nulls.
        uid: string column, unique, no nulls; must not depend on partitioning.
        entities: whom random effects belong to; the first is the member, whose rows stay together. Their sources are
            string columns of `frame` without nulls.
        features: what to make of which column; `side` given in each.
        time: column of microseconds since the epoch (bigint, no nulls), or None where the data has no time.
        weight: column of doubles > 0, or None.
        cached: frames persisted for `frame`'s sake; freed when it has been read.
        counts: what the recipe dropped, merged or noticed, name -> rows, for the report.
        remarks: what was guessed, and what looks wrong, for the report.
    """

    frame: DataFrame
    recipe: str
    label: str
    uid: str
    entities: tuple[Entity, ...]
    features: tuple[NumericFeature | CategoricalFeature | BagFeature, ...]
    time: str | None = None
    weight: str | None = None
    cached: tuple[DataFrame, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    remarks: Remarks = field(default_factory=Remarks)

    def __post_init__(self) -> None:
        names = [f.column for f in self.features] + [e.name for e in self.entities]
        names += [f"{f.column}.values" for f in self.features if isinstance(f, BagFeature) and f.weighted]
        if kept := reserved(names):
            raise ConfigError(f"the dataset keeps the name {kept[0]!r} for itself: give the feature another `name`")
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ConfigError(f"two columns of the dataset are named {twice[0]!r}: give one of them another `name`")
        if not self.features:
            raise ConfigError("the recipe declares no features")
