"""Streaming: the rows of a read, in bounded blocks, in any order that was asked for, read ahead in a thread."""

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from glmix_automl.dataset import Dataset
from glmix_automl.dataset.stream import read_ahead
from glmix_automl.errors import DataError
from tests.dataset.test_reader import same


def readers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "read-ahead"]


@pytest.mark.parametrize(
    ("rows_per_block", "size"), [(1, 10), (64, 1), (64, 3), (250, 1), (250, 3), (1003, 1), (1003, 3), (5000, 2)]
)
def test_blocks_are_those_of_a_read(dataset: Dataset, rows_per_block: int, size: int) -> None:
    counts = []
    for rank in range(size):
        whole, start = dataset.read("train", rank, size, entities=True), 0
        blocks = list(dataset.stream("train", rows_per_block, rank, size, entities=True))
        for block in blocks:
            assert same(block, whole.slice(start, start + len(block)))
            start += len(block)
        assert start == len(whole)
        assert max(map(len, blocks)) <= rows_per_block
        assert max(map(len, blocks)) - min(map(len, blocks)) <= 1
        counts.append(len(blocks))
    assert len(set(counts)) == 1  # ranks may meet after each block


def test_an_order_permutes_row_groups_and_rows_and_loses_none(dataset: Dataset) -> None:
    whole = dataset.read("train")
    orders = [list(dataset.stream("train", 300, order=order)) for order in (1, 1, 2)]
    places = [np.concatenate([block.rows for block in blocks]) for blocks in orders]
    assert np.array_equal(np.sort(places[0]), np.arange(len(whole)))
    assert np.array_equal(places[0], places[1])
    assert not np.array_equal(places[0], places[2])
    for block in orders[0]:
        assert same(block, whole.take(block.rows))
        assert not np.array_equal(block.rows, np.sort(block.rows))


def test_ranks_in_an_order_share_the_rows_once(dataset: Dataset) -> None:
    places = [b.rows for rank in range(3) for b in dataset.stream("train", 100, rank, 3, order=4)]
    assert np.array_equal(np.sort(np.concatenate(places)), np.arange(dataset.rows("train")))


def test_no_more_than_one_block_is_made_ahead() -> None:
    made: list[weakref.ref[np.ndarray]] = []

    def blocks() -> Iterator[np.ndarray]:
        for number in range(20):
            block = np.full(10, number)
            made.append(weakref.ref(block))
            yield block
            del block

    seen = 0
    for block in read_ahead(blocks()):  # type: ignore[arg-type]
        time.sleep(0.01)  # time for a reader that ran ahead too far to show it
        gc.collect()
        assert block[0] == seen
        assert len(made) <= seen + 2
        assert sum(ref() is not None for ref in made) <= 2
        seen += 1
    assert seen == 20


def test_the_next_block_is_made_while_this_one_is_used() -> None:
    second = threading.Event()

    def blocks() -> Iterator[int]:
        yield 1
        second.set()
        yield 2

    stream = read_ahead(blocks())  # type: ignore[arg-type]
    assert next(stream) == 1
    assert second.wait(30), "nothing was read ahead"
    assert list(stream) == [2]


def test_stopping_early_ends_the_thread(dataset: Dataset) -> None:
    stream = dataset.stream("train", 50)
    next(stream)
    assert readers()
    stream.close()
    assert not readers()


def test_an_error_while_reading_ahead_is_raised_where_the_block_is_asked_for(copied: Path) -> None:
    dataset = Dataset.open(str(copied))
    dataset.shards("train")[2].footer  # noqa: B018 - read, so that only the rows are damaged afterwards
    shard = copied / "train" / "part-00002.parquet"
    content = bytearray(shard.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    stream = dataset.stream("train", 100)
    assert len(next(stream)) > 0
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"part-00002\.parquet: cannot be read as Parquet"):
        list(stream)
    assert not readers()


def test_block_rows_share_out_the_memory(dataset: Dataset) -> None:
    # label, weight, offset, 4 numerics, 2 categoricals, 2 bags, a weighted bag of two columns: 13 columns of 3 MB.
    rows = dataset.block_rows("train", 100e6)
    assert 39e6 + 3 * rows * dataset.row_bytes("train") == pytest.approx(100e6, rel=1e-4)
    with pytest.raises(DataError, match="39 MB are too little to stream 9 features; give at least 40 MB"):
        dataset.block_rows("train", 39e6)


def test_blocks_of_no_rows_are_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="rows_per_block must be at least 1, got 0"):
        dataset.stream("train", 0)
