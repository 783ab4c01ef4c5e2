"""What describes an id is encoded once and put beside its rows: as if it had been joined first and encoded after."""

import tempfile
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from glmix_automl.features import encode
from glmix_automl.prepare.exchange import spread, write_batches
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, NumericFeature, RandomSplit
from glmix_automl.prepare.sides import Encoded, SidePart, attach, raw_columns
from glmix_automl.prepare.stage import STAGED_TYPES, Staging
from glmix_automl.schema import Bag, Categorical, Numeric, Schema, Vocabulary

SCHEMA = Schema(
    name="t",
    recipe="interactions",
    entities=(),
    features=(
        Numeric(name="age", source="f0", center=2.0, scale=3.0, fill=-0.5),
        Numeric(name="age_log", source="f0", transform="log"),
        Numeric(name="age_missing", source="f0", transform="missing"),
        Categorical(name="city", source="f1", vocabulary="city"),
        Categorical(name="hashed", source="f1", vocabulary="hashed"),
        Bag(name="tags", source="f2", vocabulary="city", weighted=True),
    ),
    vocabularies={"city": Vocabulary(terms=("a", "b")), "hashed": Vocabulary(buckets=3)},
)
STAGED = [NumericFeature(source="f0"), CategoricalFeature(source="f1"), BagFeature(source="f2", weighted=True)]
TERMS = st.sampled_from(["a", "b", "c", ""])
VALUES = st.tuples(
    st.one_of(st.none(), st.floats(-9, 9)),
    st.one_of(st.none(), TERMS),
    st.one_of(st.none(), st.lists(st.fixed_dictionaries({"term": TERMS, "value": st.floats(-2, 2)}), max_size=3)),
)


@given(st.dictionaries(st.integers(0, 12), VALUES), st.lists(st.integers(0, 15), min_size=1, max_size=30))
def test_encoding_before_and_after_a_join_agree(described: dict[int, Any], asked: list[int]) -> None:
    keys = np.array(sorted(described), np.int64)
    kinds = {f"f{i}": STAGED_TYPES[feature.kind] for i, feature in enumerate(STAGED)}
    columns = {n: pa.array([described[k][i] for k in keys], kind) for i, (n, kind) in enumerate(kinds.items())}
    side = pa.table(columns)
    rows = np.array(asked, np.int64)
    place = [int(np.searchsorted(keys, k)) if k in described else None for k in asked]
    joined = side.take(pa.array(place, pa.int64())) if len(side) else pa.table({n: pa.nulls(len(rows)) for n in kinds})
    after = encode(SCHEMA, joined)
    with tempfile.TemporaryDirectory() as folder:
        work = Staging(folder, folder, 2, (), (), {}, RandomSplit(by="random"), 1.0, 0)
        coded = encode(SCHEMA, side).append_column("key", pa.array(keys))
        none = SidePart(1, 0, (), ())
        halves = [np.flatnonzero(keys % 2 == odd) for odd in (0, 1)]  # two parts, as two partitions would be
        parts = [Encoded(none, write_batches(folder, [coded.take(pa.array(h))]), {}) for h in halves]
        before = attach(work, parts, rows, SCHEMA)
        assert pa.table(before).select(after.column_names).to_pylist() == after.to_pylist()
        written, _ = spread(folder, side.append_column("key", pa.array(keys)), keys % 2, 2)
        raw = raw_columns(work, [SidePart(1, odd, (written,), ()) for odd in (0, 1)], rows)
    if raw:  # and the raw values kept beside a dataset are those of the rows
        assert encode(SCHEMA, pa.table(raw)).to_pylist() == after.to_pylist()
    else:
        assert not described
