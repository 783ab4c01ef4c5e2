"""Items that are liked alike, and items that are taken together: each item's nearest, as of every fit.

Of two items the cosine of their effects over the members who responded to both, shrunk by n / (n + 20) for n of them
(Sarwar et al. 2001; shrinkage as Koren 2008), and n over the root of both items' rows. A pair is counted where the rows
are at most `WINDOW` rows of the member apart; each item keeps its `NEAREST` by the size of the cosine. Its list is
renewed at the fits that it has new rows for.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from glmix_automl.prepare.exchange import Ints, read_batch, write_batches
from glmix_automl.prepare.pairs.adjacency import compile_loop
from glmix_automl.prepare.together.sample import Sample

WINDOW = 50
NEAREST = 50
SHRINKAGE = 20.0


@dataclass(frozen=True)
class NearestItems:
    """NearestItems of nearest items.

    Attributes:
        starts: [items + 1], each item's lists.
        model: [lists], the model that each is of, ascending within an item.
        ends: [lists + 1], where the entries of each begin.
        other: [entries], item numbers.
        similarity: [entries], shrunk cosine of effects.
        together: [entries], how often both are taken.
    """

    starts: Ints
    model: npt.NDArray[np.int16]
    ends: Ints
    other: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float32]
    together: npt.NDArray[np.float32]

    @classmethod
    def of(cls, lists: pa.RecordBatch, entries: pa.RecordBatch, items: int) -> "NearestItems":
        """From the files of `similar`."""
        starts = np.searchsorted(lists["item"].to_numpy(), np.arange(items + 1))
        ends = np.concatenate([[0], lists["end"].to_numpy()])
        names = ("other", "similarity", "together")
        return cls(starts, lists["model"].to_numpy(), ends, *(entries[n].to_numpy() for n in names))


def similar(sample: Sample, effect: str) -> tuple[str, str]:
    """Writes the lists of all items as of all fits: their file, and that of their entries."""
    x, block, by_item, starts = sample.effect(effect), sample.block, sample.by_item, sample.item_starts
    item, models = sample.item, sample.models
    members = sample.starts
    first = np.repeat(members[:-1], np.diff(members))
    after = np.repeat(members[1:], np.diff(members))
    # Of an item as of model m: the rows of blocks before m.
    place = item.astype(np.int64) * (models + 1) + block + 1
    rows = np.bincount(place, minlength=len(sample.keys) * (models + 1)).reshape(-1, models + 1)
    squares = np.bincount(place, weights=x * x, minlength=rows.size).reshape(rows.shape)
    # By model, then item: a list looks at many items of one model.
    counts, norms = (np.cumsum(of, axis=1, dtype=np.float64).T.copy() for of in (rows, squares))
    of_item, of_block = np.nonzero(rows[:, 1:])
    ends = np.zeros(len(of_item), np.int64)
    room = NEAREST * len(ends)  # only what is written takes memory
    other, similarity, together = np.empty(room, np.int32), np.empty(room, np.float32), np.empty(room, np.float32)
    _nearest_of_all(item, block, x, by_item, starts, first, after, counts, norms, WINDOW, SHRINKAGE, ends, other,
                    similarity, together)  # fmt: skip
    lists = pa.table({"item": of_item.astype(np.int32), "model": (of_block + 1).astype(np.int16), "end": ends})
    size = ends[-1]
    entries = pa.table({"other": other[:size], "similarity": similarity[:size], "together": together[:size]})
    return write_batches(sample.folder, [lists]), write_batches(sample.folder, [entries])


def opened(folder: str, paths: tuple[str, str], items: int) -> NearestItems:
    """The lists, where they lie."""
    lists, entries = (read_batch(folder, path, 0) for path in paths)
    return NearestItems.of(lists, entries, items)


@compile_loop
def _nearest_of_all(  # type: ignore[no-untyped-def]
    item, block, x, by_item, starts, first, after, counts, norms, window, shrinkage, ends, other, similarity, together
):
    """Fills ends [lists], in order of item and model, and the entries up to the last of them."""
    items = len(starts) - 1
    place_of = np.full(items, -1, np.int32)  # of the others met with the item at hand
    met, sums = np.empty(items + 1, np.int32), np.zeros((items, 2))  # rows in common, sum of products of effects
    squares, chosen = np.empty(items), np.empty(items + NEAREST + 1, np.int32)
    later = np.empty(len(item), np.int64)  # by place in `by_item`: the next later row to be counted
    size, number = 0, 0
    for j in range(items):
        count, done, last = 0, starts[j], size
        while done < starts[j + 1]:
            model = block[by_item[done]] + 1
            while done < starts[j + 1] and block[by_item[done]] < model:
                later[done] = max(first[by_item[done]], by_item[done] - window)
                done += 1
            for at in range(starts[j], done):
                count = _meet(at, j, model, item, block, x, by_item, after, window, later, place_of, met, sums, count)
            begin = size
            listed, norm = other[last:begin], norms[model]
            candidates = _choose(listed, count, norm, shrinkage, place_of, met, sums, squares, chosen)
            for at in range(candidates):
                one = chosen[at]
                both, product, k = sums[one, 0], sums[one, 1], met[one]
                value = product / np.sqrt(norm[j] * norm[k] + 1e-12) * both / (both + shrinkage)
                size = _insert(k, value, begin, size, other, similarity)
            for at in range(begin, size):
                both = sums[place_of[other[at]], 0]
                together[at] = both / np.sqrt(counts[model, j] * counts[model, other[at]])
            ends[number] = size
            number += 1
            last = begin
        for place in range(count):
            place_of[met[place]] = -1
            sums[place, 0] = sums[place, 1] = 0.0


@compile_loop
def _meet(  # type: ignore[no-untyped-def]
    at, j, model, item, block, x, by_item, after, window, later, place_of, met, sums, count
):
    """Counts what a row of item j has near it that was not counted yet; returns how many others were met so far."""
    p, q = by_item[at], later[at]
    limit = min(after[p], p + window + 1)
    while q < limit and block[q] < model:
        k = item[q]
        if k != j:
            place = place_of[k]
            new = place < 0  # no branch: nobody could guess it
            place = count if new else place
            place_of[k], met[count] = place, k
            count += new
            sums[place, 0] += 1.0
            sums[place, 1] += x[p] * x[q]
        q += 1
    later[at] = q
    return count


@compile_loop
def _choose(listed, count, norm, shrinkage, place_of, met, sums, squares, chosen):  # type: ignore[no-untyped-def]
    """Fills chosen: places of those of the last list, then of all others met that may be among the nearest; returns how
    many.

    Most of a list stay, so of the others one comparison says that most are too far: of the squares of shrunk cosines,
    but for what all have in common, with the least of those listed.
    """
    for place in range(count):
        shrunk = sums[place, 1] * sums[place, 0] / (sums[place, 0] + shrinkage)
        squares[place] = shrunk * shrunk / (norm[met[place]] + 1e-300)
    candidates, least = len(listed), np.inf
    for at in range(candidates):
        place = place_of[listed[at]]
        chosen[at] = place
        least = min(least, squares[place])
        squares[place] = -1.0
    least = 0.999 * least if candidates == NEAREST else 0.0
    for place in range(count):
        chosen[candidates] = place
        candidates += squares[place] >= least
    return candidates


@compile_loop
def _insert(k, value, begin, size, other, similarity):  # type: ignore[no-untyped-def]
    """Puts an item into the list from `begin` to `size` if it is among the `NEAREST`; returns where the list ends."""
    place = size
    if size - begin == NEAREST:
        place -= 1
        if abs(value) <= abs(similarity[place]):
            return size
    else:
        size += 1
    while place > begin and abs(similarity[place - 1]) < abs(value):
        other[place], similarity[place] = other[place - 1], similarity[place - 1]
        place -= 1
    other[place], similarity[place] = k, value
    return size
