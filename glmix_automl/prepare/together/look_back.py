"""Columns of a row from its member's last effects, weighed by the models of items of its moment.

    similar = sum over the member's last rows k of similarity(row's item, item of k) x effect of k, likewise together
    factors = product of the item's vector and the member's, a ridge regression of its last effects on their items'

A row sees the last `LAST_SEEN` rows of its member strictly before it, whatever model they came under. The same function
describes rows of the past and rows that only ask: `counts` says which are seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glmix_automl.prepare.exchange import Ints
from glmix_automl.prepare.pairs.adjacency import Numbers, compile_loop
from glmix_automl.prepare.past_columns import FIXED_ONE
from glmix_automl.prepare.together.factors import ADDED_AT_ONCE, RANK, RIDGE, add_rows, solve
from glmix_automl.prepare.together.similar import NearestItems

LAST_SEEN = 100
MEAN_SMOOTHING = 0.1
"""What is added to the weights that a mean is divided by."""


@dataclass(frozen=True)
class ItemModels:
    """ItemModels of items of one effect.

    Attributes:
        borders: times at which each model begins to be used.
        keys: [items], ascending.
        lists: of nearest items, or None.
        vectors: [models, items, rank], or None.
        scales: size of effects as of each model.
    """

    borders: tuple[int, ...]
    keys: Ints
    lists: NearestItems | None
    vectors: npt.NDArray[np.float32] | None
    scales: tuple[float, ...]


@dataclass(frozen=True)
class Lookback:
    """Rows in order of member and time.

    Attributes:
        order: [rows].
        starts: [members + 1], where each member's rows begin.
        time: [rows], in order.
        item: [rows], in order: the item's key.
        counts: [rows], in order: whether later rows see it.
    """

    order: Ints
    starts: Ints
    time: Ints
    item: Ints
    counts: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, member: Ints, time: Ints, item: Ints, counts: npt.NDArray[np.bool_], order: Ints) -> "Lookback":
        """Rows in `sample.in_order`."""
        mine = member[order]
        starts = np.append(np.flatnonzero(np.diff(mine, prepend=~mine[:1])), len(mine)).astype(np.int64)
        return cls(order, starts, time[order], item[order], counts[order])

    def last(self, rows: int) -> Ints:
        """The last counting rows of each member, of those that were put in order."""
        place = np.flatnonzero(self.counts)
        member = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))[place]
        ends = np.searchsorted(member, member, side="right")
        return self.order[place[ends - np.arange(len(place)) <= rows]]


def look_back(models: ItemModels, rows: Lookback, effects: Ints) -> Mapping[str, Numbers]:
    """Columns of the rows, in the order they were given before they were put in order.

    Args:
        models: of the effect.
        rows: of whole members.
        effects: [rows] in 65,536ths, as the rows were given; of those that only ask, anything.

    Returns:
        `similar` and `together`, sums over the member's last rows, and their means; `factors`. All are 0 where there is
        nothing to go by.
    """
    item = _numbers(models.keys, rows.item)
    model = np.searchsorted(np.array(models.borders, np.int64), rows.time, side="right")
    x = effects[rows.order]
    found: dict[str, Numbers] = {}
    if models.lists is not None:
        lists, sums = models.lists, np.zeros((len(x), 4))
        _near(rows.starts, rows.time, item, model, x, rows.counts, lists.starts, lists.model, lists.ends, lists.other,
              lists.similarity, lists.together, LAST_SEEN, MEAN_SMOOTHING, sums)  # fmt: skip
        sums /= FIXED_ONE
        found |= {n: sums[:, i] for i, n in enumerate(("similar", "similar_mean", "together", "together_mean"))}
    if models.vectors is not None:
        products = np.zeros(len(x))
        scales = np.array(models.scales)
        _products(rows.starts, rows.time, item, model, x / FIXED_ONE, rows.counts, models.vectors, scales, RIDGE,
                  LAST_SEEN, products)  # fmt: skip
        found["factors"] = products
    back = np.empty(len(x), np.int64)
    back[rows.order] = np.arange(len(x))
    return {name: column[back] for name, column in found.items()}


def _numbers(keys: Ints, wanted: Ints) -> npt.NDArray[np.int32]:
    """The number of each item, -1 of those that are not known."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1).astype(np.int32)


