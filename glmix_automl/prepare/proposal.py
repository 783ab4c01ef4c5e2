"""A recipe and a search file for tables nobody has described yet, with comments that say what was assumed."""

import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from types import MappingProxyType

from glmix_automl.errors import ConfigError
from glmix_automl.prepare.roles import GraphRoles, InteractionRoles, Role
from glmix_automl.prepare.survey import Column, Surveyed
from glmix_automl.schema import FIXED

_CODES = 10
"""Different whole numbers up to which an attribute of nodes is taken for a code, which ends may share."""
_NEARLY_ALL = 0.5
_COMMON = 5
"""Terms that a member's and an item's column of different names need in common to be taken for terms of one kind."""
_FOLLOWED = 300
"""Different values up to which an attribute of items is worth a history."""
_YES = ("yes", "true", "click", "clicked", "apply", "applied", "buy", "purchase", "like", "positive", "y", "t")


def recipe(roles: InteractionRoles | GraphRoles, name: str, positive: str | None = None) -> str:
    """The recipe as YAML.

    Raises:
        ConfigError: the response is no two values and no numbers, so that nothing says what is positive.
    """
    lines = list(_interactions(roles, positive) if isinstance(roles, InteractionRoles) else _network(roles))
    kind = "interactions" if isinstance(roles, InteractionRoles) else "graph"
    head = [
        "# Written by `glmix-automl init` from a look at the tables: read the comments, change what is wrong, then",
        f"#   glmix-automl prepare {name}.yaml && glmix-automl search {name}-search.yaml",
        f"recipe: {kind}",
        f"name: {_text(name)}",
        f"output: {_text(f'{name}-dataset')}",
        "seed: 1",
        "",
    ]
    return "\n".join([*head, *lines, ""])


def _interactions(roles: InteractionRoles, positive: str | None) -> Iterator[str]:
    taken = {roles.member.column, roles.item.column, roles.label, roles.time, roles.uid, roles.weight}
    yield from _events(roles, positive)
    yield "  # What describes the moment must be known before the response: remove what is not."
    yield from _features([c for c in roles.events.columns if c.name not in taken], "  ", {})
    followed: list[str] = []
    used = {name for name in taken if name is not None} | {c.name for c in roles.events.columns}
    shared = dict(zip(("members", "items"), _shared(roles), strict=True))
    for place, role in (("members", roles.member), ("items", roles.item)):
        if role.table is None:
            continue
        clash = {c.name: f"{place[:-1]}_{c.name}" for c in role.table.columns if c.name in used and c.name != role.key}
        clash |= _clashes(role.table, {c.name for c in role.table.columns} & set(FIXED))
        used |= {clash.get(c.name, c.name) for c in role.table.columns if c.name != role.key}
        yield from _attributes(place, role, clash, shared[place])
        if place == "items":
            followed = [_followed(c, clash) for c in _worth_following(role)]
    if followed:
        yield "history:"
        yield "  attributes:  # of items, whose past is followed over all members and per member"
        yield from followed
    yield ""
    if roles.time is not None:
        yield "split: {by: time, fractions: {train: 0.8, validation: 0.1, test: 0.1}}"
    else:
        yield "split: {by: random}"


def _events(roles: InteractionRoles, positive: str | None) -> Iterator[str]:
    """The interactions' table and the roles of its columns."""
    events = roles.events
    names = {c for c in (roles.member.column, roles.item.column) if c is not None}
    rename = _clashes(events, names & set(FIXED))
    yield "interactions:"
    yield from _table(events, "  ", rename)
    for what, column in (("member", roles.member.column), ("item", roles.item.column)):
        yield f"  {what}: {_text(rename.get(column, column))}  # {events.column(column).told()}"
    if roles.label is None:
        yield "  # Every row is a response. Negatives are items that others had taken by then and the member had not;"
        yield "  # `by: popularity` draws what is often taken more often."
        yield "  sampled_negatives: {per_positive: 4, by: uniform}"
    else:
        yield f"  label: {_label(events.column(roles.label), positive)}"
    if roles.time is not None:
        yield f"  timestamp: {{column: {_text(roles.time)}}}  # its unit is told from most values, see the data report"
    else:
        yield "  # no column looks like a time: history is in an order that is drawn, and the split at random"
    if roles.uid is not None:
        yield f"  uid: {_text(roles.uid)}  # a value of its own in every row"
    if roles.weight is not None:
        yield f"  weight: {_text(roles.weight)}"


