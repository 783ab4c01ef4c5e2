"""Which table is which, and what its columns are to each other: told from keys, shared values and names.

Where the tables do not say it, nothing is guessed: the error names the choices and the argument that decides.
"""

from dataclasses import dataclass
from itertools import permutations

from glmix_automl.errors import ConfigError
from glmix_automl.prepare.survey import Column, Surveyed

_MEMBER = (
    "member",
    "user",
    "customer",
    "visitor",
    "person",
    "people",
    "candidate",
    "viewer",
    "reader",
    "account",
    "session",
)
_ITEM = (
    "item",
    "film",
    "movie",
    "job",
    "product",
    "article",
    "book",
    "ad",
    "video",
    "song",
    "track",
    "post",
    "listing",
)
_LABEL = (
    "label",
    "clicked",
    "click",
    "response",
    "applied",
    "target",
    "rating",
    "stars",
    "converted",
    "purchased",
    "liked",
)
_TIME = ("time", "timestamp", "date", "when", "at", "ts", "moment", "day")
_WEIGHT = ("weight", "sample_weight", "importance")
_ALIKE = 0.5
"""Least share of ids that two columns have in common to be ids of the same things."""


@dataclass(frozen=True)
class Asked:
    """What a person said on the command line, in names of columns."""

    target: str | None = None
    member: str | None = None
    item: str | None = None
    all_positive: bool = False
    """Whether every row is a response (views, listens)."""


@dataclass(frozen=True)
class Role:
    """An entity: its column in the events, and its table with the key, where there is one."""

    column: str
    table: Surveyed | None = None
    key: str = ""


@dataclass(frozen=True)
class InteractionRoles:
    """Roles of the tables of a recipe `interactions`."""

    events: Surveyed
    member: Role
    item: Role
    label: str | None
    """None where all rows are positive."""
    time: str | None
    uid: str | None
    weight: str | None


@dataclass(frozen=True)
class GraphRoles:
    """Roles of the tables of a recipe `graph`."""

    edges: Surveyed
    source: str
    target: str
    time: str | None
    nodes: tuple[tuple[Surveyed, str], ...]


def found(tables: list[Surveyed], asked: Asked) -> InteractionRoles | GraphRoles:
    """The roles of the tables.

    Raises:
        ConfigError: they do not say it: which choices there are, and how to choose.
    """
    events = _events(tables, asked)
    others = [table for table in tables if table is not events]
    ends = _ends(events, others) if asked.target is None and asked.member is None and not asked.all_positive else None
    if ends is not None:
        source, target, nodes = ends
        return GraphRoles(events, source, target, _time(events, {source, target}), nodes)
    label = None if asked.all_positive else _label(events, asked)
    member, item = _entities(events, others, asked, label)
    taken = {member.column, item.column} | ({label} if label is not None else set())
    time = _time(events, taken)
    free = [c for c in events.columns if c.name not in taken | {time}]
    uid = next(
        (c.name for c in free if c.unique and (c.name.lower().endswith(("id", "key")) or c.kind == "text")), None
    )
    weight = next((c.name for c in free if c.name.lower() in _WEIGHT and c.kind == "number" and c.low > 0), None)
    return InteractionRoles(events, member, item, label, time, uid, weight)


def alike(one: Column, other: Column) -> float:
    """How much two columns of ids have in common, 0 to 1; columns of one name are believed sooner."""
    if not one.ids or not other.ids or "list" in (one.kind, other.kind) or "time" in (one.kind, other.kind):
        return 0.0
    shared = len(one.ids & other.ids)
    covered, both = shared / len(one.ids), shared / len(one.ids | other.ids)
    return covered * (0.5 + 0.5 * both) + (0.5 if one.name == other.name and covered > _ALIKE / 2 else 0.0)


def _events(tables: list[Surveyed], asked: Asked) -> Surveyed:
    """The table that others are looked up from: one with the named columns, with most ids of others, the longest."""
    names = [name for name in (asked.target, asked.member, asked.item) if name is not None]
    having = [table for table in tables if all(name in [c.name for c in table.columns] for name in names)]
    if not having:
        raise ConfigError(f"no table has the columns {', '.join(names)}; {_choices(tables)}")
    plain = [table for table in having if not table.lists and len(table.columns) > 1]
    if not plain:
        raise ConfigError(f"which table has the interactions or links? {_choices(tables)}")
    return max(plain, key=lambda table: (_met(table, tables), table.rows))


def _met(table: Surveyed, tables: list[Surveyed]) -> int:
    """Columns of a table, itself without such a key, that are keys of other tables."""
    keys = [c for other in tables if other is not table for c in other.columns if c.unique]
    return sum(any(alike(c, key) >= _ALIKE for key in keys) for c in table.columns if not c.unique)


