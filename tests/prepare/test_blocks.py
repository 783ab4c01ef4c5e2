"""A partition of any size is read in bounded blocks, and its rows are found in them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from glmix_automl.prepare.blocks import cuts_of, in_blocks, sorted_blocks
from glmix_automl.prepare.exchange import spread


@pytest.mark.parametrize("limit", [700, 10_000])
def test_blocks_follow_each_other_in_time_and_know_their_rows(tmp_path: Path, limit: int) -> None:
    random = np.random.default_rng(0)
    tables = [
        pa.table({"time": random.integers(0, 5_000, 2_000), "id": np.arange(2_000) + 2_000 * i}) for i in range(5)
    ]
    files = [spread(str(tmp_path), t, np.zeros(2_000, np.int64), 1)[0] for t in tables]
    cuts = cuts_of(str(tmp_path), files, 0, "time", limit)
    last, seen = -1, []
    for block in in_blocks(str(tmp_path), files, 0, "time", cuts):
        assert block is not None
        assert 0 < block.rows.num_rows <= 2 * limit, "a block is bounded, however large the partition"
        time, ids = (block.rows[c].to_numpy() for c in ("time", "id"))
        assert time.min() > last, "a moment is in one block"
        last = time.max()
        assert (ids // 2_000 == block.file).all()
        drawn = random.permutation(len(ids))[:50]
        assert (block.at(ids[drawn] // 2_000, ids[drawn] % 2_000) == drawn).all()
        gone = random.integers(0, 10_000, 300) if limit < 10_000 else np.arange(300)
        assert block.are(gone // 2_000, gone % 2_000).tolist() == [i in set(gone.tolist()) for i in ids.tolist()]
        assert (block.place == ids % 2_000).all()
        seen += ids.tolist()
    assert sorted(seen) == list(range(10_000))
    assert len(cuts) == (14 if limit == 700 else 0)


def test_cuts_of_answers_are_those_of_their_rows(tmp_path: Path) -> None:
    """Blocks of other files at the same cuts belong together, blocks without rows among them."""
    files = [spread(str(tmp_path), pa.table({"time": [t]}), np.zeros(1, np.int64), 1)[0] for t in (1, 5, 9)]
    found = list(in_blocks(str(tmp_path), files[:2], 0, "time", np.array([5, 9])))
    assert [b and b.rows["time"].to_pylist() for b in found] == [[1], [5], None]


@pytest.mark.parametrize("limit", [300, 10_000])
def test_sorted_blocks_are_the_sorted_rows(tmp_path: Path, limit: int) -> None:
    """One member has nearly all rows, at few moments: texts that tell rows apart part them."""
    random = np.random.default_rng(0)
    tables = [
        pa.table(
            {
                "e0": np.where(random.random(1_000) < 0.9, "huge", random.integers(0, 9, 1_000).astype(str)),
                "time": random.integers(0, 3, 1_000),
                "uid": [f"{i}.{n}" for n in random.permutation(1_000)],
            }
        )
        for i in range(3)
    ]
    found = list(sorted_blocks(str(tmp_path), lambda: tables, 3_000, ("e0", "time", "uid"), limit))
    assert max(t.num_rows for t in found) <= 2 * limit
    assert len(found) == (10 if limit == 300 else 1)
    wanted = pa.concat_tables(tables).sort_by([(n, "ascending") for n in ("e0", "time", "uid")])
    assert pa.concat_tables(found).to_pylist() == wanted.to_pylist()
