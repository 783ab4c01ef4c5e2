"""History features: the past of a member, an item, an attribute of items, and a member with an attribute.

For each row and key: how many rows of the key lie strictly before the row's time, how many of them are positive, and
when the last one was (`as_of`). Labels of the past count, whatever split they are in, as they would at serving time.

Beside the label there may be graded signals (stars, seconds watched). An *effect* is a response less the mean of its
item as of then: what a member adds to what everybody says of the item. Effects are followed per member, lately, and per
member and attribute value; `past_columns` says which columns each group has, `followed` what is added up for them.

Rows lie with their member (see `stage`), so the past of members is at hand. What is known of an item is found where the
item's rows lie together: they are sent there by a hash of the item, and the answers come back to the row's place; those
of attribute values go by a hash of the value. A key that most rows have is read in blocks of time with carried state.
Keys are 64-bit hashes of their text: two of a hundred million keys share one with odds of 1 in 4,000.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.prepare import followed
from glmix_automl.prepare.as_of import NEVER, Accumulator, KeyState, as_of
from glmix_automl.prepare.exchange import Ints, Spread, in_blocks, read_part, spread
from glmix_automl.prepare.followed import ACCUMULATORS, EFFECT, effects_of, recent_name, signals_of
from glmix_automl.prepare.history_features import FollowedAttribute, HistoryFeatures
from glmix_automl.prepare.known import Days, Known, mixed, write_state
from glmix_automl.prepare.past_columns import (
    FIXED_ONE,
    OF_LABEL,
    RECENT,
    effect_name,
    mean_name,
    names,
    over_values,
    recent_effect,
    recent_rate,
    share_name,
    smoothed,
    taste_names,
)
from glmix_automl.prepare.row_hash import row_hashes

DAY_MICROSECONDS = 86_400 * 10**6
ASKS = -1
"""Label of a row that only asks for its history: no other sees it."""
_KEPT = ("n", "label", "last")


@dataclass(frozen=True)
class Priors:
    """The response rate of all rows before each day, by Laplace's rule (the first day has 1/2), and means of signals.

    Attributes:
        days: [days], numbers of days since the epoch, ascending.
        rows: [days], all rows before each.
        rates: [days].
        means: [signals, days], NaN for the first day.
    """

    days: Ints
    rows: Ints
    rates: npt.NDArray[np.float64]
    means: npt.NDArray[np.float64]

    @staticmethod
    def of(counts: Days) -> "Priors":
        """From what is known of each day."""
        days = sorted(counts)
        n, positives, *sums = np.array([counts[d] for d in days], np.int64).T
        before, positives_before = np.cumsum(n) - n, np.cumsum(positives) - positives
        with np.errstate(invalid="ignore"):
            means = [(np.cumsum(s) - s) / FIXED_ONE / before for s in sums]
        rates = (positives_before + 1) / (before + 2)
        return Priors(np.array(days, np.int64), before, rates, np.array(means).reshape(len(sums), len(days)))

    def at(self, times: Ints) -> npt.NDArray[np.float64]:
        """[rows], the prior of each time's day."""
        return self.rates[self._days(times)]

    def rows_before(self, times: Ints) -> Ints:
        """[rows], how many rows there were before each time's day."""
        return self.rows[self._days(times)]

    def of_signal(self, number: int, times: Ints) -> npt.NDArray[np.float64]:
        """[rows], the prior mean of a signal."""
        return self.means[number, self._days(times)]

    def _days(self, times: Ints) -> Ints:
        return np.searchsorted(self.days, times // DAY_MICROSECONDS)


def keys_of(texts: pa.Array | pa.ChunkedArray, seed: int | None = None) -> Ints:
    """A number per id or value, the same wherever it is computed."""
    return row_hashes([texts], seed).view(np.int64)


@dataclass(frozen=True)
class Answered:
    """What a step of history wrote: answers by the place of the row, questions about values, names of keys."""

    answers: tuple[Spread, ...]
    questions: tuple[Spread, ...] = ()
    values: tuple[Spread, ...] = ()


def items_step(
    folder: str,
    parts: int,
    wanted: HistoryFeatures,
    asked: Sequence[Spread],
    items: Sequence[Spread],
    out: str | None,
    part: int,
    known: Known | None = None,
) -> Answered:
    """The past of the items of one partition, and the attribute values of each row's item.

    Args:
        folder: URI of intermediate files.
        parts: of every exchange.
        wanted: which features.
        asked: rows by item: `key`, `id`, `time`, `label`, signals, `origin` (partition) and `place`; a file for each of
            `stage`.
        items: items by id: `key`, and `a0`, ... (values of attributes, lists of text).
        out: URI of the dataset's folder, where the state at the end goes; None where nobody needs it.
        part: the partition.
        known: at the end of the rows before these.
    """
    table, _ = read_part(folder, list(items), part)
    value_lists = [_Values(table, number, a) for number, a in enumerate(wanted.attributes)]
    answers, questions, ids = [], [], Names()
    state = _begin(known, "item", part, parts) if wanted.follows_items else KeyState()
    for rows, file in in_blocks(folder, list(asked), part, "time", wanted.heavy_rows):
        key, time, label = (rows[c].to_numpy() for c in ("key", "time", "label"))
        found: dict[str, Any] = {}
        if wanted.follows_items:
            signals = {s: rows[s].to_numpy() for s in signals_of(wanted)}
            found, state = _past(key, time, label, state, followed.of_items(wanted), signals)
            ids.add(key, rows["id"])
        columns: dict[str, Any] = {"file": file, "place": rows["place"].to_numpy(), **found}
        origin = rows["origin"].to_numpy()
        for number, values in enumerate(value_lists):
            ends, row, value = values.of(key)
            offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
            columns[f"a{number}"] = pa.ListArray.from_arrays(offsets, pa.array(value))
            question = pa.table(
                {
                    "key": value,
                    "time": time[row],
                    "label": label[row],
                    "origin": origin[row],
                    "file": columns["file"][row],
                    "place": columns["place"][row],
                    "attribute": np.full(len(row), number, np.int8),
                }
            )
            questions.append(spread(folder, question, _part(value, parts), parts)[0])
        answers.append(spread(folder, pa.table(columns), origin, parts)[0])
    if out is not None and wanted.follows_items and len(state.keys):
        write_state(out, "item", part, {"item": ids.of(state.keys)}, state)
    named = [v.named() for v in value_lists if v.known]
    spreads = [spread(folder, t, _part(t["key"].to_numpy(), parts), parts)[0] for t in named]
    return Answered(tuple(answers), tuple(questions), tuple(spreads))


def attributes_step(
    folder: str,
    parts: int,
    wanted: HistoryFeatures,
    asked: Sequence[Spread],
    values: Sequence[Spread],
    out: str | None,
    part: int,
    known: Known | None = None,
) -> Answered:
    """The past of the attribute values of one partition.

    Args:
        folder, parts, wanted, out, part, known: as of `items_step`.
        asked: questions of `items_step`.
        values: its names of values.
    """
    answers = []
    states = [_begin(known, a.key, part, parts) for a in wanted.attributes]
    state = KeyState.together(states)
    for rows, _ in in_blocks(folder, list(asked), part, "time", wanted.heavy_rows):
        key, time = rows["key"].to_numpy(), rows["time"].to_numpy()
        found, state = _past(key, time, rows["label"].to_numpy(), state)
        columns = {**{c: rows[c] for c in ("file", "place", "attribute")}, **found}
        answers.append(spread(folder, pa.table(columns), rows["origin"].to_numpy(), parts)[0])
    table, _ = read_part(folder, list(values), part)
    if out is not None and table is not None and len(state.keys):
        named = Names()
        named.add(table["key"].to_numpy(), table["value"])
        number = dict(zip(table["key"].to_pylist(), table["attribute"].to_pylist(), strict=True))
        attribute = np.array([number[k] for k in state.keys.tolist()])
        for place, each in enumerate(wanted.attributes):
            here = attribute == place
            part_state = KeyState(state.keys[here], {n: c[here] for n, c in state.columns.items()})
            key_columns = {"key": part_state.keys, "value": named.of(part_state.keys)}
            write_state(out, each.key, part, key_columns, part_state)
    return Answered(tuple(answers))


class Past:
    """The history columns of the rows of one partition, from the answers that came to it."""

    def __init__(
        self,
        wanted: HistoryFeatures,
        priors: Priors,
        rows: pa.Table,
        bases: Ints,
        known: Known | None = None,
        parts: int = 1,
    ) -> None:
        """For rows with columns `key` (of the member), `e0`, `time`, `label`, signals; `bases` says where each file's
        begin, `known` what was known before them, in so many `parts`.
        """
        self._wanted = wanted
        self._known, self._parts = known, parts
        self._bases = bases
        self._member = rows["key"].to_numpy()
        self._ids = rows["e0"]
        self._time = rows["time"].to_numpy()
        self._label = rows["label"].to_numpy()
        self._signals = {s: rows[s].to_numpy() for s in signals_of(wanted)}
        self._priors = priors
        self._prior = priors.at(self._time) if len(self._time) else np.empty(0)
        self._columns: dict[str, pa.Array] = {}
        self.effects: dict[str, Ints] = {}
        """Of each row, the effects (`followed`), once `columns` has been called."""

    def columns(
        self, items: pa.Table | None, attributes: pa.Table | None, out: str | None, part: int
    ) -> dict[str, pa.Array]:
        """The columns of `past_columns.past_features`: counts, rates and tastes null for an item without a value of the
        attribute, seconds null where there is no past.

        Args:
            items: answers of `items_step` for this partition.
            attributes: answers of `attributes_step`.
            out: URI of the dataset's folder, for the state at the end; None where nobody needs it.
            part: the partition.
        """
        at = self._places(items) if items is not None else np.empty(0, np.int64)
        if items is not None and self._wanted.follows_items:
            accumulators = followed.of_items(self._wanted)
            self._items({a.name: _scattered(items[a.name].to_numpy(), at, len(self._time)) for a in accumulators})
        if self._wanted.follows_members:
            self._members(out, part)
        if items is not None:
            for number, attribute in enumerate(self._wanted.attributes):
                self._attribute(number, attribute, items, at, attributes, out, part)
        return self._columns

    def _items(self, found: Mapping[str, Any]) -> None:
        """What is known of items, and so the effect of each row."""
        if self._wanted.item:
            self._describe("item", found, share=self._share_of_rows(found["n"]))
        means = [(found["label"] + self._wanted.smoothing * self._prior) / (found["n"] + self._wanted.smoothing)]
        means += self._means("item", found)
        responses = [self._label, *(s / FIXED_ONE for s in self._signals.values())]
        for name, response, mean in zip(effects_of(self._wanted), responses, means, strict=True):
            effect = np.where(np.isnan(mean), 0.0, response - np.nan_to_num(mean))
            if self._wanted.takes and name == EFFECT:
                effect = np.ones(len(effect))
            self.effects[name] = np.rint(effect * FIXED_ONE).astype(np.int64)
        if self._wanted.recent:
            self._recent_rates("item", found)

    def _members(self, out: str | None, part: int) -> None:
        wanted = self._wanted
        before = _begin(self._known, "member", part, self._parts)
        signals = self._signals | self.effects
        found, state = _past(self._member, self._time, self._label, before, followed.of_members(wanted), signals)
        self._member_rows = found["n"]
        if wanted.member:
            self._describe("member", found)
        self._means("member", found)
        named = list(zip(effects_of(wanted), (OF_LABEL, *wanted.signals), strict=True))
        if wanted.effects:
            for effect, signal in named:
                self._number(
                    effect_name("member", signal), smoothed(found[effect] / FIXED_ONE, found["n"], wanted.smoothing)
                )
        if wanted.recent:
            self._recent_rates("member", found)
            for half_life in RECENT:
                count = found[recent_name("rows", half_life)]
                for effect, signal in named:
                    total = found[recent_name(effect, half_life)] / FIXED_ONE
                    self._number(recent_effect(signal, half_life), smoothed(total, count, 1.0))
        if out is not None:
            ids = Names()
            ids.add(self._member, self._ids)
            write_state(out, "member", part, {"member": ids.of(state.keys)}, state)

    def _means(self, key: str, found: Mapping[str, Any]) -> list[npt.NDArray[np.float64]]:
        """Describes the means of signals, and gives them."""
        means = []
        for number, (name, signal) in enumerate(zip(self._signals, self._wanted.signals, strict=True)):
            prior = self._priors.of_signal(number, self._time)
            means.append(smoothed(found[name] / FIXED_ONE, found["n"], self._wanted.smoothing, prior))
            self._number(mean_name(key, signal), means[-1])
        return means

    def _recent_rates(self, key: str, found: Mapping[str, Any]) -> None:
        for half_life in RECENT:
            total, count = (found[recent_name(n, half_life)] for n in ("label", "rows"))
            self._number(recent_rate(key, half_life), smoothed(total, count, 1.0, self._prior))

    def _attribute(
        self,
        number: int,
        attribute: FollowedAttribute,
        items: pa.Table,
        at: Ints,
        answers: pa.Table | None,
        out: str | None,
        part: int,
    ) -> None:
        wanted, rows = self._wanted, len(self._time)
        lists = items[f"a{number}"].combine_chunks()
        row = at[pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)]
        value = lists.flatten().to_numpy(zero_copy_only=False)
        has = np.bincount(row, minlength=rows) > 0
        share = np.zeros(rows)
        if answers is not None:
            here = answers.filter(pc.equal(answers["attribute"], number))
            summed = _summed({n: here[n].to_numpy() for n in _KEPT}, self._places(here), rows)
            share = self._share_of_rows(summed["n"])
            self._describe(attribute.key, summed, has, share)
        both = mixed(self._member[row], value)
        before = _begin(self._known, f"member_{attribute.key}", part, self._parts)
        effects = {n: e[row] for n, e in self.effects.items()}
        found, state = _past(both, self._time[row], self._label[row], before, followed.of_tastes(wanted), effects)
        of_member = _summed(found, row, rows)
        if wanted.takes:
            share = (of_member["n"] + wanted.smoothing * share) / (self._member_rows + wanted.smoothing)
        self._describe(f"member_{attribute.key}", of_member, has, share)
        if wanted.tastes:
            for effect, signal in zip(effects_of(wanted), (OF_LABEL, *wanted.signals), strict=True):
                each = smoothed(found[effect] / FIXED_ONE, found["n"], wanted.smoothing)
                for name, column in zip(taste_names(attribute.key, signal), over_values(each, row, rows), strict=True):
                    self._number(name, column)
        if out is None:
            return
        first = _first(both, state.keys)
        key_columns = {"member": self._ids.take(pa.array(row[first])), "key": value[first]}
        write_state(out, f"member_{attribute.key}", part, key_columns, state)

    def _places(self, answers: pa.Table) -> Ints:
        """The row that each answer is for."""
        return self._bases[answers["file"].to_numpy()] + answers["place"].to_numpy()

    def _share_of_rows(self, n: Ints) -> npt.NDArray[np.float64]:
        """The share of all rows before the row's day that `n` rows are, by Laplace's rule."""
        before = self._priors.rows_before(self._time) if len(self._time) else n
        return (n + 1) / (np.maximum(before, n) + 1)

    def _describe(
        self,
        key: str,
        found: Mapping[str, Any],
        has: npt.NDArray[np.bool_] | None = None,
        share: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """Count, rate and seconds of a key; of positives only its share, if it has one, in place of the rate.

        Args:
            key: in the names of the columns.
            found: its numbers [rows].
            has: [rows] whether there is such a key.
            share: [rows], of what there is.
        """
        count, rate, seconds = names(key)
        n, positives, last = (found[k] for k in _KEPT)
        none = np.zeros(len(n), bool) if has is None else ~has
        smoothing = self._wanted.smoothing
        self._columns[count] = pa.array(n.astype(np.float64), mask=none)
        if not self._wanted.takes:
            self._columns[rate] = pa.array((positives + smoothing * self._prior) / (n + smoothing), mask=none)
        elif share is not None:
            self._columns[share_name(key)] = pa.array(np.log(np.maximum(share, 1e-12)), mask=none)
        never = none | (last == NEVER)
        since = (self._time - np.where(never, self._time, last)) / 1e6
        self._columns[seconds] = pa.array(since, mask=never)

    def _number(self, name: str, values: npt.NDArray[np.float64]) -> None:
        self._columns[name] = pa.array(values, mask=np.isnan(values))


def _begin(known: Known | None, key: str, part: int, parts: int) -> KeyState:
    return KeyState() if known is None else known.state(key, part, parts)


def _past(
    key: Ints,
    time: Ints,
    label: npt.NDArray[Any],
    state: KeyState,
    accumulators: Sequence[Accumulator] = ACCUMULATORS,
    signals: Mapping[str, Ints] | None = None,
) -> tuple[dict[str, Any], KeyState]:
    counts = label != ASKS
    every = {"label": label.astype(np.int64), **(signals or {})}
    return as_of(key, time, every, accumulators, state, None if counts.all() else counts)


class Names:
    """Texts of keys, each kept once."""

    def __init__(self) -> None:
        self._keys = np.empty(0, np.int64)
        self._texts: list[pa.Array] = []

    def add(self, keys: Ints, texts: pa.Array | pa.ChunkedArray) -> None:
        """Takes in the texts of keys that are new."""
        unique, first = np.unique(keys, return_index=True)
        new = ~np.isin(unique, self._keys)
        taken = texts.take(pa.array(first[new]))
        self._texts.append(taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken)
        self._keys = np.concatenate([self._keys, unique[new]])

    def of(self, keys: Ints) -> pa.Array:
        """The texts of known keys: [keys]."""
        return pa.chunked_array(self._texts).take(pa.array(_first(self._keys, keys))).combine_chunks()


class _Values:
    """Attribute values of items, by the items' keys."""

    def __init__(self, items: pa.Table | None, number: int, attribute: FollowedAttribute) -> None:
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

    def of(self, keys: Ints) -> tuple[Ints, Ints, Ints]:
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


def _part(keys: Ints, parts: int) -> Ints:
    return (keys.view(np.uint64) % np.uint64(parts)).astype(np.int64)


def _first(keys: Ints, wanted: Ints) -> Ints:
    """Where in `keys` each of the wanted ones is first: all are there."""
    unique, first = np.unique(keys, return_index=True)
    return first[np.searchsorted(unique, wanted)].astype(np.int64)


def _scattered(values: Ints, at: Ints, rows: int) -> Ints:
    result = np.empty(rows, values.dtype)
    result[at] = values
    return result


def _summed(found: Mapping[str, Ints], row: Ints, rows: int) -> dict[str, Ints]:
    """The numbers of a row's values together: sums, and the latest of the last."""
    order = np.argsort(row, kind="stable")
    starts = np.flatnonzero(np.diff(row[order], prepend=-1))
    result = {}
    for name in _KEPT:
        column = np.full(rows, NEVER if name == "last" else 0, np.int64)
        if len(starts):
            add = np.maximum if name == "last" else np.add
            column[row[order][starts]] = add.reduceat(found[name][order], starts)
        result[name] = column
    return result
