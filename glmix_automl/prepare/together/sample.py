"""The rows that models of items are fitted on: all of some members, in one order that no partition decides.

Up to `ROWS` rows every member is in it; beyond, a half, a quarter, ... of them, by a hash. So time and memory of the
models are bounded, and what is said of two items that n sampled members took has a standard error of 1 / sqrt(n).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from glmix_automl.prepare.exchange import Ints, read_batch, write_batches
from glmix_automl.prepare.key_history import ASKS
from glmix_automl.prepare.past_columns import FIXED_ONE
from glmix_automl.prepare.row_hash import buckets_of

ROWS = 4_000_000
FIRST, GROWTH = 100, 1.25
"""Rows before the first fit, and by how much they have grown at each of the next."""


@dataclass(frozen=True)
class Sample:
    """The sample in files, and its arrays.

    Attributes:
        folder: URI of intermediate files.
        rows_path: file of the rows.
        items_path: file of the items.
        borders: times at which the models are fitted anew; model m is of the rows before `borders[m - 1]`, and the one
            after them of all rows.
        effects: names of the effects.
    """

    folder: str
    rows_path: str
    items_path: str
    borders: tuple[int, ...]
    effects: tuple[str, ...]

    @property
    def models(self) -> int:
        """How many models are fitted."""
        return len(self.borders) + 1

    @cached_property
    def _rows(self) -> pa.RecordBatch:
        return read_batch(self.folder, self.rows_path, 0)

    @cached_property
    def _items(self) -> pa.RecordBatch:
        return read_batch(self.folder, self.items_path, 0)

    @property
    def item(self) -> npt.NDArray[np.int32]:
        """[rows], in order of member and time."""
        return self._rows["item"].to_numpy()

    @property
    def block(self) -> npt.NDArray[np.int16]:
        """[rows], how many borders are not after the row."""
        return self._rows["block"].to_numpy()

    @property
    def by_item(self) -> npt.NDArray[np.int32]:
        """[rows], rows in order of item, block and place."""
        return self._rows["by_item"].to_numpy()

    @cached_property
    def starts(self) -> Ints:
        """[members + 1], where each member's rows begin."""
        member = self._rows["member"].to_numpy()
        return np.append(np.flatnonzero(np.diff(member, prepend=~member[:1])), len(member)).astype(np.int64)

    def effect(self, name: str) -> npt.NDArray[np.float64]:
        """[rows]."""
        return self._rows[name].to_numpy() / FIXED_ONE

    @property
    def keys(self) -> Ints:
        """[items], ascending."""
        return self._items["key"].to_numpy()

    @cached_property
    def item_starts(self) -> Ints:
        """[items + 1], where each item's rows begin in `by_item`."""
        return np.append(self._items["start"].to_numpy(), len(self.item))


def sampled_share(rows: int) -> float:
    """The share of the members that are in the sample of so many rows."""
    share = 1.0
    while rows * share > ROWS:
        share /= 2
    return share


def in_order(rows: pa.Table, effects: Mapping[str, Ints]) -> Ints:
    """Rows by bucket, member and time; those of a moment by item and effects, so that how they came does not matter."""
    key, time = rows["key"].to_numpy(), rows["time"].to_numpy()
    order = np.lexsort((time, key, buckets_of(key))).astype(np.int64)
    tied = (np.diff(key[order]) == 0) & (np.diff(time[order]) == 0)
    places = np.flatnonzero(np.append(tied, False) | np.append(False, tied))  # few: they alone are told apart
    if len(places):
        mine = order[places]
        moment = np.cumsum(~np.append(False, tied))[places]
        ties = [*reversed(list(effects.values())), rows["other"].to_numpy()]
        order[places] = mine[np.lexsort((*(tie[mine] for tie in ties), moment))]
    return order


def draw(rows: pa.Table, effects: Mapping[str, Ints], share: float) -> pa.Table:
    """The sampled ones of some rows, those that only ask left out: `key` of the member, `other` of the item, `time`,
    effects.

    Args:
        rows: with these columns, and `label`.
        effects: of each row, in 65,536ths.
        share: of the members.
    """
    key = rows["key"].to_numpy()
    # The low bits of a key choose its partition; these are others.
    sampled = (key.view(np.uint64) >> np.uint64(32)).astype(np.float64) < share * 2**32
    taken = np.flatnonzero(sampled & (rows["label"].to_numpy() != ASKS))
    drawn = rows.select(["key", "other", "time"]).take(pa.array(taken))
    for name, effect in effects.items():
        drawn = drawn.append_column(name, pa.array(effect[taken]))
    return drawn


def write_drawn(folder: str, drawn: Sequence[pa.Table], effects: tuple[str, ...]) -> str:
    """Writes the sampled rows of a partition in their order; returns the file."""
    table = pa.concat_tables(drawn)
    order = in_order(table, {e: table[e].to_numpy() for e in effects})
    columns = {"member": "key", "item": "other", "time": "time", **{e: e for e in effects}}
    return write_batches(folder, [pa.table({name: table[c].to_numpy()[order] for name, c in columns.items()})])


def gather(folder: str, effects: tuple[str, ...], drawn: Sequence[str]) -> Sample | None:
    """Puts the sampled rows of all partitions, in their order, into files; None where there are too few to fit on."""
    table = pa.Table.from_batches([read_batch(folder, path, 0) for path in drawn])
    borders = borders_of(table["time"].to_numpy())
    if not len(borders):
        return None
    keys, item = np.unique(table["item"].to_numpy(), return_inverse=True)
    block = np.searchsorted(borders, table["time"].to_numpy(), side="right").astype(np.int16)
    by_item = np.argsort(item * np.int64(len(borders) + 1) + block, kind="stable")
    starts = np.searchsorted(item[by_item], np.arange(len(keys)))
    rows = {
        "member": table["member"],
        "item": item.astype(np.int32),
        "block": block,
        "by_item": by_item.astype(np.int32),
        **{e: table[e] for e in effects},
    }
    rows_path = write_batches(folder, [pa.table(rows)])
    items_path = write_batches(folder, [pa.table({"key": keys, "start": starts})])
    return Sample(folder, rows_path, items_path, tuple(borders.tolist()), effects)


def borders_of(times: Ints) -> Ints:
    """The times at which models are fitted anew: those of rows number 100, 125, 157, ... in order of time."""
    if len(times) <= FIRST:
        return np.empty(0, np.int64)
    counts = FIRST * GROWTH ** np.arange(1 + np.log(len(times) / FIRST) / np.log(GROWTH))
    places = np.unique(np.ceil(counts).astype(np.int64))
    return np.unique(np.sort(times)[places[places < len(times)]])
