"""As-of history against its definition, row by row, and in blocks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmix_automl.prepare.as_of import NEVER, Count, KeyState, Last, Total, as_of
from glmix_automl.prepare.recent import Recent

HALF_LIFE = 2.0
KEPT = (Count(), Total("label"), Total("rating"), Last(), Recent("recent", HALF_LIFE, "label"))
ROWS = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 25), st.integers(0, 1), st.integers(-4, 5)), max_size=40)


def columns(rows: list[tuple[int, int, int, int]]) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    table = np.array(rows, np.int64).reshape(-1, 4)
    return table[:, 0], table[:, 1], {"label": table[:, 2], "rating": table[:, 3]}


def by_definition(rows: list[tuple[int, int, int, int]]) -> dict[str, list[float]]:
    """A loop over all pairs of rows."""
    found: dict[str, list[float]] = {a.name: [] for a in KEPT}
    for key, time, *_ in rows:
        past = [r for r in rows if r[0] == key and r[1] < time]
        found["n"].append(len(past))
        found["label"].append(sum(r[2] for r in past))
        found["rating"].append(sum(r[3] for r in past))
        found["last"].append(max((r[1] for r in past), default=NEVER))
        found["recent"].append(sum(r[2] * 0.5 ** (sum(s[1] > r[1] for s in past) / HALF_LIFE) for r in past))
    return found


@given(ROWS)
def test_a_row_sees_the_strictly_earlier_rows_of_its_key(rows: list[tuple[int, int, int, int]]) -> None:
    keys, times, signals = columns(rows)
    found, state = as_of(keys, times, signals, KEPT)
    for name, wanted in by_definition(rows).items():
        assert found[name].tolist() == (pytest.approx(wanted) if name == "recent" else wanted), name
    # The state is what a row of each key after all others would see.
    late = 10**6
    probe = [(k, late, 0, 0) for k in sorted(set(keys.tolist()))]
    wanted_after = by_definition(rows + probe)
    assert state.keys.tolist() == [k for k, *_ in probe]
    for name in ("n", "label", "rating", "last"):
        assert state.columns[name].tolist() == wanted_after[name][len(rows) :], name


@given(ROWS, st.lists(st.integers(0, 26), max_size=4))
def test_blocks_with_carried_state_are_one_block(rows: list[tuple[int, int, int, int]], cuts: list[int]) -> None:
    keys, times, signals = columns(rows)
    whole, end = as_of(keys, times, signals, KEPT)
    borders = [-1, *sorted(cuts), 99]
    state = KeyState()
    for low, high in pairwise(borders):
        here = np.flatnonzero((times >= low) & (times < high))
        part, state = as_of(keys[here], times[here], {n: s[here] for n, s in signals.items()}, KEPT, state)
        for name, values in part.items():
            assert values.tolist() == whole[name][here].tolist(), name
    assert state.keys.tolist() == end.keys.tolist()
    for name, values in end.columns.items():
        assert state.columns[name].tolist() == values.tolist(), name


@given(ROWS, st.lists(st.booleans(), min_size=40, max_size=40), st.integers(0, 26))
def test_rows_that_only_ask_see_the_past_and_are_not_seen(
    rows: list[tuple[int, int, int, int]], drawn: list[bool], cut: int
) -> None:
    """Each question alone, put to the rows that count, as if it were the last row of all."""
    keys, times, signals = columns(rows)
    counts = np.array(drawn[: len(rows)], bool)
    state, found = KeyState(), {a.name: [0.0] * len(rows) for a in KEPT}
    for here in (np.flatnonzero(times < cut), np.flatnonzero(times >= cut)):
        block = {name: signal[here] for name, signal in signals.items()}
        part, state = as_of(keys[here], times[here], block, KEPT, state, counts[here])
        for name, values in part.items():
            for row, value in zip(here.tolist(), values.tolist(), strict=True):
                found[name][row] = value
    events = [row for row, counting in zip(rows, drawn, strict=False) if counting]
    for place, row in enumerate(rows):
        for name, wanted in by_definition([*events, row]).items():
            assert found[name][place] == pytest.approx(wanted[-1]), name
    _, alone = as_of(keys[counts], times[counts], {n: s[counts] for n, s in signals.items()}, KEPT)
    assert state.keys.tolist() == alone.keys.tolist()
    assert state.until == (alone.until if counts.any() else NEVER)
    for name, values in alone.columns.items():
        assert state.columns[name].tolist() == pytest.approx(values.tolist()), name


def test_a_block_that_begins_before_the_state_ends_is_refused() -> None:
    key, kept = np.zeros(1, np.int64), (Count(),)
    _, state = as_of(key, np.array([5]), {}, kept)
    with pytest.raises(ValueError, match="begins at 5"):
        as_of(key, np.array([5]), {}, kept, state)
