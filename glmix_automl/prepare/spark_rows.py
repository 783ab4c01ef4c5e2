"""The raw rows of the recipe `interactions`, read by Spark."""

from dataclasses import replace
from functools import reduce
from operator import and_, or_

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glmix_automl.prepare.interaction_roles import RoleColumns, describe_rows, past_types, refuse_incomplete
from glmix_automl.prepare.interactions import Attributes, Events, Interactions, event_columns, used
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.rows import RawRows
from glmix_automl.prepare.spark_events import id_column, label_column, weight_column
from glmix_automl.prepare.spark_times import time_column
from glmix_automl.prepare.tables import column, read_table, require
from glmix_automl.prepare.times import report_span
from glmix_automl.spark import translate_errors

_MEMBER, _ITEM, _UID, _WEIGHT = "_glmix_member", "_glmix_item", "_glmix_uid", "_glmix_weight"
_TIME, _LABEL = "_glmix_time", "_glmix_label"  # bigint microseconds; integer 0 or 1
_ROLE_OF = {_MEMBER: "member", _ITEM: "item", _LABEL: "label", _TIME: "time", _WEIGHT: "weight", _UID: "uid"}


def spark_rows(spark: SparkSession, recipe: Interactions) -> RawRows:
    """The raw rows of the recipe's tables, read by Spark.

    Raises:
        DataError: a file or column is missing, a label without a rule, too many rows that lack an id, a label, a time
            or a weight.
    """
    events = recipe.interactions
    where = f"interactions table {events.table.path}"
    remarks = Remarks()
    raw = require(read_table(spark, events.table, recipe.root, "interactions", remarks), event_columns(recipe), where)
    raw = raw.select(*map(column, event_columns(recipe))).persist(StorageLevel.DISK_ONLY)
    base = _with_roles(raw, events, where, remarks)
    counts = _incomplete(base, recipe.checks.max_dropped_share, where, remarks)
    base = base.where(reduce(and_, (column(c).isNotNull() for c in _ROLE_OF if c in base.columns)))
    sides = {
        number: (_table(spark, recipe, name, table, remarks), table.key)
        for number, (name, table) in enumerate((("members", recipe.members), ("items", recipe.items)))
        if table is not None
    }
    types = {f.name: f.dataType.simpleString() for f in raw.schema} | past_types(recipe)
    for frame, _ in sides.values():
        types |= {f.name: f.dataType.simpleString() for f in frame.schema}
    # Ids under their raw names, as text: what scoring is given, too.
    frame = base.withColumns({events.member: F.col(_MEMBER), events.item: F.col(_ITEM)})
    types |= {events.member: "string", events.item: "string"}
    roles = RoleColumns(_LABEL, _UID if events.uid else None, _TIME if events.timestamp else None, _WEIGHT)
    return replace(
        describe_rows(recipe, roles, types, where, counts),
        frame=frame,
        sides=sides,
        cached=(raw,),
        size=counts["rows read"],
        side_sizes=tuple(side.count() for side, _ in sides.values()),
        remarks=remarks,
    )


def _with_roles(raw: DataFrame, events: Events, where: str, remarks: Remarks) -> DataFrame:
    """The raw rows with member, item, label, time, weight and a given uid under our names, null where unusable."""
    roles = {
        _MEMBER: id_column(raw, events.member),
        _ITEM: id_column(raw, events.item),
        _LABEL: label_column(raw, events.label, where),
        _WEIGHT: weight_column(raw, events.weight),
    }
    if events.timestamp is not None:
        roles[_TIME] = time_column(raw, events.timestamp, where, remarks)
    if events.uid is not None:
        roles[_UID] = id_column(raw, events.uid)
    return raw.withColumns(roles)


def _incomplete(base: DataFrame, allowed: float, where: str, remarks: Remarks) -> dict[str, int]:
    """How many rows lack which role; says from when to when the times run.

    Raises:
        DataError: no rows, or a larger share than `allowed` lacks any.
    """
    roles = {name: role for name, role in _ROLE_OF.items() if name in base.columns}
    lacks = [F.count_if(F.col(name).isNull()) for name in roles]
    any_lack = F.count_if(reduce(or_, (F.col(name).isNull() for name in roles)))
    span = [F.min(_TIME), F.max(_TIME)] if _TIME in roles else [F.lit(None), F.lit(None)]
    with translate_errors(where):
        total, dropped, begin, end, *each = base.agg(F.count(F.lit(1)), any_lack, *span, *lacks).first()  # type: ignore[misc]
    lacking = dict(zip(roles.values(), each, strict=True))
    counts = refuse_incomplete(total, dropped, lacking, allowed, where, remarks)
    report_span(begin, end, where, remarks)
    return counts


def _table(spark: SparkSession, recipe: Interactions, name: str, table: Attributes, remarks: Remarks) -> DataFrame:
    """The used columns of the member or item table, and its ids.

    Raises:
        DataError: a column is missing.
    """
    where = f"{name} table {table.table.path}"
    names = [table.key, *used(recipe, name, table)]
    frame = require(read_table(spark, table.table, recipe.root, name, remarks), names, where)
    return frame.select(*map(column, dict.fromkeys(names))).withColumn(table.key, id_column(frame, table.key))
