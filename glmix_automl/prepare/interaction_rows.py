"""The raw rows of the recipe `interactions`: read by Arrow here, by Spark in `spark_rows`."""

from dataclasses import replace
from typing import Any

from glmix_automl.prepare.arrow_tables import ArrowTables
from glmix_automl.prepare.block_tables import BlockTable, ParquetTable, open_table, spark_type
from glmix_automl.prepare.engine import Engine
from glmix_automl.prepare.events import EventColumns
from glmix_automl.prepare.interaction_roles import ROLES, RoleColumns, describe_rows, past_types, refuse_incomplete
from glmix_automl.prepare.interactions import Interactions, event_columns, label_roles, used
from glmix_automl.prepare.local_tables import recipe_needs_spark
from glmix_automl.prepare.recipe import ColumnSplit
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.rows import RawRows
from glmix_automl.prepare.tables import lack
from glmix_automl.prepare.times import report_span


def interaction_rows(engine: Engine, recipe: Interactions) -> RawRows:
    """The raw rows of the recipe's tables.

    Raises:
        DataError: a file or column is missing, a label without a rule, too many rows that lack an id, a label, a time
            or a weight.
    """
    if engine.spark is None or _read_by_tasks(engine.spark, recipe):
        return arrow_rows(engine, recipe)
    from glmix_automl.prepare.spark_rows import spark_rows

    return spark_rows(engine.spark, recipe)


def _read_by_tasks(spark: Any, recipe: Interactions) -> bool:
    """Whether Spark's tasks read the tables by Arrow, each its row groups: Parquet under paths that all of them see.
    Nothing is then left for Spark to plan and compile.
    """
    files = str(spark.sparkContext._jsc.hadoopConfiguration().get("fs.defaultFS", "file:///"))
    if not files.startswith("file:") or recipe_needs_spark(recipe) is not None:
        return False
    names = ("interactions", "members", "items")
    opened = (open_table(t, recipe.root, n, Remarks()) for t, n in zip(recipe.tables, names, strict=False))
    return all(isinstance(table, ParquetTable) for table in opened)


def arrow_rows(engine: Engine, recipe: Interactions) -> RawRows:
    """The raw rows of the recipe's tables, read by Arrow, which `local_tables.table_needs_spark` may forbid.

    Raises:
        DataError: as `interaction_rows`, part of it once the rows have been read.
    """
    events = recipe.interactions
    where = f"interactions table {events.table.path}"
    remarks = Remarks()
    table = open_table(events.table, recipe.root, "interactions", remarks)
    types = _arrow_types(table, event_columns(recipe), where) | past_types(recipe)
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
    how = EventColumns(
        member=events.member,
        item=events.item,
        **label_roles(events.label),
        time=events.timestamp,
        weight=events.weight,
        uid=events.uid,
        fold=recipe.split.column if isinstance(recipe.split, ColumnSplit) else None,
    )
    tables = ArrowTables(engine, table, how, sides, where, remarks)

    def counted() -> dict[str, int]:
        seen = tables.seen
        lacking = {role: seen.lacking[role] for role in ROLES if role in seen.lacking}
        counts = refuse_incomplete(seen.rows, seen.dropped, lacking, recipe.checks.max_dropped_share, where, remarks)
        report_span(seen.first, seen.last, where, remarks)
        return counts

    roles = RoleColumns("label", "uid" if events.uid else None, "time" if events.timestamp else None, "weight")
    rows = describe_rows(recipe, roles, types, where, {})
    sizes = tuple(side.rows for side, _ in sides.values())
    return replace(rows, given=tables, size=tables.rows, side_sizes=sizes, read=counted, remarks=remarks)


def _arrow_types(table: BlockTable, names: list[str], where: str) -> dict[str, str]:
    """Column -> Spark type.

    Raises:
        DataError: a column is not there.
    """
    there = {f.name: spark_type(f.type) for f in table.schema}
    lack(names, list(there), where)
    return {n: there[n] for n in names}
