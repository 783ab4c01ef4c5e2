"""Where the loop's rows come from: one block that stays resident, or blocks streamed from disk and read ahead."""

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from glmix_automl.dataset.block import Block
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.models.rows import Rows
from glmix_automl.training.resident import Resident


class Source(Protocol):
    """Training rows of this rank, in blocks; every rank has as many, and they differ by a row at most.

    Attributes:
        blocks: per epoch.
        block_rows: rows of the largest block of any rank: what decides the steps per block, the same on every rank.
    """

    @property
    def blocks(self) -> int:
        """Blocks per epoch."""
        ...

    @property
    def block_rows(self) -> int:
        """Rows of the largest block of any rank."""
        ...

    def rows(self, epoch: int, number: int) -> tuple[Rows, int]:
        """Block `number` of an epoch, prepared, and how many rows it has. Ask in ascending order."""
        ...


class ResidentSource:
    """The one block that is in memory anyway."""

    blocks = 1

    def __init__(self, coordinate: Coordinate, train: Resident, total_rows: int, size: int) -> None:
        self.block_rows = math.ceil(total_rows / size)
        self._rows, self._count = coordinate.prepare(train.rows), len(train)

    def rows(self, epoch: int, number: int) -> tuple[Rows, int]:
        """See `Source`."""
        return self._rows, self._count


class StreamedSource:
    """Blocks read from disk as they are needed: at most two in memory, and the tensors of one."""

    def __init__(
        self,
        coordinate: Coordinate,
        stream: Callable[[int], Iterator[Block]],
        adjust: Callable[[Resident], Resident],
        total_rows: int,
        size: int,
        rows_per_block: int,
    ) -> None:
        """Reads nothing yet.

        Args:
            coordinate: prepares the rows.
            stream: the blocks of an epoch, in an order of its own.
            adjust: gives a block the offsets and labels of the trial.
            total_rows: of all ranks.
            size: ranks.
            rows_per_block: at most.
        """
        share = math.ceil(total_rows / size)
        self.blocks = math.ceil(share / rows_per_block)
        self.block_rows = math.ceil(share / self.blocks)
        self._coordinate, self._stream, self._adjust = coordinate, stream, adjust
        self._at: tuple[int, int] | None = None
        self._iterator: Iterator[Block] = iter(())
        self._now: tuple[Rows, int] | None = None

    def rows(self, epoch: int, number: int) -> tuple[Rows, int]:
        """See `Source`; skips blocks that are not asked for."""
        if self._at is None or self._at[0] != epoch or self._at[1] > number:
            self._iterator, self._at, self._now = self._stream(epoch), (epoch, -1), None
        while self._at[1] < number:
            self._now = None  # before the next is made, so that there is only one
            block = next(self._iterator)
            self._at = (epoch, self._at[1] + 1)
            if self._at[1] == number:
                resident = self._adjust(Resident.of(block))
                self._now = self._coordinate.prepare(resident.rows), len(block)
        assert self._now is not None
        return self._now


def blocks_of(source: Source) -> Iterator[Rows]:
    """Every block once, in the order of epoch 0."""
    return (source.rows(0, number)[0] for number in range(source.blocks))


def scored_blocks(coordinate: Coordinate, blocks: Iterator[Block]) -> np.ndarray:
    """Scores of streamed rows in the order they come: float32 [rows]."""
    return np.concatenate([coordinate.score(Resident.of(block).rows) for block in blocks])