def _ends(events: Surveyed, others: list[Surveyed]) -> tuple[str, str, tuple[tuple[Surveyed, str], ...]] | None:
    """Two columns with ids of the same nodes, and the tables of these; None where there are none."""
    ids = [c for c in events.columns if (c.kind == "text" or (c.kind == "number" and c.whole)) and c.distinct > 20]
    if len(ids) < 2:
        return None
    one, other = ids[0], ids[1]
    union = one.ids | other.ids
    keys = []
    for table in others:
        best = max((c for c in table.columns if c.unique), key=lambda c: len(c.ids & union), default=None)
        if best is None or len(best.ids & union) < _ALIKE * len(union):
            return None
        if min(len(best.ids & c.ids) / len(c.ids) for c in (one, other)) < 0.9:
            return None
        keys.append((table, best.name))
    if not others and len(one.ids & other.ids) < 0.3 * min(len(one.ids), len(other.ids)):
        return None
    if not others and any(_named(c.name, (*_MEMBER, *_ITEM)) for c in (one, other)):
        return None
    if len(others) > 1 and any(alike(one, t.column(k)) > 2 * alike(other, t.column(k)) for t, k in keys):
        return None
    # An item table whose ids happen to be numbered like the members' is told by the columns' names.
    if _named(one.name, _MEMBER) != _named(other.name, _MEMBER) or _named(one.name, _ITEM) != _named(other.name, _ITEM):
        return None
    return one.name, other.name, tuple(keys)


def _label(events: Surveyed, asked: Asked) -> str:
    if asked.target is not None:
        return asked.target
    able = [c for c in events.columns if c.kind in ("number", "text") and c.distinct <= 20]
    named = [c for c in able if c.name.lower() in _LABEL]
    binary = [c for c in able if c.ids <= {"0", "1", "true", "false"} and c.distinct == 2]
    if len(named) == 1 or (not named and len(binary) == 1):
        return (named or binary)[0].name
    raise ConfigError(
        f"which column of {events.path} is the response? Add --target COLUMN, or --all-positive if every row is "
        f"one; its columns: {_columns(events)}"
    )


def _entities(events: Surveyed, others: list[Surveyed], asked: Asked, label: str | None) -> tuple[Role, Role]:
    """Member and item: named by the person, or by their tables, or by their columns' names."""
    able = [c for c in events.columns if c.kind in ("number", "text") and c.name != label and not c.unique]
    roles: dict[str, Role] = {}
    for column, table, key in _lookups(able, others):
        roles.setdefault(column.name, Role(column.name, table, key))
    names = [c.name for c in able]
    member = asked.member or _chosen(names, roles, _MEMBER, [asked.item])
    item = asked.item or _chosen(names, roles, _ITEM, [member])
    left = [name for name in roles if name not in (member, item)]
    if member is None and item is not None and len(left) == 1:
        member = left[0]
    if item is None and member is not None and len(left) == 1:
        item = left[0]
    for what, name in (("member", member), ("item", item)):
        if name is None:
            raise ConfigError(
                f"which column of {events.path} names the {what}? Add --{what} COLUMN; its columns: {_columns(events)}"
            )
    return tuple(roles.get(name, Role(name)) for name in (member, item))  # type: ignore[return-value,arg-type]


def _lookups(able: list[Column], others: list[Surveyed]) -> list[tuple[Column, Surveyed, str]]:
    """The best way to give each of the other tables a column of its own that it is looked up by."""
    best: list[tuple[Column, Surveyed, str]] = []
    most = 0.0
    for columns in permutations(able, len(others)):
        chosen, total = [], 0.0
        for column, table in zip(columns, others, strict=True):
            keys = [c for c in table.columns if c.unique]
            key = max(keys, key=lambda k: alike(column, k), default=None)
            if key is None or alike(column, key) < _ALIKE:
                continue
            chosen.append((column, table, key.name))
            total += alike(column, key)
        if total > most + 1e-12:
            best, most = chosen, total
    lost = [table.path for table in others if table not in [t for _, t, _ in best]]
    if lost:
        raise ConfigError(
            f"{', '.join(lost)}: no column with an id of its own in every row that the interactions name; leave the "
            "table out, or write it with one row per id (a long table: `gather` in docs/data.md)"
        )
    return best


def _chosen(names: list[str], roles: dict[str, Role], words: tuple[str, ...], taken: list[str | None]) -> str | None:
    """The column whose name, or whose table's name, has one of the words; the only one, or None."""
    free = [name for name in names if name not in taken]
    for candidates in (
        [n for n in free if n in roles and (_named(n, words) or _named(roles[n].table.file, words))],  # type: ignore[union-attr]
        [n for n in free if _named(n, words)],
    ):
        if len(candidates) == 1:
            return candidates[0]
    return None


def _named(name: str, words: tuple[str, ...]) -> bool:
    parts = "".join(c if c.isalnum() else " " for c in name.lower()).split()
    return any(part.rstrip("s").removesuffix("id") in words for part in parts)


def _time(events: Surveyed, taken: set[str]) -> str | None:
    times = [c for c in events.columns if c.kind == "time" and c.name not in taken]
    named = [c for c in times if any(word in c.name.lower().replace("-", "_").split("_") for word in _TIME)]
    return (named or times)[0].name if times else None


def _columns(table: Surveyed) -> str:
    return "; ".join(f"{c.name} ({c.told()})" for c in table.columns)


def _choices(tables: list[Surveyed]) -> str:
    return "the tables: " + ", ".join(f"{t.path} ({', '.join(c.name for c in t.columns)})" for t in tables)
