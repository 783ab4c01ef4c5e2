"""Columns from walks of three steps: l - x - z - r, through nodes that left and right need not have in common."""

import numpy as np

from glmix_automl.prepare.pairs.adjacency import Adjacency, Nodes, Numbers, compile_loop

WALKS = (
    "walk_2",
    "paths_3",
    "allocation_3",
    "allocation_3_scaled",
    "l3",
    "l3_scaled",
)
_MILLION = 1e6


def walks(
    network: Adjacency, left: Nodes, right: Nodes, cap: int | None = None, sample: int | None = None
) -> dict[str, Numbers]:
    """`WALKS` of pairs [pairs].

    Over the paths left - x - z - right: `paths_3` their number; `allocation_3` the sum of 1 / (d(x) d(z)), what of a
    unit shared out evenly at each of x and z arrives (resource allocation, taken one step on); `l3` the sum of
    1 / sqrt(d(x) d(z)) (Kovacs et al., 2019); `_scaled` divided by sqrt(d(left) d(right)). `walk_2` is the geometric
    mean of the probabilities that two random steps from one end arrive at the other. All but counts and `l3` are in
    millionths, so that their logarithms spread.

    A left end costs the neighbours of its neighbours, once for all its pairs; a pair its right end's neighbours. With a
    `sample` a left end costs at most so many per neighbour, and sums over three steps are estimates without bias: of
    the d neighbours of x every d / sample-th is walked to, from a place that is drawn for each left end and x, and
    counts so often (Horvitz and Thompson, 1952).

    Args:
        network: the remaining one.
        left: [pairs] node numbers.
        right: [pairs] likewise.
        cap: most neighbours of x and z; nodes with more are not walked through.
        sample: of x's neighbours, at most so many are walked to.
    """
    degrees = network.degrees.astype(np.float64)
    sums = np.zeros((len(left), 4))
    order, heads = network.by_left(left)
    most = network.nodes if cap is None else cap
    drawn = network.nodes if sample is None else sample
    _three_steps(network.starts, network.others, left, right, order, heads, most, drawn, sums)
    both = np.sqrt(np.maximum(degrees[left] * degrees[right], 1.0))
    return {
        "walk_2": _MILLION * sums[:, 3] / both,
        "paths_3": sums[:, 0],
        "allocation_3": _MILLION * sums[:, 1],
        "allocation_3_scaled": _MILLION * sums[:, 1] / both,
        "l3": sums[:, 2],
        "l3_scaled": _MILLION * sums[:, 2] / both,
    }


def sampling_error(network: Adjacency, left: Nodes, right: Nodes, cap: int | None, sample: int) -> float:
    """The error (root mean square) that a sample makes in `allocation_3`, as a share of its standard deviation here."""
    exact, found = (walks(network, left, right, cap, drawn)["allocation_3"] for drawn in (None, sample))
    return float(np.sqrt(np.mean((found - exact) ** 2)) / max(exact.std(), 1e-12))


def paths_left_out(network: Adjacency, cap: int) -> tuple[int, float]:
    """(nodes of more neighbours than `cap`, the share of all paths of three steps that lead through one of them)."""
    degrees = network.degrees
    one = np.repeat(degrees, degrees)  # of both nodes in between, for every link between them, twice
    other = degrees[network.others]
    paths = (one - 1.0) * (other - 1.0)
    capped = paths[(one > cap) | (other > cap)].sum()
    return int((degrees > cap).sum()), float(capped / max(paths.sum(), 1.0))


@compile_loop
def _uniform(one, other):  # type: ignore[no-untyped-def]
    """A number in [0, 1) for two nodes, by their numbers (the finaliser of MurmurHash3)."""
    word = (np.uint64(one) << np.uint64(32)) ^ np.uint64(other)
    for multiplier in (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)):
        word = (word ^ (word >> np.uint64(33))) * multiplier
    word ^= word >> np.uint64(33)
    return np.float64(word >> np.uint64(11)) * 2.0**-53


@compile_loop
def _three_steps(starts, others, left, right, order, heads, most, sample, sums):  # type: ignore[no-untyped-def]
    """Fills sums [pairs, 4]: three-step paths, allocation, l3, and two-step allocation."""
    nodes = len(starts) - 1
    near = np.zeros(nodes, np.bool_)
    # What arrives over two steps lies close together, of the nodes where something does: it stays in the cache.
    slot = np.full(nodes, -1, np.int32)
    touched, arrived = np.empty(nodes, np.int32), np.empty((nodes, 3))
    for group in range(len(heads) - 1):
        one = left[order[heads[group]]]
        count = 0
        for first in range(starts[one], starts[one + 1]):
            x = others[first]
            near[x] = True
            degree = starts[x + 1] - starts[x]
            if degree > most:
                continue
            drawn = min(degree, sample)
            times = degree / drawn  # that each of those drawn counts; 1 where all are
            share, root = times / degree, times / np.sqrt(degree)
            begin = _uniform(one, x) * times if drawn < degree else 0.0
            for k in range(drawn):
                z = others[starts[x] + (k if drawn == degree else min(int(begin + k * times), degree - 1))]
                at = slot[z]
                if at < 0:
                    slot[z] = at = count
                    touched[count] = z
                    arrived[count, 0] = arrived[count, 1] = arrived[count, 2] = 0.0
                    count += 1
                arrived[at, 0] += times
                arrived[at, 1] += share
                arrived[at, 2] += root
        for i in range(heads[group], heads[group + 1]):
            pair = order[i]
            for last in range(starts[right[pair]], starts[right[pair] + 1]):
                z = others[last]
                at = slot[z]
                if at < 0 and not near[z]:
                    continue
                degree = starts[z + 1] - starts[z]
                if near[z]:
                    sums[pair, 3] += 1.0 / degree
                if at >= 0 and degree <= most:
                    sums[pair, 0] += arrived[at, 0]
                    sums[pair, 1] += arrived[at, 1] / degree
                    sums[pair, 2] += arrived[at, 2] / np.sqrt(degree)
        for i in range(count):
            slot[touched[i]] = -1
        for first in range(starts[one], starts[one + 1]):
            near[others[first]] = False
