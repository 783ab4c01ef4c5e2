"""Negatives for tables of positives only (views, listens): drawn from what others had taken by then.

For each positive some items are drawn that somebody had taken before the positive's span of time began (`SPANS` to the
whole data; without times, at all) and the member had not taken up to its moment: each item alike, or by how often it
had been taken. A drawn row has the moment of its positive and only asks for its history, so no other row's columns
change with what was drawn. A positive that could not have been drawn is no example, as no negative is like it and it
would be known by that alone: one of an item that nobody had taken before its span, and one of what the member had taken
before (unless `repeats` makes these candidates too). It stays in history.

What can be drawn is numbered, span after span, by the cells its entries lie in (`CELLS` of hashes to a span), and a
draw is a number: no process holds a table of all items, and neither partitions nor engines change what is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.features import as_texts
from glmix_automl.prepare.as_of import Ints
from glmix_automl.prepare.blocks import PartBlock, cuts_of, in_blocks
from glmix_automl.prepare.engine import Engine
from glmix_automl.prepare.exchange import Spread, read_part, spread
from glmix_automl.prepare.key_history import ASKS
from glmix_automl.prepare.known import mixed
from glmix_automl.prepare.positives import Positives, draws_of, times_of
from glmix_automl.prepare.row_hash import row_hashes
from glmix_automl.prepare.stage import LABEL, TIME, UID, WEIGHT, Staging, Taken, read_as, take_in
from glmix_automl.seeds import derive

SPANS, CELLS = 1_000, 64


class Sampled(NamedTuple):
    """The drawn rows, taken in; positives that are no examples (`file`, `place`), in the partition of their member; and
    counts for the report.
    """

    taken: list[Taken]
    no_examples: tuple[Spread, ...]
    positives: int
    negatives: int
    candidates: int
    """Pairs of an example and an item that could be drawn for it: what the true base rate is of."""


@dataclass(frozen=True)
class _Listed:
    """What one partition of items has to draw from."""

    entries: tuple[Spread, ...]
    unreachable: tuple[Spread, ...]
    cells: Ints
    counts: Ints
    items: Ints
    """[spans], items first taken in each."""


@dataclass(frozen=True)
class _Numbering:
    """How entries are numbered.

    Attributes:
        first, last: time of the data, microseconds.
        before: [cells of all spans + 1], entries before each cell.
        items: [spans + 1], items first taken before each span.
        timed: whether rows have times; without, everything can be drawn for every row.
    """

    first: int
    last: int
    before: Ints
    items: Ints
    timed: bool

    def drawn_from(self, times: Ints) -> Ints:
        """[rows], how many entries can be drawn for a row of each time."""
        return self.before[_span(times, self.first, self.last) * CELLS] if self.timed else self._all(times, self.before)

    def known_items(self, times: Ints) -> Ints:
        """[rows], items that can be drawn."""
        return self.items[_span(times, self.first, self.last)] if self.timed else self._all(times, self.items)

    def _all(self, times: Ints, cumulative: Ints) -> Ints:
        return np.full(len(times), cumulative[-1], np.int64)


def sample_negatives(engine: Engine, work: Staging, taken: Sequence[Taken]) -> Sampled:
    """Draws the negatives of the positives that were taken in."""
    assert work.sampling is not None, "negatives are to be drawn"
    parts = list(range(work.parts))
    first, last = min(t.first for t in taken), max(t.last for t in taken)
    asked = tuple(t.asked for t in taken if t.asked is not None)
    listed = engine.each("negatives", partial(_listed, work, asked, first, last), parts)
    cells = np.zeros(SPANS * CELLS, np.int64)
    for each in listed:
        np.add.at(cells, each.cells, each.counts)
    items = np.sum([each.items for each in listed], axis=0)
    before, known = (np.concatenate([[0], np.cumsum(n)]) for n in (cells, items))
    numbering = _Numbering(first, last, before, known, work.timed)
    unreachable = tuple(u for each in listed for u in each.unreachable)
    rows = tuple(t.rows for t in taken)
    questions = engine.each("negatives", partial(_drawn, work, rows, unreachable, numbering), parts)
    entries = tuple(e for each in listed for e in each.entries)
    put = tuple(q for each in questions for q in each)
    answers = tuple(a for a in engine.each("negatives", partial(_answers, work, entries, put), parts) if a is not None)
    made = engine.each("negatives", partial(_rows, work, rows, unreachable, answers, numbering), parts)
    there = [each for of_part in made for each in of_part]
    drawn = [each.taken for each in there if each.taken is not None]
    sums = np.sum([[each.positives, each.negatives, each.candidates] for each in there], axis=0, dtype=np.int64)
    no_examples = tuple(each.no_examples for each in there)
    return Sampled(drawn, no_examples, *(sums.tolist() if there else (0, 0, 0)))


def _span(times: Ints, first: int, last: int) -> Ints:
    """The span of each time: [rows], from 0 to `SPANS` - 1."""
    return np.minimum(((times - first) / (last - first + 1) * SPANS).astype(np.int64), SPANS - 1)


def _listed(work: Staging, asked: tuple[Spread, ...], first: int, last: int, part: int) -> _Listed:
    """The entries of the items of a partition, sent to their cells; rows of items that nobody took before."""
    keys, spans = np.empty(0, np.int64), np.empty(0, np.int64)  # of items, ascending, and the span of the first row
    entries, unreachable = [], []
    cells, items = np.zeros(SPANS * CELLS, np.int64), np.zeros(SPANS, np.int64)
    cuts = cuts_of(work.folder, asked, part, TIME, work.held_rows)
    for block in in_blocks(work.folder, asked, part, TIME, cuts):
        if block is None:
            continue
        rows, file = block.rows, block.file
        key, span = rows["key"].to_numpy(), _span(rows[TIME].to_numpy(), first, last)
        here, place = np.unique(key, return_inverse=True)
        least = np.full(len(here), SPANS, np.int64)
        np.minimum.at(least, place, span)
        new = ~np.isin(here, keys)
        order = np.argsort(np.concatenate([keys, here[new]]), kind="stable")
        keys, spans = (np.concatenate(pair)[order] for pair in ((keys, here[new]), (spans, least[new])))
        items += np.bincount(least[new], minlength=SPANS)
        own = spans[np.searchsorted(keys, key)]
        late = np.flatnonzero(span <= own) if work.timed else np.empty(0, np.int64)
        if len(late):
            lost = pa.table({"file": file[late], "place": rows["place"].to_numpy()[late]})
            unreachable.append(spread(work.folder, lost, rows["origin"].to_numpy()[late], work.parts)[0])
        if work.sampling is not None and work.sampling.by == "uniform":
            # One row of each new item, whichever: its key and its first span are the entry.
            chosen = np.unique(place, return_index=True)[1][new]
            entry_span = least[new]
        else:
            chosen, entry_span = np.arange(len(key)), span
        cell = entry_span * CELLS + (key[chosen].view(np.uint64) >> np.uint64(32)).astype(np.int64) % CELLS
        cells += np.bincount(cell, minlength=len(cells))
        listed = pa.table({"cell": cell, "key": key[chosen], "id": rows["id"].take(pa.array(chosen))})
        entries.append(spread(work.folder, listed, cell % work.parts, work.parts)[0])
    there = np.flatnonzero(cells)
    return _Listed(tuple(entries), tuple(unreachable), there, cells[there], items)


def _drawn(
    work: Staging, rows: tuple[Spread, ...], unreachable: tuple[Spread, ...], numbering: _Numbering, part: int
) -> list[Spread]:
    """The draws of the examples of a partition, as questions to the cells."""
    positives = Positives(work, rows, unreachable, part)
    found = []
    for block in positives.blocks():
        if block is not None:
            question = _question(work, block.rows, np.flatnonzero(positives.are_examples(block)), numbering)
            question = question.append_column("origin", pa.array(np.full(question.num_rows, part, np.int32)))
            found.append(spread(work.folder, question, question["cell"].to_numpy() % work.parts, work.parts)[0])
    return found


def _question(work: Staging, table: pa.Table, examples: Ints, numbering: _Numbering) -> pa.Table:
    """The draws of some rows: which entry of which cell, and the row that it is for."""
    assert work.sampling is not None, "negatives are to be drawn"
    named = [table[c].take(pa.array(examples)) for c in ((UID,) if work.uid is not None else ("e0", "e1", TIME))]
    count = draws_of(work.sampling)
    row = np.repeat(examples, count)
    turn = np.tile(np.arange(count, dtype=np.int64), len(examples))
    seeded = row_hashes(named, derive(work.seed, "sampled negatives")).view(np.int64)
    uniform = (row_hashes([pa.array(np.repeat(seeded, count)), pa.array(turn)]) >> np.uint64(11)) / 2.0**53
    size = numbering.drawn_from(table[TIME].to_numpy()[examples])
    number = np.floor(uniform * np.repeat(size, count)).astype(np.int64)
    able = np.repeat(size > 0, count)
    row, turn, number = row[able], turn[able], number[able]
    cell = np.searchsorted(numbering.before, number, side="right") - 1
    cut = table[work.cut_by].to_numpy()[row]
    return pa.table({"cell": cell, "index": number - numbering.before[cell], "row": row, "turn": turn, "cut": cut})


def _answers(work: Staging, entries: tuple[Spread, ...], questions: tuple[Spread, ...], part: int) -> Spread | None:
    """The items that the numbers of a partition's cells stand for."""
    listed, _ = read_part(work.folder, list(entries), part)
    asked, _ = read_part(work.folder, list(questions), part)
    if listed is None or asked is None:
        return None
    key, cell = listed["key"].to_numpy(), listed["cell"].to_numpy()
    order = np.lexsort((key, cell))
    at = order[np.searchsorted(cell[order], asked["cell"].to_numpy()) + asked["index"].to_numpy()]
    found = pa.table(
        {**{c: asked[c] for c in ("row", "turn", "cut")}, "key": key[at], "id": listed["id"].take(pa.array(at))}
    )
    return spread(work.folder, found, asked["origin"].to_numpy(), work.parts)[0]


