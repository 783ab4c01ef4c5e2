"""Recipe `interactions` (jobs-you-may-be-interested-in): members, items, and what members did with items.

One row per interaction: attributes of the member, of the item and of the moment, and the history of each as of then.
"""

from functools import reduce
from itertools import combinations
from operator import and_, or_
from typing import Literal

import pydantic
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from glmix_automl.config import Config
from glmix_automl.errors import DataError
from glmix_automl.prepare import history
from glmix_automl.prepare.events import LabelRule, fingerprint, id_column, label_column, weight_column
from glmix_automl.prepare.history import ITEM, LABEL, MEMBER, TIME, UID, History, with_history
from glmix_automl.prepare.recipe import ColumnSplit, Declared, NumericFeature, Recipe, Table, TimeSplit, clashes, named
from glmix_automl.prepare.remarks import Found, Remarks, joined
from glmix_automl.prepare.rows import Rows
from glmix_automl.prepare.tables import column, read, require
from glmix_automl.prepare.times import TimeRule, spanned, time_column
from glmix_automl.schema import Entity, Side
from glmix_automl.spark import translated

_WEIGHT = "_glmix_weight"
_OCCURRENCE = "_glmix_occurrence"
_ROLES = {MEMBER: "member", ITEM: "item", LABEL: "label", TIME: "time", _WEIGHT: "weight", UID: "uid"}


class Events(Config):
    """The interaction table and the roles of its columns."""

    table: Table
    member: str
    item: str
    label: LabelRule
    timestamp: TimeRule | None = None
    weight: str | None = None
    uid: str | None = None
    """Unique id of a row; made of member, item and time unless given."""
    duplicates: Literal["error", "drop"] = "error"
    """What becomes of rows that share a given uid; `drop` keeps one of them, chosen by a hash of the row."""
    features: tuple[Declared, ...] = ()
    """What describes the moment (position, device, ...); must be known before the response."""


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
    history: History | None = History()

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
        columns = named("interactions.features", events.features)
        columns += named("members.features", self.members.features) if self.members else []
        columns += named("items.features", self.items.features) if self.items else []
        if self.past is not None:
            columns += [("history", name) for key in self.past.keys for name in history.names(key)]
        entities = [("interactions.member", events.member), ("interactions.item", events.item)]
        if found := clashes(entities, columns) + _shared_sources(self):
            raise ValueError("; ".join(found))
        return self

    @property
    def past(self) -> History | None:
        """The history to compute, none without times."""
        return self.history if self.interactions.timestamp is not None else None


def rows(spark: SparkSession, recipe: Interactions) -> Rows:
    """The raw rows of the recipe's tables.

    Raises:
        DataError: a file or column is missing, a label without a rule, ids of members or items that are not unique, too
            many rows that lack an id, a label, a time or a weight, duplicate uids.
    """
    events = recipe.interactions
    where = f"interactions table {events.table.path}"
    remarks = Remarks()
    raw = require(read(spark, events.table, recipe.root, "interactions", remarks), _event_columns(recipe), where)
    raw = raw.select(*map(column, _event_columns(recipe))).persist(StorageLevel.DISK_ONLY)
    base = _with_roles(raw, events, where, remarks)
    counts = _incomplete(base, recipe.checks.max_dropped_share, where, remarks)
    base = base.where(reduce(and_, (column(c).isNotNull() for c in _ROLES if c in base.columns)))
    tables = {
        name: _table(spark, recipe, name, table, base, place, counts, remarks)
        for name, table, place in (("members", recipe.members, MEMBER), ("items", recipe.items, ITEM))
        if table is not None
    }
    frame = _with_uid(base, events, where, counts)
    if recipe.past is not None:
        wanted = list(dict.fromkeys(a.column for a in recipe.past.attributes))
        if wanted:
            followed = tables["items"].select(ITEM, *map(column, wanted))
            frame, base = (f.join(followed, ITEM, "left") for f in (frame, base))
        frame = with_history(frame, recipe.past, base, counts["rows read"]).drop(*wanted)
    for name, place in (("members", MEMBER), ("items", ITEM)):
        if name in tables:
            frame = frame.join(tables[name], place, "left")
    return Rows(
        # Ids under their raw names, as text: what scoring is given, too.
        frame=frame.withColumns({events.member: F.col(MEMBER), events.item: F.col(ITEM)}),
        recipe="interactions",
        label=LABEL,
        uid=UID,
        time=TIME if events.timestamp else None,
        weight=_WEIGHT,
        entities=(
            Entity(name=events.member, source=events.member, side="member"),
            Entity(name=events.item, source=events.item, side="item"),
        ),
        features=_features(recipe),
        counts=counts,
        remarks=remarks,
        cached=(raw,),
    )


def _event_columns(recipe: Interactions) -> list[str]:
    """Columns of the interaction table that are used."""
    events = recipe.interactions
    names = [events.member, events.item, events.label.column, events.weight, events.uid]
    names.append(events.timestamp.column if events.timestamp else None)
    names.append(recipe.split.column if isinstance(recipe.split, ColumnSplit) else None)
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
    with translated(where):
        total, dropped, begin, end, *each = base.agg(F.count(F.lit(1)), any_lack, *span, *lacks).first()  # type: ignore[misc]
    if not total:
        raise DataError(f"{where}: has no rows")
    counts = {f"rows without a usable {role}": n for role, n in zip(roles.values(), each, strict=True) if n}
    if dropped > allowed * total:
        said = ", ".join(f"{what}: {n}" for what, n in counts.items())
        why = "".join(f"; {warning}" for warning in remarks.warnings)
        raise DataError(
            f"{where}: {dropped} of {total} rows cannot be used ({said}); mend them, or raise checks.max_dropped_share"
            f"{why}"
        )
    spanned(begin, end, where, remarks)
    return {"rows read": total, "rows dropped": dropped, **counts}


