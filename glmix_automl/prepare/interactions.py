"""Recipe `interactions` (jobs-you-may-be-interested-in): members, items, and what members did with items.

One row per interaction: attributes of the member, of the item and of the moment, and the history of each as of then.
"""

from dataclasses import replace
from functools import reduce
from itertools import combinations
from operator import and_, or_
from typing import Any, Literal, NamedTuple

import pydantic
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glmix_automl.config import Config
from glmix_automl.errors import DataError
from glmix_automl.prepare.arrow_tables import ArrowTables
from glmix_automl.prepare.block_tables import BlockTable, open_table, spark_type
from glmix_automl.prepare.engine import Engine
from glmix_automl.prepare.events import EventColumns, LabelRule, NegativeSampling
from glmix_automl.prepare.history_features import HistoryFeatures, HistoryOfTakes
from glmix_automl.prepare.past_columns import names, past_features
from glmix_automl.prepare.recipe import ColumnSplit, Declared, Recipe, Table, TimeSplit, clashes, name_columns
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.rows import RawRows, SideTable
from glmix_automl.prepare.spark_events import id_column, label_column, weight_column
from glmix_automl.prepare.spark_times import time_column
from glmix_automl.prepare.tables import column, lack, read_table, require
from glmix_automl.prepare.times import TimeRule, report_span
from glmix_automl.schema import Entity, Side
from glmix_automl.spark import translate_errors

_WEIGHT = "_glmix_weight"
UID, MEMBER, ITEM = "_glmix_uid", "_glmix_member", "_glmix_item"
TIME, LABEL = "_glmix_time", "_glmix_label"  # bigint microseconds; integer 0 or 1
_ROLES = {MEMBER: "member", ITEM: "item", LABEL: "label", TIME: "time", _WEIGHT: "weight", UID: "uid"}


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

    @pydantic.model_validator(mode="after")
    def _time_where_needed(self) -> "Interactions":
        if self.interactions.timestamp is None:
            if isinstance(self.split, TimeSplit):
                raise ValueError("a split by time needs `interactions.timestamp`; or use `split: {by: random}`")
            if self.history is not None and "history" in self.model_fields_set:
                raise ValueError("history needs `interactions.timestamp`; or set `history: null`")
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
        """The history to compute, none without times; of positives only it has other groups."""
        if self.history is None or self.interactions.timestamp is None:
            return None
        return self.history if self.interactions.label is not None else HistoryOfTakes.of(self.history)


def interaction_rows(engine: Engine, recipe: Interactions) -> RawRows:
    """The raw rows of the recipe's tables.

    Raises:
        DataError: a file or column is missing, a label without a rule, too many rows that lack an id, a label, a time
            or a weight.
    """
    return arrow_rows(engine, recipe) if engine.spark is None else _spark_rows(engine.spark, recipe)


def _spark_rows(spark: SparkSession, recipe: Interactions) -> RawRows:
    """The raw rows of the recipe's tables, read by Spark.

    Raises:
        DataError: a file or column is missing, a label without a rule, too many rows that lack an id, a label, a time
            or a weight.
    """
    events = recipe.interactions
    where = f"interactions table {events.table.path}"
    remarks = Remarks()
    raw = require(read_table(spark, events.table, recipe.root, "interactions", remarks), _event_columns(recipe), where)
    raw = raw.select(*map(column, _event_columns(recipe))).persist(StorageLevel.DISK_ONLY)
    base = _with_roles(raw, events, where, remarks)
    counts = _incomplete(base, recipe.checks.max_dropped_share, where, remarks)
    base = base.where(reduce(and_, (column(c).isNotNull() for c in _ROLES if c in base.columns)))
    sides = {
        number: (_table(spark, recipe, name, table, remarks), table.key)
        for number, (name, table) in enumerate((("members", recipe.members), ("items", recipe.items)))
        if table is not None
    }
    types = {f.name: f.dataType.simpleString() for f in raw.schema} | _past_types(recipe)
    for frame, _ in sides.values():
        types |= {f.name: f.dataType.simpleString() for f in frame.schema}
    # Ids under their raw names, as text: what scoring is given, too.
    frame = base.withColumns({events.member: F.col(MEMBER), events.item: F.col(ITEM)})
    types |= {events.member: "string", events.item: "string"}
    roles = _Roles(LABEL, UID if events.uid else None, TIME if events.timestamp else None, _WEIGHT)
    return replace(
        _described(recipe, roles, types, where, counts),
        frame=frame,
        sides=sides,
        cached=(raw,),
        size=counts["rows read"],
        remarks=remarks,
    )