def _network(roles: GraphRoles) -> Iterator[str]:
    yield "edges:"
    yield from _table(roles.edges, "  ", {})
    yield f"  source: {_text(roles.source)}"
    yield f"  target: {_text(roles.target)}"
    yield "  directed: false  # whether a link back is another link; the tables do not say it"
    if roles.time is not None:
        yield f"  timestamp: {{column: {_text(roles.time)}}}"
    if roles.nodes:
        yield ""
        yield "nodes:"
    used: set[str] = set()
    for table, key in roles.nodes:
        columns = [c for c in table.columns if c.name != key]
        clash = {c.name: f"{table.name}_{c.name}" for c in columns if c.name in used}
        used |= {clash.get(c.name, c.name) for c in columns}
        if table.lists:
            yield f"  - table: {{path: {_text(table.path)}}}  # {table.guessed[0]}"
            yield "    lists: attributes"
        else:
            inner = list(_table(table, "    ", clash))
            yield f"  - {inner[0].lstrip()}"
            yield from inner[1:]
            yield f"    key: {_text(key)}"
        coded = [_as_code(c) for c in columns]
        features = list(_features([c for c in coded if c.kind != "map"], "    ", clash))
        if not any(line.lstrip().startswith("- ") for line in features):
            raise ConfigError(f"{table.path} has no column that could be an attribute of nodes: leave it out")
        yield from features
    yield ""
    yield "hidden: {by: random, share: 0.1}  # a tenth of the links is hidden and to be found again"
    yield "candidates: {negatives: 4}"


def _as_code(column: Column) -> Column:
    if column.kind == "number" and column.whole and column.distinct <= _CODES:
        return Column(column.name, "text", column.rows, column.filled, column.ids)
    return column


def _table(table: Surveyed, indent: str, rename: dict[str, str]) -> Iterator[str]:
    """The key `table`."""
    for guess in table.guessed:
        yield f"{indent}# {table.path}: {guess}"
    keys = {**table.table, **({"rename": rename} if rename else {})}
    yield f"{indent}table: {{{', '.join(f'{k}: {_value(v)}' for k, v in keys.items())}}}"


def _shared(roles: InteractionRoles) -> tuple[dict[str, str], dict[str, str]]:
    """Columns of members and of items that have much the same terms -> the vocabulary that they share."""
    members, items = (
        [c for c in role.table.columns if c.name != role.key] if role.table is not None else []
        for role in (roles.member, roles.item)
    )
    names = {c.name for c in (*roles.events.columns, *members)}
    own: dict[str, str] = {}
    others: dict[str, str] = {}
    for one, other in product(members, items):
        if _alike(one, other):
            is_free = other.name == one.name or other.name not in names
            name = other.name if is_free else f"{one.name}_{other.name}"
            own[one.name] = others[other.name] = own.get(one.name) or others.get(other.name) or name
    return own, others


def _alike(one: Column, other: Column) -> bool:
    """Whether two columns tell terms of one kind: of one name where most are in both; else where most of the fewer are,
    and enough that they are no flags or grades, which many columns have in common.
    """
    if {one.kind, other.kind} - {"text", "list"}:
        return False
    both = len(one.ids & other.ids)
    if one.name == other.name and one.kind == other.kind:
        return 2 * both > len(one.ids | other.ids)
    return both >= _COMMON and 2 * both > min(one.distinct, other.distinct)


def _attributes(place: str, role: Role, rename: dict[str, str], shared: Mapping[str, str]) -> Iterator[str]:
    assert role.table is not None, "an entity without a table has no attributes"
    yield ""
    yield f"{place}:"
    yield from _table(role.table, "  ", rename)
    yield f"  key: {_text(role.key)}  # one row per value; found by {role.column!r}"
    yield from _features([c for c in role.table.columns if c.name != role.key], "  ", rename, shared)


