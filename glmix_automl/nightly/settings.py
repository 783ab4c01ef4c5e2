"""The configuration of a night: which files it works by, what it refuses, how it decides, what it keeps."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pydantic

from glmix_automl import config
from glmix_automl.config import Config
from glmix_automl.errors import ConfigError
from glmix_automl.serving.champion import PromotionRule


class GateRule(Config):
    """What today's dataset may differ from the last good night's; null for no bound."""

    rows: float | None = pydantic.Field(default=0.5, gt=0, lt=1)
    """Largest share of the training rows that may be missing, or be added twice over."""
    base_rate: float | None = pydantic.Field(default=0.25, gt=0)
    """Largest change of the base rate, relative."""
    fill: float | None = pydantic.Field(default=0.2, gt=0, le=1)
    """Largest fall of the share of training rows in which a feature is filled."""
    unseen: float | None = pydantic.Field(default=0.3, gt=0, le=1)
    """Largest rise of the share of terms in validation that train has not seen."""


class ChoiceRule(Config):
    """When the cheaper of the three ways to a new model suffices."""

    drift: float = pydantic.Field(default=0.25, ge=0)
    """Mean drift of the features since the last search (0 to 1) above which the night searches again."""
    auc_drop: float = pydantic.Field(default=0.01, ge=0)
    """Fall of the champion's AUC, from when it was promoted to today's rows, above which the night searches again."""
    refresh_drift: float = pydantic.Field(default=0.1, ge=0)
    """Drift up to which it is enough to refresh a model's random effects, the rest locked."""
    refresh_auc_drop: float = pydantic.Field(default=0.003, ge=0)
    """Fall of the champion's AUC up to which that is enough."""
    search_every: int = pydantic.Field(default=7, ge=1)
    """Nights after which it searches again whatever happens; 1 searches every night."""


class NightSettings(Config):
    """One night. `{key}`, `{date}` and `{date-1}` in any text here, or in the files it names, are the night's own."""

    recipe: str
    """Of the preparation: a YAML file."""
    search: str
    """The race for when the night searches: a YAML file; its dataset and study are the night's."""
    score: str | None = None
    """What to score with the champion: a YAML file; null scores nothing."""
    home: str = "nights"
    """Folder of the nights: each has one in it, named after its key."""
    name: str | None = None
    """Of the registered model; the dataset's unless given."""
    overrides: dict[str, dict[str, Any]] = {}
    """`recipe`, `search` or `score` -> what is laid over that file: `search: {limits: {seconds: 600}}`."""
    gate: GateRule = GateRule()
    choice: ChoiceRule = ChoiceRule()
    promotion: PromotionRule = PromotionRule()
    keep: int = pydantic.Field(default=7, ge=1)
    """Nights kept; older ones are removed, but for those that the champion or the next night needs."""

    @pydantic.field_validator("overrides")
    @classmethod
    def _known(cls, given: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if unknown := set(given) - {"recipe", "search", "score"}:
            raise ValueError(f"expected recipe, search or score, got {', '.join(sorted(unknown))}")
        return given

    def laid_over(self, file: str) -> list[str]:
        """The overrides of one of the files, as `config.load` takes them."""
        return [f"{key}={json.dumps(value)}" for key, value in _leaves(self.overrides.get(file, {}))]


def _leaves(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def load_night(path: str, key: str, overrides: list[str]) -> NightSettings:
    """Reads a night's configuration with its dates filled.

    Raises:
        ConfigError: as `config.load`; a key that is no name for a folder.
    """
    if not key or key != Path(key).name or key.startswith("."):
        raise ConfigError(f"--key {key!r}: must be a name for a folder, such as 2026-11-28")
    return config.load(path, NightSettings, overrides, key)
