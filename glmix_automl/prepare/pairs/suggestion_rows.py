"""The raw rows of a network's pairs as it is now: given ones, or every candidate of some members."""

import itertools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from glmix_automl.prepare.pairs.adjacency import Nodes
from glmix_automl.prepare.pairs.candidates import Hands, candidates_of
from glmix_automl.prepare.pairs.describe import Network, pair_columns

SPAN_PAIRS = 250_000
"""Most pairs of a span, about: what is made of them is in memory at once."""


@dataclass(frozen=True, eq=False)
class SuggestionRows:
    """Makes the raw rows of any span; the same rows, whatever the spans and where they are made.

    Attributes:
        network: as it is now.
        ids: strings [nodes].
        left: members [members], or the left ends of given pairs.
        right: the right ends of given pairs, or None for every candidate.
        hands: of the nodes, where candidates are wanted.
    """

    network: Network
    ids: pa.Array
    left: Nodes
    right: Nodes | None = None
    hands: Hands | None = None

    def spans(self, at_least: int) -> list[tuple[int, int]]:
        """Spans of `left`, by place: of few enough pairs, and `at_least` so many where there are enough; given pairs of
        one member that lie together stay together.
        """
        sizes = np.ones(len(self.left), np.int64) if self.hands is None else self.hands.shown(self.left)
        total = np.cumsum(sizes)
        if not len(total):
            return []
        size = max(1, min(SPAN_PAIRS, -(-int(total[-1]) // at_least)))
        wanted = np.searchsorted(total, np.arange(size, int(total[-1]), size)) + 1
        heads = np.append(np.flatnonzero(np.diff(self.left, prepend=-1)), len(self.left))
        cuts = np.unique(np.concatenate([[0], heads[np.searchsorted(heads, wanted)], [len(self.left)]]))
        return [(int(a), int(b)) for a, b in itertools.pairwise(cuts)]

    def rows(self, begin: int, end: int) -> pa.Table:
        """The pairs of a span: ids of both ends, and all that `pair_columns` gives."""
        left = self.left[begin:end]
        if self.right is not None:
            right = self.right[begin:end]
        else:
            assert self.hands is not None, "candidates are dealt"
            left, right = candidates_of(self.network.links, self.hands, left, self.network.directed)
        described = pair_columns(self.network, left, right)
        ends = {name: self.ids.take(pa.array(of)) for name, of in (("left", left), ("right", right))}
        return pa.table({**ends, **dict(zip(described.column_names, described.columns, strict=True))})


def numbered(ids: pa.Array, texts: pa.Array) -> tuple[Nodes, NDArray[np.bool_]]:
    """(number of each node that is there, [texts] whether it is)."""
    place = pc.index_in(texts, value_set=ids)
    there = place.is_valid().to_numpy(zero_copy_only=False)
    return place.drop_null().to_numpy().astype(np.int32), there
