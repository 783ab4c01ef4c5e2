"""Frames as people have them: read as preparation reads the same values, or refused by the column's name."""

import datetime
import decimal
import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from glmix_automl.errors import DataError
from glmix_automl.features import encode
from glmix_automl.schema import Bag, Categorical, Numeric, Schema, Vocabulary
from glmix_automl.serving.model import raw_table

TERMS = Vocabulary(terms=("3", "a", "2.5", "1180591620717411303424", "2020-01-01"))
SCHEMA = Schema(
    name="t",
    recipe="interactions",
    features=(
        Numeric(name="number", source="x", side="member"),
        Categorical(name="term", source="x", side="member", vocabulary="terms"),
        Bag(name="bag", source="y", side="member", vocabulary="terms", weighted=True),
    ),
    entities=(),
    vocabularies={"terms": TERMS},
)


def encoded(values: Any) -> list[dict[str, Any]]:
    frame = pd.DataFrame({"x": values, "y": None})
    rows: list[dict[str, Any]] = encode(SCHEMA, raw_table(SCHEMA, frame)).to_pylist()
    return rows


@pytest.mark.parametrize(
    "values",
    [
        ["a", 3, 3.0, 2.5, np.int64(3), None, float("nan"), decimal.Decimal("3.00"), datetime.date(2020, 1, 1)],
        [3, 2**70, -(2**70)],
        pd.Categorical(["a", 3, "a"]),
        pd.arrays.SparseArray([0.0, 0.0, 2.5, np.nan]),
        pd.arrays.SparseArray([0, 3, 0]),
        pd.array([3, None], "Int64"),
    ],
    ids=["several types", "huge integers", "categories", "sparse", "sparse integers", "nullable"],
)
def test_a_frame_reads_as_the_same_values_do_in_a_file(values: Any) -> None:
    text = pd.DataFrame({"x": values, "y": None}).to_csv(index=False, na_rep="")
    kinds = pyarrow.csv.ConvertOptions(column_types={"x": pa.string(), "y": pa.string()}, strings_can_be_null=True)
    table = pyarrow.csv.read_csv(io.BytesIO(text.encode()), convert_options=kinds)
    in_file = encode(SCHEMA, table.set_column(1, "y", pa.nulls(len(table))))
    assert encoded(values) == in_file.to_pylist()


def test_what_is_read_is_what_was_meant() -> None:
    rows = encoded(["a", 3, 3.0, 2.5, True, None])
    assert [row["number"] for row in rows] == [0, 3, 3, 2.5, 1, 0]
    assert [row["term"] for row in rows] == [2, 1, 1, 3, 0, 0]


def test_a_weighted_bag_reads_alike_from_dicts_and_from_parquet() -> None:
    given: list[dict[str, float] | None] = [{"a": 0.5, "3": 2.0}, {}, None]
    table = pa.table({"x": [1, 1, 1], "y": pa.array(given, pa.map_(pa.string(), pa.float64()))})
    file = pa.BufferOutputStream()
    pyarrow.parquet.write_table(table, file)
    read = pd.read_parquet(pa.BufferReader(file.getvalue()))
    assert isinstance(read.y[0], list)  # of pairs
    frames = read, pd.DataFrame({"x": [1, 1, 1], "y": given})
    found, expected = (encode(SCHEMA, raw_table(SCHEMA, frame)).to_pylist() for frame in frames)
    assert found == expected
    assert [len(row["bag"]) for row in found] == [2, 0, 0]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pd.DataFrame([[1, 2, None]], columns=["x", "x", "y"]), "column 'x' is in the frame twice"),
        (pd.DataFrame({"x": [1 + 2j], "y": None}), "column 'x' holds complex numbers"),
        (pd.DataFrame({"x": ["a", 1j], "y": None}), "column 'x' holds complex numbers"),
        (pd.DataFrame({"x": [b"a", 1], "y": None}), "column 'x': expected one term per row, got binary"),
        (pd.DataFrame({"x": [[1], 2], "y": None}), "column 'x': expected one term per row, got list"),
        (pd.DataFrame({"x": pd.period_range("2020", periods=1), "y": None}), "column 'x': expected numbers, got "),
        (pd.DataFrame({"x": [1], "y": [3]}), "column 'y': expected lists, maps, structs or separated text, got int64"),
        (pd.DataFrame({"x": [1, 2], "y": [["a"], 3]}), "column 'y' cannot be read: "),
        (pd.DataFrame({"x": [1]}), "no column 'y'"),
        ({"x": [1], "y": [None]}, "expected a pandas DataFrame of raw rows, got dict"),
    ],
)
def test_what_cannot_be_read_is_named(frame: Any, said: str) -> None:
    with pytest.raises(DataError) as raised:
        encode(SCHEMA, raw_table(SCHEMA, frame))
    assert said in str(raised.value)


def test_columns_that_no_feature_needs_may_be_anything() -> None:
    frame = pd.DataFrame([[1, None, 1j, 2j]], columns=["x", "y", "z", "z"])
    assert raw_table(SCHEMA, frame).column_names == ["x", "y"]
