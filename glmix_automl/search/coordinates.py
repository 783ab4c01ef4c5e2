"""Coordinate descent, the classic GLMix (Zhang et al., KDD 2016): a list of fixed and random effects, each fitted in
turn with what the others score as its offset, over and over.
"""

import math
from collections.abc import Sequence
from typing import Literal

import pydantic

from glmix_automl.config import Config
from glmix_automl.ensemble import MIXTURE, Ensemble
from glmix_automl.seeds import derive
from glmix_automl.trial import FitSplit, MixtureFit, Result, Trial, Value


class CoordinateOptions(Config):
    """A term of the sum."""

    family: str
    """Key of the model family: logistic, trees, ... for what holds for all, random_effect for what is each its own."""
    parameters: dict[str, Value] = {}
    """Hyperparameters."""
    epochs: float = pydantic.Field(default=1.0, gt=0)
    """Budget of a fit in passes over the training rows."""
    name: str = ""
    """What it is called; the family, if empty."""
    checkpoint: str | None = None
    """Folder of a coordinate that it begins from: `trials/<number>` of an earlier study, or `coordinates/<number>` of
    an exported model."""
    locked: bool = False
    """Whether it stays as the first sweep fitted it; or as its checkpoint has it, if there is one."""


class CoordinatesOptions(Config):
    """Which terms, in which order, and how often."""

    coordinates: tuple[CoordinateOptions, ...] = pydantic.Field(min_length=1)
    """The list, in the order in which they are fitted."""
    sweeps: int = pydantic.Field(default=3, ge=1)
    """Passes over the list, at most."""
    improvement: float = pydantic.Field(default=1e-4, ge=0)
    """By which a sweep's measure on validation must be better than the last one's to be followed by another."""
    weighting: Literal["sum", "learned"] = "sum"
    """Weights of the terms after each sweep: 1 each, or fitted."""
    fit: FitSplit = "train"
    """Rows on which weights are fitted, if they are."""


class Coordinates:
    """Fits one coordinate after the other; after each sweep their sum is a model, and the best one on hold-out counts.

    A coordinate begins where its last fit ended. One whose trial fails is left out from there on.
    """

    def __init__(self, options: CoordinatesOptions, seed: int) -> None:
        self._options, self._seed = options, seed
        self._trials: list[Trial] = []
        self._is_out = False
        self._sweep = self._place = 0
        self._latest: dict[int, int] = {}  # the last trial of each coordinate
        self._failed: set[int] = set()
        self._best = -math.inf
        self._ended = False

    def ask(self, n: int) -> list[Trial]:
        """The next coordinate, or the sum of all at the end of a sweep; none while one is being fitted."""
        if self._ended or self._is_out or n < 1:
            return []
        self._skip()
        number = len(self._trials)
        at_end = self._place == len(self._options.coordinates)
        if at_end and not self._latest:
            self._ended = True
            return []
        trial = self._sum(number) if at_end else self._fit(number)
        self._asked(trial)
        return [trial]

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`."""
        for trial in trials:
            self._skip()
            self._asked(trial)

    def tell(self, result: Result) -> None:
        """Goes on to the next coordinate, or to the next sweep if this one brought something."""
        self._is_out = False
        if self._place < len(self._options.coordinates):
            if result.state.scored:
                self._latest[self._place] = result.number
            else:
                self._failed.add(self._place)
                self._latest.pop(self._place, None)
            self._place += 1
            return
        reached = -math.inf if result.quality is None else result.quality
        has_more = any(not c.locked and place not in self._failed for place, c in enumerate(self._options.coordinates))
        is_better = reached >= self._best + self._options.improvement
        self._best = max(self._best, reached)
        self._sweep, self._place = self._sweep + 1, 0
        self._ended = self._sweep == self._options.sweeps or not is_better or not has_more

    def _asked(self, trial: Trial) -> None:
        self._trials.append(trial)
        self._is_out = True

    def _skip(self) -> None:
        """Passes over coordinates that are not fitted again."""
        listed = self._options.coordinates
        while self._place < len(listed) and (
            self._place in self._failed or (listed[self._place].locked and self._sweep > 0)
        ):
            self._place += 1

    def _fit(self, number: int) -> Trial:
        chosen = self._options.coordinates[self._place]
        others = [trial for place, trial in sorted(self._latest.items()) if place != self._place]
        last = self._latest.get(self._place)
        return Trial(
            number=number,
            strategy="",
            family=chosen.family,
            parameters=chosen.parameters,
            epochs=chosen.epochs,
            parent=last,
            checkpoint=chosen.checkpoint if last is None else None,
            locked=chosen.locked and chosen.checkpoint is not None,
            offset=_sum_of(others) if others else None,
            seed=derive(self._seed, "coordinate", self._place),
            tags={"sweep": str(self._sweep), "coordinate": chosen.name or chosen.family},
        )

    def _sum(self, number: int) -> Trial:
        options, members = self._options, [trial for _, trial in sorted(self._latest.items())]
        return Trial(
            number=number,
            strategy="",
            family=MIXTURE,
            seed=derive(self._seed, "sum", number),
            tags={"sweep": str(self._sweep), "coordinate": "sum"},
            fit=MixtureFit(_sum_of(members), (0.0,) * len(members), options.weighting, options.fit),
        )


def _sum_of(members: Sequence[int]) -> Ensemble:
    return Ensemble(tuple(members), (1.0,) * len(members))
