"""Dates in configurations: `{key}`, `{date}`, `{date-1}` in any text become the night's own."""

import datetime
import re
from collections.abc import Mapping
from typing import Any

from glmix_automl.errors import ConfigError

_PLACE = re.compile(r"\{(key|date)(?:([+-])(\d+))?\}")


def fill(content: Any, key: str) -> Any:
    """Plain data with the places in its texts filled.

    Args:
        content: what a YAML file holds.
        key: of the night; the first ten characters are its date where `{date}` is used.

    Raises:
        ConfigError: `{date}` is used and the key does not begin with a date.
    """
    if isinstance(content, Mapping):
        return {name: fill(value, key) for name, value in content.items()}
    if isinstance(content, list):
        return [fill(value, key) for value in content]
    return _PLACE.sub(lambda found: _fill(found, key), content) if isinstance(content, str) else content


def _fill(found: "re.Match[str]", key: str) -> str:
    kind, sign, days = found.groups()
    if kind == "key" and days is None:
        return key
    try:
        date = datetime.date.fromisoformat(key[:10])
    except ValueError as error:
        raise ConfigError(
            f"{found.group(0)} needs a date, and the key {key!r} does not begin with one, such as 2026-11-28"
        ) from error
    return (date + datetime.timedelta(days=int(days or 0) * (-1 if sign == "-" else 1))).isoformat()
