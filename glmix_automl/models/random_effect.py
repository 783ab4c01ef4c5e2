"""A random effect: a small logistic regression of its own for every member, item, company, ..."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.dataset.block import Block
from glmix_automl.errors import DataError
from glmix_automl.models.coordinate import Coordinate, Form
from glmix_automl.models.design import Codes, Coefficients, Floats, scores, terms
from glmix_automl.models.effect_columns import EffectColumns
from glmix_automl.models.parameters import RandomEffectParameters
from glmix_automl.schema import Schema

STATES = ("fitted", "not converged", "carried over")
"""What an entity's model may be: by its number in `state`. One with too few rows has none."""

ARRAY_TYPES = {
    "id_bytes": np.uint8,
    "id_ends": np.int64,
    "starts": np.int64,
    "columns": np.int32,
    "mean": np.float32,
    "variance": np.float32,
    "rows": np.int64,
    "state": np.int8,
    "strength": np.float32,
}


class RandomEffect(Coordinate):
    """`theta[entity of the row] . x`, 0 for an entity that has no model.

    Attributes:
        effect: what the columns are.
        ids: of the entities that have a model, Arrow strings.
        coefficients: the columns of each.
        mean, variance: float32 [coefficients].
        rows: int64 [entities], how many each was fitted on.
        state: int8 [entities], place in `STATES`.
        strength: float32 [groups of columns], precision of the effect toward 0.
        earlier: what training begins from, or None; not saved.
    """

    form = Form.BLOCK
    is_linear = True

    def __init__(self, schema: Schema, parameters: RandomEffectParameters, seed: int = 0) -> None:
        super().__init__("random_effect", schema, parameters)
        self.effect = EffectColumns.of(schema, parameters.entity, parameters.features, parameters.intercept)
        self.earlier: RandomEffect | None = None
        self._found: tuple[pa.Array, Codes] | None = None
        empty = {name: np.zeros(int(name in ("starts", "id_ends")), kind) for name, kind in ARRAY_TYPES.items()}
        self.restore(empty | {"strength": np.ones(len(self.effect.terms), np.float32)}, "")

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """See `Coordinate`; the ids are their bytes one after the other, and where each ends, after a 0."""
        texts = [text.encode() for text in self.ids.to_pylist()]
        own = {
            "id_bytes": np.frombuffer(b"".join(texts), np.uint8),
            "id_ends": np.cumsum([0, *map(len, texts)]),
            "starts": self.coefficients.starts,
            "columns": self.coefficients.columns,
        }
        own |= {name: getattr(self, name) for name in ("mean", "variance", "rows", "state", "strength")}
        return {name: np.asarray(own[name], kind) for name, kind in ARRAY_TYPES.items()}

    @property
    def entities(self) -> tuple[str, ...]:
        """See `Coordinate`."""
        return self.effect.parts

    @property
    def size(self) -> int:
        """See `Coordinate`: the coefficients of all entities."""
        return len(self.mean)

    def restore(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        """See `Coordinate`; how many entities there are is in the arrays."""
        if not _is_whole(arrays, len(self.effect.group), len(self.effect.terms)):
            raise DataError(f"{where}: these are no random effects over {len(self.effect.group)} columns, or damaged")
        content, ends = arrays["id_bytes"].tobytes(), arrays["id_ends"]
        texts = [content[first:last].decode() for first, last in pairwise(ends)]
        self.take(
            pa.array(texts, pa.string()),
            Coefficients(arrays["starts"], arrays["columns"]),
            *(arrays[name] for name in ("mean", "variance", "rows", "state", "strength")),
        )

    def take(
        self,
        ids: pa.Array,
        coefficients: Coefficients,
        mean: Floats,
        variance: Floats,
        rows: np.ndarray,
        state: np.ndarray,
        strength: Floats,
    ) -> None:
        """Takes on effects, arrays as the class has them."""
        self.ids, self.coefficients, self.mean, self.variance = ids, coefficients, mean, variance
        self.rows, self.state, self.strength = rows, state, strength
        self._found = None

    def only(self, kept: np.ndarray) -> "RandomEffect":
        """The same effect with some of its entities, bool [entities]."""
        some, own = RandomEffect(self.schema, self.parameters), kept[self.coefficients.entity]
        starts = np.concatenate([[0], np.cumsum(np.diff(self.coefficients.starts)[kept])]).astype(np.int64)
        coefficients = Coefficients(starts, self.coefficients.columns[own])
        ids, of_each = self.ids.filter(pa.array(kept)), (self.rows[kept], self.state[kept])
        some.take(ids, coefficients, self.mean[own], self.variance[own], *of_each, self.strength)
        return some

    def places(self, ids: pa.Array) -> Codes:
        """Which of its entities each id is, int32, -1 for those it has no model of; kept for the last ids."""
        if self._found is None or self._found[0] is not ids:
            found = pc.index_in(ids, value_set=self.ids).fill_null(-1)
            self._found = ids, np.append(found.to_numpy(zero_copy_only=False), -1).astype(np.int32)
        return self._found[1]

    def score(self, rows: Block) -> Floats:
        """See `Coordinate`; rows are a block with its entities' codes."""
        codes, ids = self.effect.entities(rows)
        known = self.places(ids)[codes]  # the last place is that of code -1
        return scores(self.effect.design(rows), known, self.coefficients, self.mean)

    def terms(self, block: Block) -> dict[str, np.ndarray]:
        """See `Coordinate`."""
        codes, ids = self.effect.entities(block)
        found = terms(
            self.effect.design(block), self.places(ids)[codes], self.coefficients, self.mean, self.effect.group
        )
        return {name: found[:, place] for place, name in enumerate(self.effect.terms) if place}

    def effects(self) -> pa.Table:
        """See `Coordinate`."""
        starts = pa.array(self.coefficients.starts.astype(np.int32))
        pairs = [pa.array(self.coefficients.columns), pa.array(self.mean)]
        return pa.table(
            {
                "entity": self.ids,
                "effect": pa.ListArray.from_arrays(starts, pa.StructArray.from_arrays(pairs, ["column", "value"])),
            }
        )

    def take_effects(self, effects: pa.Table) -> None:
        """See `Coordinate`; only what scoring needs."""
        lists = effects["effect"].combine_chunks()
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        pairs, count = lists.flatten(), effects.num_rows
        columns, mean = (pairs.field(place).to_numpy(zero_copy_only=False) for place in (0, 1))
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        coefficients = Coefficients(starts, columns.astype(np.int32))
        rows, state = np.zeros(count, np.int64), np.zeros(count, np.int8)
        mean = mean.astype(np.float32)
        self.take(
            effects["entity"].combine_chunks(), coefficients, mean, np.zeros_like(mean), rows, state, self.strength
        )

    def listed(self) -> pa.Table:
        """Every coefficient as a row: `entity`, `term`, `mean`, `variance`, `rows`, `state`."""
        owner, columns = self.coefficients.entity, self.coefficients.columns
        used, place = np.unique(columns, return_inverse=True)
        terms = pa.DictionaryArray.from_arrays(place.astype(np.int32), pa.array(self.effect.names(used), pa.string()))
        states = pa.DictionaryArray.from_arrays(self.state[owner].astype(np.int8), pa.array(STATES))
        arrays = [self.ids.take(pa.array(owner)), terms, self.mean, self.variance, self.rows[owner], states]
        return pa.table(dict(zip(("entity", "term", "mean", "variance", "rows", "state"), arrays, strict=True)))


def _is_whole(arrays: Mapping[str, np.ndarray], columns: int, groups: int) -> bool:
    if not set(ARRAY_TYPES) <= set(arrays) or any(arrays[name].ndim != 1 for name in ARRAY_TYPES):
        return False
    starts, entities, own = arrays["starts"], len(arrays["rows"]), arrays["columns"]
    if len(starts) != entities + 1 or len(arrays["id_ends"]) != entities + 1 or len(arrays["state"]) != entities:
        return False
    if len(arrays["strength"]) != groups or starts[0] != 0 or (np.diff(starts) < 0).any():
        return False
    sizes = {len(own), len(arrays["mean"]), len(arrays["variance"]), int(starts[-1])}
    return len(sizes) == 1 and not ((own < 0) | (own >= columns)).any()
