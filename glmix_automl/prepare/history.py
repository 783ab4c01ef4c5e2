"""History features: the past of a member, an item, an attribute of items, and a member with an attribute.

For each row and key: how many rows of the key lie strictly before the row's time, how many of them are positive, and
when the last one was (`as_of`). Labels of the past count, whatever split they are in, as they would at serving time.

Beside the label there may be graded signals (stars, seconds watched). An *effect* is a response less the mean of its
item as of then: what a member adds to what everybody says of the item. Effects are followed per member, lately, and per
member and attribute value; `past_columns` says which columns each group has, `followed` what is added up for them.

Rows lie with their member (see `stage`), so the past of members is at hand (`member_past`). What is known of an item is
found here, where the item's rows lie together: they are sent by a hash of the item, and the answers come back to the
row's place; those of attribute values go by a hash of the value. A key that most rows have is read in blocks of time
with carried state.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.prepare import followed
from glmix_automl.prepare.as_of import Accumulator
from glmix_automl.prepare.blocks import PartBlock, cuts_of, in_blocks
from glmix_automl.prepare.exchange import Ints, Spread, read_part, spread
from glmix_automl.prepare.followed import ACCUMULATORS, signals_of
from glmix_automl.prepare.history_features import HistoryFeatures
from glmix_automl.prepare.key_history import KeyHistory
from glmix_automl.prepare.known import Known
from glmix_automl.prepare.row_hash import keys_of, parts_of_keys

_ADDRESS = ("time", "file", "place")
"""Of the row that something is about; the time is what a large partition is read in order of."""


@dataclass(frozen=True)
class Following:
    """What every step of history is told.

    Attributes:
        folder: URI of intermediate files.
        parts: of every exchange.
        wanted: which features.
        out: URI of the dataset's folder, where the state at the end goes; None where nobody needs it.
        known: at the end of the rows before these.
    """

    folder: str
    parts: int
    wanted: HistoryFeatures
    out: str | None = None
    known: Known | None = None

    def follow(self, key: str, accumulators: Sequence[Accumulator], part: int) -> KeyHistory:
        """The history of the keys of one kind that lie in a partition."""
        return KeyHistory(key, accumulators, self.known, part, self.parts)

    def blocks(self, files: Sequence[Spread], part: int) -> Iterator[PartBlock]:
        """The rows of a partition, block by block in order of time."""
        cuts = cuts_of(self.folder, files, part, "time", self.wanted.heavy_rows)
        return (block for block in in_blocks(self.folder, files, part, "time", cuts) if block is not None)

    def send(self, table: pa.Table, part: Ints) -> Spread:
        """Writes rows to their partitions."""
        return spread(self.folder, table, part, self.parts)[0]


@dataclass(frozen=True)
class Answered:
    """What a step of history wrote: answers by the place of the row, questions about values, names of keys."""

    answers: tuple[Spread, ...]
    questions: tuple[Spread, ...] = ()
    values: tuple[Spread, ...] = ()


def items_step(following: Following, asked: Sequence[Spread], items: Sequence[Spread], part: int) -> Answered:
    """The past of the items of one partition, and the attribute values of each row's item.

    Args:
        following: what every step is told.
        asked: rows by item: `key`, `id`, `time`, `label`, signals, `origin` (partition) and `place`; a file for each of
            `stage`.
        items: items by id: `key`, and `a0`, ... (values of attributes, lists of text).
        part: the partition.
    """
    wanted = following.wanted
    table, _ = read_part(following.folder, list(items), part)
    value_lists = [_Values(table, number) for number in range(len(wanted.attributes))]
    history = following.follow("item", followed.of_items(wanted), part) if wanted.follows_items else None
    answers, questions = [], []
    for block in following.blocks(asked, part):
        rows = block.rows.append_column("file", pa.array(block.file))
        columns: dict[str, Any] = {c: rows[c] for c in _ADDRESS}
        key = rows["key"].to_numpy()
        if history is not None:
            signals = {s: rows[s].to_numpy() for s in signals_of(wanted)}
            columns |= history.before(key, rows["time"].to_numpy(), rows["label"].to_numpy(), signals)
            if following.out is not None:
                history.name(key, {"item": rows["id"]})
        for number, values in enumerate(value_lists):
            columns[f"a{number}"], question = values.asked(rows, key)
            questions.append(following.send(question, parts_of_keys(question["key"].to_numpy(), following.parts)))
        answers.append(following.send(pa.table(columns), rows["origin"].to_numpy()))
    if following.out is not None and history is not None:
        history.write(following.out)
    named = [v.named() for v in value_lists if v.known]
    spreads = [following.send(t, parts_of_keys(t["key"].to_numpy(), following.parts)) for t in named]
    return Answered(tuple(answers), tuple(questions), tuple(spreads))


def attributes_step(following: Following, asked: Sequence[Spread], values: Sequence[Spread], part: int) -> Answered:
    """The past of the attribute values of one partition.

    Args:
        following: what every step is told.
        asked: questions of `items_step`.
        values: its names of values.
        part: the partition.
    """
    histories = [following.follow(a.key, ACCUMULATORS, part) for a in following.wanted.attributes]
    answers = []
    for block in following.blocks(asked, part):
        rows = block.rows
        for number, history in enumerate(histories):
            here = rows.filter(pc.equal(rows["attribute"], number))
            found = history.before(*(here[c].to_numpy() for c in ("key", "time", "label")))
            columns = {c: here[c] for c in (*_ADDRESS, "attribute")} | found
            answers.append(following.send(pa.table(columns), here["origin"].to_numpy()))
    table, _ = read_part(following.folder, list(values), part)
    if following.out is not None and table is not None:
        for number, history in enumerate(histories):
            named = table.filter(pc.equal(table["attribute"], number))
            history.name(named["key"].to_numpy(), {c: named[c] for c in ("key", "value")})
            history.write(following.out)
    return Answered(tuple(answers))


class _Values:
    """Attribute values of items, by the items' keys."""

    def __init__(self, items: pa.Table | None, number: int) -> None:
        self.known = items is not None and items.num_rows > 0
        self._number = number
        if items is None or not self.known:
            return
        lists = items[f"a{number}"].combine_chunks()
        keys = items["key"].to_numpy()
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        self._lengths, self._starts = lengths, np.cumsum(lengths) - lengths
        self._texts = lists.flatten()
        self._values = keys_of(self._texts, number) if len(self._texts) else np.empty(0, np.int64)

    def asked(self, rows: pa.Table, keys: Ints) -> tuple[pa.Array, pa.Table]:
        """The values of each row's item, a list of keys, and the rows' questions about them: a row for each value."""
        ends, row, value = self._of(keys)
        lists = pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]).astype(np.int32)), pa.array(value))
        repeated = rows.select(["label", *_ADDRESS, "origin"]).take(pa.array(row))
        attribute = pa.array(np.full(len(row), self._number, np.int8))
        return lists, repeated.append_column("key", pa.array(value)).append_column("attribute", attribute)

    def _of(self, keys: Ints) -> tuple[Ints, Ints, Ints]:
        """The end of each row's values, and for each value its row and its key; none for items that are not known."""
        if not self.known:
            return np.zeros(len(keys), np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        item = self._order[place]
        lengths = np.where(self._keys[place] == keys, self._lengths[item], 0)
        ends = np.cumsum(lengths)
        row = np.repeat(np.arange(len(keys)), lengths)
        within = np.arange(len(row)) - np.repeat(ends - lengths, lengths)
        return ends, row, self._values[self._starts[item][row] + within]

    def named(self) -> pa.Table:
        """The values: `key`, `value`, `attribute`."""
        keys, first = np.unique(self._values, return_index=True)
        texts = self._texts.take(pa.array(first))
        return pa.table({"key": keys, "value": texts, "attribute": np.full(len(keys), self._number, np.int8)})
