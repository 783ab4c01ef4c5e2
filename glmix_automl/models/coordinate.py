"""The role of a coordinate, one term `h_k` of the model."""

import abc
import enum
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from glmix_automl.dataset.block import Block
from glmix_automl.models.family import FamilyParameters
from glmix_automl.schema import Schema


class Form(enum.Enum):
    """What of a split's rows a coordinate is trained on and scores."""

    TENSORS = "tensors"
    """`models.rows.Rows`: TensorFlow's tensors, kept in memory once for all coordinates of this form."""
    BLOCK = "block"
    """`dataset.Block`: numpy columns with the rows' entity codes, the whole split in its order on every rank."""
    SCORES = "scores"
    """`models.mixture.CachedScores`: what earlier trials scored, of the whole split on every rank."""


class Coordinate(abc.ABC):
    """One term of the model: arrays that score rows. The offset is added by who trains, so scores never include it.

    Attributes:
        form: of the rows that `score` and the family's trainer take.
        family: name of the family.
        schema: of the dataset it takes.
        parameters: all of them, resolved: the family's own type.
    """

    form: ClassVar[Form] = Form.TENSORS

    def __init__(self, family: str, schema: Schema, parameters: FamilyParameters) -> None:
        self.family = family
        self.schema = schema
        self.parameters: Any = parameters

    @property
    @abc.abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Every trained array by name: what is saved; none if there is nothing to save."""

    @abc.abstractmethod
    def restore(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        """Takes on saved arrays.

        Raises:
            DataError: one is missing or does not fit; names `where`.
        """

    @abc.abstractmethod
    def score(self, rows: Any) -> np.ndarray:
        """Score of each row, without the offset: float32 [rows].

        Args:
            rows: in the coordinate's `form`.
        """

    in_graph: ClassVar[bool] = False
    """Whether TensorFlow computes its scores (`Differentiable.graph`)."""
    is_linear: ClassVar[bool] = False
    """Whether its scores are sums of what each feature adds, so that `terms` says it."""

    def terms(self, block: Block) -> dict[str, np.ndarray]:
        """What each feature adds to each row's score: feature -> float32 [rows], the intercept left out.

        Args:
            block: rows with their entities' codes, whatever the coordinate's form.

        Raises:
            NotImplementedError: of a coordinate that is not linear.
        """
        raise NotImplementedError(f"{self.family} is not linear")

    def prepare(self, rows: Any) -> Any:
        """Rows in the form that training takes; called once for many steps."""
        return rows

    @property
    def entities(self) -> tuple[str, ...]:
        """Names of what it has models for, entities or categoricals; none where it is one for all."""
        return ()

    def effects(self) -> pa.Table | None:
        """What it knows of each entity: `entity`, `effect` (list of column and value); None where it is one for all."""
        return None

    def take_effects(self, effects: pa.Table) -> None:
        """Knows some entities instead of all: rows of `effects`, each entity once."""
        raise NotImplementedError(f"{self.family} has no entities")

    def listed(self) -> pa.Table | None:
        """Its weights as a table to be read by people and other programs, where that makes sense."""
        return None

    @property
    def size(self) -> int:
        """Number of trained weights."""
        return sum(array.size for array in self.arrays.values())
