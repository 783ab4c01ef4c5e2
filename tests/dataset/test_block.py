"""Blocks: taking and slicing rows keeps every column together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmix_automl.dataset import BagColumn, Block


def block(lengths: list[int]) -> Block:
    """Row r holds r everywhere; its bag holds r as often as `lengths` says, valued 0, 1, ..."""
    rows = len(lengths)
    number = np.arange(rows)
    splits = np.append(0, np.cumsum(lengths)).astype(np.int64)
    values = np.concatenate([np.empty(0), *(np.arange(n) for n in lengths)]).astype(np.float32)
    ids = np.repeat(number, lengths).astype(np.int32)
    as_float = number.astype(np.float32)
    return Block(
        numerics=np.stack([as_float, -as_float], axis=1),
        categoricals=number[:, None].astype(np.int32),
        bags=(BagColumn(splits, ids, values), BagColumn(splits, ids)),
        label=as_float % 2,
        weight=as_float + 1,
        offset=as_float,
        rows=number.astype(np.int64),
        entities={"member": number.astype(np.int32)},
    )


def assert_is_whole(found: Block, expected: np.ndarray, lengths: list[int]) -> None:
    """Every column of `found` is that of the expected rows."""
    assert len(found) == len(expected)
    assert np.array_equal(found.numerics, np.stack([expected, -expected], axis=1))
    assert np.array_equal(found.categoricals[:, 0], expected)
    assert np.array_equal(found.weight, expected + 1)
    assert np.array_equal(found.offset, expected)
    assert np.array_equal(found.label, expected % 2)
    assert np.array_equal(found.rows, expected)
    assert np.array_equal(found.entities["member"], expected)
    for bag in found.bags:
        assert len(bag) == len(expected)
        assert bag.splits[0] == 0
        for place, row in enumerate(expected):
            own = slice(bag.splits[place], bag.splits[place + 1])
            assert bag.ids[own].tolist() == [row] * lengths[row]
            if bag.values is not None:
                assert bag.values[own].tolist() == list(range(lengths[row]))
        assert len(bag.ids) == bag.splits[-1]


LENGTHS = st.lists(st.integers(0, 4), min_size=1, max_size=12)


@given(LENGTHS, st.data())
def test_take_gives_the_rows_in_their_order(lengths: list[int], data: st.DataObject) -> None:
    rows = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=20)), np.int64)
    assert_is_whole(block(lengths).take(rows), rows, lengths)


@given(LENGTHS, st.data())
def test_slice_gives_the_rows_and_slices_again(lengths: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(lengths)))
    stop = data.draw(st.integers(start, len(lengths)))
    part = block(lengths).slice(start, stop)
    assert_is_whole(part, np.arange(start, stop), lengths)
    middle = (stop - start) // 2
    assert_is_whole(part.slice(middle, stop - start), np.arange(start + middle, stop), lengths)


def test_a_slice_is_a_view() -> None:
    whole = block([1, 2, 3])
    part = whole.slice(1, 3)
    assert np.shares_memory(part.numerics, whole.numerics)
    assert np.shares_memory(part.bags[0].ids, whole.bags[0].ids)


def test_a_slice_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="a block of 2 rows has no slice 1:3"):
        block([1, 1]).slice(1, 3)


def test_bytes_are_those_of_the_arrays() -> None:
    # 3 rows: numerics 24, categoricals 12, label, weight, offset 36, rows 24, member 12;
    # two bags with splits 32 and 6 ids 24 each, one with values 24.
    assert block([1, 2, 3]).nbytes == 24 + 12 + 36 + 24 + 12 + 2 * (32 + 24) + 24
