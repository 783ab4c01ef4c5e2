"""A family as someone else would add it: parameters, coordinate, trainer and description in one file, no TensorFlow."""

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from glmix_automl.dataset import Block
from glmix_automl.errors import DataError
from glmix_automl.models.coordinate import Coordinate, Form
from glmix_automl.models.family import FamilyParameters, ModelFamily
from glmix_automl.schema import Schema
from glmix_automl.training.source import Source
from glmix_automl.training.trainer import Budget, Fit, Moment, Trainer, Watch


class StumpParameters(FamilyParameters):
    """Of a stump."""

    learning_rate: float = Field(default=1.0, ge=1e-8, le=1.0)
    """Share of the log-odds that is taken."""
    smoothing: float = Field(default=1.0, ge=0.0)
    """Rows of each label that either side is taken to have besides its own."""


class Stump(Coordinate):
    """One score for rows whose first numeric is at most 0, another for the rest: `sides`, float32 [2]."""

    form = Form.BLOCK

    def __init__(self, schema: Schema, parameters: StumpParameters, seed: int) -> None:
        super().__init__("stump", schema, parameters)
        self.sides = np.zeros(2, np.float32)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """See `Coordinate`."""
        return {"sides": self.sides}

    def restore(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        """See `Coordinate`."""
        if "sides" not in arrays or arrays["sides"].shape != (2,):
            raise DataError(f"{where}: weight 'sides' should have shape [2]")
        self.sides = np.asarray(arrays["sides"], np.float32)

    def score(self, rows: Block) -> np.ndarray:
        """See `Coordinate`."""
        return self.sides[self.side(rows)]

    def side(self, rows: Block) -> np.ndarray:
        """0 or 1 per row."""
        return (rows.numerics[:, 0] > 0).astype(np.intp)


class Counting(Trainer[Stump]):
    """Counts labels on either side; what they say beyond the offsets' mean is the score."""

    def train(self, coordinate: Stump, source: Source, budget: Budget, watch: Watch) -> Fit:
        """See `Trainer`."""
        rows, given = source.whole(), coordinate.parameters
        side = coordinate.side(rows)
        count = [np.bincount(side, rows.weight * is_one, 2) for is_one in (rows.label, 1 - rows.label)]
        odds = np.log(count[0] + given.smoothing) - np.log(count[1] + given.smoothing)
        below = np.bincount(side, rows.weight * rows.offset, 2) / np.maximum(np.bincount(side, rows.weight, 2), 1e-9)
        coordinate.sides = (given.learning_rate * (odds - below)).astype(np.float32)
        fit = Fit(steps=1, rows=source.rows, epochs=1.0, best=source.validate(coordinate))
        watch(Moment(1.0, 1, fit.best))
        return fit


STUMP = ModelFamily(
    "stump",
    StumpParameters,
    Stump,
    trainer=lambda chosen: f"{__name__}.Counting",
    complexity=lambda chosen: 1.0,
)
