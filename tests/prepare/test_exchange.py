"""Rows that change places through files come back whole, in blocks of bounded size."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from glmix_automl.prepare.exchange import in_blocks, read_part, spread


def test_rows_come_to_their_partition_at_the_place_that_was_told(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    tables = [pa.table({"row": random.integers(0, 99, n), "text": [str(i) for i in range(n)]}) for n in (50, 0, 7)]
    parts = [random.integers(0, 4, len(t)) for t in tables]
    written = [spread(str(tmp_path), t, p, 4) for t, p in zip(tables, parts, strict=True)]
    files = [file for file, _ in written]
    for number in range(4):
        found, file = read_part(str(tmp_path), files, number)
        for place, (table, part) in enumerate(zip(tables, parts, strict=True)):
            here = np.flatnonzero(part == number)
            if not len(here):
                continue
            assert found is not None
            came = found.filter(pa.array(file == place))
            told = written[place][1][here]
            assert came.take(pa.array(told)).to_pylist() == table.take(pa.array(here)).to_pylist()


def test_a_partition_of_any_size_is_read_in_blocks_that_follow_each_other_in_time(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    tables = [
        pa.table({"time": random.integers(0, 5_000, 2_000), "id": np.arange(2_000) + 2_000 * i}) for i in range(5)
    ]
    files = [spread(str(tmp_path), t, np.zeros(2_000, np.int64), 1)[0] for t in tables]
    last, seen = -1, []
    for rows, file in in_blocks(str(tmp_path), files, 0, "time", 700):
        assert 0 < rows.num_rows <= 2 * 700, "a block is bounded, however large the partition"
        assert rows["time"].to_numpy().min() > last, "a moment is in one block"
        last = rows["time"].to_numpy().max()
        assert (rows["id"].to_numpy() // 2_000 == file).all()
        seen += rows["id"].to_pylist()
    assert sorted(seen) == list(range(10_000))
