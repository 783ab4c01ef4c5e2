"""Small valid datasets from a seed, with a known truth, for tests and benchmarks that need no preparation.

The true log-odds of a row are a sum of what each family can find: linear terms of the numerics, effects of categories
and of bag terms (logistic regression), a product and a bend of numerics (subnetworks), an intercept and a slope per
member and an intercept per item (random effects).
"""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from glmix_automl import schema as names
from glmix_automl.layout import MANIFEST, RAW, SCHEMA, SUCCESS, Folder
from glmix_automl.manifest import Manifest, Shard, Split
from glmix_automl.schema import Bag, Categorical, Entity, Numeric, Schema, Vocabulary
from glmix_automl.seeds import generator

DAY = 86400.0  # seconds
TERMS_PER_BAG = 6  # at most; some bags are empty


def make_dataset(
    folder: str | Path,
    rows: int = 2000,
    seed: int = 0,
    numerics: int = 4,
    categoricals: int = 2,
    bags: int = 1,
    weighted_bags: int = 1,
    members: int = 50,
    items: int = 30,
    shards: int = 3,
    held_out: int | None = None,
    terms: int = 12,
    row_weights: bool = False,
    row_group: int | None = None,
    effects: float = 1.0,
) -> Schema:
    """Writes a dataset folder (schema, manifest, Parquet shards, done mark) and returns its schema.

    Args:
        folder: local path, made if it is not there.
        rows: rows of train.
        seed: the same seed and sizes give the same bytes.
        numerics: features `n0`, `n1`, ...: standard normal.
        categoricals: features `c0`, `c1`, ...: ids 0 (unseen) to `terms`.
        bags: features `b0`, `b1`, ... without values.
        weighted_bags: features `w0`, `w1`, ... with values.
        members: distinct members, the popular ones with many more rows than the rest; rows of a member are in one
            shard.
        items: distinct items.
        shards: files per split.
        held_out: rows of validation and of test each; a quarter of `rows` if not given.
        terms: size of each vocabulary, the 0 left out.
        row_weights: whether rows weigh 0.5, 1 or 2 instead of 1.
        row_group: rows per Parquet row group, or one group per shard.
        effects: how large the random effects of members and items are, as a multiple; 0 plants none.
    """
    schema = _schema(numerics, categoricals, bags, weighted_bags, terms)
    place = Folder(str(folder))
    held_out = max(rows // 4, 1) if held_out is None else held_out
    truth = _Truth(schema, seed, members, items, effects)
    splits = {}
    for number, (split, count) in enumerate(zip(names.SPLITS, (rows, held_out, held_out), strict=True)):
        table, member = truth.draw(split, count, start=number * 30 * DAY, row_weights=row_weights)
        splits[split] = _write_split(Path(place.path(split)), table, member, shards, row_group)
    place.write(SCHEMA, schema.model_dump_json(indent=1))
    digest = hashlib.sha256(schema.model_dump_json().encode())
    for split in splits.values():
        digest.update(split.digest.encode())
    manifest = Manifest(name=schema.name, digest=digest.hexdigest(), splits=splits)
    place.write(MANIFEST, manifest.model_dump_json(indent=1))
    place.write(SUCCESS, b"")
    return schema


def write_raw(folder: str | Path) -> None:
    """Writes the raw rows of validation and test beside a made dataset, as preparation does."""
    import pandas as pd

    from glmix_automl.serving.model import raw_table
    from glmix_automl.serving.pyfunc import example

    place = Folder(str(folder))
    schema = Schema.model_validate_json(place.read(SCHEMA))
    for split in ("validation", "test"):
        rows = pd.concat([pd.read_parquet(place.path(f"{split}/{name}")) for name in place.files(split)])
        raw = raw_table(schema, example(schema, rows.reset_index(drop=True)))
        for name in (names.UID, *(entity.name for entity in schema.entities)):
            if name not in raw.column_names:
                raw = raw.append_column(name, pa.array(rows[name]))
        path = Path(place.path(f"{RAW}/{split}"))
        path.mkdir(parents=True, exist_ok=True)
        pq.write_table(raw.take(pa.array(np.argsort(rows[names.UID].to_numpy()))), path / "part-0.parquet")


def _schema(numerics: int, categoricals: int, bags: int, weighted_bags: int, terms: int) -> Schema:
    features: list[Numeric | Categorical | Bag] = []
    features += [Numeric(name=f"n{i}", source=f"n{i}", side="pair") for i in range(numerics)]
    features += [
        Categorical(name=f"c{i}", source=f"c{i}", vocabulary=f"c{i}", side="item") for i in range(categoricals)
    ]
    features += [Bag(name=f"b{i}", source=f"b{i}", vocabulary=f"b{i}", side="member") for i in range(bags)]
    features += [
        Bag(name=f"w{i}", source=f"w{i}", vocabulary=f"w{i}", side="member", weighted=True)
        for i in range(weighted_bags)
    ]
    return Schema(
        name="made",
        recipe="interactions",
        features=tuple(features),
        entities=(
            Entity(name="member", source="member", side="member"),
            Entity(name="item", source="item", side="item"),
        ),
        vocabularies={
            f.vocabulary: Vocabulary(terms=tuple(f"{f.name}_{i}" for i in range(1, terms + 1)))
            for f in features
            if not isinstance(f, Numeric)
        },
        raw_types={"member": "string", "item": "string"},
    )


class _Truth:
    """Draws rows of known log-odds; every split has the same effects."""

    def __init__(self, schema: Schema, seed: int, members: int, items: int, effects: float) -> None:
        draw = generator(seed, "truth")
        self.schema, self.seed, self.members, self.items = schema, seed, members, items
        self.linear = draw.normal(0, 0.5, len(schema.numerics))
        self.effects = {
            f.name: np.append(0.0, draw.normal(0, 0.5, schema.size(f) - 1))
            for f in (*schema.categoricals, *schema.bags)
        }
        self.member_effect = effects * draw.normal(0, 0.7, (members, 2))
        self.item_effect = effects * draw.normal(0, 0.5, items)

    def draw(self, split: str, rows: int, start: float, row_weights: bool) -> tuple[pa.Table, np.ndarray]:
        """A table of the split, in time order, and the member's number of each row."""
        draw = generator(self.seed, split)
        member = (self.members * draw.random(rows) ** 2).astype(np.int64)
        item = (self.items * draw.random(rows) ** 2).astype(np.int64)
        columns: dict[str, pa.Array] = {}
        logits = np.full(rows, -0.7) + self.member_effect[member, 0] + self.item_effect[item]
        numerics = draw.normal(size=(rows, len(self.linear)))
        logits += numerics @ self.linear
        if len(self.linear) > 1:
            logits += 0.8 * numerics[:, 0] * numerics[:, 1] + 0.5 * np.sin(2 * numerics[:, 0])
            logits += self.member_effect[member, 1] * numerics[:, 1]
        for place, feature in enumerate(self.schema.numerics):
            columns[feature.name] = pa.array(numerics[:, place].astype(np.float32))
        for categorical in self.schema.categoricals:
            ids = draw.integers(0, self.schema.size(categorical), rows, dtype=np.int32)
            columns[categorical.name] = pa.array(ids)
            logits += self.effects[categorical.name][ids]
        for bag in self.schema.bags:
            logits += self._draw_bag(bag, rows, draw, columns)
        label = draw.random(rows) < 1 / (1 + np.exp(-logits))
        fixed = {
            names.UID: pc.binary_join_element_wise(split, pc.cast(pa.array(np.arange(rows)), pa.string()), "-"),
            names.LABEL: pa.array(label.astype(np.float32)),
            names.WEIGHT: pa.array(
                draw.choice(np.array([0.5, 1, 2], np.float32), rows) if row_weights else np.ones(rows, np.float32)
            ),
            names.OFFSET: pa.array(np.zeros(rows, np.float32)),
            names.TIMESTAMP: pa.array(start + np.sort(draw.random(rows)) * 30 * DAY),
            "member": pc.binary_join_element_wise("m", pc.cast(pa.array(member), pa.string()), ""),
            "item": pc.binary_join_element_wise("i", pc.cast(pa.array(item), pa.string()), ""),
        }
        return pa.table(fixed | columns), member

    def _draw_bag(self, bag: Bag, rows: int, draw: np.random.Generator, columns: dict[str, pa.Array]) -> np.ndarray:
        """Adds the columns of a bag; returns its effect on the log-odds: the sum of its terms' effects times values."""
        lengths = draw.integers(0, TERMS_PER_BAG + 1, rows)
        splits = np.append(0, np.cumsum(lengths)).astype(np.int32)
        ids = draw.integers(1, self.schema.size(bag), splits[-1], dtype=np.int32)
        values = (draw.random(splits[-1]) if bag.weighted else np.ones(splits[-1])).astype(np.float32)
        columns[bag.name] = pa.ListArray.from_arrays(splits, ids)
        if bag.weighted:
            columns[bag.values] = pa.ListArray.from_arrays(splits, values)
        effects = self.effects[bag.name][ids] * values
        return np.bincount(np.repeat(np.arange(rows), lengths), effects, rows) / TERMS_PER_BAG


def _write_split(folder: Path, table: pa.Table, member: np.ndarray, shards: int, row_group: int | None) -> Split:
    """Writes the shards of a split: rows of a member in one shard, in time order within it."""
    folder.mkdir(parents=True, exist_ok=True)
    written, digest = [], hashlib.sha256()
    for shard in range(shards):
        part = table.take(np.flatnonzero(member % shards == shard))
        name = f"part-{shard:05d}.parquet"
        pq.write_table(part, folder / name, row_group_size=row_group, write_page_checksum=True)
        digest.update((folder / name).read_bytes())
        written.append(Shard(name=name, rows=part.num_rows))
    label = table.column(names.LABEL).to_numpy()
    weight = table.column(names.WEIGHT).to_numpy()
    return Split(
        rows=table.num_rows,
        base_rate=float(np.average(label, weights=weight)),
        entities={name: pc.count_distinct(table.column(name)).as_py() for name in ("member", "item")},
        digest=digest.hexdigest(),
        shards=tuple(written),
    )
