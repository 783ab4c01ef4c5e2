"""What is the same of interactions, whoever reads them: which column has which role, and which rows are refused."""

from typing import NamedTuple

from glmix_automl.errors import DataError
from glmix_automl.prepare.interactions import Interactions, declared
from glmix_automl.prepare.past_columns import names, past_features
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.rows import RawRows, SideTable
from glmix_automl.schema import Entity

ROLES = ("member", "item", "label", "time", "weight", "uid")
"""What a row cannot be used without, in the order they are reported in."""


class RoleColumns(NamedTuple):
    """Columns of the rows by role."""

    label: str
    uid: str | None
    time: str | None
    weight: str


def describe_rows(
    recipe: Interactions, roles: RoleColumns, types: dict[str, str], where: str, counts: dict[str, int]
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
        matches=recipe.matches,
        sampling=events.sampled_negatives,
        uid_column=events.uid or "uid",
        where=where,
        raw_types=types,
        counts=counts,
    )


def past_types(recipe: Interactions) -> dict[str, str]:
    """Column of history -> Spark type."""
    if recipe.past is None:
        return {}
    counts = {names(key)[0] for key in recipe.past.keys}
    return {f.source: "bigint" if f.source in counts else "double" for f in past_features(recipe.past)}


def refuse_incomplete(
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
