"""The training rows of a random effect where the dataset is larger than memory: only what the effect itself takes.

An effect has few of a dataset's columns, often none but its entity. So blocks are streamed once and of each only the
entities' codes, the effect's own columns and the targets are kept, in dataset order: the very problem that resident
rows make, and the very solution. Where these do not fit either, entities are shared out by a hash of their ids, and
the stream is read once for each share.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.dataset.block import BagColumn, Block
from glmix_automl.features.hashing import hash_texts
from glmix_automl.models.design import Codes, Design, Floats
from glmix_automl.models.effect_columns import EffectColumns

BLOCKS = 3  # whose memory an effect's columns may take: a stream holds as many, and has ended by then


@dataclass(frozen=True, eq=False)
class EffectRows:
    """Rows with the columns of one effect.

    Attributes:
        codes: int32 [rows], the entity of each, -1 for none.
        ids: of the codes.
        design: the effect's columns.
        label, weight, offset: float32 [rows].
        rows: int64 [rows], their places in the split.
    """

    codes: Codes
    ids: pa.Array
    design: Design
    label: Floats
    weight: Floats
    offset: Floats
    rows: np.ndarray

    @classmethod
    def of(cls, effect: EffectColumns, block: Block) -> "EffectRows":
        """Those of a block."""
        return cls(*effect.entities(block), effect.design(block), block.label, block.weight, block.offset, block.rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the columns and codes."""
        design = self.design
        return sum(a.nbytes for a in (self.codes, design.numerics, design.splits, design.ids, design.values))

    def only(self, kept: np.ndarray) -> "EffectRows":
        """Some of the rows, int64 [kept]."""
        columns = (getattr(self, name)[kept] for name in ("label", "weight", "offset", "rows"))
        return EffectRows(self.codes[kept], self.ids, _join([self.design], kept), *columns)


def count_shares(effect: EffectColumns, block: Block, rows: int) -> int:
    """In how many shares the entities are solved, so that the columns of each fit in memory, by a block of the rows."""
    each = EffectRows.of(effect, block).nbytes / max(len(block), 1)
    return max(math.ceil(each * rows / (BLOCKS * block.nbytes)), 1)


def share_of(ids: pa.Array, shares: int) -> np.ndarray:
    """The share of each entity, by its id: int64 [ids]."""
    return (hash_texts(ids.cast(pa.string())) % np.uint64(shares)).astype(np.int64)


def gather_rows(effect: EffectColumns, blocks: Iterable[Block], share: int = 0, shares: int = 1) -> EffectRows:
    """The rows of a share of the entities, in dataset order; those without an entity are in the first share.

    Args:
        effect: whose columns.
        blocks: each row once, in any order; none is kept.
        share, shares: which of how many.
    """
    parts = []
    for block in blocks:
        part = EffectRows.of(effect, block)
        if shares > 1:
            own = np.append(share_of(part.ids, shares), 0)[part.codes]  # the last is that of code -1
            part = part.only(np.flatnonzero(own == share))
        parts.append(part)
    order = np.argsort(np.concatenate([part.rows for part in parts]), kind="stable")
    ids = pc.unique(pa.concat_arrays([part.ids for part in parts]))
    if shares > 1:
        ids = ids.filter(pa.array(share_of(ids, shares) == share))
    codes = np.concatenate([_recode(part, ids) for part in parts])[order]
    columns = (
        np.concatenate([getattr(part, name) for part in parts])[order] for name in ("label", "weight", "offset", "rows")
    )
    return EffectRows(codes, ids, _join([part.design for part in parts], order), *columns)


def _recode(part: EffectRows, ids: pa.Array) -> Codes:
    """The codes of a part's rows among all ids."""
    places = pc.index_in(part.ids, value_set=ids).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return np.append(places, np.int32(-1))[part.codes]


def _join(designs: list[Design], order: np.ndarray) -> Design:
    """One design of the rows of several, in another order."""
    first = designs[0]
    lengths = np.concatenate([np.diff(design.splits) for design in designs])
    splits = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids, values = (np.concatenate([getattr(design, name) for design in designs]) for name in ("ids", "values"))
    lists = BagColumn(splits, ids, values).take(order)
    numerics = np.concatenate([design.numerics for design in designs])[order]
    assert lists.values is not None
    return Design(first.intercept, numerics, lists.splits, lists.ids, lists.values, first.columns)
