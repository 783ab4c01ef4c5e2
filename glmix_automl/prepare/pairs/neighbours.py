"""Columns from the attributes of an end's neighbours: what those one is linked to are like, and the other end is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glmix_automl.prepare.pairs.adjacency import Adjacency, Nodes, Numbers, compile_loop
from glmix_automl.prepare.pairs.attributes import Bags

LOOKED_AT = 256
"""Neighbours that a profile is made of; of more, as many evenly taken."""


def profile_names(name: str) -> tuple[str, str, str]:
    """Columns that `profile_cosines` makes of a bag."""
    return f"left_profile_{name}", f"right_profile_{name}", f"profiles_{name}"


def share_names(name: str) -> tuple[str, str]:
    """Columns that `shares` makes of a category."""
    return f"left_neighbours_{name}", f"right_neighbours_{name}"


def gap_names(name: str) -> tuple[str, str]:
    """Columns that `gaps` makes of a number."""
    return f"left_gap_{name}", f"right_gap_{name}"


@dataclass(frozen=True, eq=False)
class Profiles:
    """What the neighbours of each node have of a bag: the sum of their terms, each weighed by its rarity and each
    neighbour's of length 1. 8 bytes a term of a profile.

    Attributes:
        values: float64 [entries of the bag], weighed as in the profiles.
        begins: int64 [nodes].
        ends: int64 [nodes]; the profile of node n is entries `begins[n]:ends[n]`.
        codes: int32 [entries], terms, each once a node.
        sums: float32 [entries].
        lengths: float64 [nodes], of the profiles.
    """

    values: Numbers
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    codes: Nodes
    sums: NDArray[np.float32]
    lengths: Numbers


def profiles(network: Adjacency, bags: Bags) -> Profiles:
    """The profiles of all nodes; of those with more than `LOOKED_AT` neighbours, of so many evenly taken."""
    values = bags.rarity[bags.codes]
    of_node = np.repeat(np.arange(network.nodes), np.diff(bags.starts))
    lengths = np.sqrt(np.bincount(of_node, values * values, minlength=network.nodes))
    values = values / np.maximum(lengths[of_node], 1e-30)
    terms = len(bags.terms), bags.starts, bags.codes, values
    return Profiles(values, *_profiles(network.starts, network.others, network.nearby, *terms, LOOKED_AT))


def profile_cosines(
    network: Adjacency, of: Profiles, bags: Bags, name: str, left: Nodes, right: Nodes
) -> dict[str, Numbers]:
    """Cosines [pairs] of the right end's terms with the left end's profile, of the left end's terms with the right
    end's, and of both profiles; 0 where there are none.
    """
    out = np.zeros((3, len(left)))
    order, heads = network.by_left(left)
    terms = len(bags.terms), bags.starts, bags.codes, of.values
    _cosines(*terms, of.begins, of.ends, of.codes, of.sums, of.lengths, left, right, order, heads, out)
    return dict(zip(profile_names(name), out, strict=True))


def shares(network: Adjacency, bags: Bags, name: str, left: Nodes, right: Nodes) -> dict[str, Numbers]:
    """Shares [pairs] of the left end's neighbours that are of the right end's category, and the other way round; 0
    where the category is missing or there are no neighbours.
    """
    ways = ((left, right), (right, left))
    columns = [_shares(network.starts, network.others, bags.single, one, other, LOOKED_AT) for one, other in ways]
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
def _profiles(starts, others, nodes, terms, bag_starts, codes, values, most):  # type: ignore[no-untyped-def]
    """What `Profiles` holds; profiles lie in the order of `nodes`."""
    begins, ends, lengths = np.zeros(len(nodes), np.int64), np.zeros(len(nodes), np.int64), np.zeros(len(nodes))
    of_code, of_sum = np.empty(16 * len(nodes) + terms, np.int32), np.empty(16 * len(nodes) + terms, np.float32)
    profile, touched = np.zeros(terms), np.empty(terms, np.int32)
    size = 0
    for node in nodes:
        count = _fill(starts, others, bag_starts, codes, values, node, most, profile, touched)
        if size + count > len(of_code):
            of_code, of_sum = np.append(of_code, np.empty_like(of_code)), np.append(of_sum, np.empty_like(of_sum))
        total = 0.0
        begins[node] = size
        for i in range(count):
            value = profile[touched[i]]
            total += value * value
            of_code[size], of_sum[size] = touched[i], value
            profile[touched[i]] = 0.0
            size += 1
        ends[node] = size
        lengths[node] = np.sqrt(total)
    return begins, ends, of_code[:size].copy(), of_sum[:size].copy(), lengths


@compile_loop
def _cosines(terms, bag_starts, codes, values, begins, ends, of_code, of_sum, lengths, left, right, order, heads, out):  # type: ignore[no-untyped-def]
    """Fills out [3, pairs]."""
    mine, own = np.zeros(terms), np.zeros(terms)  # of the group's left end: its profile, its terms
    for group in range(len(heads) - 1):
        one = left[order[heads[group]]]
        for i in range(begins[one], ends[one]):
            mine[of_code[i]] = of_sum[i]
        for place in range(bag_starts[one], bag_starts[one + 1]):
            own[codes[place]] = values[place]
        for at in range(heads[group], heads[group + 1]):
            pair = order[at]
            other = right[pair]
            known, both = 0.0, 0.0
            for i in range(begins[other], ends[other]):
                known += own[of_code[i]] * of_sum[i]
                both += mine[of_code[i]] * of_sum[i]
            if lengths[one] > 0.0:
                for place in range(bag_starts[other], bag_starts[other + 1]):
                    out[0, pair] += values[place] * mine[codes[place]] / lengths[one]
            if lengths[other] > 0.0:
                out[1, pair] = known / lengths[other]
                if lengths[one] > 0.0:
                    out[2, pair] = both / (lengths[one] * lengths[other])
        for i in range(begins[one], ends[one]):
            mine[of_code[i]] = 0.0
        for place in range(bag_starts[one], bag_starts[one + 1]):
            own[codes[place]] = 0.0


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
