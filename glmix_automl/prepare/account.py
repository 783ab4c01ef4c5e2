"""What a preparation says of its dataset: schema, manifest, report and profile."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from glmix_automl.manifest import Manifest, Shard, Split
from glmix_automl.prepare import sides
from glmix_automl.prepare.checks import Report, check_dataset, find_warnings
from glmix_automl.prepare.engine import Engine
from glmix_automl.prepare.past_columns import past_features
from glmix_automl.prepare.profile import (
    Edges,
    Profile,
    as_histograms,
    base_rate,
    entity_profiles,
    histograms,
)
from glmix_automl.prepare.recipe import Recipe
from glmix_automl.prepare.rows import RawRows
from glmix_automl.prepare.shards import Features, WrittenShard, name_shards
from glmix_automl.prepare.sides import Encoded, IdCounts
from glmix_automl.prepare.stage import Staging
from glmix_automl.prepare.tally import Tally
from glmix_automl.schema import SPLITS, Schema


@dataclass(frozen=True)
class DatasetAccount:
    """What a preparation has to say of its dataset."""

    schema: Schema
    manifest: Manifest
    report: Report
    profile: Profile


def profile_of(
    engine: Engine,
    work: Staging,
    features: Features,
    encoded: Sequence[Encoded],
    edges: Edges,
    written: Sequence[WrittenShard],
    ids: Sequence[IdCounts],
) -> Profile:
    """What is in the shards that were written: rows, labels, histograms, ids."""
    of_sides = engine.each("report", partial(_side_histograms, work, features, edges), encoded)
    tables: dict[str, Any] = {}
    for found in of_sides:
        for name, table in found.items():
            tables[name] = tables.get(name, 0) + table.reshape(len(SPLITS), 2, -1)
    for shard in written:
        for name, table in shard.histograms.items():
            into = tables.setdefault(name, np.zeros((len(SPLITS), *table.shape), np.int64))
            into[shard.planned.split] += table
    by_split = {s: [w for w in written if w.planned.split == i] for i, s in enumerate(SPLITS)}
    labels = {s: np.sum([w.labels for w in each], axis=0) for s, each in by_split.items()}
    weights = {s: np.sum([w.weights for w in each], axis=0) for s, each in by_split.items()}
    return Profile(
        rows={s: (int(n[0]), int(n[1])) for s, n in labels.items()},
        base_rates={s: base_rate(w) for s, w in weights.items()},
        histograms={f.name: as_histograms(tables[f.name]) for f in features.whole.features},
        entities=entity_profiles(work.entities, ids),
        edges={name: tuple(bounds) for name, bounds in edges.items()},
    )


def account_of(
    work: Staging,
    rows: RawRows,
    recipe: Recipe,
    counts: dict[str, int],
    schema: Schema,
    profile: Profile,
    written: Sequence[WrittenShard],
    tally: Tally,
    warnings: list[str],
) -> DatasetAccount:
    """Names the shards, and says of the dataset what there is to say."""
    shards = name_shards(work, written)
    digests = {
        s: f"{sum(w.digest for w in written if w.planned.split == i) % 2**64:016x}" for i, s in enumerate(SPLITS)
    }
    manifest = _manifest(schema, digests, shards, profile)
    drawn = work.history if not work.timed else None
    grown = frozenset(f.source for f in past_features(drawn)) if drawn is not None else frozenset[str]()
    checks = check_dataset(schema, profile, tally, work.places, grown)
    report = Report(
        name=recipe.name,
        digest=manifest.digest,
        rows=profile.rows,
        base_rates=profile.base_rates,
        counts=counts,
        duplicate_uids=0,
        features=checks,
        entities=profile.entities,
        notes=tuple(rows.remarks.notes),
        warnings=(
            *rows.remarks.warnings,
            *warnings,
            *find_warnings(checks, profile.entities, recipe.checks),
        ),
    )
    return DatasetAccount(schema, manifest, report, profile)


def _side_histograms(work: Staging, features: Features, edges: Edges, encoded: Encoded) -> dict[str, Any]:
    batch, counts = sides.count_ids(work, encoded)
    return histograms(features.sides[encoded.side.entity], batch, edges, counts)


def _manifest(
    schema: Schema, digests: Mapping[str, str], shards: Mapping[str, tuple[Shard, ...]], found: Profile
) -> Manifest:
    splits = {}
    for name in SPLITS:
        rows = sum(s.rows for s in shards[name])
        assert rows == sum(found.rows[name]), f"{name} has {rows} rows, not those of its shards"
        splits[name] = Split(
            rows=rows,
            base_rate=found.base_rates[name],
            entities={e: c.ids[name] for e, c in found.entities.items()},
            digest=digests[name],
            shards=shards[name],
        )
    text = schema.model_dump_json() + "".join(splits[s].digest for s in SPLITS)
    identity = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return Manifest(name=schema.name, digest=identity, splits=splits)  # type: ignore[arg-type]
