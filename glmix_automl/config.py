"""A YAML file becomes the frozen, checked object it is asked for; nothing else.

YAML is read as version 1.2 says: only `true` and `false` are booleans, so `yes`, `no`, `on` and dates are text, and
`1e-3` is a number. Where text is meant a number is refused, since what it looked like (`007`, `1.50`) is lost.
"""

import copy
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import pydantic
import yaml

from glmix_automl.dates import fill
from glmix_automl.errors import ConfigError


class Config(pydantic.BaseModel):
    """Base of every configuration and saved description: frozen, unknown keys refused, docstrings per field."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class _Loader(yaml.SafeLoader):
    """Scalars as YAML 1.2 has them, which PyYAML has not yet; a key given twice is an error, as there."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As PyYAML does, which lets the last of two equal keys win."""
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and first.setdefault(key.value, key) is not key:
                raise yaml.constructor.ConstructorError(
                    "a mapping", node.start_mark, f"has the key {key.value!r} twice", key.start_mark
                )
        return dict(super().construct_mapping(node, deep))

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Decimal, whatever it begins with."""
        return int(node.value)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"({_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


ConfigType = TypeVar("ConfigType", bound=Config)
Element = TypeVar("Element")
_SCALARS = {"bool", "int", "float", "str"}


def load(
    given: str | Path | Mapping[str, Any], kind: type[ConfigType], overrides: Iterable[str] = (), key: str | None = None
) -> ConfigType:
    """Reads a YAML file, or plain data, as `kind`.

    Args:
        given: the file, or what would be in it.
        kind: the configuration class.
        overrides: `dotted.key=value` texts laid over it before it is checked; the value is read as YAML, a
            number in the key indexes a list.
        key: of the night, by which `{key}`, `{date}` and `{date-1}` in texts are filled; none: they stay as they are.

    Raises:
        ConfigError: no such file, not YAML, an unknown key, a value out of range: which, where, what was expected.
    """
    content = copy.deepcopy(dict(given)) if isinstance(given, Mapping) else _read(given)
    content = lay_over(content, overrides)
    where = "configuration" if isinstance(given, Mapping) else str(given)
    return parse(content if key is None else fill(content, key), kind, where)


def _read(path: str | Path) -> dict[str, Any]:
    """Keys and values of a YAML file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text: {error.reason} at byte {error.start}") from error
    content = read_yaml(text, str(path))
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values at the top, got {type(content).__name__}")
    return content


def read_yaml(text: str, where: str) -> Any:
    """Plain data of YAML 1.2.

    Raises:
        ConfigError: it is none; `where` says what.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not valid YAML: {error}") from error


def lay_over(content: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Plain data with `dotted.key=value` texts laid over it, in place.

    Raises:
        ConfigError: a text has no value, or names a place that is not there.
    """
    for override in overrides:
        _lay_over(content, override)
    return content


def pick(table: Mapping[str, Element], name: str, problem: str) -> Element:
    """What a table has under a name that a person wrote.

    Raises:
        ConfigError: nothing: `problem`, the name, the nearest one and all there are.
    """
    if name not in table:
        raise ConfigError(f"{problem} {name!r}{nearest(name, table)}; there are {', '.join(table)}")
    return table[name]


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'width'?` where a name was all but written; nothing where none is near."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def parse(content: Mapping[str, Any], kind: type[ConfigType], where: str) -> ConfigType:
    """Checks plain data as `kind`; errors name `where` and the key.

    Raises:
        ConfigError: as `load`.
    """
    try:
        return kind.model_validate(content)
    except pydantic.ValidationError as error:
        told = (_explain(where, detail, kind) for detail in _settled(error.errors()))
        raise ConfigError("\n".join(dict.fromkeys(told))) from error


def _settled(details: Sequence[Any]) -> list[dict[str, Any]]:
    """Errors, those of a value that may be any scalar and is none once instead of once per type."""
    types: dict[tuple[Any, ...], set[Any]] = {}
    for detail in details:
        types.setdefault(detail["loc"][:-1], set()).add(detail["loc"][-1] if detail["loc"] else None)
    return [
        {**detail, "loc": detail["loc"][:-1], "type": "scalar", "msg": "expected a number, a text, true or false"}
        if types[detail["loc"][:-1]] >= _SCALARS and detail["loc"][-1] in _SCALARS
        else dict(detail)
        for detail in details
    ]


def _explain(where: str, detail: Any, kind: type[pydantic.BaseModel]) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] in ("string_type", "invalid_key") and isinstance(detail["input"], bool | int | float):
        return _ask_for_quotes(where, detail)
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key {key!r}{nearest(str(detail['loc'][-1]), _keys(kind, detail['loc'][:-1]))}"
    if detail["type"] == "missing":
        return f"{where}: missing key {key!r}"
    message = detail["msg"].removeprefix("Value error, ")
    place = f"{where}: {key}" if key else where
    if detail["type"] == "union_tag_invalid":
        context = detail["ctx"]
        known = [each.strip().strip("'") for each in context["expected_tags"].split(",")]
        key = context["discriminator"].strip("'")
        return f"{place}: no {key} {context['tag']!r}{nearest(context['tag'], known)}; there are {', '.join(known)}"
    if detail["type"] == "literal_error" and isinstance(detail["input"], str):
        known = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
        message = f"expected {detail['ctx']['expected']}, got {detail['input']!r}{nearest(detail['input'], known)}"
        return f"{place}: {message}"
    shown = "" if isinstance(detail["input"], dict | list) else f", got {detail['input']!r}"
    return "\n".join(f"{place}: {line}{shown}" for line in message.splitlines())


def _ask_for_quotes(where: str, detail: Any) -> str:
    """A number, true or false where text is meant, as a value or as a key."""
    is_key = detail["type"] == "invalid_key" or detail["loc"][-1] == "[key]"
    path = [str(part) for part in detail["loc"] if part != "[key]"]
    place = ".".join(path[:-1] if is_key else path)
    given = str(detail["input"]).lower() if isinstance(detail["input"], bool) else detail["input"]
    what = "a key is text" if is_key else "expected text"
    return f"{where}: {place}: {what}, got {given}: write it in quotes, as it is meant".replace(": : ", ": ")


def _keys(kind: Any, place: Sequence[int | str]) -> list[str]:
    """Keys of the configurations that may stand at a place inside `kind`."""
    kinds = [kind]
    for part in place:
        fields = [each.model_fields.get(str(part)) for each in kinds if hasattr(each, "model_fields")]
        inside = [model for field in fields if field is not None for model in _models(field.annotation)]
        kinds = inside or kinds  # a position in a list, or a name in a mapping, stays where it is
    return [key for each in kinds if hasattr(each, "model_fields") for key in each.model_fields]


def _models(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def _lay_over(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: expected KEY=VALUE, for example --set seed=3")
    *path, last = key.split(".")
    place: Any = content
    for part in path:
        if isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        elif isinstance(place, dict):
            place = place.setdefault(part, {})
        else:
            raise ConfigError(f"--set {override}: there is no {part!r} to set in")
    value = read_yaml(text, f"--set {override}")
    if isinstance(place, list) and last.isdigit() and int(last) < len(place):
        place[int(last)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise ConfigError(f"--set {override}: there is no {last!r} to set")
