"""Block: rows of a dataset as numpy arrays, laid out for loops that take slices in the graph."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, eq=False)
class BagColumn:
    """A feature bag over the rows of a block, as compressed sparse rows.

    Attributes:
        splits: int64 [rows + 1]; the ids of row r are `ids[splits[r]:splits[r + 1]]`.
        ids: int32 [ids of all rows].
        values: float32 beside `ids`, or None where the bag has no values (each counts 1).
    """

    splits: np.ndarray
    ids: np.ndarray
    values: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.splits) - 1

    def take(self, rows: np.ndarray) -> "BagColumn":
        """The bags of the given rows (int positions), copied."""
        lengths = np.diff(self.splits)[rows]
        splits = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=splits[1:])
        source = np.arange(splits[-1]) + np.repeat(self.splits[rows] - splits[:-1], lengths)
        return BagColumn(splits, self.ids[source], None if self.values is None else self.values[source])

    def slice(self, start: int, stop: int) -> "BagColumn":
        """The bags of rows `start` to `stop`; ids and values are views."""
        first, last = self.splits[start], self.splits[stop]
        values = None if self.values is None else self.values[first:last]
        return BagColumn(self.splits[start : stop + 1] - first, self.ids[first:last], values)


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of one split; features in the order of the schema.

    Attributes:
        numerics: float32 [rows, numerics], row by row in memory, all finite.
        categoricals: int32 [rows, categoricals]; ids in [0, size of the vocabulary), 0 is unseen.
        bags: one per feature bag.
        label: float32 [rows], 0 or 1.
        weight: float32 [rows], above 0.
        offset: float32 [rows], log-odds added to every model's score.
        rows: int64 [rows], the place of each row in its split: what cached scores are indexed by.
        entities: entity name -> int32 [rows] codes (`Dataset.entity_codes`); empty unless asked for.
        entity_ids: entity name -> the id of each code, an Arrow array of strings; beside `entities`.
    """

    numerics: np.ndarray
    categoricals: np.ndarray
    bags: tuple[BagColumn, ...]
    label: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    rows: np.ndarray
    entities: Mapping[str, np.ndarray] = field(default_factory=dict)
    entity_ids: Mapping[str, pa.Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        bags = [a for bag in self.bags for a in (bag.splits, bag.ids, bag.values) if a is not None]
        return sum(a.nbytes for a in (*self._arrays().values(), *bags, *self.entities.values()))

    def take(self, rows: np.ndarray) -> "Block":
        """The given rows (int positions in this block, any order, repeats allowed), copied."""
        return replace(
            self,
            **{name: array[rows] for name, array in self._arrays().items()},
            bags=tuple(bag.take(rows) for bag in self.bags),
            entities={name: codes[rows] for name, codes in self.entities.items()},
        )

    def slice(self, start: int, stop: int) -> "Block":
        """Rows `start` to `stop` of this block (0 <= start <= stop <= rows) as views, cheap at any size."""
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"a block of {len(self)} rows has no slice {start}:{stop}")
        return replace(
            self,
            **{name: array[start:stop] for name, array in self._arrays().items()},
            bags=tuple(bag.slice(start, stop) for bag in self.bags),
            entities={name: codes[start:stop] for name, codes in self.entities.items()},
        )

    def _arrays(self) -> dict[str, Any]:
        names = ("numerics", "categoricals", "label", "weight", "offset", "rows")
        return {name: getattr(self, name) for name in names}
