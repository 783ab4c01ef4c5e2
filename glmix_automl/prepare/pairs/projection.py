"""Columns from projected walks: every node a short vector, near nodes near vectors (FastRP, Chen et al., CIKM 2019).

The matrix of walks of one to four steps is multiplied by a matrix of random signs, made by hash of each node: nothing
is learnt or stored, and the same node has the same signs in another night's network.
"""

import numpy as np
from numpy.typing import NDArray

from glmix_automl.prepare.pairs.adjacency import Adjacency, Keys, Nodes, Numbers, compile_loop, mix_bits

PROJECTION = ("projected_cosine",)
WALK_STEPS = 4

Vectors = NDArray[np.float32]


def vectors(network: Adjacency, keys: Keys, dimensions: int, seed: int) -> Vectors:
    """[nodes, dimensions] the sum over one to `WALK_STEPS` steps of each node's projected walk probabilities, each of
    length 1 before they are added, and 1 in the end; 0 for nodes without neighbours.

    Args:
        network: the remaining one.
        keys: [nodes] hashes of the nodes' ids.
        dimensions: a multiple of 64.
        seed: of the signs.
    """
    walked = np.empty((len(keys), dimensions), np.float32)  # of numpy, which asks for large pages
    _sign(keys, np.uint64(seed), walked)
    # Signs of nodes of many neighbours tell little: they count with the root of the probability of being there.
    walked /= np.sqrt(np.maximum(network.degrees, 1), dtype=np.float32)[:, None]
    total, further = np.zeros_like(walked), np.empty_like(walked)
    for _ in range(WALK_STEPS):
        _walk(network.starts, network.others, network.nearby, walked, further, total)
        walked, further = further, walked
    _shorten(total)
    return total


def projection(of_nodes: Vectors, left: Nodes, right: Nodes) -> dict[str, Numbers]:
    """`PROJECTION` of pairs [pairs]: the cosine of the two ends' vectors."""
    return {"projected_cosine": np.asarray(_cosines(of_nodes, left, right))}


@compile_loop
def _sign(keys, seed, out):  # type: ignore[no-untyped-def]
    for node in range(len(keys)):
        for word in range(out.shape[1] // 64):
            bits = mix_bits(keys[node] ^ mix_bits(seed + np.uint64(word)))
            for bit in range(64):
                out[node, 64 * word + bit] = 1.0 if (bits >> np.uint64(bit)) & np.uint64(1) else -1.0


@compile_loop
def _walk(starts, others, order, walked, further, total):  # type: ignore[no-untyped-def]
    """Fills further [nodes, dimensions] with the mean of the neighbours' rows of `walked`, and adds it to total, of
    length 1.
    """
    dimensions = walked.shape[1]
    mean = np.empty(dimensions, np.float32)
    for node in order:
        mean[:] = 0.0
        for place in range(starts[node], starts[node + 1]):
            other = others[place]
            for i in range(dimensions):
                mean[i] += walked[other, i]
        share = np.float32(1.0 / max(starts[node + 1] - starts[node], 1))
        for i in range(dimensions):
            mean[i] *= share
        scale = np.float32(1.0 / max(np.sqrt(_product(mean, mean)), 1e-30))
        for i in range(dimensions):
            further[node, i] = mean[i]
            total[node, i] += mean[i] * scale


@compile_loop
def _shorten(rows):  # type: ignore[no-untyped-def]
    """Divides rows by their lengths."""
    for row in rows:
        scale = np.float32(1.0 / max(np.sqrt(_product(row, row)), 1e-30))
        for i in range(len(row)):
            row[i] *= scale


@compile_loop
def _product(one, other):  # type: ignore[no-untyped-def]
    """Of vectors whose length is a multiple of 8: eight sums side by side, which processors add at once."""
    sums = np.zeros(8)
    for i in range(0, len(one), 8):
        for lane in range(8):
            sums[lane] += one[i + lane] * other[i + lane]
    return sums.sum()


@compile_loop
def _cosines(of_nodes, left, right):  # type: ignore[no-untyped-def]
    out = np.empty(len(left))
    for pair in range(len(left)):
        out[pair] = _product(of_nodes[left[pair]], of_nodes[right[pair]])
    return out
