"""What describes an id is encoded once, and is what encoding the joined rows gives."""

import datetime
import tempfile
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from glmix_automl.features import encode
from glmix_automl.prepare.exchange import spread
from glmix_automl.prepare.partition import GROUP_COUNTS, SEEN
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, NumericFeature, RandomSplit
from glmix_automl.prepare.row_hash import keys_of
from glmix_automl.prepare.sides import SidePart, attach, encode_side
from glmix_automl.prepare.stage import Staging, parts_of_ids, read_as, take_in_side
from glmix_automl.schema import Bag, Categorical, Entity, Numeric, Schema, Vocabulary

TERM = st.one_of(st.none(), st.sampled_from(["a", "b", "", " a", "unknown"]))
NUMBER = st.one_of(st.none(), st.floats(width=32), st.integers(-5, 5).map(float))
ROW = st.fixed_dictionaries(
    {
        "x": NUMBER,
        "written": st.one_of(st.none(), st.sampled_from(["1", " 2.5 ", "nan", "no number", "2020-01-01"])),
        "when": st.one_of(st.none(), st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))),
        "city": TERM,
        "tags": st.one_of(st.none(), st.lists(TERM, max_size=4)),
        "split": st.one_of(st.none(), st.sampled_from(["", "a|b", " b |a|a", "|", "unknown|b"])),
        "scores": st.one_of(
            st.none(), st.lists(st.fixed_dictionaries({"term": TERM, "value": NUMBER}), max_size=4)
        ),
    }
)  # fmt: skip
TYPES = {
    "x": pa.float64(),
    "written": pa.string(),
    "when": pa.timestamp("us"),
    "city": pa.string(),
    "tags": pa.list_(pa.string()),
    "split": pa.string(),
    "scores": pa.list_(pa.struct([("term", pa.string()), ("value", pa.float64())])),
}
DECLARED = (
    NumericFeature(source="x", transform="log"), NumericFeature(source="written"), NumericFeature(source="when"),
    CategoricalFeature(source="city"), CategoricalFeature(source="x", name="x as a term", buckets=7),
    BagFeature(source="tags"), BagFeature(source="split", separator="|"), BagFeature(source="scores", weighted=True),
)  # fmt: skip
SCHEMA = Schema(
    name="t",
    recipe="interactions",
    features=(
        Numeric(name="x", source="x", transform="log", center=0.5, scale=2, fill=-1),
        Numeric(name="x_missing", source="x", transform="missing"),
        Numeric(name="written", source="written", transform="quantile", knots=(0, 1, 2)),
        Numeric(name="when", source="when", scale=1e9),
        Categorical(name="city", source="city", vocabulary="term"),
        Categorical(name="x as a term", source="x", vocabulary="hashed"),
        Bag(name="tags", source="tags", vocabulary="term"),
        Bag(name="split", source="split", vocabulary="term", separator="|"),
        Bag(name="scores", source="scores", vocabulary="term", weighted=True),
    ),
    entities=(),
    vocabularies={"term": Vocabulary(terms=("b", "a")), "hashed": Vocabulary(buckets=7)},
)
ENTITIES = (Entity(name="e0", source="e0", side="member"), Entity(name="e1", source="e1", side="item"))


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=8), st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(1, 3),
       st.sampled_from([0, 1]))  # fmt: skip
def test_encoding_before_a_join_is_encoding_after_it(
    described: list[dict[str, Any]], asked: list[int], parts: int, entity: int
) -> None:
    raw = {name: pa.array([row[name] for row in described], kind) for name, kind in TYPES.items()}
    ids = pa.array([f"id {n}" for n in range(len(described))])
    rows = [f"id {n}" for n in asked]  # some have no row in the table
    with tempfile.TemporaryDirectory() as folder:
        work = Staging(
            folder, folder, parts, DECLARED, ENTITIES, {entity: frozenset(TYPES)}, RandomSplit(by="random"), 1.0, 0
        )
        places = {(p.source, p.kind, p.separator): p for p in work.places.values()}
        staged = {p.name: read_as(p, raw[p.source]) for p in places.values()}
        of_side = take_in_side(work, entity, pa.table({"id": ids, **staged}))
        keys = keys_of(pa.array(rows))
        counts = {n: np.ones(len(rows), np.int64) for n in (*SEEN, *GROUP_COUNTS, "drawn", "edge")}
        counted = pa.table({"key": keys, "id": rows, **counts})
        of_rows = spread(folder, counted, parts_of_ids(keys, entity, parts), parts)[0]
        features = tuple(
            f.model_copy(update={"source": places[f.source, f.kind, getattr(f, "separator", None)].name})
            for f in SCHEMA.features
        )
        schema = SCHEMA.model_copy(update={"features": features})
        encoded = [
            encode_side(work, {entity: schema}, SidePart(entity, n, (of_side,), (of_rows,))) for n in range(parts)
        ]
        found = attach(work, [e for e in encoded if e is not None], keys, schema)
    at = pa.array([n if n < len(described) else None for n in asked], pa.int64())
    wanted = encode(SCHEMA, pa.table({name: column.take(at) for name, column in raw.items()}))
    assert pa.table({n: found[n] for n in wanted.column_names}).to_pylist() == wanted.to_pylist()
