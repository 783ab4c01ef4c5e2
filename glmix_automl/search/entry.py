"""What every strategy of a race is told, whatever its way of choosing, and how a choice becomes a trial."""

from collections.abc import Iterable, Mapping
from typing import Annotated

import numpy as np
import pydantic

from glmix_automl.config import Config
from glmix_automl.search.median import MedianRule
from glmix_automl.seeds import derive
from glmix_automl.space import Space, UnitPoint
from glmix_automl.trial import Trial, Value

PositiveShare = Annotated[float, pydantic.Field(gt=0, le=1)]
"""A part of something, above 0 and at most 1."""
Epochs = Annotated[float, pydantic.Field(ge=1e-3, le=1e6)]
"""Passes over the training rows."""
BUDGET_DIGITS = 6
"""Digits after the point that a budget keeps: enough for steps, few enough that 9 / 3 / 3 is 1."""


class EntryWork(Config):
    """What the trials of an entry have in common."""

    family: str | None = None
    """Model family that carries the trials out; or leave it out and let the space have a parameter `family`."""
    parameters: dict[str, Value] = pydantic.Field(default_factory=dict)
    """Parameters that stay fixed, by name."""
    epochs: Epochs = 1.0
    """Budget of a trial in passes over its training rows; where the strategy uses several budgets, the largest."""
    fraction: PositiveShare = 1.0
    """Share of the training entities a trial sees; where the strategy uses several shares, the largest."""


class SpaceWork(EntryWork):
    """The same, with a space to choose the other parameters from."""

    space: Space
    """The parameters to choose, by name."""

    @pydantic.model_validator(mode="after")
    def _check_names(self) -> "SpaceWork":
        if self.family is None and "family" not in self.space.names:
            raise ValueError("name the model family: family: logistic, subnetwork, ..., or a parameter of the space")
        if self.family is not None and "family" in self.space.names:
            raise ValueError("the family is both fixed and a parameter of the space; keep one of them")
        for name in self.parameters:
            if name in self.space.names:
                raise ValueError(f"{name!r} is both fixed and a parameter of the space; keep one of them")
        return self


class FullWork(SpaceWork):
    """The same, where every trial gets the whole budget unless it is stopped early."""

    median_rule: MedianRule | None = None
    """Stops trials that are clearly below the median at the same epoch; `{}` for its defaults. Left out: none is."""


def draft(
    work: EntryWork,
    seed: int,
    number: int,
    chosen: Mapping[str, Value],
    *,
    epochs: float | None = None,
    fraction: float | None = None,
    parent: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> Trial:
    """The trial that tries the chosen parameters beside the fixed ones.

    A promotion (`parent` given) keeps its own number and seed; what it continues is the parent's checkpoint.
    """
    parameters = {**work.parameters, **chosen}
    family = work.family if work.family is not None else str(parameters.pop("family"))
    return Trial(
        number=number,
        strategy="",
        family=family,
        parameters=parameters,
        epochs=round(work.epochs if epochs is None else epochs, BUDGET_DIGITS),
        fraction=round(work.fraction if fraction is None else fraction, BUDGET_DIGITS),
        parent=parent,
        seed=derive(seed, "trial", number),
        tags=tags or {},
    )


def varied_point(work: SpaceWork, trial: Trial) -> dict[str, Value]:
    """What a trial of `draft` tries, without the fixed parameters: a point of the space."""
    known = {"family": trial.family, **trial.parameters}
    return {name: known[name] for name in work.space.names if name in known}


def point(work: SpaceWork, trial: Trial) -> UnitPoint:
    """The same in the unit cube, [parameters]. Both a trial just proposed and one read from a journal are remembered by
    this point, as one decoded and encoded again may differ in its last bit.
    """
    return work.space.snap(work.space.to_unit([varied_point(work, trial)]))[0]


class SeenPoints:
    """Remembers points of a space, so that none is tried twice."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def new(self, snapped: UnitPoint) -> list[int]:
        """Positions of the rows neither remembered nor repeated before in the same call, [at most points]."""
        fresh: dict[bytes, int] = {}
        for row, key in enumerate(self._of(snapped)):
            if key not in self._keys:
                fresh.setdefault(key, row)
        return list(fresh.values())

    def add(self, snapped: UnitPoint) -> None:
        """Remembers every row."""
        self._keys.update(self._of(snapped))

    @staticmethod
    def _of(snapped: UnitPoint) -> Iterable[bytes]:
        # Rounded: a point decoded and encoded again may differ in its last bit.
        return (row.tobytes() for row in np.round(snapped, 10) + 0.0)
