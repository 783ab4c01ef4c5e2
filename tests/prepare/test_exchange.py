"""Rows that change places through files come back whole."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from glmix_automl.prepare.exchange import read_part, spread


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
