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
        values: float64 [entries] of a weighted bag, those of equal terms of a node added up.
    """

    starts: NDArray[np.int64]
    codes: Nodes
    terms: pa.Array
    known: int
    values: Numbers | None = None

    @cached_property
    def rarity(self) -> Numbers:
        """[terms] log(known nodes / nodes that have the term)."""
        having = np.bincount(self.codes, minlength=len(self.terms))
        return np.asarray(np.log(self.known / np.maximum(having, 1)))

    @cached_property
    def single(self) -> Nodes:
        """[nodes] of a category the code of each node, -1 of those without one."""
        result = np.full(len(self.starts) - 1, -1, np.int32)
        result[np.diff(self.starts) > 0] = self.codes
        return result

    @cached_property
    def lengths(self) -> Numbers:
        """[nodes] of each node's vector of values."""
        assert self.values is not None, "only weighted bags have values"
        nodes = len(self.starts) - 1
        of = np.repeat(np.arange(nodes), np.diff(self.starts))
        return np.sqrt(np.bincount(of, self.values * self.values, minlength=nodes))

    def lists(self, starts: NDArray[np.int64], codes: Nodes, values: Numbers | None) -> pa.Array:
        """Lists of the texts of codes, in compressed rows as the bag's own; of (term, value) where there are values."""
        terms = self.terms.take(pa.array(codes))
        if values is not None:
            terms = pa.StructArray.from_arrays([terms, pa.array(values)], ["term", "value"])
        return pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), terms)


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
        numbers = np.array(
            as_numbers(raw, feature.source)
        )  # a copy that can be written to: one type for compiled loops
        return Attribute(feature, raw, numbers=numbers)
    if isinstance(feature, CategoricalFeature):
        texts = as_texts(raw, feature.source)
        rows = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
        return Attribute(feature, raw, bags=_coded(rows, texts.drop_null(), len(raw), known))
    read = as_bag(raw, feature.source, feature.separator)
    bags = _coded(read.rows, read.terms, len(raw), known, read.values if feature.weighted else None)
    empty = raw.is_null()
    lists = bags.lists(bags.starts, bags.codes, bags.values)
    return Attribute(feature, pc.if_else(empty, pa.scalar(None, lists.type), lists), bags=bags)


def _coded(rows: NDArray[np.int64], texts: pa.Array, nodes: int, known: int, values: Numbers | None = None) -> Bags:
    encoded = texts.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    size = max(len(order), 1)
    entries, at = np.unique(rows * size + rank[encoded.indices.to_numpy()], return_inverse=True)
    starts = np.searchsorted(entries, np.arange(nodes + 1, dtype=np.int64) * size)
    if values is not None:
        order_of_values = np.lexsort((values, at))  # a sum of floats depends on their order
        values = np.bincount(at[order_of_values], values[order_of_values], len(entries)).astype(np.float64)
    return Bags(starts, (entries % size).astype(np.int32), encoded.dictionary.take(pa.array(order)), known, values)
