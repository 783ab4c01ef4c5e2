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
    from scipy.sparse import csr_matrix  # not what every preparation should wait for

    walked = _signs(keys, dimensions, np.uint64(seed))
    ones = np.ones(len(network.others), np.float32)
    step = csr_matrix((ones, network.others, network.starts), shape=(network.nodes, network.nodes))
    inverse = (1 / np.maximum(network.degrees, 1)).astype(np.float32)[:, None]
    # Signs of nodes of many neighbours tell little: they count with the root of the probability of being there.
    walked *= np.sqrt(inverse)
    total = np.zeros_like(walked)
    for _ in range(WALK_STEPS):
        walked = step @ walked * inverse
        total += _of_length_one(walked)
    return _of_length_one(total)


def projection(of_nodes: Vectors, left: Nodes, right: Nodes) -> dict[str, Numbers]:
    """`PROJECTION` of pairs [pairs]: the cosine of the two ends' vectors."""
    return {"projected_cosine": np.asarray(_cosines(of_nodes, left, right))}


def _of_length_one(rows: Vectors) -> Vectors:
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return np.asarray(rows / np.maximum(lengths, np.float32(1e-30)))


@compile_loop
def _signs(keys, dimensions, seed):  # type: ignore[no-untyped-def]
    out = np.empty((len(keys), dimensions), np.float32)
    for node in range(len(keys)):
        for word in range(dimensions // 64):
            bits = mix_bits(keys[node] ^ mix_bits(seed + np.uint64(word)))
            for bit in range(64):
                out[node, 64 * word + bit] = 1.0 if (bits >> np.uint64(bit)) & np.uint64(1) else -1.0
    return out


@compile_loop
def _cosines(of_nodes, left, right):  # type: ignore[no-untyped-def]
    out = np.zeros(len(left))
    for pair in range(len(left)):
        for i in range(of_nodes.shape[1]):
            out[pair] += of_nodes[left[pair], i] * of_nodes[right[pair], i]
    return out
