"""Where training rows come from: one block that stays resident, or blocks streamed from disk and read ahead."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from glmix_automl.dataset.block import Block
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.training.measure import Point


class Blocks(Protocol):
    """Training rows of this rank, in blocks; every rank has as many, and they differ by a row at most.

    Attributes:
        count: blocks per epoch.
        largest: rows of the largest block of any rank: what decides the steps per block, the same on every rank.
    """

    @property
    def count(self) -> int:
        """Blocks per epoch."""
        ...

    @property
    def largest(self) -> int:
        """Rows of the largest block of any rank."""
        ...

    def rows(self, epoch: int, number: int) -> tuple[Any, int]:
        """Block `number` of an epoch, prepared, and how many rows it has. Ask in ascending order."""
        ...


@dataclass(frozen=True)
class Source:
    """What a trial trains on, in the form of its coordinate (`Coordinate.form`), and what validates it.

    Attributes:
        blocks: the training rows of this rank, with the trial's offsets and labels.
        rows, weight: how many they are and the sum of their weights, over all ranks.
        seed: of the trial.
        validate: AUC (within members, where pairs are trained on) and log loss of a coordinate's weights as they are,
            on the validation rows of all ranks.
        validation: the validation rows of this rank, with the trial's offsets.
        members: a number for the member of each row, int32 [rows], of `whole` (`train`) or `validation`.
    """

    blocks: Blocks
    rows: int
    weight: float
    seed: int
    validate: Callable[[Coordinate], Point]
    validation: Callable[[], Any]
    members: Callable[[str], np.ndarray] = lambda split: np.zeros(0, np.int32)

    def whole(self) -> Any:
        """The training rows of this rank as one block, read block by block if they are streamed."""
        return self.blocks.rows(0, 0)[0]


class ResidentBlocks:
    """The one block that is in memory anyway."""

    count = 1

    def __init__(self, rows: Any, count: int, total_rows: int, size: int) -> None:
        """Of prepared rows, `count` of them; `total_rows` are those of all `size` ranks."""
        self.largest = math.ceil(total_rows / size)
        self._rows, self._count = rows, count

    def rows(self, epoch: int, number: int) -> tuple[Any, int]:
        """See `Blocks`."""
        return self._rows, self._count


class StreamedBlocks:
    """Blocks read from disk as they are needed: at most two in memory, and the tensors of one."""

    def __init__(
        self,
        stream: Callable[[int], Iterator[Block]],
        prepare: Callable[[Block], Any],
        total_rows: int,
        size: int,
        rows_per_block: int,
    ) -> None:
        """Reads nothing yet.

        Args:
            stream: the blocks of an epoch, in an order of its own.
            prepare: gives a block the offsets and labels of the trial, and the form of the coordinate.
            total_rows: of all ranks.
            size: ranks.
            rows_per_block: at most.
        """
        share = math.ceil(total_rows / size)
        self.count = math.ceil(share / rows_per_block)
        self.largest = math.ceil(share / self.count)
        self._stream, self._prepare = stream, prepare
        self._at: tuple[int, int] | None = None
        self._iterator: Iterator[Block] = iter(())
        self._now: tuple[Any, int] | None = None

    def rows(self, epoch: int, number: int) -> tuple[Any, int]:
        """See `Blocks`; skips blocks that are not asked for."""
        if self._at is None or self._at[0] != epoch or self._at[1] > number:
            self._iterator, self._at, self._now = self._stream(epoch), (epoch, -1), None
        while self._at[1] < number:
            self._now = None  # before the next is made, so that there is only one
            block = next(self._iterator)
            self._at = (epoch, self._at[1] + 1)
            if self._at[1] == number:
                self._now = self._prepare(block), len(block)
        assert self._now is not None
        return self._now


def each_block(blocks: Blocks) -> Iterator[Any]:
    """Every block once, in the order of epoch 0."""
    return (blocks.rows(0, number)[0] for number in range(blocks.count))


def score_blocks(score: Callable[[Block], np.ndarray], blocks: Iterator[Block]) -> np.ndarray:
    """Scores of streamed rows in the order they come: float32 [rows]."""
    return np.concatenate([score(block) for block in blocks])