def arrow_rows(engine: Engine, recipe: Interactions) -> RawRows:
    """The raw rows of the recipe's tables, read by Arrow, which `local_tables.table_needs_spark` may forbid.

    Raises:
        DataError: as `interaction_rows`, part of it once the rows have been read.
    """
    events = recipe.interactions
    where = f"interactions table {events.table.path}"
    remarks = Remarks()
    table = open_table(events.table, recipe.root, "interactions", remarks)
    types = _arrow_types(table, _event_columns(recipe), where) | _past_types(recipe)
    sides = {}
    for number, (name, side) in enumerate((("members", recipe.members), ("items", recipe.items))):
        if side is not None:
            found = open_table(side.table, recipe.root, name, remarks)
            wanted = [side.key, *used(recipe, name, side)]
            types |= {
                n: k for n, k in _arrow_types(found, wanted, f"{name} table {side.table.path}").items() if n != side.key
            }
            sides[number] = (found, side.key)
    types |= {events.member: "string", events.item: "string"}
    label = events.label
    how = EventColumns(
        member=events.member,
        item=events.item,
        **label_roles(label),
        time=events.timestamp,
        weight=events.weight,
        uid=events.uid,
        fold=recipe.split.column if isinstance(recipe.split, ColumnSplit) else None,
    )
    tables = ArrowTables(engine, table, how, sides, where, remarks)

    def counted() -> dict[str, int]:
        seen = tables.seen
        lacking = {role: seen.lacking[role] for role in _ROLES.values() if role in seen.lacking}
        counts = _refuse_incomplete(seen.rows, seen.dropped, lacking, recipe.checks.max_dropped_share, where, remarks)
        report_span(seen.first, seen.last, where, remarks)
        return counts

    roles = _Roles("label", "uid" if events.uid else None, "time" if events.timestamp else None, "weight")
    rows = _described(recipe, roles, types, where, {})
    return replace(rows, given=tables, size=tables.rows, read=counted, remarks=remarks)


class _Roles(NamedTuple):
    """Columns of the rows by role."""

    label: str
    uid: str | None
    time: str | None
    weight: str


def _described(
    recipe: Interactions, roles: _Roles, types: dict[str, str], where: str, counts: dict[str, int]
) -> RawRows:
    """What is the same of the rows, whoever reads them."""
    events = recipe.interactions
    side_tables = {
        number: SideTable(
            name, f"{name} table {table.table.path}", table.key, frozenset(f.source for f in table.features)
        )
        for number, (name, table) in enumerate((("members", recipe.members), ("items", recipe.items)))
        if table is not None
    }
    return RawRows(
        recipe="interactions",
        label=roles.label,
        uid=roles.uid,
        time=roles.time,
        weight=roles.weight,
        entities=(
            Entity(name=events.member, source=events.member, side="member"),
            Entity(name=events.item, source=events.item, side="item"),
        ),
        features=declared(recipe),
        side_tables=side_tables,
        history=recipe.past,
        repeats=events.duplicates == "drop",
        sampling=events.sampled_negatives,
        uid_column=events.uid or "uid",
        where=where,
        raw_types=types,
        counts=counts,
    )


def _past_types(recipe: Interactions) -> dict[str, str]:
    if recipe.past is None:
        return {}
    counts = {names(key)[0] for key in recipe.past.keys}
    return {f.source: "bigint" if f.source in counts else "double" for f in past_features(recipe.past)}


def _arrow_types(table: BlockTable, names: list[str], where: str) -> dict[str, str]:
    """Column -> Spark type.

    Raises:
        DataError: a column is not there.
    """
    there = {f.name: spark_type(f.type) for f in table.schema}
    lack(names, list(there), where)
    return {n: there[n] for n in names}


