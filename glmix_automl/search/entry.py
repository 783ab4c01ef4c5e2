"""What every strategy of a race is told, whatever its way of choosing, and how a choice becomes a trial."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

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
FAMILY_CHOICE = "family"
"""Name of the parameter of a space that chooses the family."""
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

    def settle(self, chosen: Mapping[str, Value]) -> tuple[str, dict[str, Value]]:
        """Family and parameters of a trial that tries what is chosen beside the fixed ones: of those written
        `family.parameter` it has its own family's.
        """
        every = {**self.parameters, **chosen}
        family = self.family if self.family is not None else str(every.pop(FAMILY_CHOICE))
        own = f"{family}."
        return family, {n.removeprefix(own): v for n, v in every.items() if "." not in n or n.startswith(own)}


def _belonging(written: Any) -> Any:
    """A space as written, where what is called `family.parameter` exists only for that family."""
    if not isinstance(written, Mapping):
        return written
    return {
        name: {**told, "when": {FAMILY_CHOICE: name.split(".")[0], **told.get("when", {})}}
        if "." in name and isinstance(told, Mapping)
        else told
        for name, told in written.items()
    }


class SpaceWork(EntryWork):
    """The same, with a space to choose the other parameters from."""

    space: Annotated[Space, pydantic.BeforeValidator(_belonging)]
    """The parameters to choose, by name. With a parameter `family`, those of one are written `family.parameter`."""

    @pydantic.model_validator(mode="after")
    def _check_names(self) -> "SpaceWork":
        if self.family is None and FAMILY_CHOICE not in self.space.names:
            raise ValueError("name the model family: family: logistic, subnetwork, ..., or a parameter of the space")
        if self.family is not None and FAMILY_CHOICE in self.space.names:
            raise ValueError("the family is both fixed and a parameter of the space; keep one of them")
        choice = self.space.parameters.get(FAMILY_CHOICE)
        for name in self.parameters:
            if name in self.space.names:
                raise ValueError(f"{name!r} is both fixed and a parameter of the space; keep one of them")
            if "." in name and not (choice and choice.contains(name.split(".")[0])):
                raise ValueError(f"{name!r} belongs to a family that is no choice of the space's parameter `family`")
        every = {*self.parameters, *self.space.names}
        for name in sorted(every):
            if "." in name and name.split(".", 1)[1] in every:
                raise ValueError(f"{name!r} is a parameter of all families too; write it for each that has it")
        return self

    def locate(self, trial: Trial) -> dict[str, Value]:
        """What a trial has of the space's parameters, by their names there: the inverse of `settle`."""
        of_family = {f"{trial.family}.{name}": value for name, value in trial.parameters.items()}
        known = {FAMILY_CHOICE: trial.family, **trial.parameters, **of_family}
        return {name: known[name] for name in self.space.names if name in known}


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
    family, parameters = work.settle(chosen)
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


def point(work: SpaceWork, trial: Trial) -> UnitPoint:
    """The same in the unit cube, [parameters]. Both a trial just proposed and one read from a journal are remembered by
    this point, as one decoded and encoded again may differ in its last bit.
    """
    return work.space.snap(work.space.to_unit([work.locate(trial)]))[0]


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
