"""A model as a weighted sum of trained coordinates: `bias + sum_k weights[k] * score(members[k])`."""

import dataclasses
import io
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glmix_automl.errors import DataError
from glmix_automl.layout import SCORES, Folder

Floats = NDArray[np.float32]

_CRC_BYTES = 4

MIXTURE = "mixture"
"""Family of the trials that weigh other trials' scores; they train no coordinate of their own."""


@dataclass(frozen=True)
class Ensemble:
    """Members are trials. One of family `mixture` stands for the ensemble it fitted, until that is flattened."""

    members: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    bias: float = 0.0

    def __post_init__(self) -> None:
        if len(self.members) != len(self.weights):
            raise ValueError(f"an ensemble needs a weight per member, got {len(self.weights)} for {len(self.members)}")
        if not all(map(math.isfinite, (*self.weights, self.bias))):
            raise ValueError(f"an ensemble's weights are finite, got {self.weights} and bias {self.bias}")

    @classmethod
    def of(cls, member: int) -> "Ensemble":
        """The scores of one trial as they are."""
        return cls((member,), (1.0,))

    @property
    def terms(self) -> Iterator[tuple[int, float]]:
        """Members with their weights, in order."""
        return zip(self.members, self.weights, strict=True)

    @property
    def pruned(self) -> "Ensemble":
        """The same without members of weight 0."""
        kept = [(member, weight) for member, weight in self.terms if weight]
        return Ensemble(tuple(member for member, _ in kept), tuple(weight for _, weight in kept), self.bias)

    def renumbered(self, number: Callable[[int], int]) -> "Ensemble":
        """The same model with its members named by other numbers."""
        return dataclasses.replace(self, members=tuple(number(member) for member in self.members))

    def score(self, scores: Callable[[int], Floats], rows: int) -> Floats:
        """Log-odds from the members' scores, float32 [rows]; offsets not included, members of weight 0 not read.

        Args:
            scores: of a member, float32 [rows].
            rows: how many.
        """
        total = np.full(rows, self.bias, np.float32)
        for member, weight in self.pruned.terms:
            total += np.float32(weight) * np.asarray(scores(member), np.float32)
        return total

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Ensemble":
        """The inverse of `dataclasses.asdict`, also after a trip through JSON text."""
        return cls(tuple(record["members"]), tuple(record["weights"]), record["bias"])


def flatten(ensemble: Ensemble, fitted: Mapping[int, Ensemble]) -> Ensemble:
    """The same model over trials that trained a coordinate: mixture trials are replaced by what they fitted.

    Args:
        ensemble: whose members may be mixture trials, and theirs again.
        fitted: what each mixture trial found, by number (`Result.ensemble`).
    """
    total: dict[int, float] = {}
    bias = _add(total, ensemble, 1.0, fitted)
    return Ensemble(tuple(total), tuple(total.values()), bias)


def _add(total: dict[int, float], ensemble: Ensemble, share: float, fitted: Mapping[int, Ensemble]) -> float:
    """Adds `share` of an ensemble's weights to the total; returns the bias that comes with it."""
    bias = share * ensemble.bias
    for member, weight in ensemble.pruned.terms:
        if member in fitted:
            bias += _add(total, fitted[member], share * weight, fitted)
        else:
            total[member] = total.get(member, 0.0) + share * weight
    return bias


def pack_scores(scores: Floats) -> bytes:
    """The file of a trial's scores on a split: a `.npy` with the CRC-32 of it behind, which other readers pass over."""
    content = io.BytesIO()
    np.save(content, np.asarray(scores, np.float32), allow_pickle=False)
    return content.getvalue() + zlib.crc32(content.getvalue()).to_bytes(_CRC_BYTES, "little")


def read_scores(trials: Folder, number: int, split: str, rows: int) -> Floats:
    """What a trial scored itself on a split, float32 [rows] in dataset order, offsets not included.

    Args:
        trials: folder of a study's trials.
        number: of the trial.
        split: train, validation or test.
        rows: of the split.

    Raises:
        DataError: the trial left no scores, or what is there is no array or of another dataset.
    """
    name = f"{number}/{SCORES.format(split=split)}"
    if not trials.exists(name):
        raise DataError(f"{trials.path(name)}: trial {number} left no scores: it failed, or they were removed")
    content = trials.read(name)
    stream, checked = io.BytesIO(content), zlib.crc32(content[:-_CRC_BYTES]).to_bytes(_CRC_BYTES, "little")
    try:
        scores = np.load(stream, allow_pickle=False)
    except Exception as error:  # a damaged header is whatever Python's own parser makes of it
        raise DataError(f"{trials.path(name)}: cannot be read as an array: {error}") from error
    if content[-_CRC_BYTES:] != checked and stream.tell() < len(content):  # older files end with the array
        raise DataError(f"{trials.path(name)}: is damaged: its checksum does not fit; restore the file")
    if scores.shape != (rows,):
        raise DataError(f"{trials.path(name)}: has {len(scores)} scores for {rows} rows: of another dataset")
    return np.asarray(scores, np.float32)
