"""Embeddings of categoricals and bags; features that share a vocabulary and a width share their rows."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from glmix_automl.models.coordinate import variable
from glmix_automl.models.rows import BagRows, Rows, signature
from glmix_automl.schema import Bag, Categorical, Schema

SMALL = 512
"""Most ids of a vocabulary in the table of small ones: about the rows of a small batch."""

POOLING = {"mean": 1.0, "sqrt": 0.5, "sum": 0.0}
"""Power of the entries' mass that the sum over a bag is divided by."""


def automatic_width(ids: int) -> int:
    """A width for a vocabulary: `2 * ids ** 0.4` rounded up to a multiple of 4, 4 to 32."""
    return int(np.clip(4 * np.ceil(2 * ids**0.4 / 4), 4, 32))


@dataclass(frozen=True)
class _Place:
    """Where a feature's rows begin, in which table; `column` counts among the categoricals or among the bags."""

    table: int
    base: int
    column: int


class Embedding:
    """Tables by width, the vocabularies of one width one below the other, so that one gather serves many features.

    Small vocabularies are apart from large ones: a batch touches nearly all of their rows many times, so that summing
    its gradients over the whole table is cheaper than finding the distinct rows first (see the optimiser).

    Attributes:
        tables: float32 [ids, width] each.
        width: columns of what `features` gives.
        order: the embedded features in the order of those columns.
    """

    def __init__(
        self, schema: Schema, width: int, bag_width: int, pooling: str = "mean", terms: int = 0, used: bool = True
    ) -> None:
        """Makes the tables.

        Args:
            schema: of the dataset.
            width: of a categorical's embedding; 0 chooses by the size of its vocabulary.
            bag_width: the same for bags.
            pooling: of a bag's entries, one of `POOLING`.
            terms: most frequent terms of a vocabulary that are told apart, the others being unseen; 0 for all.
            used: whether there is anything to embed; else no table is made and nothing looked up.
        """
        self._schema = schema
        self._power = POOLING[pooling]
        self._sizes = {f.name: _told_apart(schema, f, terms) for f in schema.categoricals}
        self._sizes |= {f.name: _told_apart(schema, f, terms) for f in schema.bags}
        rows: dict[tuple[int, bool], int] = {}
        begin: dict[tuple[str, int], int] = {}

        def place(feature: Categorical | Bag, given: int) -> tuple[tuple[int, bool], int]:
            size = self._sizes[feature.name]
            own = given or automatic_width(size)
            kind = own, size > SMALL
            if (feature.vocabulary, own) not in begin:
                begin[feature.vocabulary, own] = rows.get(kind, 0)
                rows[kind] = rows.get(kind, 0) + size
            return kind, begin[feature.vocabulary, own]

        columns = [place(f, width) for f in schema.categoricals if used]
        bags = [place(f, bag_width) for f in schema.bags if used]
        kinds = sorted(rows)
        names = [f"embedding_{own}{'_large' if is_large else ''}" for own, is_large in kinds]
        self.tables = [variable(name, [rows[kind], kind[0]]) for name, kind in zip(names, kinds, strict=True)]
        self.columns = [_Place(kinds.index(kind), base, k) for k, (kind, base) in enumerate(columns)]
        self.bags = [_Place(kinds.index(kind), base, k) for k, (kind, base) in enumerate(bags)]
        self.width = sum(own for (own, _), _ in (*columns, *bags))
        by_table = [[p for p in self.columns if p.table == t] for t in range(len(kinds))]
        self._groups = [group for group in by_table if group]
        ordered = [schema.categoricals[p.column] for group in self._groups for p in group]
        self.order: list[Categorical | Bag] = [*ordered, *(schema.bags[p.column] for p in self.bags)]

    def reset(self, rng: np.random.Generator) -> None:
        """Draws the rows from a normal distribution of deviation `0.1`."""
        for table in self.tables:
            table.assign(rng.standard_normal(table.shape, np.float32) * np.float32(0.1))

    def prepare(self, rows: Rows) -> Rows:
        """Rows with the place of each term in its table for an id, and apart the categoricals of each table, which a
        step would have to copy out of the others' columns; terms that are not told apart are unseen: id 0 in
        categoricals, no entry in bags.
        """
        if not self.tables:
            return rows._replace(categoricals=(), bags=())
        schema, categoricals = self._schema, rows.categoricals
        if any(self._sizes[f.name] < schema.size(f) for f in schema.categoricals):
            limits = np.array([self._sizes[f.name] for f in schema.categoricals], np.int32)
            categoricals = tf.where(categoricals < limits, categoricals, 0)
        apart = [
            tf.gather(categoricals, [p.column for p in group], axis=1) + np.array([p.base for p in group], np.int32)
            for group in self._groups
        ]
        bags = []
        for feature, bag, place in zip(schema.bags, rows.bags, self.bags, strict=True):
            size = self._sizes[feature.name]
            kept = _without_rare(bag, size) if size < schema.size(feature) else bag
            bags.append(kept._replace(ids=kept.ids + place.base))
        return rows._replace(categoricals=tuple(apart), bags=tuple(bags))

    @property
    def signature(self) -> Rows:
        """The shapes and types of prepared rows."""
        apart = tuple(tf.TensorSpec([None, len(group)], tf.int32) for group in self._groups)
        bags = signature(self._schema).bags if self.tables else ()
        return signature(self._schema)._replace(categoricals=apart, bags=bags)

    def gather(self, batch: Rows) -> list[tuple[int, tf.Tensor, tf.Tensor]]:
        """The rows of the tables that a prepared batch touches: per lookup the table, ids int32 [...], and rows float32
        [..., width].

        First the categoricals' lookups, one per table ([rows, features of the table]); then one per bag ([entries]).
        """
        found = [(group[0].table, ids) for group, ids in zip(self._groups, batch.categoricals, strict=True)]
        found += [(p.table, batch.bags[p.column].ids) for p in self.bags]
        # `gather_nd` is faster than `gather`
        return [(table, ids, tf.gather_nd(self.tables[table], tf.expand_dims(ids, -1))) for table, ids in found]

    def features(self, batch: Rows, gathered: list[tf.Tensor]) -> list[tf.Tensor]:
        """One float32 [rows, width] per feature block from the gathered rows: categoricals of a table side by side,
        and for each bag its entries' rows by value, pooled (zeros if it is empty).
        """
        count = len(self._groups)
        blocks = []
        for group, found in zip(self._groups, gathered[:count], strict=True):
            blocks.append(tf.reshape(found, [-1, len(group) * found.shape[-1]]))
        for place, found in zip(self.bags, gathered[count:], strict=True):
            blocks.append(pooled(batch, place.column, found, self._power))
        return blocks


