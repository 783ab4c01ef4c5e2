"""`night.json`: what each step of a night did, for schedulers and for the nights after it."""

import datetime
import json
from typing import Any, Literal, TypeAlias

from glmix_automl.config import Config, parse
from glmix_automl.errors import DataError, GlmixError
from glmix_automl.layout import Folder

NIGHT = "night.json"

StepState: TypeAlias = Literal["done", "kept", "refused", "failed"]


class Step(Config):
    """One step.

    A step that is `done` or `kept` is not done again under its key; one that `failed` is, if it is worth a retry.
    """

    state: StepState
    at: str
    """UTC, ISO 8601."""
    seconds: float
    found: dict[str, Any] = {}
    """What came of it: digests, AUCs, the decision, model version, rows scored."""
    error: str | None = None
    retry: bool = True
    """Of a failed step: whether it may go better the next time."""

    @property
    def is_over(self) -> bool:
        """Whether it need not be done again."""
        return self.state in ("done", "kept")


class Night(Config):
    """All steps of one night so far."""

    version: Literal[1] = 1
    key: str
    steps: dict[str, Step] = {}

    def found(self, step: str) -> dict[str, Any]:
        """What came of a step; empty if it is not done."""
        return self.steps[step].found if step in self.steps else {}

    def is_over(self, step: str) -> bool:
        """Whether a step is done."""
        return step in self.steps and self.steps[step].is_over

    def with_step(self, name: str, step: Step) -> "Night":
        """The same with one step more, or anew."""
        return self.model_copy(update={"steps": {**self.steps, name: step}})

    @classmethod
    def read(cls, folder: Folder, key: str) -> "Night":
        """The night's record; an empty one if there is none.

        Raises:
            DataError: it cannot be read.
        """
        if not folder.exists(NIGHT):
            return cls(key=key)
        try:
            return parse(json.loads(folder.read(NIGHT)), cls, folder.path(NIGHT))
        except (ValueError, GlmixError) as error:
            raise DataError(
                f"{folder.path(NIGHT)}: is no record of a night: {error}; remove it to begin again"
            ) from error

    def write(self, folder: Folder) -> None:
        """Writes it, whole or not at all."""
        folder.write(NIGHT, self.model_dump_json(indent=1))


def nights(home: Folder) -> list[Night]:
    """The records of all nights, the last first."""
    keys = sorted((name for name in home.folders() if home.exists(f"{name}/{NIGHT}")), reverse=True)
    return [Night.read(home.within(key), key) for key in keys]


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
