"""Where training rows come from: one block that stays resident, or blocks streamed from disk and read ahead."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from glmix_automl.dataset.block import Block
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.models.rows import Rows, taker
from glmix_automl.models.tensorflow import tf
from glmix_automl.seeds import derive
from glmix_automl.training.measure import Point
from glmix_automl.training.resident import ALIGNED

PIECE_ROWS = 1_000_000  # of a large share that are prepared at once, at least


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

    def in_pieces(self, batch: int, seed: int) -> "Blocks":
        """The same rows for a trainer that goes from batch to batch and may not come to the end of them.

        Args:
            batch: rows that every piece has at least.
            seed: of the trial: which piece is the first.
        """
        ...


@dataclass(frozen=True)
class Source:
    """What a trial trains on, in the form of its coordinate (`Coordinate.form`), and what validates it.

    Attributes:
        blocks: the training rows of this rank, with the trial's offsets and labels.
        rows, weight: how many they are and the sum of their weights, over all ranks.
        seed: of the trial.
        validate: AUC (within members, where pairs are trained on), log loss and scores of a coordinate's weights as
            they are, on the validation rows of all ranks.
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
    """The one block that is in memory anyway, prepared when it is first asked for."""

    count = 1

    def __init__(
        self, rows: Any, count: int, total_rows: int, size: int, prepare: Callable[[Any], Any] = lambda rows: rows
    ) -> None:
        """Of `count` rows; `total_rows` are those of all `size` ranks."""
        self.largest = math.ceil(total_rows / size)
        self._rows, self._count, self._prepare = rows, count, prepare
        self._prepared: Any = None

    def rows(self, epoch: int, number: int) -> tuple[Any, int]:
        """See `Blocks`."""
        if self._prepared is None:
            self._prepared = self._prepare(self._rows)
        return self._prepared, self._count

    def in_pieces(self, batch: int, seed: int) -> Blocks:
        """See `Blocks`; few rows are in one piece."""
        pieces = self.largest // max(PIECE_ROWS, 2 * batch)
        return (
            self if pieces < 2 else ResidentPieces(self._rows, self._count, self.largest, pieces, self._prepare, seed)
        )


class ResidentPieces:
    """Tensors in memory, of which a piece is prepared when it is first asked for: to prepare ten million rows takes
    longer than to train a network on one.
    """

    def __init__(
        self, rows: Rows, count: int, largest: int, pieces: int, prepare: Callable[[Rows], Any], seed: int
    ) -> None:
        """Of `count` rows, the largest share of any rank having `largest`; pieces are as even as may be if each is to
        begin where a slice is no copy.
        """
        self.count = pieces
        units = largest // ALIGNED
        self._edges = [place * units // pieces * ALIGNED for place in range(pieces)]
        self.largest = max(np.diff([*self._edges, largest]))
        self._edges.append(count)
        self._take, self._prepare = taker(rows), prepare
        self._first = derive(seed, "pieces") % pieces
        self._prepared: dict[int, tuple[Any, int]] = {}

    def rows(self, epoch: int, number: int) -> tuple[Any, int]:
        """See `Blocks`."""
        place = (self._first + number) % self.count
        if place not in self._prepared:
            begin, end = self._edges[place : place + 2]
            size = end - begin
            self._prepared[place] = self._prepare(self._take(tf.constant([begin], tf.int64), size)), size
        return self._prepared[place]

    def in_pieces(self, batch: int, seed: int) -> Blocks:
        """See `Blocks`."""
        return self


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

    def in_pieces(self, batch: int, seed: int) -> Blocks:
        """See `Blocks`."""
        return self


def each_block(blocks: Blocks) -> Iterator[Any]:
    """Every block once, in the order of epoch 0."""
    return (blocks.rows(0, number)[0] for number in range(blocks.count))


def score_blocks(score: Callable[[Block], np.ndarray], blocks: Iterator[Block]) -> np.ndarray:
    """Scores of streamed rows in the order they come: float32 [rows]."""
    return np.concatenate([score(block) for block in blocks])
