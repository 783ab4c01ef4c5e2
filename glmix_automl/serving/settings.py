"""What a scoring file says: what to score, with what, and where to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic

from glmix_automl import config
from glmix_automl.config import Config
from glmix_automl.errors import ConfigError
from glmix_automl.prepare.recipe import Table


class ScoreSettings(Config):
    """What to score, with what, and where to."""

    kind: Literal["table", "interactions", "graph"] = "table"
    """`table`: rows that bring all raw columns; `interactions`: members, items and times, looked up in the recipe's
    tables and in the past; `graph`: pairs of the network as it is now."""
    model: str
    """Folder of a model or a study, or `models:/NAME@champion`, `models:/NAME/VERSION`."""
    registry: str | None = None
    """URI of the MLflow server or store, for registered models."""
    rows: Table | None = None
    """What to score: rows with the model's raw columns; members, items and times; or pairs `left`, `right`. Of the last
    two kinds all candidates of all members, unless given."""
    root: str | None = None
    """What relative paths start from; of the recipe's tables the recipe's own unless given."""
    tables: dict[str, str] = {}
    """Part of the recipe (`interactions`, `members`, `items`, `edges`, `nodes`) -> path of its table today;
    interactions are those that the model does not know yet, and none unless given."""
    history: Literal["carried", "given"] = "carried"
    """`carried`: from what the model knows, and newer interactions; `given`: from the interactions alone, for rows of
    times that the model knows already."""
    at: str | float | None = None
    """The moment of rows that bring no time: ISO text, seconds since the epoch, or `end`, the end of what the model
    knows; now unless given."""
    members: Table | None = None
    """Whose candidates to score: a table with their ids under the recipe's name (`left` of a network); all unless
    given. Candidates of members are all items of the recipe's table."""
    sample: int | None = pydantic.Field(default=None, ge=1)
    """Candidates of so many of the members, chosen by a hash of their ids."""
    output: str
    """Folder of the scores; what is there is replaced when the new ones are whole."""
    engine: Literal["auto", "local", "spark"] = "auto"
    """`local` scores in this process; `auto` does where only Spark reads the table."""
    top: int | None = pydantic.Field(default=None, ge=1)
    """Keeps each member's best so many, ranked from 1."""
    coordinates: bool = False
    """Adds a column per coordinate: its share of the score."""
    explain: int = pydantic.Field(default=0, ge=0)
    """Adds each row's so many largest shares by coordinate and feature."""

    @pydantic.field_validator("at", mode="before")
    @classmethod
    def _as_text(cls, moment: Any) -> Any:
        return moment.isoformat() if hasattr(moment, "isoformat") else moment  # YAML makes dates of ISO text

    @pydantic.model_validator(mode="after")
    def _rows_or_candidates(self) -> "ScoreSettings":
        if self.rows is None and self.kind == "table":
            raise ValueError("kind table needs `rows`: the table to score")
        if self.rows is not None and (self.members is not None or self.sample is not None):
            raise ValueError("`members` and `sample` are of candidates: leave `rows` out")
        return self

    @property
    def given(self) -> Table:
        """The table to score."""
        assert self.rows is not None, "checked when the settings are read"
        return self.rows


def load_scoring(path: str | Path, overrides: Sequence[str] = (), key: str | None = None) -> ScoreSettings:
    """Reads a scoring file.

    Raises:
        ConfigError: as `config.load`.
    """
    return config.load(path, ScoreSettings, overrides, key)


def wants_spark(settings: ScoreSettings, why: str | None) -> bool:
    """Whether Spark scores; `why` says why only it can, if so.

    Raises:
        ConfigError: `engine: local` for what only Spark reads.
    """
    if settings.engine == "local" and why is not None:
        raise ConfigError(f"engine local: {why}; set engine: spark")
    return settings.engine == "spark" or why is not None
