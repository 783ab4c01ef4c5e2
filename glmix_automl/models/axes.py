"""What the places along a weight's axis stand for, so that weights can follow terms and features to another dataset."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from glmix_automl.schema import Schema


class Piece(NamedTuple):
    """A stretch of an axis: what it stands for, its places, and their terms as `AxisPart` has them."""

    key: tuple[str, ...]
    size: int
    terms: tuple[str, ...] | None = None


@dataclass(frozen=True)
class AxisPart:
    """A stretch of one axis of one weight.

    Attributes:
        key: what it stands for; no two parts of a coordinate have the same.
        weight: name of the weight.
        axis: of the weight.
        start: first place along the axis.
        size: number of places.
        terms: for the ids of a vocabulary: the term of each place but the first, which is id 0; None where a place is
            known by its number only (a hashed vocabulary, a column of an embedding).
    """

    key: tuple[str, ...]
    weight: str
    axis: int
    start: int
    size: int
    terms: tuple[str, ...] | None = None

    def shared(self, earlier: "AxisPart") -> tuple[np.ndarray, np.ndarray]:
        """Places along this part's axis that the earlier part has as well, and where it has them: int64 [shared] each.

        Terms are found by name; places without terms are the same where both have as many.
        """
        if self.terms is not None and earlier.terms is not None:
            before = {term: place for place, term in enumerate(earlier.terms, 1)}
            pairs = [(place, before[term]) for place, term in enumerate(self.terms, 1) if term in before]
            here, there = np.array([(0, 0), *pairs], np.int64).T
        else:
            alike = self.terms == earlier.terms and self.size == earlier.size
            here = there = np.arange(self.size if alike else 0)
        return self.start + here, earlier.start + there


def side_by_side(weight: str, pieces: Iterable[Piece], axis: int = 0, owner: tuple[str, ...] = ()) -> list[AxisPart]:
    """Parts of one axis from its pieces in order.

    Args:
        weight: name of the weight.
        pieces: what lies along the axis.
        axis: of the weight.
        owner: what their keys begin with; the weight's name unless given.
    """
    parts: list[AxisPart] = []
    start = 0
    for piece in pieces:
        parts.append(AxisPart((*(owner or (weight,)), *piece.key), weight, axis, start, piece.size, piece.terms))
        start += piece.size
    return parts


def numeric_pieces(schema: Schema) -> list[Piece]:
    """A place per numeric column; one with another transform is another column."""
    return [Piece((f.kind, f.name, f.transform), 1) for f in schema.numerics]


def vocabulary_piece(schema: Schema, vocabulary: str, size: int, key: tuple[str, ...]) -> Piece:
    """The first `size` ids of a vocabulary, the 0 included."""
    terms = schema.vocabularies[vocabulary].terms
    return Piece(key, size, None if terms is None else terms[: size - 1])
