"""Candidate pairs of a network: two steps apart in what is left of it, sampled per member, split without leaks.

A pair's fate is a function of hashes of its nodes' ids and the seed; a member's examples are a function of the member,
so members can be dealt out to tasks in any way.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glmix_automl.prepare.pairs.adjacency import Adjacency, Keys, Nodes, Numbers, compile_loop, draw, draws, in_order_of
from glmix_automl.seeds import derive


@dataclass(frozen=True, eq=False)
class Hands:
    """Who is seen through whom: the neighbours of each node, dealt into hands.

    A node with d > `fan_out` neighbours would show d * (d - 1) / 2 pairs. Its neighbours are dealt by hash into
    ceil(d / fan_out) hands instead, and only pairs within a hand are shown: at most about d * fan_out / 2. What
    candidates cost so grows with the links and not with the squares of degrees.

    The cost is recall: a pair with common neighbours z is found with probability 1 - prod over z of
    (1 - min(1, fan_out / d_z)). Pairs that only hubs have in common are the ones that are missed, hidden links and
    other pairs alike, so labels stay unbiased, but what is left is easier to tell apart or harder: AUCs under different
    caps do not compare.

    Attributes:
        starts: int64 [nodes + 1]; node n is in the hands `hands[starts[n]:starts[n + 1]]`, one per neighbour.
        hands: int32 [entries].
        hand_starts: int64 [hands + 1].
        holding: int32 [entries]; hand h holds the nodes `holding[hand_starts[h]:hand_starts[h + 1]]`.
    """

    starts: NDArray[np.int64]
    hands: Nodes
    hand_starts: NDArray[np.int64]
    holding: Nodes

    @classmethod
    def of(cls, network: Adjacency, keys: Keys, fan_out: int, seed: int) -> "Hands":
        """Deals; `fan_out` is at least 2, `keys` [nodes] are hashes of ids."""
        degrees = network.degrees
        count = np.where(degrees > fan_out, -(-degrees // fan_out), 1)
        first = np.cumsum(count) - count
        dealer = np.repeat(np.arange(network.nodes, dtype=np.int64), degrees)
        hand = first[dealer]
        large = np.flatnonzero(count[dealer] > 1)
        drawn = draws(np.uint64(derive(seed, "hand")), keys[dealer[large]], keys[network.others[large]])
        hand[large] += (drawn * count[dealer[large]]).astype(np.int64)
        held, hand_starts = in_order_of(hand, int(count.sum()))
        # An entry (z, x) deals x into a hand of z; in the order of x, these are the rows of the network again.
        of_node, _ = in_order_of(network.others, network.nodes)
        return cls(network.starts, hand[of_node].astype(np.int32), hand_starts, network.others[held])

    def show(self, left: Nodes, right: Nodes) -> NDArray[np.bool_]:
        """[pairs] whether some hand holds both."""
        return np.asarray(_show(self.starts, self.hands, left, right))

    def shown(self, members: Nodes) -> NDArray[np.int64]:
        """[members] how many entries their hands hold: no fewer than they have candidates."""
        entries = np.concatenate([[0], np.cumsum(np.diff(self.hand_starts)[self.hands])])
        return np.asarray(entries[self.starts[members + 1]] - entries[self.starts[members]])


@dataclass(frozen=True, eq=False)
class Wanted:
    """Hidden links as suggestions, ordered by left end, then by a hash.

    Attributes:
        left, right: int32 [links]: the member, and who should be suggested.
        fold: int8 [links], the place of its split in `schema.SPLITS`.
        time: int64 [links], microseconds.
    """

    left: Nodes
    right: Nodes
    fold: NDArray[np.int8]
    time: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.left)

    def take(self, places: NDArray[np.int64]) -> "Wanted":
        """Some of them, in the order given."""
        return Wanted(self.left[places], self.right[places], self.fold[places], self.time[places])


@dataclass(frozen=True, eq=False)
class Examples:
    """Chosen pairs.

    Attributes:
        pairs: with the fold and time of hidden links; negatives have those of the positive they go with.
        label: int8 [pairs].
        weight: float64 [pairs], of a negative how many candidates of its member it stands for, else 1.
    """

    pairs: Wanted
    label: NDArray[np.int8]
    weight: Numbers


def turn(left: Nodes, right: Nodes, keys: Keys, seed: int) -> tuple[Nodes, Nodes]:
    """Links of an undirected network seen from one of their ends, by a hash of the pair: the member, to whom the other
    is suggested.

    The hash is of the pair and not of the node, so every member is on the left in half of its pairs. A pair is in the
    dataset once, from one side: its other view would have the same label, and could lie in another split.
    """
    low, high = np.minimum(left, right), np.maximum(left, right)
    swap = draws(_turn(seed), keys[low], keys[high]) < 0.5
    return np.where(swap, high, low), np.where(swap, low, high)


def most_wanted(wanted: Wanted, keys: Keys, per_member: int, negatives: int, seed: int) -> Wanted:
    """The hidden links that become positives, at most per_member // (1 + negatives) of a member, chosen by hash; in
    order of member, then hash.
    """
    drawn = draws(_choice(seed), keys[wanted.left], keys[wanted.right])
    ordered = wanted.take(np.lexsort((wanted.right, drawn, wanted.left)))
    heads = np.flatnonzero(np.diff(ordered.left, prepend=-1))
    place = np.arange(len(ordered)) - np.repeat(heads, np.diff(heads, append=len(ordered)))
    return ordered.take(np.flatnonzero(place < max(1, per_member // (1 + negatives))))


def examples(
    network: Adjacency,
    hands: Hands,
    keys: Keys,
    hidden: Adjacency,
    positives: Wanted,
    negatives: int,
    directed: bool,
    seed: int,
) -> Examples:
    """The examples of the positives' members, member after member as they are given.

    A member without hidden links has no examples, so how many a member has tells nothing about a label. Each negative
    goes with one of its member's positives and takes over its fold and time; so both classes are split alike, and a
    negative is never older or newer than what it is compared with. Where a member has too few candidates, all are
    taken, spread evenly over its positives.

    Args:
        network: the remaining one.
        hands: of its nodes.
        keys: [nodes] hashes of ids.
        hidden: all hidden links, whichever way.
        positives: of whole members, as `most_wanted` gives them.
        negatives: per positive.
        directed: whether left to right is another candidate than right to left.
        seed: of the choices.
    """
    if not len(positives):
        return Examples(positives, np.empty(0, np.int8), np.empty(0))
    heads = np.append(np.flatnonzero(np.diff(positives.left, prepend=-1)), len(positives))
    place, right, rank, count = _others(
        (network.starts, network.others, network.ways),
        (hidden.starts, hidden.others, hidden.ways),
        (hands.starts, hands.hands, hands.hand_starts, hands.holding),
        keys, positives.left, heads, np.argsort(network.place[positives.left[heads[:-1]]]), negatives, directed,
        _turn(seed), _choice(seed),
    )  # fmt: skip
    group = np.searchsorted(heads, place, side="right") - 1
    taken = np.minimum(count[group], np.diff(heads)[group] * negatives)
    goes_with = positives.take(heads[group] + rank % np.diff(heads)[group])
    chosen = Wanted(goes_with.left, right, goes_with.fold, goes_with.time)
    both = [np.concatenate([getattr(p, n) for p in (positives, chosen)]) for n in ("left", "right", "fold", "time")]
    label = np.repeat(np.array([1, 0], np.int8), [len(positives), len(chosen)])
    weight = np.concatenate([np.ones(len(positives)), count[group] / np.maximum(taken, 1)])
    member = np.concatenate([np.repeat(np.arange(len(heads) - 1), np.diff(heads)), group])
    order = np.lexsort((both[1], member))
    return Examples(Wanted(*(column[order] for column in both)), label[order], weight[order])


def candidates_of(network: Adjacency, hands: Hands, members: Nodes, directed: bool) -> tuple[Nodes, Nodes]:
    """(member, candidate) of every candidate of the members, in their order, then by number: nodes that a hand shows
    them, themselves and their links left out.
    """
    dealt = (hands.starts, hands.hands, hands.hand_starts, hands.holding)
    size = int(hands.shown(members).sum())
    counts, right = _every((network.starts, network.others, network.ways), dealt, members, directed, size)
    return np.repeat(members, counts), right


def _turn(seed: int) -> np.uint64:
    return np.uint64(derive(seed, "turn"))


def _choice(seed: int) -> np.uint64:
    return np.uint64(derive(seed, "choice"))


@compile_loop
def _show(starts, hands, left, right):  # type: ignore[no-untyped-def]
    """Both rows of hands are ascending: entries of a node are in order of dealer, and so are hands."""
    out = np.zeros(len(left), np.bool_)
    for pair in range(len(left)):
        one, other = starts[left[pair]], starts[right[pair]]
        while one < starts[left[pair] + 1] and other < starts[right[pair] + 1]:
            if hands[one] == hands[other]:
                out[pair] = True
                break
            if hands[one] < hands[other]:
                one += 1
            else:
                other += 1
    return out


@compile_loop
def _others(  # type: ignore[no-untyped-def]
    network, hidden, dealt, keys, left, heads, order_of_groups, negatives, directed, turn, choice
):
    """Of each member (group of `left`), the candidates of least hash: (a place of the member in `left`, candidate, rank
    by hash), member by member in `order_of_groups`; and how many candidates each member has.
    """
    starts, others, ways = network
    hidden_starts, hidden_others, hidden_ways = hidden
    in_starts, in_hands, hand_starts, holding = dealt
    nodes = len(starts) - 1
    seen = np.full(nodes, -1, np.int32)
    found = np.empty(nodes, np.int32)
    drawn = np.empty(nodes, np.float64)
    counts = np.zeros(len(heads) - 1, np.int64)
    size = len(left) * negatives
    out_place, out_right, out_rank = np.empty(size, np.int64), np.empty(size, np.int32), np.empty(size, np.int64)
    total = 0
    for group in order_of_groups:
        one = left[heads[group]]
        seen[one] = group
        for place in range(starts[one], starts[one + 1]):
            if not directed or ways[place] & 1:
                seen[others[place]] = group
        for place in range(hidden_starts[one], hidden_starts[one + 1]):
            if not directed or hidden_ways[place] & 1:
                seen[hidden_others[place]] = group
        count = 0
        for entry in range(in_starts[one], in_starts[one + 1]):
            hand = in_hands[entry]
            for held in range(hand_starts[hand], hand_starts[hand + 1]):
                other = holding[held]
                if seen[other] == group:
                    continue
                seen[other] = group
                if not directed and (draw(turn, keys[min(one, other)], keys[max(one, other)]) < 0.5) != (one > other):
                    continue
                found[count] = other
                drawn[count] = draw(choice, keys[one], keys[other])
                count += 1
        counts[group] = count
        wanted = (heads[group + 1] - heads[group]) * negatives
        count = _few(found, drawn, count, wanted)
        numbers = np.sort(found[:count])  # equal hashes, which there hardly are, go by number
        for i in range(count):
            drawn[i] = draw(choice, keys[one], keys[numbers[i]])
        order = np.argsort(drawn[:count], kind="mergesort")
        for rank in range(min(wanted, count)):
            out_place[total], out_right[total], out_rank[total] = heads[group], numbers[order[rank]], rank
            total += 1
    return out_place[:total], out_right[:total], out_rank[:total], counts


@compile_loop
def _few(found, drawn, count, wanted):  # type: ignore[no-untyped-def]
    """Moves a few candidates, those of least hash among them, to the front; returns how many."""
    if wanted >= count:
        return count
    bound = (wanted + 6.0 * np.sqrt(wanted) + 36.0) / count  # leaves six standard deviations more
    below = 0
    for i in range(count):
        below += drawn[i] < bound
    if below < wanted:
        return count
    kept = 0
    for i in range(count):
        if drawn[i] < bound:
            found[kept], drawn[kept] = found[i], drawn[i]
            kept += 1
    return kept


@compile_loop
def _every(network, dealt, members, directed, size):  # type: ignore[no-untyped-def]
    """How many candidates each member has, and all of them."""
    starts, others, ways = network
    in_starts, in_hands, hand_starts, holding = dealt
    seen = np.full(len(starts) - 1, -1, np.int32)
    counts, out = np.zeros(len(members), np.int64), np.empty(size, np.int32)
    total = 0
    for place in range(len(members)):
        one, begin = members[place], total
        seen[one] = place
        for entry in range(starts[one], starts[one + 1]):
            if not directed or ways[entry] & 1:
                seen[others[entry]] = place
        for entry in range(in_starts[one], in_starts[one + 1]):
            hand = in_hands[entry]
            for held in range(hand_starts[hand], hand_starts[hand + 1]):
                other = holding[held]
                if seen[other] != place:
                    seen[other] = place
                    out[total] = other
                    total += 1
        out[begin:total] = np.sort(out[begin:total])
        counts[place] = total - begin
    return counts, out[:total].copy()
