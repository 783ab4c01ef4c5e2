"""A network in memory: who is next to whom, in compressed rows."""

from dataclasses import dataclass
from functools import cached_property

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

    @cached_property
    def degrees(self) -> NDArray[np.int64]:
        """[nodes] how many neighbours each has."""
        return np.diff(self.starts)

    @classmethod
    def of(cls, sources: Nodes, targets: Nodes, nodes: int) -> "Adjacency":
        """From edges, each named once: [edges] node numbers of both ends, which differ."""
        one, other = np.concatenate([sources, targets]), np.concatenate([targets, sources])
        order, _ = in_order_of(other, nodes)
        again, starts = in_order_of(one[order], nodes)
        order = order[again]
        one, other = one[order], other[order]
        ways = np.where(order < len(sources), OUT, BACK).astype(np.uint8)
        new = np.empty(len(order), np.bool_)  # not the other direction of the edge before
        new[:1] = True
        new[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
        if new.all():
            return cls(starts, other, ways)
        first = np.flatnonzero(new)
        return cls(np.searchsorted(first, starts), other[first], np.bitwise_or.reduceat(ways, first))

    @cached_property
    def nearby(self) -> Nodes:
        """[nodes], in an order in which nodes that share neighbours mostly follow each other: loops that take them so
        find what they read in the processor's caches, where the network is larger than these.

        Each node follows its neighbour of least hash (as in the shingles of Chierichetti et al., KDD 2009), for four
        steps; nodes that come together early are close.
        """
        drawn = draws(np.uint64(0), np.arange(self.nodes, dtype=np.uint64), np.zeros(self.nodes, np.uint64))
        first = _least(self.starts, self.others, drawn)
        second = first[first]
        return np.lexsort((first, second, second[second])).astype(np.int32)

    @cached_property
    def place(self) -> Nodes:
        """[nodes], where each stands in `nearby`."""
        result = np.empty(self.nodes, np.int32)
        result[self.nearby] = np.arange(self.nodes, dtype=np.int32)
        return result

    def by_left(self, left: Nodes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs grouped by their left end: (order of the pairs, where in it each group begins and, last, ends)."""
        order = np.argsort(self.place[left], kind="stable")
        heads = np.flatnonzero(np.diff(left[order], prepend=-1))
        return order, np.append(heads, len(left))

    def linked(self, left: Nodes, right: Nodes) -> NDArray[np.uint8]:
        """[pairs] the ways of the entry from left to right, 0 where they are no neighbours."""
        return np.asarray(_linked(self.starts, self.others, self.ways, left, right))


def in_order_of(places: NDArray[np.integer], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(a stable order of [entries] by place, below `size`; [size + 1] where in it each place begins and, last, ends),
    in linear time.
    """
    starts = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(places, minlength=size), out=starts[1:])
    return np.asarray(_dealt(places, starts[:-1].copy())), starts


@compile_loop
def _dealt(places, free):  # type: ignore[no-untyped-def]
    out = np.empty(len(places), np.int64)
    for entry in range(len(places)):
        out[free[places[entry]]] = entry
        free[places[entry]] += 1
    return out


@compile_loop
def _least(starts, others, drawn):  # type: ignore[no-untyped-def]
    """[nodes] of each node and its neighbours, the one with the least number drawn."""
    out = np.arange(len(drawn)).astype(np.int32)
    for node in range(len(drawn)):
        for place in range(starts[node], starts[node + 1]):
            if drawn[others[place]] < drawn[out[node]]:
                out[node] = others[place]
    return out


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
