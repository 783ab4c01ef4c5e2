"""Columns from the attributes of an end's neighbours: what those one is linked to are like, and the other end is."""

import numpy as np

from glmix_automl.prepare.pairs.adjacency import Adjacency, Nodes, Numbers, by_left, compile_loop
from glmix_automl.prepare.pairs.attributes import Bags

LOOKED_AT = 256
"""Neighbours that a profile is made of; of more, as many evenly taken."""


def profile_names(name: str) -> tuple[str, str, str]:
    """Columns that `profiles` makes of a bag."""
    return f"left_profile_{name}", f"right_profile_{name}", f"profiles_{name}"


def share_names(name: str) -> tuple[str, str]:
    """Columns that `shares` makes of a category."""
    return f"left_neighbours_{name}", f"right_neighbours_{name}"


def gap_names(name: str) -> tuple[str, str]:
    """Columns that `gaps` makes of a number."""
    return f"left_gap_{name}", f"right_gap_{name}"


def profiles(network: Adjacency, bags: Bags, name: str, left: Nodes, right: Nodes) -> dict[str, Numbers]:
    """Cosines [pairs] of terms, each weighed by its rarity: of the right end's with the profile of the left's
    neighbours, of the left end's with the profile of the right's, and of both profiles.

    A node's profile is the mean of its neighbours' terms, each neighbour's of length 1. 0 where there are none.
    """
    values = bags.rarity[bags.codes]
    of_node = np.repeat(np.arange(network.nodes), np.diff(bags.starts))
    lengths = np.sqrt(np.bincount(of_node, values * values, minlength=network.nodes))
    values = values / np.maximum(lengths[of_node], 1e-30)
    out = np.zeros((3, len(left)))
    order, heads = by_left(left)
    terms = len(bags.terms), bags.starts, bags.codes, values
    _profiles(network.starts, network.others, *terms, left, right, order, heads, LOOKED_AT, out)
    return dict(zip(profile_names(name), out, strict=True))


def shares(network: Adjacency, bags: Bags, name: str, left: Nodes, right: Nodes) -> dict[str, Numbers]:
    """Shares [pairs] of the left end's neighbours that are of the right end's category, and the other way round; 0
    where the category is missing or there are no neighbours.
    """
    codes = np.full(network.nodes, -1, np.int32)
    codes[np.diff(bags.starts) > 0] = bags.codes
    ways = ((left, right), (right, left))
    columns = [_shares(network.starts, network.others, codes, one, other, LOOKED_AT) for one, other in ways]
    return dict(zip(share_names(name), columns, strict=True))


def means(network: Adjacency, numbers: Numbers) -> Numbers:
    """[nodes] the mean of a number over each node's neighbours that have one, NaN where none has."""
    return np.asarray(_means(network.starts, network.others, numbers))


def gaps(of_neighbours: Numbers, numbers: Numbers, name: str, left: Nodes, right: Nodes) -> dict[str, Numbers]:
    """Distances [pairs] from the mean of the left end's neighbours to the right end's number, and the other way round;
    NaN where either is missing.

    Args:
        of_neighbours: [nodes], as `means` gives them.
        numbers: [nodes].
        name: the feature's.
        left: [pairs] node numbers.
        right: [pairs] likewise.
    """
    columns = (np.abs(of_neighbours[one] - numbers[other]) for one, other in ((left, right), (right, left)))
    return dict(zip(gap_names(name), columns, strict=True))


@compile_loop
def _profiles(starts, others, terms, bag_starts, codes, values, left, right, order, heads, most, out):  # type: ignore[no-untyped-def]
    mine, theirs = np.zeros(terms), np.zeros(terms)
    touched, reached = np.empty(terms, np.int32), np.empty(terms, np.int32)
    for group in range(len(heads) - 1):
        one = left[order[heads[group]]]
        count = _fill(starts, others, bag_starts, codes, values, one, most, mine, touched)
        length = _length(mine, touched, count)
        for at in range(heads[group], heads[group + 1]):
            pair = order[at]
            other = right[pair]
            found = _fill(starts, others, bag_starts, codes, values, other, most, theirs, reached)
            reach = _length(theirs, reached, found)
            if length > 0.0:
                for place in range(bag_starts[other], bag_starts[other + 1]):
                    out[0, pair] += values[place] * mine[codes[place]] / length
            if reach > 0.0:
                for place in range(bag_starts[one], bag_starts[one + 1]):
                    out[1, pair] += values[place] * theirs[codes[place]] / reach
            if length > 0.0 and reach > 0.0:
                for i in range(found):
                    out[2, pair] += mine[reached[i]] * theirs[reached[i]]
                out[2, pair] /= length * reach
            for i in range(found):
                theirs[reached[i]] = 0.0
        for i in range(count):
            mine[touched[i]] = 0.0


@compile_loop
def _fill(starts, others, bag_starts, codes, values, node, most, profile, touched):  # type: ignore[no-untyped-def]
    count = 0
    degree = starts[node + 1] - starts[node]
    taken = min(degree, most)
    for i in range(taken):
        near = others[starts[node] + i * degree // taken]
        for place in range(bag_starts[near], bag_starts[near + 1]):
            if values[place] > 0.0:
                if profile[codes[place]] == 0.0:
                    touched[count] = codes[place]
                    count += 1
                profile[codes[place]] += values[place]
    return count


@compile_loop
def _length(profile, touched, count):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(count):
        total += profile[touched[i]] * profile[touched[i]]
    return np.sqrt(total)


@compile_loop
def _shares(starts, others, codes, one, other, most):  # type: ignore[no-untyped-def]
    out = np.zeros(len(one))
    for pair in range(len(one)):
        wanted = codes[other[pair]]
        low = starts[one[pair]]
        degree = starts[one[pair] + 1] - low
        taken = min(degree, most)
        if wanted < 0 or not taken:
            continue
        found = 0
        for i in range(taken):
            found += codes[others[low + i * degree // taken]] == wanted
        out[pair] = found / taken
    return out


@compile_loop
def _means(starts, others, numbers):  # type: ignore[no-untyped-def]
    out = np.full(len(starts) - 1, np.nan)
    for node in range(len(starts) - 1):
        total, count = 0.0, 0
        for place in range(starts[node], starts[node + 1]):
            if not np.isnan(numbers[others[place]]):
                total += numbers[others[place]]
                count += 1
        if count:
            out[node] = total / count
    return out
