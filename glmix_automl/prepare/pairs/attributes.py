"""What is known of nodes, coded: numbers, categories and bags of terms by node number."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from glmix_automl.features import as_bag, as_numbers, as_texts
from glmix_automl.prepare.pairs.adjacency import Nodes, Numbers
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, NumericFeature


@dataclass(frozen=True, eq=False)
class Bags:
    """Terms of nodes; of a category each node has one or none.

    Attributes:
        starts: int64 [nodes + 1]; the terms of node n are `codes[starts[n]:starts[n + 1]]`, ascending, each once.
        codes: int32 [entries].
        terms: strings [terms], ascending; a code is a place here.
        known: how many nodes have a row in the table that the terms are from.
    """

    starts: NDArray[np.int64]
    codes: Nodes
    terms: pa.Array
    known: int

    @cached_property
    def rarity(self) -> Numbers:
        """[terms] log(known nodes / nodes that have the term)."""
        having = np.bincount(self.codes, minlength=len(self.terms))
        return np.asarray(np.log(self.known / np.maximum(having, 1)))

    def lists(self, starts: NDArray[np.int64], codes: Nodes) -> pa.Array:
        """Lists of the texts of codes, in compressed rows as the bag's own."""
        return pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), self.terms.take(pa.array(codes)))


@dataclass(frozen=True, eq=False)
class Attribute:
    """One declared feature of the nodes.

    Attributes:
        feature: as declared.
        raw: the raw column by node number, null where a node has no row.
        numbers: float64 [nodes], NaN where missing, of a numeric feature.
        bags: of a category or bag.
    """

    feature: NumericFeature | CategoricalFeature | BagFeature
    raw: pa.Array
    numbers: Numbers | None = None
    bags: Bags | None = None

    @property
    def name(self) -> str:
        """The feature's."""
        return self.feature.column


def attribute(feature: NumericFeature | CategoricalFeature | BagFeature, raw: pa.Array, known: int) -> Attribute:
    """A raw column by node number, coded; of a bag the raw column becomes lists of its terms.

    Args:
        feature: what the column is.
        raw: [nodes], null for nodes without a row.
        known: how many have one.

    Raises:
        DataError: the column's type has no such reading.
    """
    if isinstance(feature, NumericFeature):
        return Attribute(feature, raw, numbers=as_numbers(raw, feature.source))
    if isinstance(feature, CategoricalFeature):
        texts = as_texts(raw, feature.source)
        rows = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
        return Attribute(feature, raw, bags=_coded(rows, texts.drop_null(), len(raw), known))
    read = as_bag(raw, feature.source, feature.separator)
    bags = _coded(read.rows, read.terms, len(raw), known)
    empty = raw.is_null()
    lists = bags.lists(bags.starts, bags.codes)
    return Attribute(feature, pc.if_else(empty, pa.scalar(None, lists.type), lists), bags=bags)


def _coded(rows: NDArray[np.int64], texts: pa.Array, nodes: int, known: int) -> Bags:
    encoded = texts.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    size = max(len(order), 1)
    entries = np.unique(rows * size + rank[encoded.indices.to_numpy()])
    starts = np.searchsorted(entries, np.arange(nodes + 1, dtype=np.int64) * size)
    return Bags(starts, (entries % size).astype(np.int32), encoded.dictionary.take(pa.array(order)), known)
