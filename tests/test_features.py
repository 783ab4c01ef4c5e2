"""Raw values of any type, vocabularies, hashing, bags and transforms."""

import datetime
import decimal
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glmix_automl.errors import DataError
from glmix_automl.features import arrow_schema, as_bag, as_numbers, as_texts, encode, entity_ids
from glmix_automl.features.hashing import hash_texts
from glmix_automl.prepare.past_columns import names
from glmix_automl.schema import Bag, Categorical, Entity, Numeric, Schema, TermMatch, Vocabulary

NOON = datetime.datetime(2020, 1, 1, 12)
NOON_SECONDS = 1_577_880_000.0


def schema(*features: Numeric | Categorical | Bag, **vocabularies: Vocabulary) -> Schema:
    return Schema(name="t", recipe="interactions", features=features, entities=(), vocabularies=vocabularies)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pa.array([1, None, 3]), [1, math.nan, 3]),
        (pa.array([True, False, None]), [1, 0, math.nan]),
        (pa.array([decimal.Decimal("1.50"), None]), [1.5, math.nan]),
        (pa.array([math.inf, -math.inf, math.nan, 2.0]), [math.nan, math.nan, math.nan, 2]),
        (pa.array([NOON]), [NOON_SECONDS]),
        (pa.array([NOON], pa.timestamp("ns", "America/New_York")), [NOON_SECONDS]),
        (pa.array([NOON.date()]), [NOON_SECONDS - 43_200]),
        (pa.array([None, None]), [math.nan, math.nan]),
        (pa.array(["1", " 2.5 ", "+3", ".5", "1e3", "x", "", None, "nan"]), [1, 2.5, 3, 0.5, 1000] + [math.nan] * 4),
        (
            pa.array(["true", "False", "2020-01-01T12:00:00Z", "2020-01-01"]),
            [1, 0, NOON_SECONDS, NOON_SECONDS - 43_200],
        ),
        (pa.array(["2020-02-31", "7"]), [math.nan, 7]),
        (pa.array(["5", "6"]).dictionary_encode(), [5, 6]),
        (pa.array([1e300, -1e300]), [np.finfo(np.float32).max, np.finfo(np.float32).min]),
    ],
)
def test_numbers_are_read_from_every_type_that_has_them(raw: pa.Array, expected: list[float]) -> None:
    np.testing.assert_array_equal(as_numbers(raw), np.array(expected, float))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pa.array([7, None]), ["7", None]),
        (pa.array([7.0, 0.5, math.nan]), ["7", "0.5", None]),
        (pa.array([decimal.Decimal("3.00"), decimal.Decimal("2.50")]), ["3", "2.5"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array(["007", "", None, " a"]), ["007", None, None, " a"]),
        (pa.array([NOON.date()]), ["2020-01-01"]),
        (pa.array([NOON], pa.timestamp("ns")), ["2020-01-01 12:00:00.000000"]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
    ],
)
def test_terms_are_the_same_text_whatever_type_they_come_in(raw: pa.Array, expected: list[str | None]) -> None:
    assert as_texts(raw).to_pylist() == expected


PAIRS = pa.struct([("term", pa.string()), ("value", pa.float64())])