def label_roles(label: LabelRule | None) -> dict[str, Any]:
    """What `EventColumns` says of the label: without a rule all rows are positive."""
    if label is None:
        return {"label": None, "all_positive": True}
    return {"label": label.column, "at_least": label.at_least, "positive": label.positive}


def _event_columns(recipe: Interactions) -> list[str]:
    """Columns of the interaction table that are used."""
    events = recipe.interactions
    names = [events.member, events.item, events.label.column if events.label else None, events.weight, events.uid]
    names.append(events.timestamp.column if events.timestamp else None)
    names.append(recipe.split.column if isinstance(recipe.split, ColumnSplit) else None)
    names += recipe.past.signals if recipe.past is not None else ()
    names += [f.source for f in events.features]
    return list(dict.fromkeys(n for n in names if n is not None))


def _with_roles(raw: DataFrame, events: Events, where: str, remarks: Remarks) -> DataFrame:
    """The raw rows with member, item, label, time, weight and a given uid under our names, null where unusable."""
    roles = {
        MEMBER: id_column(raw, events.member),
        ITEM: id_column(raw, events.item),
        LABEL: label_column(raw, events.label, where),
        _WEIGHT: weight_column(raw, events.weight),
    }
    if events.timestamp is not None:
        roles[TIME] = time_column(raw, events.timestamp, where, remarks)
    if events.uid is not None:
        roles[UID] = id_column(raw, events.uid)
    return raw.withColumns(roles)


def _incomplete(base: DataFrame, allowed: float, where: str, remarks: Remarks) -> dict[str, int]:
    """How many rows lack which role; says from when to when the times run.

    Raises:
        DataError: no rows, or a larger share than `allowed` lacks any.
    """
    roles = {name: role for name, role in _ROLES.items() if name in base.columns}
    lacks = [F.count_if(F.col(name).isNull()) for name in roles]
    any_lack = F.count_if(reduce(or_, (F.col(name).isNull() for name in roles)))
    span = [F.min(TIME), F.max(TIME)] if TIME in roles else [F.lit(None), F.lit(None)]
    with translate_errors(where):
        total, dropped, begin, end, *each = base.agg(F.count(F.lit(1)), any_lack, *span, *lacks).first()  # type: ignore[misc]
    lacking = dict(zip(roles.values(), each, strict=True))
    counts = _refuse_incomplete(total, dropped, lacking, allowed, where, remarks)
    report_span(begin, end, where, remarks)
    return counts


def _refuse_incomplete(
    total: int, dropped: int, lacking: dict[str, int], allowed: float, where: str, remarks: Remarks
) -> dict[str, int]:
    """Counts for the report.

    Raises:
        DataError: no rows, or a larger share than `allowed` lacks any role.
    """
    if not total:
        raise DataError(f"{where}: has no rows")
    counts = {f"rows without a usable {role}": n for role, n in lacking.items() if n}
    if dropped > allowed * total:
        said = ", ".join(f"{what}: {n}" for what, n in counts.items())
        why = "".join(f"; {warning}" for warning in remarks.warnings)
        raise DataError(
            f"{where}: {dropped} of {total} rows cannot be used ({said}); mend them, or raise checks.max_dropped_share"
            f"{why}"
        )
    return {"rows read": total, "rows dropped": dropped, **counts}


def _table(spark: SparkSession, recipe: Interactions, name: str, table: Attributes, remarks: Remarks) -> DataFrame:
    """The used columns of the member or item table, and its ids.

    Raises:
        DataError: a column is missing.
    """
    where = f"{name} table {table.table.path}"
    names = [table.key, *used(recipe, name, table)]
    frame = require(read_table(spark, table.table, recipe.root, name, remarks), names, where)
    return frame.select(*map(column, dict.fromkeys(names))).withColumn(table.key, id_column(frame, table.key))


def used(recipe: Interactions, name: str, table: Attributes) -> list[str]:
    """Columns of the member or item table that features and history need."""
    followed = [a.column for a in recipe.past.attributes] if recipe.past and name == "items" else []
    return list(dict.fromkeys([*(f.source for f in table.features), *followed]))


def _shared_sources(recipe: Interactions) -> list[str]:
    """Columns of one name in two tables, and the remedy: a row to be scored has one column of a name."""
    places = {"interactions": _event_columns(recipe)}
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
