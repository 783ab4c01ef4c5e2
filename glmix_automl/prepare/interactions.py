"""Recipe `interactions` (jobs-you-may-be-interested-in): members, items, and what members did with items.

One row per interaction: attributes of the member, of the item and of the moment, and the history of each as of then.
"""

from itertools import combinations
from typing import Any, Literal

import pydantic

from glmix_automl.config import Config
from glmix_automl.prepare.events import LabelRule, NegativeSampling
from glmix_automl.prepare.history_features import HistoryFeatures, history_of
from glmix_automl.prepare.past_columns import past_features
from glmix_automl.prepare.recipe import ColumnSplit, Declared, Recipe, Table, TimeSplit, clashes, name_columns
from glmix_automl.prepare.times import TimeRule
from glmix_automl.schema import Side


class Events(Config):
    """The interaction table and the roles of its columns."""

    table: Table
    member: str
    item: str
    label: LabelRule | None = None
    sampled_negatives: NegativeSampling | None = None
    """Instead of a label, where all rows are positive."""
    timestamp: TimeRule | None = None
    weight: str | None = None
    uid: str | None = None
    """Unique id of a row; made of member, item and time unless given."""
    duplicates: Literal["error", "drop"] = "error"
    """What becomes of rows that share a given uid; `drop` keeps one of them, chosen by a hash of the row."""
    features: tuple[Declared, ...] = ()
    """What describes the moment (position, device, ...); must be known before the response."""

    @pydantic.model_validator(mode="after")
    def _labelled(self) -> "Events":
        if (self.label is None) == (self.sampled_negatives is None):
            raise ValueError(
                "needs `label` (the column that says what was a response) or, where all rows are positive, "
                "`sampled_negatives: {}`, and not both"
            )
        return self


class Attributes(Config):
    """A table with one row per member or per item."""

    table: Table
    key: str
    """Column with the id that the interactions use."""
    features: tuple[Declared, ...] = ()


class Interactions(Recipe):
    """Settings of the recipe."""

    recipe: Literal["interactions"]
    interactions: Events
    members: Attributes | None = None
    items: Attributes | None = None
    history: HistoryFeatures | None = HistoryFeatures()
    matches: bool = True
    """Whether columns say how terms match that features of two sides share a vocabulary for: `same_x`,
    `shared_x_count`, `shared_x_jaccard`."""

    @pydantic.model_validator(mode="after")
    def _time_where_needed(self) -> "Interactions":
        if self.interactions.timestamp is None and isinstance(self.split, TimeSplit):
            raise ValueError("a split by time needs `interactions.timestamp`; or use `split: {by: random}`")
        if self.history is not None and self.history.attributes and self.items is None:
            raise ValueError("history.attributes are columns of the `items` table, which is not given")
        return self

    @pydantic.model_validator(mode="after")
    def _columns_apart(self) -> "Interactions":
        events = self.interactions
        columns = name_columns("interactions.features", events.features)
        columns += name_columns("members.features", self.members.features) if self.members else []
        columns += name_columns("items.features", self.items.features) if self.items else []
        if self.past is not None:
            columns += [("history", f.source) for f in past_features(self.past)]
        entities = [("interactions.member", events.member), ("interactions.item", events.item)]
        if found := clashes(entities, columns) + _shared_sources(self):
            raise ValueError("\n".join(found))
        return self

    @property
    def tables(self) -> tuple[Table, ...]:
        """See `Recipe`."""
        sides = (side.table for side in (self.members, self.items) if side is not None)
        return (self.interactions.table, *sides)

    @property
    def past(self) -> HistoryFeatures | None:
        """The history to compute; of positives only, and without times, it has fewer groups."""
        if self.history is None:
            return None
        return history_of(self.history, self.interactions.label is None, self.interactions.timestamp is not None)


def label_roles(label: LabelRule | None) -> dict[str, Any]:
    """What `EventColumns` says of the label: without a rule all rows are positive."""
    if label is None:
        return {"label": None, "all_positive": True}
    return {"label": label.column, "at_least": label.at_least, "positive": label.positive}


def event_columns(recipe: Interactions) -> list[str]:
    """Columns of the interaction table that are used."""
    events = recipe.interactions
    names = [events.member, events.item, events.label.column if events.label else None, events.weight, events.uid]
    names.append(events.timestamp.column if events.timestamp else None)
    names.append(recipe.split.column if isinstance(recipe.split, ColumnSplit) else None)
    names += recipe.past.signals if recipe.past is not None else ()
    names += [f.source for f in events.features]
    return list(dict.fromkeys(n for n in names if n is not None))


def used(recipe: Interactions, name: str, table: Attributes) -> list[str]:
    """Columns of the member or item table that features and history need."""
    followed = [a.column for a in recipe.past.attributes] if recipe.past and name == "items" else []
    return list(dict.fromkeys([*(f.source for f in table.features), *followed]))


def _shared_sources(recipe: Interactions) -> list[str]:
    """Columns of one name in two tables, and the remedy: a row to be scored has one column of a name."""
    places = {"interactions": event_columns(recipe)}
    for name, table in (("members", recipe.members), ("items", recipe.items)):
        if table is not None:
            places[name] = [f.source for f in table.features]
    if recipe.past is not None:
        places.setdefault("items", []).extend(a.column for a in recipe.past.attributes)
        places["history"] = [f.source for f in past_features(recipe.past)]
    return [
        f"{one} and {other} both have a column {shared!r}: rename one of them in its table, for example "
        f"`rename: {{{shared}: {other}_{shared}}}`"
        for (one, columns), (other, others) in combinations(places.items(), 2)
        for shared in sorted(set(columns) & set(others))
    ]


def declared(recipe: Interactions) -> tuple[Declared, ...]:
    """The declared features with their sides, and those of history."""
    sides: list[tuple[tuple[Declared, ...], Side]] = [(recipe.interactions.features, "context")]
    sides += [(recipe.members.features, "member")] if recipe.members else []
    sides += [(recipe.items.features, "item")] if recipe.items else []
    found = [f.model_copy(update={"side": f.side or side}) for features, side in sides for f in features]
    if recipe.past is not None:
        found += past_features(recipe.past)
    return tuple(found)