@pytest.mark.parametrize(
    ("raw", "separator", "expected"),
    [
        (pa.array([["a", None, ""], None, [], ["b"]]), None, [(0, "a", 1), (3, "b", 1)]),
        (pa.array(["a| b", None, "", "c|"]), "|", [(0, "a", 1), (0, "b", 1), (3, "c", 1)]),
        (pa.array([[("a", 2.0), ("b", None)], None, [("c", 1)]], pa.map_(pa.string(), pa.float64())), None,
         [(0, "a", 2), (2, "c", 1)]),
        (pa.array([[{"term": "a", "value": 0.5}], None], pa.list_(PAIRS)), None, [(0, "a", 0.5)]),
        (pa.array([[{"name": "n", "term": "t", "value": 2.0}]]), None, [(0, "n\x01t", 2)]),
        (pa.array([{"a": 1, "b": None}, None, {"a": None, "b": 3}]), None, [(0, "a", 1), (2, "b", 3)]),
        (pa.array([[1, 2], [3]]), None, [(0, "1", 1), (0, "2", 1), (1, "3", 1)]),
    ],
)  # fmt: skip
def test_bags_come_in_many_forms(raw: pa.Array, separator: str | None, expected: list[tuple[int, str, float]]) -> None:
    for start in range(2):  # a slice has offsets that do not begin at nothing
        bag = as_bag(pa.concat_arrays([raw[:1], raw])[1:] if start else raw, "x", separator)
        assert list(zip(bag.rows.tolist(), bag.terms.to_pylist(), bag.values.tolist(), strict=True)) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("abcdx"), max_size=5),
            st.one_of(st.none(), st.lists(st.sampled_from("abcdy"), max_size=5)),
            st.one_of(st.none(), st.sampled_from("abx")),
        ),
        max_size=12,
    )
)
def test_matches_count_the_terms_that_both_have(rows: list[tuple[list[str], list[str] | None, str | None]]) -> None:
    both = ("one", "other")
    whole = schema(
        *(Bag(name=name, source=name, vocabulary="v") for name in both),
        Categorical(name="single", source="single", vocabulary="v"),
        TermMatch(name="count", of=both),
        TermMatch(name="jaccard", of=both, measure="jaccard"),
        TermMatch(name="within", of=("single", "other"), transform="log"),
        TermMatch(name="same", of=("single", "single")),
        v=Vocabulary(terms=tuple("abcd")),
    )
    kinds = [pa.list_(pa.string()), pa.list_(pa.string()), pa.string()]
    columns = [pa.array([row[k] for row in rows], kind) for k, kind in enumerate(kinds)]
    made = encode(whole, pa.table(columns, [*both, "single"]))
    assert made.schema == arrow_schema(whole)
    known = [[set(terms or ()) & set("abcd") for terms in row] for row in rows]
    assert made["count"].to_pylist() == [len(a & b) for a, b, _ in known]
    shares = [len(a & b) / len(a | b) if a | b else 0.0 for a, b, _ in known]
    np.testing.assert_allclose(made["jaccard"], shares, rtol=1e-6)
    np.testing.assert_allclose(made["within"], np.log1p([len(b & c) for _, b, c in known]), rtol=1e-6)
    assert made["same"].to_pylist() == [len(c) for _, _, c in known]


def test_a_match_is_of_two_features_of_one_vocabulary() -> None:
    with pytest.raises(ValueError, match="match m: a and b are no features of one vocabulary"):
        schema(
            Categorical(name="a", source="a", vocabulary="v"),
            Categorical(name="b", source="b", vocabulary="w"),
            TermMatch(name="m", of=("a", "b")),
            v=Vocabulary(buckets=3),
            w=Vocabulary(buckets=3),
        )


def test_unreadable_types_and_missing_columns_are_named() -> None:
    one = schema(Numeric(name="n", source="raw n"))
    with pytest.raises(DataError, match=r"no column 'raw n'.*their columns: x, y"):
        encode(one, pa.table({"x": [1], "y": [2]}))
    for source in names("member_tags"):
        with pytest.raises(DataError, match=rf"no column '{source}' in the rows: it is history.*raw/test.*columns: x"):
            encode(schema(Numeric(name="n", source=source)), pa.table({"x": [1]}))
    with pytest.raises(DataError, match="column 'raw n': expected numbers, got list"):
        encode(one, pa.table({"raw n": [[1]]}))
    with pytest.raises(DataError, match="needs a `separator`"):
        as_bag(pa.array(["a,b"]), "x")


def test_terms_beyond_the_vocabulary_and_nulls_are_zero() -> None:
    made = schema(
        Categorical(name="c", source="c", vocabulary="v"), Categorical(name="h", source="c", vocabulary="w"),
        v=Vocabulary(terms=("b", "a")), w=Vocabulary(buckets=5),
    )  # fmt: skip
    table = encode(made, pa.table({"c": ["a", "b", "z", None, ""]}))
    assert table.column("c").to_pylist() == [2, 1, 0, 0, 0]
    hashed = table.column("h").to_pylist()
    assert all(1 <= i <= 5 for i in hashed[:3])
    assert hashed[3:] == [0, 0]


def test_equal_terms_of_a_row_are_merged_and_ids_ascend() -> None:
    made = schema(
        Bag(name="b", source="b", vocabulary="v", weighted=True),
        Bag(name="plain", source="b", vocabulary="v"), v=Vocabulary(terms=("x", "y")),
    )  # fmt: skip
    raw = pa.array([[("y", 1.0), ("x", 2.0), ("y", 0.5), ("z", 9.0)], None], pa.map_(pa.string(), pa.float64()))
    row, empty = encode(made, pa.table({"b": raw})).to_pylist()
    assert row == {"b": [1, 2], "b.values": [2.0, 1.5], "plain": [1, 2]}
    assert empty == {"b": [], "b.values": [], "plain": []}