class _Made(NamedTuple):
    taken: Taken | None
    no_examples: Spread
    positives: int
    negatives: int
    candidates: int


def _rows(
    work: Staging,
    rows: tuple[Spread, ...],
    unreachable: tuple[Spread, ...],
    answers: tuple[Spread, ...],
    numbering: _Numbering,
    part: int,
) -> list[_Made]:
    """The drawn rows of a partition's members, taken in: of each block of positives."""
    positives = Positives(work, rows, unreachable, part)
    drawn = in_blocks(work.folder, answers, part, "cut", positives.cuts)
    pairs = zip(positives.blocks(), drawn, strict=True)
    return [_made(positives, block, found, numbering) for block, found in pairs if block is not None]


def _made(positives: Positives, block: PartBlock, answers: PartBlock | None, numbering: _Numbering) -> _Made:
    """The drawn rows of a block."""
    work, table = positives.work, block.rows
    assert work.sampling is not None, "negatives are to be drawn"
    kept = positives.are_examples(block)
    examples = np.flatnonzero(kept)
    lost = pa.table({"file": block.file[~kept], "place": block.place[~kept]})
    left_out = spread(work.folder, lost, np.full(lost.num_rows, positives.part), work.parts)[0]
    known = numbering.known_items(table[TIME].to_numpy()[examples])
    if answers is None:
        return _Made(None, left_out, len(examples), 0, int(known.sum()))
    found = answers.rows.take(pa.array(_kept(work, table, answers.rows, positives.takes)))
    row = found["row"].to_numpy()
    at, drawn = np.unique(row, return_inverse=True, return_counts=True)[1:]
    made = _like(work, table.take(pa.array(row)), found["id"].combine_chunks(), row)
    if work.sampling.weigh:
        items = known[np.searchsorted(examples, row)]
        weight = made[WEIGHT].to_numpy() * items / drawn[at]
        made = made.set_column(made.schema.get_field_index(WEIGHT), WEIGHT, pa.array(weight))
    return _Made(take_in(work, made), left_out, len(examples), len(row), int(known.sum()))


