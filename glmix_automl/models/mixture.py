"""Mixtures: coordinates that weigh what earlier trials scored, and have no columns of their own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from glmix_automl.ensemble import MIXTURE, Ensemble, Floats
from glmix_automl.models.coordinate import Coordinate, Form
from glmix_automl.models.family import FamilyParameters, ModelFamily
from glmix_automl.schema import Schema
from glmix_automl.trial import MixtureFit


@dataclass(frozen=True)
class Targets:
    """What a fit needs of a split besides the members' scores; all [rows].

    Attributes:
        label: in [0, 1]; soft labels allowed.
        weight: positive, or None for 1.
        offset: log-odds added to every score, or None for 0.
        member: code of each row's member, int, or None where rows belong to nobody.
    """

    label: Floats
    weight: Floats | None = None
    offset: Floats | None = None
    member: np.ndarray | None = None


@dataclass(frozen=True)
class CachedScores:
    """A split as mixtures see it.

    Attributes:
        targets: of its rows.
        of: the scores of a trial, float32 [rows].
    """

    targets: Targets
    of: Callable[[int], Floats]


class Mixture(Coordinate):
    """A weighted sum of what earlier trials scored; its weights are in the trial's result, nothing is saved beside.

    Attributes:
        fit: what to weigh, given before training.
        ensemble: what was found.
    """

    form = Form.SCORES

    def __init__(self, schema: Schema, parameters: FamilyParameters, seed: int) -> None:
        super().__init__(MIXTURE, schema, parameters)
        self.fit: MixtureFit | None = None
        self.ensemble = Ensemble()

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """See `Coordinate`; none."""
        return {}

    def restore(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        """See `Coordinate`; there is nothing to restore."""

    def score(self, rows: CachedScores) -> np.ndarray:
        """See `Coordinate`."""
        return self.ensemble.score(rows.of, len(rows.targets.label))


MIXTURE_FAMILY = ModelFamily(
    MIXTURE, FamilyParameters, Mixture, trainer=lambda chosen: "mixture", complexity=lambda chosen: 0.0
)