def test_numeric_transforms_and_fill() -> None:
    raw = [0.0, 1.0, 3.0, -5.0, None]
    table = encode(
        schema(
            Numeric(name="id", source="x", center=1, scale=2, fill=9),
            Numeric(name="log", source="x", transform="log"),
            Numeric(name="rank", source="x", transform="quantile", knots=(0, 0, 1, 3)),
            Numeric(name="gone", source="x", transform="missing"),
        ),
        pa.table({"x": raw}),
    )
    np.testing.assert_allclose(table["id"], [-0.5, 0, 1, -3, 9])
    np.testing.assert_allclose(table["log"], [0, np.log(2), np.log(4), -np.log(6), 0], rtol=1e-6)
    # Share of training rows 0, 0, 1, 3 at or below, with ties counted: 0 is knot 1 of 3, 1 is knot 2, below all is 0.
    np.testing.assert_allclose(table["rank"], [1 / 3, 2 / 3, 1, 0, 0], rtol=1e-6)
    assert table["gone"].to_pylist() == [0, 0, 0, 0, 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=30))
def test_hashes_agree_with_the_definition(texts: list[str]) -> None:
    def fnv(text: str) -> int:
        state = 0xCBF29CE484222325
        for byte in text.encode():
            state = (state ^ byte) * 0x100000001B3 % 2**64
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            state = (state ^ state >> 33) * factor % 2**64
        return state ^ state >> 33

    texts = [t for t in texts if t.isascii() or t.encode("utf-8", "replace").decode() == t]
    assert hash_texts(pa.array(texts, pa.string())).tolist() == [fnv(t) for t in texts]
    assert hash_texts(pa.array(["x", *texts], pa.string())[1:]).tolist() == [fnv(t) for t in texts]


def test_hashes_do_not_depend_on_the_process() -> None:
    program = (
        "import pyarrow as pa; from glmix_automl.features.hashing import hash_texts as h; print(h(pa.array(['a'])))"
    )
    runs = {
        subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
                       capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(runs) == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-(10**12), 10**12).map(float)), min_size=1, max_size=40))
def test_rows_are_encoded_alone_as_together_and_never_nan(values: list[float | None]) -> None:
    made = schema(
        Numeric(name="a", source="x", transform="log", center=2, scale=3),
        Numeric(name="b", source="x", transform="quantile", knots=(-1, 0, 0, 5)),
        Categorical(name="c", source="x", vocabulary="v"), v=Vocabulary(terms=("0", "1")),
    )  # fmt: skip
    table = pa.table({"x": pa.array(values, pa.float64())})
    together = encode(made, table)
    assert together.schema == arrow_schema(made)
    for name in ("a", "b"):
        assert np.isfinite(together.column(name).to_numpy()).all()
    alone = pa.concat_tables([encode(made, table.slice(i, 1)) for i in range(len(values))])
    assert alone.to_pylist() == together.to_pylist()


def test_pandas_frames_encode_as_the_arrow_rows_they_came_from() -> None:
    made = schema(
        Numeric(name="n", source="n"), Categorical(name="c", source="i", vocabulary="v"),
        Bag(name="b", source="b", vocabulary="v"), v=Vocabulary(terms=("1", "2")),
    )  # fmt: skip
    table = pa.table({"n": [1, None, 3], "i": [1, None, 2], "b": [["1"], None, ["2", "9"]]})
    frame = table.to_pandas()  # integers with a null become floats here
    assert isinstance(frame, pd.DataFrame)
    assert frame["i"].dtype == float
    assert encode(made, pa.Table.from_pandas(frame, preserve_index=False)) == encode(made, table)


def test_no_rows_give_no_rows() -> None:
    made = schema(
        Numeric(name="n", source="n"), Categorical(name="c", source="c", vocabulary="v"),
        Bag(name="b", source="b", vocabulary="v", weighted=True), v=Vocabulary(buckets=3),
    )  # fmt: skip
    none = pa.table(
        {"n": pa.array([], pa.int64()), "c": pa.array([], pa.string()), "b": pa.array([], pa.list_(pa.string()))}
    )
    assert encode(made, none).num_rows == 0


def test_entity_ids_are_text() -> None:
    made = Schema(
        name="t", recipe="interactions", features=(Numeric(name="n", source="n"),), vocabularies={},
        entities=(Entity(name="member", source="m", side="member"),),
    )  # fmt: skip
    assert entity_ids(made, pa.table({"m": [7.0, None], "n": [1, 2]})).to_pylist() == [
        {"member": "7"},
        {"member": None},
    ]
