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
    counts, norms = np.cumsum(rows, axis=1).astype(np.float64), np.cumsum(squares, axis=1)
    found = _lists(item, block, x, by_item, starts, first, after, counts, norms, WINDOW, NEAREST, SHRINKAGE)
    of_item, model, end, other, similarity, together = found
    lists = pa.table({"item": of_item, "model": model, "end": end})
    entries = pa.table({"other": other, "similarity": similarity, "together": together})
    return write_batches(sample.folder, [lists]), write_batches(sample.folder, [entries])


def opened(folder: str, paths: tuple[str, str], items: int) -> NearestItems:
    """The lists, where they lie."""
    lists, entries = (read_batch(folder, path, 0) for path in paths)
    return NearestItems.of(lists, entries, items)


@compile_loop
def _lists(  # type: ignore[no-untyped-def]
    item, block, x, by_item, starts, first, after, counts, norms, window, nearest, shrinkage
):
    """The lists in order of item and model: item, model, end; and their entries: other, similarity, together."""
    items = len(starts) - 1
    both = np.zeros(items)  # rows in common with the item at hand
    product = np.zeros(items)
    touched = np.empty(items, np.int32)
    size, capacity = 0, 1024
    other, similarity, together = (
        np.empty(capacity, np.int32),
        np.empty(capacity, np.float32),
        np.empty(capacity, np.float32),
    )
    lists, room = 0, 1024
    of_item, of_model, ends = np.empty(room, np.int32), np.empty(room, np.int16), np.empty(room, np.int64)
    best, best_size, best_value = np.empty(nearest, np.int32), np.empty(nearest), np.empty(nearest)
    later = np.empty(len(item), np.int64)  # by place in `by_item`: the next later row to be counted
    for j in range(items):
        begin, count, done = starts[j], 0, starts[j]
        while done < starts[j + 1]:
            here = block[by_item[done]]
            while done < starts[j + 1] and block[by_item[done]] == here:
                p = by_item[done]
                for q in range(max(first[p], p - window), p):
                    k = item[q]
                    if k != j:
                        if both[k] == 0.0:
                            touched[count] = k
                            count += 1
                        both[k] += 1.0
                        product[k] += x[p] * x[q]
                later[done] = p + 1
                done += 1
            for at in range(begin, done):
                p, q = by_item[at], later[at]
                limit = min(after[p], p + window + 1)
                while q < limit and block[q] <= here:
                    k = item[q]
                    if k != j:
                        if both[k] == 0.0:
                            touched[count] = k
                            count += 1
                        both[k] += 1.0
                        product[k] += x[p] * x[q]
                    q += 1
                later[at] = q
            model = here + 1
            kept = 0
            for at in range(count):
                k = touched[at]
                n = both[k]
                value = product[k] / np.sqrt(norms[j, model] * norms[k, model] + 1e-12) * n / (n + shrinkage)
                height = abs(value)
                if kept == nearest and height <= best_size[kept - 1]:
                    continue
                place = kept if kept < nearest else kept - 1
                kept = min(kept + 1, nearest)
                while place > 0 and best_size[place - 1] < height:
                    best[place], best_size[place], best_value[place] = (
                        best[place - 1],
                        best_size[place - 1],
                        best_value[place - 1],
                    )
                    place -= 1
                best[place], best_size[place], best_value[place] = k, height, value
            if kept == 0:
                continue
            if size + kept > capacity:
                capacity = 2 * capacity + kept
                other, similarity, together = (
                    _grown(other, size, capacity),
                    _grown(similarity, size, capacity),
                    _grown(together, size, capacity),
                )
            if lists == room:
                room = 2 * room
                of_item, of_model, ends = (
                    _grown(of_item, lists, room),
                    _grown(of_model, lists, room),
                    _grown(ends, lists, room),
                )
            for at in range(kept):
                k = best[at]
                other[size], similarity[size] = k, best_value[at]
                together[size] = both[k] / np.sqrt(counts[j, model] * counts[k, model])
                size += 1
            of_item[lists], of_model[lists], ends[lists] = j, model, size
            lists += 1
        for at in range(count):
            both[touched[at]] = 0.0
            product[touched[at]] = 0.0
    return of_item[:lists], of_model[:lists], ends[:lists], other[:size], similarity[:size], together[:size]


@compile_loop
def _grown(array, used, capacity):  # type: ignore[no-untyped-def]
    grown = np.empty(capacity, array.dtype)
    grown[:used] = array[:used]
    return grown
