"""Columns from what two nodes have in common: their common neighbours, and how many neighbours each has."""

import numpy as np
from numpy.typing import NDArray

from glmix_automl.prepare.pairs.adjacency import BACK, OUT, Adjacency, Nodes, Numbers, compile_loop, place_in

STRUCTURE = (
    "common_neighbours",
    "jaccard",
    "adamic_adar",
    "resource_allocation",
    "preferential_attachment",
    "left_degree",
    "right_degree",
)
DIRECTED = ("reciprocal", "paths", "followed_by_both", "followers_of_both", "left_followed", "right_followers")
"""Only of directed networks: whether right follows left; how many are followed by left and follow right; are followed
by both; follow both; how many left follows; how many follow right."""


def two_steps(network: Adjacency, left: Nodes, right: Nodes, directed: bool) -> dict[str, Numbers]:
    """`STRUCTURE` of pairs [pairs], and `DIRECTED` of a directed network.

    With N(x) the neighbours of x and d their number: common neighbours |N(left) & N(right)|; Jaccard |&| / |or|;
    Adamic-Adar, sum over common z of 1 / log d(z) (Adamic and Adar, 2003); resource allocation, sum of 1 / d(z) (Zhou
    et al., 2009); preferential attachment d(left) d(right). 0 for nodes without neighbours.
    """
    degrees = network.degrees
    counts, sums = _found(network, left, right)
    common, from_left, from_right = counts[:, 0], degrees[left], degrees[right]
    union = from_left + from_right - common
    columns = {
        "common_neighbours": common,
        "jaccard": np.divide(common, union, out=np.zeros(len(left)), where=union > 0),
        "adamic_adar": sums[:, 0],
        "resource_allocation": sums[:, 1],
        "preferential_attachment": from_left.astype(np.float64) * from_right,
        "left_degree": from_left,
        "right_degree": from_right,
    }
    if directed:
        followed, followers = (_counted(network, bit) for bit in (OUT, BACK))
        columns |= {
            "reciprocal": network.linked(right, left) & OUT,
            "paths": counts[:, 1],
            "followed_by_both": counts[:, 2],
            "followers_of_both": counts[:, 3],
            "left_followed": followed[left],
            "right_followers": followers[right],
        }
    return {name: np.asarray(column, np.float64) for name, column in columns.items()}


def within_two_steps(network: Adjacency, left: Nodes, right: Nodes) -> NDArray[np.bool_]:
    """[pairs] whether the two have a common neighbour."""
    return _found(network, left, right)[0][:, 0] > 0


def _found(network: Adjacency, left: Nodes, right: Nodes) -> tuple[NDArray[np.int64], Numbers]:
    counts, sums = np.zeros((len(left), 4), np.int64), np.zeros((len(left), 2))
    order, heads = network.by_left(left)
    _through_common(network.starts, network.others, network.ways, left, right, order, heads, counts, sums)
    return counts, sums


def _counted(network: Adjacency, bit: int) -> NDArray[np.int64]:
    before = np.concatenate([[0], np.cumsum((network.ways & bit) > 0)])
    return np.asarray(before[network.starts[1:]] - before[network.starts[:-1]])


@compile_loop
def _through_common(starts, others, ways, left, right, order, heads, counts, sums):  # type: ignore[no-untyped-def]
    """Fills counts [pairs, 4] and sums [pairs, 2] over common neighbours, in ascending order.

    The left end's neighbours are marked once for all its pairs, so a pair costs the right end's; or the left end's,
    looked for among the right's, where those are many.
    """
    mark = np.zeros(len(starts) - 1, np.uint8)
    for group in range(len(heads) - 1):
        one = left[order[heads[group]]]
        low, high = starts[one], starts[one + 1]
        for place in range(low, high):
            mark[others[place]] = ways[place]
        for at in range(heads[group], heads[group + 1]):
            pair = order[at]
            other = right[pair]
            few, many = starts[other], starts[other + 1]
            if many - few > 16 * (high - low):
                for place in range(low, high):
                    found = place_in(others, few, many, others[place])
                    if found >= 0:
                        _add(starts, others[place], ways[place], ways[found], counts[pair], sums[pair])
            else:
                for place in range(few, many):
                    if mark[others[place]]:
                        _add(starts, others[place], mark[others[place]], ways[place], counts[pair], sums[pair])
        for place in range(low, high):
            mark[others[place]] = 0


@compile_loop
def _add(starts, node, from_left, from_right, counts, sums):  # type: ignore[no-untyped-def]
    degree = starts[node + 1] - starts[node]
    counts[0] += 1
    counts[1] += (from_left & 1) & (from_right >> 1)
    counts[2] += (from_left & 1) & (from_right & 1)
    counts[3] += (from_left >> 1) & (from_right >> 1)
    sums[0] += 1.0 / np.log(degree)
    sums[1] += 1.0 / degree
