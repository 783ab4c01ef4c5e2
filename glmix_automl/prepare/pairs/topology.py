"""Columns from the surroundings: how closely each end's neighbours, and the common ones, are linked to each other."""

import numpy as np

from glmix_automl.prepare.pairs.adjacency import Adjacency, Nodes, Numbers, compile_loop, place_in

TOPOLOGY = (
    "left_clustering",
    "right_clustering",
    "left_neighbour_degree",
    "right_neighbour_degree",
    "common_least_degree",
    "common_links",
)
COMMON_LOOKED_AT = 64
"""Common neighbours whose links among each other are counted; of more, as many evenly taken, and scaled up."""


def surroundings(network: Adjacency) -> Numbers:
    """[nodes, 2]: the clustering of each node (linked pairs of its neighbours, as a share of all; Watts and Strogatz,
    1998) and the mean degree of its neighbours; 0 without.
    """
    degrees = network.degrees
    pairs = np.maximum(degrees * (degrees - 1) / 2, 1)
    before = np.concatenate([[0], np.cumsum(degrees[network.others])])
    around = before[network.starts[1:]] - before[network.starts[:-1]]
    triangles = _triangles(network.starts, network.others)
    return np.stack([triangles / pairs, around / np.maximum(degrees, 1)], axis=1)


def topology(network: Adjacency, around: Numbers, left: Nodes, right: Nodes) -> dict[str, Numbers]:
    """`TOPOLOGY` of pairs [pairs]: what `surroundings` says of each end, the least degree of a common neighbour (0
    without any) and the links among the common neighbours.

    Args:
        network: the remaining one.
        around: of its nodes.
        left: [pairs] node numbers.
        right: [pairs] likewise.
    """
    least, links = np.zeros(len(left)), np.zeros(len(left))
    order, heads = network.by_left(left)
    _among_common(network.starts, network.others, left, right, order, heads, COMMON_LOOKED_AT, least, links)
    columns = (around[left, 0], around[right, 0], around[left, 1], around[right, 1], least, links)
    return dict(zip(TOPOLOGY, columns, strict=True))


@compile_loop
def _triangles(starts, others):  # type: ignore[no-untyped-def]
    """[nodes] triangles that each node is in. Each is found once, from its corner of least degree: every node then
    looks at no more than sqrt(2 links) of its neighbours.
    """
    nodes = len(starts) - 1
    out = np.zeros(nodes, np.int64)
    forth = np.zeros(nodes + 1, np.int64)
    for one in range(nodes):
        for place in range(starts[one], starts[one + 1]):
            forth[one + 1] += _before(starts, one, others[place])
        forth[one + 1] += forth[one]
    ahead = np.empty(forth[nodes], np.int32)
    count = 0
    for one in range(nodes):
        for place in range(starts[one], starts[one + 1]):
            if _before(starts, one, others[place]):
                ahead[count] = others[place]
                count += 1
    mark = np.full(nodes, -1, np.int64)
    for one in range(nodes):
        for place in range(forth[one], forth[one + 1]):
            mark[ahead[place]] = one
        for place in range(forth[one], forth[one + 1]):
            other = ahead[place]
            for third in range(forth[other], forth[other + 1]):
                if mark[ahead[third]] == one:
                    out[one] += 1
                    out[other] += 1
                    out[ahead[third]] += 1
    return out


@compile_loop
def _before(starts, one, other):  # type: ignore[no-untyped-def]
    """Whether a node comes before another by degree, then number."""
    mine, others = starts[one + 1] - starts[one], starts[other + 1] - starts[other]
    return mine < others or (mine == others and one < other)


@compile_loop
def _among_common(starts, others, left, right, order, heads, most, least, links):  # type: ignore[no-untyped-def]
    mark = np.zeros(len(starts) - 1, np.bool_)
    common = np.empty(len(starts) - 1, np.int32)
    for group in range(len(heads) - 1):
        one = left[order[heads[group]]]
        for place in range(starts[one], starts[one + 1]):
            mark[others[place]] = True
        for at in range(heads[group], heads[group + 1]):
            pair = order[at]
            count = 0
            for place in range(starts[right[pair]], starts[right[pair] + 1]):
                node = others[place]
                if mark[node]:
                    common[count] = node
                    count += 1
                    degree = starts[node + 1] - starts[node]
                    if least[pair] == 0.0 or degree < least[pair]:
                        least[pair] = degree
            taken = min(count, most)
            found = 0
            for i in range(taken):
                node = common[i * count // taken]
                for j in range(i + 1, taken):
                    found += place_in(others, starts[node], starts[node + 1], common[j * count // taken]) >= 0
            if taken > 1:
                links[pair] = found * (count * (count - 1.0)) / (taken * (taken - 1.0))
        for place in range(starts[one], starts[one + 1]):
            mark[others[place]] = False
