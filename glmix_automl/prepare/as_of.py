"""As-of history: what was known of a key (a member, an item, a member and a genre) before each row.

The one definition, for preparation and for scoring: rows are sorted by key and time, every number is a difference of
cumulative sums, and what is left at the end of a block of rows is carried into the next. Rows of one moment do not see
each other, and no row sees itself. A number is an accumulator; one more of them is one more column of the same pass.

    before, state = as_of(keys, times, {"label": labels}, (Count(), Total("label"), Last()))
    later, state = as_of(new_keys, new_times, {"label": new_labels}, ACCUMULATORS, state)

Rows may only ask (rows to be scored): they see what came before them, and nothing sees them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
AnyNumbers = npt.NDArray[Any]
NEVER = np.iinfo(np.int64).min
"""Time of the last row of a key that has none."""


@dataclass(frozen=True)
class Groups:
    """Rows in order of key and time. Those that count have places in this order; all of them ask.

    Attributes:
        order: [counting], the row at each place.
        times: [counting], microseconds, by place.
        asking: [rows], the row of each question, by key and time; the same as `order` where every row counts.
        at: [rows], time of each question.
        start: [rows], place of the first counting row of the question's key.
        moment: [rows], place of the first one of the question's key that is not before it: `start` to here is its past.
        key_of: [rows], which of `keys` the question is of.
        ends: [keys], the place after the last counting row of each key.
        keys: [keys], ascending.
    """

    order: Ints
    times: Ints
    asking: Ints
    at: Ints
    start: Ints
    moment: Ints
    key_of: Ints
    ends: Ints
    keys: Ints

    @property
    def starts(self) -> Ints:
        """[keys], the place of the first counting row of each key."""
        return np.concatenate([np.zeros(1, np.int64), self.ends[:-1]]) if len(self.ends) else self.ends

    def totals(self, signal: AnyNumbers) -> AnyNumbers:
        """[counting + 1], cumulative sums of a signal given in the order of places, from 0."""
        return np.concatenate([np.zeros(1, signal.dtype), np.cumsum(signal)])


Carried = Mapping[str, AnyNumbers]
"""Accumulator -> what it had of each of a block's keys before the block: [keys]."""


class Accumulator(Protocol):
    """One number per key that grows with the key's rows.

    Laws: `before` depends on strictly earlier rows of the key only; two blocks, the state of the first carried into the
    second, give what one block of all rows gives (to the last bit, where sums are of integers).
    """

    @property
    def name(self) -> str:
        """Its column."""

    @property
    def empty(self) -> float:
        """Its number for a key without rows; whole (an int) where all its numbers are."""

    def before(self, groups: Groups, signals: Mapping[str, AnyNumbers], carried: Carried) -> AnyNumbers:
        """[rows], by question: its number as of the rows strictly before each."""

    def after(self, groups: Groups, signals: Mapping[str, AnyNumbers], carried: Carried) -> AnyNumbers:
        """[keys], its number after all of each key's rows; of keys without counting rows it is not used."""


@dataclass(frozen=True)
class Count:
    """How many rows."""

    name: str = "n"
    empty: float = 0

    def before(self, groups: Groups, signals: Mapping[str, AnyNumbers], carried: Carried) -> AnyNumbers:
        """See `Accumulator`."""
        return groups.moment - groups.start + carried[self.name][groups.key_of]

    def after(self, groups: Groups, signals: Mapping[str, AnyNumbers], carried: Carried) -> AnyNumbers:
        """See `Accumulator`."""
        return groups.ends - groups.starts + carried[self.name]


@dataclass(frozen=True)
class Total:
    """Sum of a signal."""

    signal: str
    empty: float = 0

    @property
    def name(self) -> str:
        """The signal's."""
        return self.signal

    def before(self, groups: Groups, signals: Mapping[str, AnyNumbers], carried: Carried) -> AnyNumbers:
        """See `Accumulator`."""
        totals = groups.totals(signals[self.signal])
        return totals[groups.moment] - totals[groups.start] + carried[self.name][groups.key_of]

    def after(self, groups: Groups, signals: Mapping[str, AnyNumbers], carried: Carried) -> AnyNumbers:
        """See `Accumulator`."""
        totals = groups.totals(signals[self.signal])
        return totals[groups.ends] - totals[groups.starts] + carried[self.name]


@dataclass(frozen=True)
class Last:
    """Time of the last row."""

    name: str = "last"
    empty: float = NEVER

    def before(self, groups: Groups, signals: Mapping[str, AnyNumbers], carried: Carried) -> AnyNumbers:
        """See `Accumulator`."""
        inside = groups.moment > groups.start
        found = carried[self.name][groups.key_of]
        found[inside] = groups.times[groups.moment[inside] - 1]
        return found

    def after(self, groups: Groups, signals: Mapping[str, AnyNumbers], carried: Carried) -> AnyNumbers:
        """See `Accumulator`."""
        return groups.times[groups.ends - 1]


