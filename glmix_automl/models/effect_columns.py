"""What the columns of a random effect stand for: its entity, and the features whose weights are each entity's own."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.dataset.block import Block
from glmix_automl.errors import TrialError
from glmix_automl.models.design import Codes, Design
from glmix_automl.models.selection import chosen
from glmix_automl.schema import Feature, Numeric, Schema

Lists = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""A list of every row: lengths [rows], and the ids and values of all, 1 each if None."""

PAIR = " x "
"""Between the two parts of an entity that is a pair, in its name and in its ids."""


@dataclass(frozen=True, eq=False)
class EffectColumns:
    """The entity and the columns of an effect, over a schema.

    Attributes:
        schema: of the dataset.
        parts: the entity, or the two whose pairs are the entities: names of entities or of categoricals.
        intercept: whether column 0 is used.
        features: numerics first, then categoricals, then bags, each in the schema's order.
    """

    schema: Schema
    parts: tuple[str, ...]
    intercept: bool
    features: tuple[Feature, ...]

    @classmethod
    def of(cls, schema: Schema, entity: str, features: str, intercept: bool) -> "EffectColumns":
        """Resolves names and patterns.

        Args:
            schema: of the dataset.
            entity: an entity, a categorical, or two of them with ` x ` between; the first entity if empty.
            features: as `selection.chosen`; a pattern does not stand for what describes the entity itself, as that is
                the same in all its rows. None if empty.
            intercept: whether every entity has one.

        Raises:
            TrialError: there is no such entity or feature, or nothing to fit.
        """
        parts = tuple(entity.split(PAIR)) if entity else tuple(e.name for e in schema.entities[:1])
        own = _sides(schema, parts)
        wanted: set[str] = set()
        if features.strip():
            wanted = chosen(schema, features, "random_effect", lambda feature: feature.side not in own)
        ordered: tuple[Feature, ...] = (*schema.numerics, *schema.categoricals, *schema.bags)
        kept = tuple(f for f in ordered if f.name in wanted and f.name not in parts)
        if not kept and not intercept:
            raise TrialError("family random_effect: has neither an intercept nor features")
        return cls(schema, parts, intercept, kept)

    @cached_property
    def numerics(self) -> int:
        """How many columns are numerics."""
        return sum(isinstance(f, Numeric) for f in self.features)

    @cached_property
    def first(self) -> tuple[int, ...]:
        """First column of each feature, and where the last one ends."""
        ends = np.cumsum([1, *(1 if isinstance(f, Numeric) else self.schema.size(f) for f in self.features)])
        return tuple(int(end) for end in ends)

    @cached_property
    def group(self) -> Codes:
        """Which of the terms that share a strength each column is of: 0 the intercept, then one per feature; int32."""
        return np.repeat(np.arange(len(self.first)), np.diff([0, *self.first])).astype(np.int32)

    @property
    def terms(self) -> tuple[str, ...]:
        """Name of each group."""
        return ("intercept", *(feature.name for feature in self.features))

    def names(self, columns: Codes) -> list[str]:
        """`intercept`, `feature` or `feature=term` for each column."""
        return [self._name(int(column)) for column in columns]

    def _name(self, column: int) -> str:
        place = int(self.group[column])
        if place == 0:
            return "intercept"
        feature = self.features[place - 1]
        if isinstance(feature, Numeric):
            return feature.name
        terms, number = self.schema.vocabularies[feature.vocabulary].terms, column - self.first[place - 1]
        return f"{feature.name}={terms[number - 1] if terms and number else number}"

    def entities(self, block: Block) -> tuple[Codes, pa.Array]:
        """Code of each row's entity, int32 [rows], -1 where it has none, and the id of each code."""
        codes, ids = zip(*(self._entities(block, part) for part in self.parts), strict=True)
        if len(codes) == 1:
            return codes[0], ids[0]
        both = (codes[0] >= 0) & (codes[1] >= 0)
        keys = codes[0].astype(np.int64) * max(len(ids[1]), 1) + codes[1]
        found, inverse = np.unique(keys[both], return_inverse=True)
        paired = np.full(len(keys), -1, np.int32)
        paired[both] = inverse
        left, right = divmod(found, max(len(ids[1]), 1))
        return paired, pc.binary_join_element_wise(ids[0].take(pa.array(left)), ids[1].take(pa.array(right)), PAIR)

    def _entities(self, block: Block, part: str) -> tuple[Codes, pa.Array]:
        if part in block.entities:
            return block.entities[part], block.entity_ids[part]
        place = next(k for k, f in enumerate(self.schema.categoricals) if f.name == part)
        vocabulary = self.schema.vocabularies[self.schema.categoricals[place].vocabulary]
        terms = vocabulary.terms or tuple(map(str, range(1, vocabulary.size)))
        return np.ascontiguousarray(block.categoricals[:, place] - 1), pa.array(terms, pa.string())

    def design(self, block: Block) -> Design:
        """The values of a block's rows."""
        schema, rows = self.schema, len(block)
        numerics = [k for k, f in enumerate(schema.numerics) if f in self.features]
        matrix = np.ascontiguousarray(block.numerics[:, numerics], np.float32)
        places: dict[str, int] = dict(zip((f.name for f in self.features), self.first[:-1], strict=True))
        parts: list[Lists] = [
            (np.ones(rows, np.int64), block.categoricals[:, k] + np.int32(places[f.name]), None)
            for k, f in enumerate(schema.categoricals)
            if f.name in places
        ]
        parts += [
            (np.diff(bag.splits), bag.ids + np.int32(places[f.name]), bag.values)
            for bag, f in zip(block.bags, schema.bags, strict=True)
            if f.name in places
        ]
        return Design(self.intercept, matrix, *_side_by_side(rows, parts), self.first[-1])


def _sides(schema: Schema, parts: tuple[str, ...]) -> set[str]:
    """The sides that entities describe."""
    known = {e.name: e.side for e in schema.entities} | {f.name: f.side for f in schema.categoricals}
    if not 1 <= len(parts) <= 2 or any(part not in known for part in parts):
        raise TrialError(
            f"family random_effect: entity: expected one of {', '.join(known)}, or two of them with {PAIR!r} between, "
            f"got {PAIR.join(parts)!r}"
        )
    return {known[part] for part in parts}


def _side_by_side(rows: int, parts: list[Lists]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lists of every row one after the other: splits, ids, values; parts are (lengths, ids, values) of each row."""
    splits = np.zeros(rows + 1, np.int64)
    np.cumsum(sum((lengths for lengths, _, _ in parts), np.zeros(rows, np.int64)), out=splits[1:])
    ids, values = np.empty(splits[-1], np.int32), np.empty(splits[-1], np.float32)
    begin = splits[:-1].copy()
    for lengths, own, weights in parts:
        ends = np.cumsum(lengths)
        at = np.arange(len(own)) + np.repeat(begin - (ends - lengths), lengths)
        ids[at], values[at] = own, 1.0 if weights is None else weights
        begin += lengths
    return splits, ids, values
