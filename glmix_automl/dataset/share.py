"""Which rows of a split are read: one rank's even share, of all rows or of a subsample that keeps whole members."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from glmix_automl.seeds import derive, generator

_PRIME = np.uint64(0x100000001B3)  # FNV-1a, 64 bits


@dataclass(frozen=True, eq=False)
class Share:
    """Rows of a split in dataset order: the places `start` to `stop`, or those in `picked`."""

    start: int
    stop: int
    picked: np.ndarray | None = None

    @classmethod
    def of(cls, rows: int, picked: np.ndarray | None, rank: int, size: int) -> "Share":
        """The share of `rank` of `size`: shares are contiguous, disjoint, cover all, and differ by at most a row."""
        total = rows if picked is None else len(picked)
        start, stop = rank * total // size, (rank + 1) * total // size
        return cls(start, stop, None if picked is None else picked[start:stop])

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def places(self) -> np.ndarray:
        """int64 [rows]: the place of each row in the split."""
        return np.arange(self.start, self.stop) if self.picked is None else self.picked

    def cut(self, first: int, rows: int) -> tuple[int, np.ndarray | slice]:
        """Of a piece of `rows` rows that begins at place `first`: where they land in the share, and which they are."""
        if self.picked is None:
            start, stop = max(self.start, first), min(self.stop, first + rows)
            return max(start - self.start, 0), slice(start - first, max(stop, start) - first)
        low, high = np.searchsorted(self.picked, [first, first + rows])
        return int(low), self.picked[low:high] - first


def pick_rows(table: pa.Table, rows: np.ndarray | slice) -> pa.Table:
    """The rows of a table that a share takes."""
    if isinstance(rows, slice):
        return table.slice(rows.start, rows.stop - rows.start)
    return table if len(rows) == table.num_rows else table.take(pa.array(rows))


def count_rows(rows: np.ndarray | slice) -> int:
    """How many rows that is."""
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def member_draws(ids: pa.Array, rows: np.ndarray, seed: int) -> np.ndarray:
    """A number in [0, 1) for each member; the members below a fraction are that fraction's subsample.

    So subsamples are nested, and keep whole members. Members are stratified by activity (rows, in powers of two):
    each stratum is ordered by a hash of the id and spread evenly over [0, 1), so that a subsample has its share of
    active and of rare members, exactly up to one per stratum.

    Args:
        ids: the distinct ids, as strings.
        rows: [ids] how many rows each has.
        seed: another seed, another order.

    Returns:
        float64 [ids].
    """
    hashes = _hash(ids, derive(seed, "members"))
    stratum = np.frexp(np.maximum(rows, 1))[1]
    draws = np.empty(len(rows))
    order = np.lexsort((hashes, stratum))
    edges = np.flatnonzero(np.diff(stratum[order], prepend=-1, append=-1))
    for first, last in pairwise(edges):
        shift = generator(seed, "stratum", int(stratum[order[first]])).random()
        draws[order[first:last]] = (np.arange(last - first) + shift) / (last - first)
    return draws


def _hash(ids: pa.Array, seed: int) -> np.ndarray:
    """uint64 [ids]: FNV-1a of each text, all texts at once, one byte position after the other; mixed at the end."""
    text = ids.cast(pa.large_binary())
    edges = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
    letters = np.frombuffer(text.buffers()[2] or b"", np.uint8)
    lengths = np.diff(edges)
    hashes = np.full(len(ids), seed, np.uint64)
    for place in range(int(lengths.max(initial=0))):
        longer = np.flatnonzero(lengths > place)
        hashes[longer] = (hashes[longer] ^ letters[edges[longer] + place]) * _PRIME
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # SplitMix64's finalizer
        hashes = (hashes ^ (hashes >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(hashes ^ (hashes >> np.uint64(31)))