@compile_loop
def _near(  # type: ignore[no-untyped-def]
    starts, time, item, model, x, counts, of_items, of_model, ends, other, similarity, together, last, smoothing, sums
):
    """Fills sums [rows, 4] in 65,536ths."""
    total = np.zeros(len(of_items) - 1, np.int64)  # effects of the member's last rows by item
    rows = np.zeros(len(of_items) - 1, np.uint8)  # at most `last`: looked up for every entry, so they should stay near
    seen = np.empty(last, np.int64)  # the last counting rows, as a ring
    for member in range(len(starts) - 1):
        count, begin = 0, starts[member]
        while begin < starts[member + 1]:
            end = begin
            while end < starts[member + 1] and time[end] == time[begin]:
                end += 1
            if count:
                for p in range(begin, end):
                    if item[p] >= 0:
                        found = -1
                        for at in range(of_items[item[p]], of_items[item[p] + 1]):
                            if of_model[at] > model[p]:
                                break
                            found = at
                        if found >= 0:
                            alike, weight, near, share = 0.0, 0.0, 0.0, 0.0
                            for at in range(ends[found], ends[found + 1]):
                                k = other[at]
                                if rows[k]:
                                    alike += similarity[at] * total[k]
                                    weight += abs(similarity[at]) * np.float64(rows[k])
                                    near += together[at] * total[k]
                                    share += together[at] * np.float64(rows[k])
                            sums[p, 0] = alike
                            sums[p, 1] = alike / (weight + smoothing)
                            sums[p, 2] = near
                            sums[p, 3] = near / (share + smoothing)
            for p in range(begin, end):
                if counts[p]:
                    if count >= last:
                        gone = seen[count % last]
                        if item[gone] >= 0:
                            total[item[gone]] -= x[gone]
                            rows[item[gone]] -= 1
                    seen[count % last] = p
                    count += 1
                    if item[p] >= 0:
                        total[item[p]] += x[p]
                        rows[item[p]] += 1
            begin = end
        for at in range(min(count, last)):
            k = item[seen[at]]
            if k >= 0:
                total[k] = 0
                rows[k] = 0


@compile_loop
def _products(  # type: ignore[no-untyped-def]
    starts, time, item, model, x, counts, vectors, scales, ridge, last, products
):
    """Fills products [rows].

    Sums of a member's past go on from one moment to the next; they begin anew with another model, or where what is seen
    last is not all of the past.
    """
    matrix, right, mine = np.zeros((RANK, RANK)), np.zeros(RANK), np.zeros((1, RANK))
    spoilt, of_rows, effects = np.zeros((RANK, RANK)), np.zeros((ADDED_AT_ONCE, RANK)), np.zeros(ADDED_AT_ONCE)
    seen = np.empty(last, np.int64)
    for member in range(len(starts) - 1):
        count, begin, added, of_model = 0, starts[member], 0, -1
        while begin < starts[member + 1]:
            end = begin
            while end < starts[member + 1] and time[end] == time[begin]:
                end += 1
            now = model[begin] - 1
            if count and now >= 0:
                if now != of_model or count > last:
                    right[:] = 0.0
                    matrix[:] = 0.0
                    of_model, added = now, max(0, count - last)
                while added < count:
                    rows = 0
                    while added < count and rows < ADDED_AT_ONCE:
                        p = seen[added % last]
                        k = item[p]
                        added += 1
                        if k >= 0:
                            effects[rows] = x[p] / scales[now]
                            for a in range(RANK):
                                of_rows[rows, a] = vectors[now, k, a]
                            rows += 1
                    add_rows(matrix, right, of_rows, effects, rows)
                spoilt[:] = matrix
                solve(spoilt, right, ridge, mine, 0)
                for p in range(begin, end):
                    if item[p] >= 0:
                        product = 0.0
                        for a in range(RANK):
                            product += mine[0, a] * vectors[now, item[p], a]
                        products[p] = product * scales[now]
            for p in range(begin, end):
                if counts[p]:
                    seen[count % last] = p
                    count += 1
            begin = end
