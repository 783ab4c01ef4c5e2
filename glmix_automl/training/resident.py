"""A rank's share of a split, in the forms that coordinates take: tensors kept for the length of a study, or a block."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from glmix_automl.dataset.block import Block
from glmix_automl.models.coordinate import Form
from glmix_automl.models.rows import Rows, from_block, pick_rows
from glmix_automl.models.tensorflow import tf
from glmix_automl.seeds import generator

ALIGNED = 16  # rows; slices that begin at multiples share the tensor's memory instead of being copied


class RankShare(Protocol):
    """The share of a split that this rank holds, in the form that some coordinates take."""

    @property
    def rows(self) -> Any:
        """In that form."""
        ...

    @property
    def places(self) -> np.ndarray:
        """The place in the split of each of the share's rows, int64 [rows]."""
        ...

    @property
    def in_turn(self) -> np.ndarray:
        """The place in the split of each of `rows`, int64."""
        ...

    @property
    def weight(self) -> float:
        """Sum of the rows' weights."""
        ...

    def __len__(self) -> int: ...

    def with_offset(self, offset: np.ndarray) -> "RankShare":
        """The same rows with other offsets, float32 [rows of the share]."""
        ...

    def with_label(self, label: np.ndarray) -> "RankShare":
        """The same rows with other labels in [0, 1], float32 [rows of the share]."""
        ...

    def in_order(self, values: np.ndarray) -> np.ndarray:
        """Values of `rows` back in the share's order."""
        ...


@dataclass
class BlockShare:
    """Rows as numpy has them, in dataset order."""

    rows: Block

    @property
    def places(self) -> np.ndarray:
        """See `RankShare`."""
        return self.rows.rows

    @property
    def in_turn(self) -> np.ndarray:
        """See `RankShare`."""
        return self.places

    @property
    def weight(self) -> float:
        """See `RankShare`."""
        return float(self.rows.weight.sum(dtype=np.float64))

    def __len__(self) -> int:
        return len(self.rows)

    def with_offset(self, offset: np.ndarray) -> "BlockShare":
        """See `RankShare`."""
        return BlockShare(replace(self.rows, offset=np.asarray(offset, np.float32)))

    def with_label(self, label: np.ndarray) -> "BlockShare":
        """See `RankShare`."""
        return BlockShare(replace(self.rows, label=np.asarray(label, np.float32)))

    def in_order(self, values: np.ndarray) -> np.ndarray:
        """See `RankShare`."""
        return values


def share_of(block: Block, form: Form) -> RankShare:
    """A block in a form."""
    return BlockShare(block) if form is Form.BLOCK else Resident.of(block)


def draw_order(rows: int, seed: int) -> np.ndarray:
    """In which order a share has its rows of train: int64 [rows], a permutation.

    It costs a tenth of a second per million rows once; epochs then visit batches that lie in one piece, in a new order
    each, which a slice gets for nothing. Gathering fresh rows at each step would double the time of a linear model.
    """
    return generator(seed, "shuffle").permutation(rows)


@dataclass(frozen=True, eq=False)
class Resident:
    """Rows as tensors, ready for a loop that slices them.

    Attributes:
        rows: the columns as tensors, in the order of `order`.
        order: int64 [rows], the share's row behind each row of `rows`, which may repeat; None if they are in dataset
            order.
        places: int64 [rows], the place in the split of each of the share's rows.
        weight: sum of the weights of `rows`.
    """

    rows: Rows
    order: np.ndarray | None
    places: np.ndarray
    weight: float

    @classmethod
    def of(cls, block: Block, order: np.ndarray | None = None) -> "Resident":
        """Copies a block's rows into tensors, in the order of these, int64, if there are any."""
        weight = block.weight if order is None else block.weight[order]
        return cls(from_block(block, order), order, block.rows, float(weight.sum(dtype=np.float64)))

    @property
    def in_turn(self) -> np.ndarray:
        """See `RankShare`."""
        return self.places if self.order is None else self.places[self.order]

    def __len__(self) -> int:
        return len(self.places if self.order is None else self.order)

    def holds(self, places: np.ndarray) -> bool:
        """Whether rows of the split, int64 ascending, are among those of the share, which lie in one piece."""
        return bool(self.places[0] <= places[0] and places[-1] <= self.places[-1])

    def pick(self, places: np.ndarray, order: np.ndarray) -> "Resident":
        """Copies of rows that it `holds`, these in this order: what `of` makes of them once they are read again."""
        at = self.in_order(np.arange(len(self)))[places[order] - self.places[0]]
        rows = pick_rows(self.rows, at)
        return Resident(rows, order, places, float(rows.weight.numpy().sum(dtype=np.float64)))

    def with_offset(self, offset: np.ndarray) -> "Resident":
        """The same rows with other offsets, float32 [rows of the share]."""
        mine = offset if self.order is None else offset[self.order]
        return Resident(self.rows._replace(offset=tf.constant(mine, tf.float32)), self.order, self.places, self.weight)

    def with_label(self, label: np.ndarray) -> "Resident":
        """The same rows with other labels in [0, 1], float32 [rows of the share]."""
        mine = label if self.order is None else label[self.order]
        return Resident(self.rows._replace(label=tf.constant(mine, tf.float32)), self.order, self.places, self.weight)

    def in_order(self, values: np.ndarray) -> np.ndarray:
        """Values of `rows` back in the share's order."""
        if self.order is None:
            return values
        back = np.empty_like(values)
        back[self.order] = values
        return back


def batch_starts(rows: int, batch: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Where the batches of one epoch begin, int32 [steps], in random order: evenly spread so that every row is in one.

    Args:
        rows: at least `batch`.
        batch: rows of a batch.
        steps: at least `rows / batch`; batches overlap as far as there are more.
        rng: draws the order.
    """
    grid = ALIGNED if batch % ALIGNED == 0 else 1  # batches of another size would leave rows between them out
    begin = -(np.arange(steps) * (batch - rows) // (max(steps - 1, 1) * grid)) * grid  # evenly spread, rounded up
    return rng.permutation(np.minimum(begin, rows - batch)).astype(np.int32)
