"""A network in memory: who is next to whom, in compressed rows."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Nodes = NDArray[np.int32]
Keys = NDArray[np.uint64]
Numbers = NDArray[np.float64]

compile_loop = njit(cache=True, nogil=True, error_model="numpy")
"""Compiles a loop without the interpreter's lock, kept on disk. Sums are in the order written (no `fastmath`)."""

OUT, BACK = 1, 2
"""Bits of an entry of a node's row: there is an edge from the node to the other, from the other to the node."""


@dataclass(frozen=True, eq=False)
class Adjacency:
    """The neighbours of nodes 0, 1, ..., whatever the direction.

    12 or so bytes a link and direction: a hundred million links take 1 GB.

    Attributes:
        starts: int64 [nodes + 1]; the neighbours of node n are `others[starts[n]:starts[n + 1]]`, ascending.
        others: int32 [entries], two for a pair of linked nodes.
        ways: uint8 [entries], `OUT` and `BACK`.
    """

    starts: NDArray[np.int64]
    others: Nodes
    ways: NDArray[np.uint8]

    @property
    def nodes(self) -> int:
        """How many there are, those without neighbours too."""
        return len(self.starts) - 1

    @property
    def degrees(self) -> NDArray[np.int64]:
        """[nodes] how many neighbours each has."""
        return np.diff(self.starts)

    @classmethod
    def of(cls, sources: Nodes, targets: Nodes, nodes: int) -> "Adjacency":
        """From edges, each named once: [edges] node numbers of both ends, which differ."""
        one = np.concatenate([sources, targets]).astype(np.int64)
        other = np.concatenate([targets, sources]).astype(np.int64)
        way = np.repeat(np.array([OUT, BACK], np.uint8), len(sources))
        entry = one * nodes + other
        order = np.argsort(entry, kind="stable")
        entry, way = entry[order], way[order]
        first = np.flatnonzero(np.diff(entry, prepend=-1))
        entry, ways = entry[first], np.bitwise_or.reduceat(way, first) if len(first) else way
        starts = np.searchsorted(entry, np.arange(nodes + 1, dtype=np.int64) * nodes)
        return cls(starts, (entry % max(nodes, 1)).astype(np.int32), ways)

    def linked(self, left: Nodes, right: Nodes) -> NDArray[np.uint8]:
        """[pairs] the ways of the entry from left to right, 0 where they are no neighbours."""
        return np.asarray(_linked(self.starts, self.others, self.ways, left, right))


def by_left(left: Nodes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs grouped by their left end: (order of the pairs, where in it each group begins and, last, ends)."""
    order = np.argsort(left, kind="stable")
    heads = np.flatnonzero(np.diff(left[order], prepend=-1))
    return order, np.append(heads, len(left))


@compile_loop
def place_in(others, low, high, node):  # type: ignore[no-untyped-def]
    """Where `node` stands in the ascending `others[low:high]`, -1 if it does not."""
    end = high
    while low < high:
        middle = (low + high) // 2
        if others[middle] < node:
            low = middle + 1
        else:
            high = middle
    return low if low < end and others[low] == node else -1


@compile_loop
def _linked(starts, others, ways, left, right):  # type: ignore[no-untyped-def]
    out = np.zeros(len(left), np.uint8)
    for i in range(len(left)):
        place = place_in(others, starts[left[i]], starts[left[i] + 1], right[i])
        if place >= 0:
            out[i] = ways[place]
    return out


@compile_loop
def mix_bits(state):  # type: ignore[no-untyped-def]
    """MurmurHash3's 64-bit finaliser, of a uint64."""
    state = (state ^ (state >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    state = (state ^ (state >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return state ^ (state >> np.uint64(33))


@compile_loop
def draw(seed, one, other):  # type: ignore[no-untyped-def]
    """A number from 0 to 1 for (seed, key, key), all uint64: uniform, the same wherever it is computed."""
    state = mix_bits(mix_bits(seed ^ one) + other * np.uint64(0x9E3779B97F4A7C15))
    return (state >> np.uint64(11)) / 9007199254740992.0


@compile_loop
def draws(seed, ones, others):  # type: ignore[no-untyped-def]
    """`draw` of arrays of keys."""
    out = np.empty(len(ones), np.float64)
    for i in range(len(ones)):
        out[i] = draw(seed, ones[i], others[i])
    return out
