"""Columns from affinity: whether those who have the one end's terms link to those who have the other's."""

import numpy as np

from glmix_automl.prepare.pairs.adjacency import OUT, Adjacency, Nodes, Numbers, compile_loop
from glmix_automl.prepare.pairs.attributes import Bags
from glmix_automl.prepare.pairs.projection import Vectors

MOST_TERMS = 4096
"""Terms, the most frequent, whose affinities are kept; the table of so many takes 64 MB."""
SMOOTHING = 1.0
"""Links that are added to observed and to expected ones."""


def affinity_name(name: str) -> str:
    """The column that `affinity` makes of a bag or category."""
    return f"affinity_{name}"


def table(network: Adjacency, bags: Bags, directed: bool) -> tuple[Vectors, Nodes]:
    """(float32 [kept, kept], int32 [entries of the bag] the place of each term in it, or -1): the log of observed over
    expected links from nodes that have one term to nodes that have another, on the remaining network.

    A link from a node of m terms to one of n counts once for each of the m * n pairs of terms; expected are those there
    would be if links were made without regard to terms. All are whole numbers, so their order is no matter.
    """
    having = np.bincount(bags.codes, minlength=len(bags.terms))
    kept = np.sort(np.argsort(-having, kind="stable")[:MOST_TERMS])
    place = np.full(len(bags.terms), -1, np.int32)
    place[kept] = np.arange(len(kept), dtype=np.int32)
    forth = network.ways & OUT
    places = place[bags.codes]
    observed = _observed(network.starts, network.others, forth, bags.starts, places, len(kept))
    if not directed:
        observed = observed + observed.T
    leaving, arriving = (observed.sum(axis=axis, dtype=np.float64) for axis in (1, 0))
    total = max(float(leaving.sum()), 1.0)
    result = np.empty(observed.shape, np.float32)
    for term, row in enumerate(observed):  # a row at a time: the table is large enough once
        result[term] = np.log((row + SMOOTHING) / (leaving[term] * arriving / total + SMOOTHING))
    return result, places


def affinity(fitted: tuple[Vectors, Nodes], bags: Bags, name: str, left: Nodes, right: Nodes) -> dict[str, Numbers]:
    """The mean [pairs] over pairs of a term of the left end and one of the right of what the table says; 0 where either
    has none.
    """
    return {affinity_name(name): np.asarray(_mean(fitted[0], bags.starts, fitted[1], left, right))}


@compile_loop
def _observed(starts, others, forth, bag_starts, places, kept):  # type: ignore[no-untyped-def]
    out = np.zeros((kept, kept), np.int32)
    for node in range(len(starts) - 1):
        for entry in range(starts[node], starts[node + 1]):
            if forth[entry]:
                other = others[entry]
                for one in range(bag_starts[node], bag_starts[node + 1]):
                    if places[one] >= 0:
                        for two in range(bag_starts[other], bag_starts[other + 1]):
                            if places[two] >= 0:
                                out[places[one], places[two]] += 1
    return out


@compile_loop
def _mean(values, bag_starts, places, left, right):  # type: ignore[no-untyped-def]
    out = np.zeros(len(left))
    for pair in range(len(left)):
        total, count = 0.0, 0
        for one in range(bag_starts[left[pair]], bag_starts[left[pair] + 1]):
            if places[one] >= 0:
                for two in range(bag_starts[right[pair]], bag_starts[right[pair] + 1]):
                    if places[two] >= 0:
                        total += values[places[one], places[two]]
                        count += 1
        if count:
            out[pair] = total / count
    return out