def _told_apart(schema: Schema, feature: Categorical | Bag, terms: int) -> int:
    """Ids of a feature in use, the 0 included; ids go by falling count, but for those of a hashed vocabulary."""
    is_hashed = schema.vocabularies[feature.vocabulary].buckets is not None
    return schema.size(feature) if is_hashed or not terms else min(schema.size(feature), terms + 1)


def _without_rare(bag: BagRows, size: int) -> BagRows:
    """The entries with ids below `size`."""
    kept = bag.ids < size
    before = tf.concat([[0], tf.cumsum(tf.cast(kept, tf.int32))], axis=0)  # entries kept before each
    owners, ids, values = (tf.boolean_mask(column, kept) for column in (bag.owners, bag.ids, bag.values))
    return BagRows(tf.gather(before, bag.splits), owners, ids, values)


def pooled(batch: Rows, column: int, found: tf.Tensor, power: float) -> tf.Tensor:
    """Sum of the entries' rows times their values over a power of the values' mass, float32 [rows, width]."""
    bag, rows = batch.bags[column], tf.shape(batch.label)[0]
    total = tf.math.unsorted_segment_sum(found * bag.values[:, None], bag.owners, rows)
    if not power:
        return total
    mass = tf.math.unsorted_segment_sum(tf.abs(bag.values), bag.owners, rows)
    return total / tf.maximum(mass, 1e-6)[:, None] ** power
