"""Rows to be scored are read, by Arrow or by Spark, with the interactions and tables that they are answered from."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from glmix_automl.errors import DataError
from glmix_automl.prepare.answers import Questions, answered, check_moments
from glmix_automl.prepare.arrow_tables import ArrowTables
from glmix_automl.prepare.block_tables import WholeTable, open_table
from glmix_automl.prepare.engine import Engine, Local, OnSpark
from glmix_automl.prepare.events import EventColumns
from glmix_automl.prepare.intake import Roles, SparkTables, Tables, partitions
from glmix_automl.prepare.interactions import Attributes, Interactions, declared, label_roles, used
from glmix_automl.prepare.key_history import ASKS
from glmix_automl.prepare.known import Known
from glmix_automl.prepare.local_tables import read_local
from glmix_automl.prepare.past_columns import past_features
from glmix_automl.prepare.progress import StepProgress
from glmix_automl.prepare.recipe import Table
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.spark_events import id_column, label_column
from glmix_automl.prepare.spark_times import time_column
from glmix_automl.prepare.stage import Staging
from glmix_automl.prepare.tables import column, lack, read_table, require
from glmix_automl.prepare.times import TimeRule
from glmix_automl.schema import Entity

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MOMENT, _LABEL, _MEMBER, _ITEM, _UID = " moment", " label", " member", " item", " uid"


def ask(
    spark: "SparkSession | None",
    recipe: Interactions,
    rows: Table,
    root: str,
    folder: str,
    known: Known | None,
    newer: bool,
    at: int | None = None,
) -> Questions:
    """Takes the rows in, and answers what is asked of items and attributes.

    Args:
        spark: the session that reads the tables, or None to read them by Arrow.
        recipe: with the paths of the tables of today.
        rows: to be scored: members, items, times, and the columns of the moment.
        root: what their path starts from.
        folder: URI of intermediate files, which whoever runs tasks must see.
        known: at the end of the model's data; None to begin with nothing.
        newer: whether the recipe's interactions are read; those that are known already are left out.
        at: the moment of rows that bring no time, microseconds.

    Raises:
        DataError: a table cannot be read; no time; rows of a moment that lies before the end of what is known.
    """
    remarks = Remarks()
    engine: Engine = Local(StepProgress(False)) if spark is None else OnSpark(spark, StepProgress(False))
    how = _rows_by_spark if spark is not None else _rows_by_arrow
    given, there, timed, size = how(spark, engine, recipe, rows, root, at, remarks)
    wanted = newer and recipe.past is not None and recipe.interactions.timestamp is not None
    interactions = _newer(spark, engine, recipe, known, remarks) if wanted else None
    # As few rows or many are asked about, a task holds no larger share of the interactions and of what is known.
    parts = max(partitions(max(size, interactions.rows or 0 if interactions else 0)), known.parts if known else 1)
    work, lacking = _work(recipe, folder, there, parts)
    taken = given.take_in(work)
    if not taken:
        raise DataError(f"rows to score {rows.path}: none has a member, an item and a time")
    if work.history is not None and not work.timed and known is None:
        raise DataError(
            f"rows to score {rows.path}: interactions without times do not say what came before a row; score from what "
            "the model knows of members and items (`history: carried`)"
        )
    # Of interactions no columns but those that history needs.
    events = interactions.take_in(replace(work, features=(), asks=False)) if interactions else []
    check_moments(taken, known if work.history is not None else None)
    sides = {side: tuple(given.take_in_side(work, side)) for side in (0, 1)}
    events_recipe = recipe.interactions
    time = events_recipe.timestamp.column if events_recipe.timestamp is not None and timed else None
    names = (events_recipe.member, events_recipe.item, time, events_recipe.uid if _UID in there else None)
    notes = [f"the rows bring no column {name!r}: it is missing in all of them" for name in lacking]
    return answered(engine, work, taken, events, sides, known, names, lacking, (*remarks.notes, *notes))


def _work(recipe: Interactions, folder: str, there: set[str], parts: int) -> tuple[Staging, tuple[str, ...]]:
    """What every task is told, and the columns of the moment that the rows do not bring."""
    events, wanted = recipe.interactions, recipe.past
    own = {f.source for f in events.features} - {events.member, events.item}
    lacking = tuple(sorted(own - there))
    made = {f.source for f in past_features(wanted)} if wanted is not None else set()
    features = tuple(f for f in declared(recipe) if f.source not in lacking and f.source not in made)
    tables = ((0, recipe.members), (1, recipe.items))
    work = Staging(
        folder=folder,
        out=folder,
        parts=parts,
        features=features,
        entities=(
            Entity(name=events.member, source=events.member, side="member"),
            Entity(name=events.item, source=events.item, side="item"),
        ),
        sides={n: frozenset(f.source for f in t.features) for n, t in tables if t is not None},
        split=recipe.split,
        negatives=1.0,
        seed=recipe.seed,
        history=wanted,
        uid=None,
        asks=True,
        timed=events.timestamp is not None,
    )
    return work, lacking


# --- by Arrow


def _rows_by_arrow(
    spark: Any, engine: Engine, recipe: Interactions, rows: Table, root: str, at: int | None, remarks: Remarks
) -> tuple[Tables, set[str], bool, int]:
    events, where = recipe.interactions, f"rows to score {rows.path}"
    table = read_local(rows, root, "rows to score", remarks)
    lack([events.member, events.item], table.column_names, where)
    rule, timed = _moment(recipe, set(table.column_names), at, where)
    if rule is not None and rule.column == _MOMENT:
        table = table.append_column(_MOMENT, pa.array(np.full(table.num_rows, at, np.int64)))
    there = set(table.column_names)
    uid = events.uid if events.uid in there else None
    # Ids as text, also where a feature is made of them.
    how = EventColumns(events.member, events.item, None, time=rule, uid=uid)
    sides = {n: (open_table(t.table, recipe.root, name, remarks), t.key) for n, name, t in _side_tables(recipe)}
    given = ArrowTables(engine, WholeTable(table), how, sides, where, remarks)
    return given, there | ({_UID} if uid else set()), timed, table.num_rows


def _newer(spark: Any, engine: Engine, recipe: Interactions, known: Known | None, remarks: Remarks) -> Tables:
    """The interactions that are not known yet."""
    events = recipe.interactions
    where = f"interactions table {events.table.path}"
    signals = recipe.past.signals if recipe.past is not None else ()
    label_columns = [events.label.column] if events.label is not None else []
    if spark is None:
        table = open_table(events.table, recipe.root, "interactions", remarks)
        how = EventColumns(
            events.member,
            events.item,
            **label_roles(events.label),
            time=events.timestamp,
            after=None if known is None else known.until,
        )
        there = [f.name for f in table.schema]
        lack([events.member, events.item, *label_columns, *signals], there, where)
        return ArrowTables(engine, table, how, {}, where, remarks)
    assert events.timestamp is not None, "only rows with times are newer"
    raw = require(
        read_table(spark, events.table, recipe.root, "interactions", remarks),
        [events.member, events.item, *label_columns, events.timestamp.column, *signals],
        where,
    )
    frame = raw.select(
        id_column(raw, events.member).alias(_MEMBER),
        id_column(raw, events.item).alias(_ITEM),
        label_column(raw, events.label, where).alias(_LABEL),
        time_column(raw, events.timestamp, where, remarks).alias(_MOMENT),
        *map(column, signals),
    ).dropna(subset=[_MEMBER, _ITEM, _LABEL, _MOMENT])
    if known is not None:
        frame = frame.where(f"`{_MOMENT}` > {known.until}")
    return SparkTables(frame, Roles(_LABEL, (_MEMBER, _ITEM), time=_MOMENT), {}, frame.count())


def _moment(recipe: Interactions, there: set[str], at: int | None, where: str) -> tuple[TimeRule | None, bool]:
    """How the rows say their time, and whether they do; `at` is for those that do not."""
    rule = recipe.interactions.timestamp
    if rule is None:
        return None, False
    if rule.column in there:
        return rule, True
    if at is None:
        raise DataError(f"{where}: no column {rule.column!r} that says when; bring it, or set `at` to a moment for all")
    return TimeRule(column=_MOMENT, unit="microseconds"), False


def _side_tables(recipe: Interactions) -> list[tuple[int, str, Attributes]]:
    tables = ((0, "members", recipe.members), (1, "items", recipe.items))
    return [(n, name, t) for n, name, t in tables if t is not None]


# --- by Spark


def _rows_by_spark(
    spark: Any, engine: Engine, recipe: Interactions, rows: Table, root: str, at: int | None, remarks: Remarks
) -> tuple[Tables, set[str], bool, int]:
    from pyspark.sql import functions as F

    events, where = recipe.interactions, f"rows to score {rows.path}"
    raw = require(read_table(spark, rows, root, "rows to score", remarks), [events.member, events.item], where)
    rule, timed = _moment(recipe, set(raw.columns), at, where)
    roles = {_MEMBER: id_column(raw, events.member), _ITEM: id_column(raw, events.item)}
    roles[_LABEL] = F.lit(ASKS)
    if rule is not None:
        roles[_MOMENT] = F.lit(at).cast("bigint") if not timed else time_column(raw, rule, where, remarks)
    uid = events.uid if events.uid in raw.columns else None
    if uid is not None:
        roles[_UID] = id_column(raw, uid)
    frame = raw.withColumns(roles).dropna(subset=list(roles))
    frame = frame.withColumns({events.member: F.col(f"`{_MEMBER}`"), events.item: F.col(f"`{_ITEM}`")})
    sides = {}
    for number, name, table in _side_tables(recipe):
        side = read_table(spark, table.table, recipe.root, name, remarks)
        side = require(side, [table.key, *used(recipe, name, table)], f"{name} table {table.table.path}")
        sides[number] = (side.withColumn(table.key, id_column(side, table.key)), table.key)
    moment = _MOMENT if rule is not None else None
    given = SparkTables(frame, Roles(_LABEL, (_MEMBER, _ITEM), uid=_UID if uid else None, time=moment), sides, None)
    return given, set(frame.columns), timed, frame.count()