def _features(
    columns: list[Column], indent: str, rename: dict[str, str], shared: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """The key `features`, columns that are left out as comments; `shared` ones name their vocabulary."""
    made, left = [], []
    for column in columns:
        name = rename.get(column.name, column.name)
        how, why = _feature(column)
        named = f", name: {_text(f'{name}_feature')}" if name in FIXED else ""
        named += f", vocabulary: {_text(shared[column.name])}" if column.name in shared else ""
        if how is None:
            left.append(f"{indent}  # {_text(name)} is left out: {why}")
        else:
            made.append(f"{indent}  - {{{how.format(_text(name))}{named}}}  # {why}")
    if made:
        yield f"{indent}features:"
        yield from made
    yield from left


def _feature(column: Column) -> tuple[str | None, str]:
    """A feature's keys with a place for the source, or None; and what was seen."""
    if column.kind in ("empty", "other"):
        return None, column.told()
    if column.kind in ("number", "text") and column.distinct < 2:
        return None, "one value only"
    if column.kind == "time":
        return "kind: numeric, source: {}, transform: quantile", column.told()
    if column.kind == "number":
        return "kind: numeric, source: {}" + (", transform: log" if column.skewed else ""), column.told()
    if column.kind == "map":
        return "kind: bag, source: {}, weighted: true", column.told()
    if column.kind == "list":
        mark = f", separator: {_value(column.separator)}" if column.separator else ""
        return "kind: bag, source: {}" + mark, column.told()
    if column.distinct > _NEARLY_ALL * column.filled and column.distinct > 20:
        return None, f"nearly every row has a text of its own ({column.told()})"
    return "kind: categorical, source: {}", column.told()


def _worth_following(role: Role) -> list[Column]:
    """Attributes of items with few values, the ones with the most of them first; two at most."""
    assert role.table is not None, "an entity without a table has no attributes"
    able = [
        c
        for c in role.table.columns
        if c.name != role.key and c.kind in ("text", "list") and 2 < c.distinct <= _FOLLOWED and _feature(c)[0]
    ]
    return sorted(able, key=lambda c: -c.distinct)[:2]


def _followed(column: Column, rename: dict[str, str]) -> str:
    mark = f", separator: {_value(column.separator)}" if column.separator else ""
    name = rename.get(column.name, column.name)
    return f"    - {{column: {_text(name)}{mark}}}"


def _label(column: Column, positive: str | None) -> str:
    """The rule of the response, and why."""
    name = _text(column.name)
    if positive is not None:
        return f"{{column: {name}, positive: [{_text(positive)}]}}"
    if {text.lower() for text in column.ids} <= {"0", "1", "true", "false"}:
        return f"{{column: {name}}}"
    if column.kind == "number":
        values = sorted(map(float, column.ids))
        # The distinct values say nothing of how often each is there; the upper half of the scale is what people mean.
        least = next((v for v in values if v > (values[0] + values[-1]) / 2), values[-1])
        return f"{{column: {name}, at_least: {least:g}}}  # assumed: the upper half of {column.told()} is positive"
    yes = sorted(text for text in column.ids if text.lower() in _YES)
    if len(yes) == 1:
        return f"{{column: {name}, positive: [{_text(yes[0])}]}}  # of {', '.join(sorted(column.ids)[:6])}"
    raise ConfigError(
        f"which value of {column.name!r} is a positive response? Add --positive VALUE; it has "
        f"{', '.join(sorted(column.ids)[:12])}"
    )


def _clashes(table: Surveyed, reserved: set[str]) -> dict[str, str]:
    return {c.name: f"{c.name}_id" for c in table.columns if c.name in reserved}


def _text(value: str) -> str:
    """A YAML scalar that reads as this text: plain where that is safe."""
    plain = value.replace("_", "").replace("-", "").isalnum() and value.isascii() and not value[:1].isdigit()
    if plain and value.lower() not in ("yes", "no", "true", "false", "null", "on", "off", "y", "n"):
        return value
    return json.dumps(value)


def _value(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(k)}: {_value(v)}' for k, v in value.items())}}}"
    return json.dumps(value)


SEARCH = """\
# The search for {name}. Without a `race` it is the default one, which follows from the dataset: logistic regression,
# trees, tuned networks, growth, and all of these weighed together. docs/search.md lists every key.
dataset: {dataset}
study: {study}
seed: 1
workers: {{place: local, slots: 2}}
limits: {{seconds: 300}}  # a longer race finds more; without the line its length follows from the rows
"""


def search(name: str) -> str:
    """The search file as YAML."""
    return SEARCH.format(name=name, dataset=_text(f"{name}-dataset"), study=_text(f"{name}-study"))


def name_of(tables: list[Surveyed]) -> str:
    """A name for the data: that of the tables' folder."""
    folder = Path(tables[0].path).resolve().parent.name
    return "".join(c if c.isalnum() else "-" for c in folder).strip("-").lower() or "data"