def _kept(work: Staging, table: pa.Table, found: pa.Table, takes: tuple[Ints, Ints]) -> Ints:
    """Which draws become rows: the first of each row, of an item once, none that the member has taken by then."""
    member, time = table["key"].to_numpy(), times_of(work, table)
    row, turn, key = (found[c].to_numpy() for c in ("row", "turn", "key"))
    sampling, (pair, first) = work.sampling, takes
    assert sampling is not None, "negatives are to be drawn"
    if sampling.repeats:  # only what it takes at this very moment is no negative
        now = mixed(mixed(member, table["other"].to_numpy()), time)
        free = np.flatnonzero(~np.isin(mixed(mixed(member[row], key), time[row]), now))
    else:
        drawn = mixed(member[row], key)
        at = np.minimum(np.searchsorted(pair, drawn), len(pair) - 1)
        free = np.flatnonzero((pair[at] != drawn) | (first[at] > time[row]))
    free = free[np.lexsort((turn[free], key[free], row[free]))]
    once = np.ones(len(free), bool)
    once[1:] = (row[free][1:] != row[free][:-1]) | (key[free][1:] != key[free][:-1])
    free = free[once]
    free = free[np.lexsort((turn[free], row[free]))]
    begins = np.searchsorted(row[free], row[free])
    return free[np.arange(len(free)) - begins < sampling.per_positive]


def _like(work: Staging, rows: pa.Table, items: pa.Array, row: Ints) -> pa.Table:
    """Rows like their positives, of other items and without a response."""
    changed: dict[str, pa.Array | npt.NDArray[np.generic]] = {
        "e1": items,
        LABEL: np.full(len(row), ASKS, np.int8),
    }
    if work.uid is not None:
        number = np.arange(len(row)) - np.searchsorted(row, row)
        changed[UID] = pc.binary_join_element_wise(rows[UID], pa.array(number).cast(pa.string()), "~").combine_chunks()
    item = work.entities[1].source
    for place in dict.fromkeys(p for p in work.places.values() if p.source == item and p.name in rows.column_names):
        changed[place.name] = read_as(place, as_texts(items))
    for name, column in changed.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(column))
    return rows.drop_columns(["key", "other"])