def _with_uid(base: DataFrame, events: Events, where: str, counts: dict[str, int]) -> DataFrame:
    """The rows with a unique uid: the given one, or `member|item|time`, `|1`, `|2`, ... added where that repeats.

    Raises:
        DataError: a given uid repeats, unless such rows are to be dropped.
    """
    everything = fingerprint(base)
    if events.uid is not None:
        repeated = base.groupBy(UID).count().where("count > 1")
        extra, example = repeated.agg(F.sum(F.col("count") - 1), F.min(UID)).first()  # type: ignore[misc]
        if not extra:
            return base
        if events.duplicates == "error":
            raise DataError(
                f"{where}: {extra} rows repeat a uid of column {events.uid!r}, for example {example!r}; "
                "mend them, or set `interactions.duplicates: drop`"
            )
        counts["rows dropped that repeat a uid"] = extra
        first = Window.partitionBy(UID).orderBy(everything)
        return base.withColumn(_OCCURRENCE, F.row_number().over(first)).where(F.col(_OCCURRENCE) == 1).drop(_OCCURRENCE)
    keys = [MEMBER, ITEM, *([TIME] if events.timestamp else [])]
    escaped = [F.regexp_replace(F.col(k).cast("string"), r"([\\|])", r"\\$1") for k in keys]
    number = F.row_number().over(Window.partitionBy(*keys).orderBy(everything)) - 1
    suffix = F.when(F.col(_OCCURRENCE) > 0, F.concat(F.lit("|"), F.col(_OCCURRENCE).cast("string"))).otherwise("")
    numbered = base.withColumn(_OCCURRENCE, number)
    return numbered.withColumn(UID, F.concat(F.concat_ws("|", *escaped), suffix)).drop(_OCCURRENCE)


def _table(
    spark: SparkSession,
    recipe: Interactions,
    name: str,
    table: Attributes,
    base: DataFrame,
    place: str,
    counts: dict[str, int],
    remarks: Remarks,
) -> DataFrame:
    """The used columns of the member or item table, by `place`; counts the ids of interactions it lacks.

    Raises:
        DataError: a column is missing, two rows have one id, or no id of the interactions has a row.
    """
    where = f"{name} table {table.table.path}"
    followed = [a.column for a in recipe.past.attributes] if recipe.past and name == "items" else []
    used = list(dict.fromkeys([*(f.source for f in table.features), *followed]))
    frame = require(read(spark, table.table, recipe.root, name, remarks), [table.key, *used], where)
    frame = frame.select(id_column(frame, table.key).alias(place), *map(column, used)).where(F.col(place).isNotNull())
    # One pass for all questions: ids of the table and of the interactions together, with how often each has them.
    ids = base.select(place, F.lit(0).alias("n"), F.lit(1).alias("used"))
    ids = ids.unionAll(frame.select(place, F.lit(1).alias("n"), F.lit(0).alias("used")))
    times = ids.groupBy(place).agg(F.sum("n").alias("n"), F.max("used").alias("used"))
    twice, lost, idle = (F.when(test, F.col(place)) for test in (F.col("n") > 1, F.col("n") == 0, F.col("used") == 0))
    with translated(where):
        repeated, example, unknown, here, there, known = times.agg(
            F.count(twice), F.min(twice), F.count(lost), F.min(lost), F.min(idle), F.count_if(F.col("used") == 1)
        ).first()  # type: ignore[misc]
    if repeated:
        raise DataError(f"{where}: {repeated} ids of column {table.key!r} have several rows, for example {example!r}")
    own = recipe.interactions.member if name == "members" else recipe.interactions.item
    joined(where, table.key, own, Found(known, unknown, here, there), remarks)
    if unknown:
        counts[f"{name} of interactions without a row in their table"] = unknown
    return frame


def _shared_sources(recipe: Interactions) -> list[str]:
    """Columns of one name in two tables, and the remedy: a row to be scored has one column of a name."""
    places = {"interactions": _event_columns(recipe)}
    for name, table in (("members", recipe.members), ("items", recipe.items)):
        if table is not None:
            places[name] = [f.source for f in table.features]
    if recipe.past is not None:
        places.setdefault("items", []).extend(a.column for a in recipe.past.attributes)
        places["history"] = [n for key in recipe.past.keys for n in history.names(key)]
    return [
        f"{one} and {other} both have a column {shared!r}: rename one of them in its table, for example "
        f"`rename: {{{shared}: {other}_{shared}}}`"
        for (one, columns), (other, others) in combinations(places.items(), 2)
        for shared in sorted(set(columns) & set(others))
    ]


def _features(recipe: Interactions) -> tuple[Declared, ...]:
    """The declared features with their sides, and those of history."""
    sides: list[tuple[tuple[Declared, ...], Side]] = [(recipe.interactions.features, "context")]
    sides += [(recipe.members.features, "member")] if recipe.members else []
    sides += [(recipe.items.features, "item")] if recipe.items else []
    declared = [f.model_copy(update={"side": f.side or side}) for features, side in sides for f in features]
    if recipe.past is not None:
        declared += [f for key in recipe.past.keys for f in _past(key)]
    return tuple(declared)


def _past(key: str) -> list[NumericFeature]:
    side: Side = "member" if key == "member" else "pair" if key.startswith("member_") else "item"
    count, rate, seconds = history.names(key)
    return [
        NumericFeature(source=count, transform="log", side=side),
        NumericFeature(source=rate, side=side),
        NumericFeature(source=seconds, transform="log", side=side),
    ]
