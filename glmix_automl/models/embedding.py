"""Embeddings of categoricals and bags; features that share a vocabulary and a width share their rows."""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from glmix_automl.models.axes import AxisPart, Piece, side_by_side, vocabulary_piece
from glmix_automl.models.differentiable import Gradient, sum_slopes, variable
from glmix_automl.models.rows import BagRows, Rows, row_signature
from glmix_automl.models.tensorflow import tf
from glmix_automl.schema import Bag, Categorical, Schema

SMALL_TABLE = 512
"""Most ids of a vocabulary in the table of small ones: about the rows of a small batch."""

MIDDLE = 8192
"""Most ids of a bag's vocabulary in the table of middle ones: about the entries of a batch."""

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

    Small vocabularies are apart from large ones, and middle ones of bags too: a batch touches nearly all of their rows
    many times, so that summing its gradients over the whole table is cheaper than finding the distinct rows first.

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
        rows: dict[tuple[int, int], int] = {}
        begin: dict[tuple[str, int], int] = {}
        in_bags = {bag.vocabulary for bag in schema.bags}
        self._held: dict[tuple[int, int], list[tuple[str, int]]] = {}  # vocabularies of each table, and their ids

        def place(feature: Categorical | Bag, given: int) -> tuple[tuple[int, int], int]:
            size = self._sizes[feature.name]
            own = given or automatic_width(size)
            limits = SMALL_TABLE, MIDDLE if feature.vocabulary in in_bags else SMALL_TABLE
            kind = own, sum(size > limit for limit in limits)
            if (feature.vocabulary, own) not in begin:
                begin[feature.vocabulary, own] = rows.get(kind, 0)
                rows[kind] = rows.get(kind, 0) + size
                self._held.setdefault(kind, []).append((feature.vocabulary, size))
            return kind, begin[feature.vocabulary, own]

        columns = [place(f, width) for f in schema.categoricals if used]
        bags = [place(f, bag_width) for f in schema.bags if used]
        kinds = sorted(rows)
        names = [f"embedding_{own}{('', '_middle', '_large')[size]}" for own, size in kinds]
        self.tables = [variable(name, [rows[kind], kind[0]]) for name, kind in zip(names, kinds, strict=True)]
        self.columns = [_Place(kinds.index(kind), base, k) for k, (kind, base) in enumerate(columns)]
        self.bags = [_Place(kinds.index(kind), base, k) for k, (kind, base) in enumerate(bags)]
        self.width = sum(own for (own, _), _ in (*columns, *bags))
        self._is_whole = [size < 2 and any(p.table == t for p in self.bags) for t, (_, size) in enumerate(kinds)]
        by_table = [[p for p in self.columns if p.table == t] for t in range(len(kinds))]
        self._groups = [group for group in by_table if group]
        ordered = [schema.categoricals[p.column] for group in self._groups for p in group]
        self.order: list[Categorical | Bag] = [*ordered, *(schema.bags[p.column] for p in self.bags)]

    def reset(self, rng: np.random.Generator) -> None:
        """Draws the rows from a normal distribution of deviation `0.1`."""
        for table in self.tables:
            table.assign(rng.standard_normal(table.shape, np.float32) * np.float32(0.1))

    @property
    def parts(self) -> list[AxisPart]:
        """What the rows of the tables stand for; a grown vocabulary may have moved to the table of large ones."""
        parts: list[AxisPart] = []
        for table, (kind, held) in zip(self.tables, sorted(self._held.items()), strict=True):
            ids = [vocabulary_piece(self._schema, name, size, (name,)) for name, size in held]
            parts += side_by_side(table.name.split(":")[0], ids, owner=("embedding", str(kind[0])))
        return parts

    @property
    def inputs(self) -> list[Piece]:
        """What the columns of `features` stand for, in order."""
        places = [*(p for group in self._groups for p in group), *self.bags]
        return [Piece((f.kind, f.name), self._width(p)) for f, p in zip(self.order, places, strict=True)]

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
        bags = row_signature(self._schema).bags if self.tables else ()
        return row_signature(self._schema)._replace(categoricals=apart, bags=bags)

    def features(self, batch: Rows) -> tf.Tensor:
        """What a batch of prepared rows is embedded as, float32 [rows, width]: categoricals, those of a table side by
        side, and for each bag its entries' rows by value, pooled (zeros if it is empty).
        """
        blocks = [tf.zeros([tf.shape(batch.label)[0], 0])]
        for group, ids in zip(self._groups, batch.categoricals, strict=True):
            found = self._rows(group[0].table, tf.reshape(ids, [-1]))
            blocks.append(tf.reshape(found, [-1, len(group) * found.shape[-1]]))
        for place in self.bags:
            bag = batch.bags[place.column]
            found = self._weighted(place, bag, self._rows(place.table, bag.ids))
            total = tf.math.unsorted_segment_sum(found, bag.owners, tf.shape(batch.label)[0])
            blocks.append(self._pooled(place, bag, total))
        return _concat(blocks[1:] or blocks, axis=1)

    def gradients(self, batch: Rows, slope: tf.Tensor, decay: tf.Tensor | None) -> list[Gradient]:
        """One per table, see `sum_slopes`.

        Args:
            batch: prepared rows.
            slope: gradient of `features`.
            decay: strength of 1/2 |row|^2 per lookup, or None.
        """
        found: list[list[_Lookups]] = [[] for _ in self.tables]
        start = 0
        for group, ids in zip(self._groups, batch.categoricals, strict=True):
            found[group[0].table].append(self._looked_up(slope, start, group, tf.reshape(ids, [-1])))
            start += len(group) * self._width(group[0])
        for place in self.bags:
            bag, end = batch.bags[place.column], start + self._width(place)
            pooled = self._pooled(place, bag, slope[:, start:end])
            found[place.table].append(_Lookups(bag.ids, bag.owners, pooled, place))
            start = end
        return [self._gradient(batch, number, lookups, decay) for number, lookups in enumerate(found)]

    def _looked_up(self, slope: tf.Tensor, start: int, group: list[_Place], ids: tf.Tensor) -> "_Lookups":
        """Of categoricals whose columns begin at `start`: where rows of a width fill `slope`, without a copy."""
        width, columns = self._width(group[0]), np.arange(len(group))
        is_alone = not any(bag.table == group[0].table for bag in self.bags)
        if is_alone and start % width == self.width % width == 0:
            first = tf.range(slope.shape[0] or tf.shape(slope)[0]) * (self.width // width)
            owners = tf.reshape(first[:, None] + (start // width + columns), [-1])
            return _Lookups(ids, owners, tf.reshape(slope, [-1, width]))
        own = slope[:, start : start + len(group) * width]
        return _Lookups(ids, tf.range(ids.shape[0] or tf.size(ids)), tf.reshape(own, [-1, width]))

    def _gradient(self, batch: Rows, number: int, lookups: list["_Lookups"], decay: tf.Tensor | None) -> Gradient:
        rows, is_whole = int(self.tables[number].shape[0]), self._is_whole[number]
        ids = _concat([each.ids for each in lookups])
        if decay is None and not any(each.bag and self._schema.bags[each.bag.column].weighted for each in lookups):
            before = itertools.accumulate((tf.shape(each.slopes)[0] for each in lookups[:-1]), initial=0)
            owners = _concat([each.owners + first for each, first in zip(lookups, before, strict=True)])
            return sum_slopes(_concat([each.slopes for each in lookups]), owners, ids, rows, is_whole)
        slices = _concat([self._slices(batch, each) for each in lookups])
        if decay is not None:
            slices += decay * self._rows(number, ids)
        return sum_slopes(slices, tf.range(tf.size(ids)), ids, rows, is_whole)

    def _slices(self, batch: Rows, lookups: "_Lookups") -> tf.Tensor:
        spread = tf.gather_nd(lookups.slopes, lookups.owners[:, None])
        if lookups.bag is None:
            return spread
        return self._weighted(lookups.bag, batch.bags[lookups.bag.column], spread)

    def _width(self, place: _Place) -> int:
        return int(self.tables[place.table].shape[1])

    def _rows(self, table: int, ids: tf.Tensor) -> tf.Tensor:
        return tf.gather_nd(self.tables[table], tf.expand_dims(ids, -1))  # faster than `gather`

    def _weighted(self, place: _Place, bag: BagRows, entries: tf.Tensor) -> tf.Tensor:
        return entries * bag.values[:, None] if self._schema.bags[place.column].weighted else entries

    def _pooled(self, place: _Place, bag: BagRows, totals: tf.Tensor) -> tf.Tensor:
        """Totals [rows, width] over a power of the mass of each row's entries."""
        if not self._power:
            return totals
        mass = tf.cast(bag.splits[1:] - bag.splits[:-1], tf.float32)
        if self._schema.bags[place.column].weighted:
            mass = tf.math.unsorted_segment_sum(tf.abs(bag.values), bag.owners, tf.shape(totals)[0])
        return totals / tf.maximum(mass, 1e-6)[:, None] ** self._power


class _Lookups(NamedTuple):
    """One feature's, or one table's categoricals': entry e adds `slopes[owners[e]]` to the gradient of row `ids[e]`.

    Attributes:
        ids, owners: int32 [entries].
        slopes: float32 [rows, width].
        bag: whose entries they are, if a bag's.
    """

    ids: tf.Tensor
    owners: tf.Tensor
    slopes: tf.Tensor
    bag: _Place | None = None


def _concat(parts: list[tf.Tensor], axis: int = 0) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis)


def _told_apart(schema: Schema, feature: Categorical | Bag, terms: int) -> int:
    """Ids of a feature in use, the 0 included; ids go by falling count, but for those of a hashed vocabulary."""
    is_hashed = schema.vocabularies[feature.vocabulary].buckets is not None
    return schema.size(feature) if is_hashed or not terms else min(schema.size(feature), terms + 1)


def _without_rare(bag: BagRows, size: int) -> BagRows:
    """The entries with ids below `size`."""
    kept = tf.where(bag.ids < size)[:, 0]
    owners, ids, values = (tf.gather(column, kept) for column in (bag.owners, bag.ids, bag.values))
    lengths = tf.math.unsorted_segment_sum(tf.ones_like(owners), owners, tf.size(bag.splits) - 1)
    return BagRows(tf.concat([[0], tf.cumsum(lengths)], axis=0), owners, ids, values)
