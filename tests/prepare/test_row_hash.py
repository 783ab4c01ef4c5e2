"""Row hashes by numpy are Spark's."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from glmix_automl.prepare.row_hash import row_hashes, share

pytestmark = pytest.mark.spark


def test_hashes_are_those_of_spark_for_every_type_of_a_dataset(spark: Any) -> None:
    from pyspark.sql import functions as F

    random = np.random.default_rng(0)
    rows = 300
    texts = ["".join(random.choice(list("abcdé/💡 "), random.integers(0, 90))) for _ in range(rows)]
    lists = [random.integers(-5, 5, random.integers(0, 6)).tolist() for _ in range(rows)]
    numbers = np.where(random.random(rows) < 0.1, -0.0, random.normal(size=rows))
    numbers[::17] = np.nan
    table = pa.table(
        {
            "text": pa.array([None if i % 7 == 0 else t for i, t in enumerate(texts)]),
            "float": pa.array(numbers.astype(np.float32)),
            "double": pa.array(numbers),
            "long": pa.array(random.integers(-(2**62), 2**62, rows)),
            "int": pa.array([None if i % 5 == 0 else i - 9 for i in range(rows)], pa.int32()),
            "flag": pa.array([i % 2 == 0 for i in range(rows)]),
            "ids": pa.array(lists, pa.list_(pa.int32())),
            "terms": pa.array([[None if n == 0 else str(n) for n in each] for each in lists], pa.list_(pa.string())),
            "pairs": pa.array(
                [[{"term": str(n), "value": n / 2} for n in each] for each in lists],
                pa.list_(pa.struct([("term", pa.string()), ("value", pa.float64())])),
            ),
        }
    )
    frame = spark.createDataFrame(table).coalesce(1)
    for names in ([name] for name in table.column_names):
        assert hashes(frame, F.xxhash64(*names)) == row_hashes([table[n] for n in names]).tolist(), names
    assert hashes(frame, F.xxhash64(*table.column_names)) == row_hashes(table.columns).tolist()
    for seed in (3, 2**40):
        assert hashes(frame, F.xxhash64(F.lit(seed), "text")) == row_hashes([table["text"]], seed).tolist()
    drawn = share(table["text"], 3)
    assert ((drawn >= 0) & (drawn < 1)).all()


def hashes(frame: Any, expression: Any) -> list[int]:
    return [row[0] % 2**64 for row in frame.select(expression).collect()]