@dataclass(frozen=True)
class KeyState:
    """What is known of every key at the end of some rows.

    Attributes:
        keys: [keys], ascending.
        columns: accumulator -> its number of each key.
        until: time of the last of the rows; whatever is added must be later.
    """

    keys: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    columns: Mapping[str, AnyNumbers] = field(default_factory=dict)
    until: int = int(NEVER)

    def of(self, keys: Ints, accumulators: Sequence[Accumulator]) -> dict[str, AnyNumbers]:
        """The accumulators' numbers of keys: [keys]; `empty` for keys that are not known."""
        place, known = self._places(keys)
        found = {}
        for each in accumulators:
            kind = np.int64 if isinstance(each.empty, int) else np.float64
            values = np.full(len(keys), each.empty, self.columns[each.name].dtype if len(self.keys) else kind)
            values[known] = self.columns[each.name][place[known]] if len(self.keys) else each.empty
            found[each.name] = values
        return found

    def updated(self, keys: Ints, columns: Mapping[str, AnyNumbers], until: int) -> "KeyState":
        """The state with other numbers for some keys."""
        if not len(self.keys):
            return KeyState(keys, columns, until)
        _, known = self._places(keys)
        place = np.searchsorted(self.keys, keys[known])
        changed = {}
        for name, new in columns.items():
            old = self.columns[name].astype(np.result_type(self.columns[name], new))
            old[place] = new[known]
            changed[name] = np.concatenate([old, new[~known]])
        every = np.concatenate([self.keys, keys[~known]])
        order = np.argsort(every, kind="stable")
        return KeyState(every[order], {n: c[order] for n, c in changed.items()}, until)

    def _places(self, keys: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
        if not len(self.keys):
            return np.zeros(len(keys), np.int64), np.zeros(len(keys), bool)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return place, self.keys[place] == keys


def group_by_key(keys: Ints, times: Ints, counts: npt.NDArray[np.bool_] | None = None) -> Groups:
    """Rows by key and time; all of them count unless `counts` [rows] says which."""
    asking = np.lexsort((times, keys)).astype(np.int64)
    sorted_keys, at = keys[asking], times[asking]
    new_key = np.ones(len(asking), bool)
    new_key[1:] = sorted_keys[1:] != sorted_keys[:-1]
    new_moment = new_key.copy()
    new_moment[1:] |= at[1:] != at[:-1]
    row = np.arange(len(asking), dtype=np.int64)
    start = np.maximum.accumulate(np.where(new_key, row, 0))
    moment = np.maximum.accumulate(np.where(new_moment, row, 0))
    starts = np.flatnonzero(new_key)
    ends = np.append(starts[1:], len(row)).astype(np.int64) if len(row) else np.empty(0, np.int64)
    key_of = np.repeat(np.arange(len(starts)), np.diff(ends, prepend=0))
    if counts is None:
        return Groups(asking, at, asking, at, start, moment, key_of, ends, sorted_keys[starts])
    counting = counts[asking]
    place = np.concatenate([[0], np.cumsum(counting)])
    return Groups(
        order=asking[counting],
        times=at[counting],
        asking=asking,
        at=at,
        start=place[start],
        moment=place[moment],
        key_of=key_of,
        ends=place[ends],
        keys=sorted_keys[starts],
    )


def as_of(
    keys: Ints,
    times: Ints,
    signals: Mapping[str, AnyNumbers],
    accumulators: Sequence[Accumulator],
    state: KeyState | None = None,
    counts: npt.NDArray[np.bool_] | None = None,
) -> tuple[dict[str, AnyNumbers], KeyState]:
    """What the accumulators held of each row's key before the row, and the state after all rows.

    Args:
        keys: int64 [rows], any numbers that tell keys apart, the same in every block.
        times: int64 [rows], microseconds, in any order; all later than `state.until`.
        signals: what is added up, by name: [rows].
        accumulators: what to keep.
        state: at the end of the block before.
        counts: [rows], False for rows that only ask; None where all count.

    Returns:
        Accumulator -> its number as of each row ([rows], in the order given), and the new state.
    """
    state = state or KeyState()
    if not len(keys):
        nothing = state.of(keys, accumulators)
        return nothing, state if len(state.keys) else KeyState(keys, nothing, state.until)
    first = int(times.min())
    if first <= state.until:
        raise ValueError(f"a block begins at {first}, the state before it lasts until {state.until}")
    groups = group_by_key(keys, times, counts)
    carried = state.of(groups.keys, accumulators)
    sorted_signals = {name: signal[groups.order] for name, signal in signals.items()}
    found = {}
    for each in accumulators:
        in_order = each.before(groups, sorted_signals, carried)
        column = np.empty_like(in_order)
        column[groups.asking] = in_order
        found[each.name] = column
    if not len(groups.order):
        return found, state
    grown = groups.ends > groups.starts
    after = {a.name: a.after(groups, sorted_signals, carried)[grown] for a in accumulators}
    return found, state.updated(groups.keys[grown], after, int(groups.times.max()))
