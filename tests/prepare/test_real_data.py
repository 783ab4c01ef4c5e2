"""MovieLens 100K and the GitHub network by their recipes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from glmix_automl.schema import Schema

pytestmark = [pytest.mark.real_data, pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

CONF = Path(__file__).resolve().parents[2] / "conf" / "prepare" / "ml-100k.yaml"


def test_ml_100k_is_prepared_as_its_description_says(spark: Any, real_data: Path, tmp_path: Path) -> None:
    from glmix_automl.prepare.pipeline import load_recipe, prepare_dataset

    recipe = load_recipe(CONF, [f"root={real_data / 'ml-100k'}", f"output={tmp_path / 'out'}"])
    manifest = prepare_dataset(spark, recipe)
    splits = {name: pq.read_table(tmp_path / "out" / name).to_pandas() for name in manifest.splits}
    assert [len(splits[s]) for s in ("train", "validation", "test")] == pytest.approx([80_000, 10_000, 10_000], abs=50)
    assert sum(f.label.sum() for f in splits.values()) == 34_174 + 21_201
    assert splits["train"].timestamp.max() < splits["validation"].timestamp.min()
    assert splits["validation"].timestamp.max() < splits["test"].timestamp.min()
    schema = Schema.model_validate_json((tmp_path / "out" / "schema.json").read_text())
    assert schema.vocabularies["gender"].terms == ("M", "F")
    assert len(schema.vocabularies["occupation"].terms or ()) == 21
    assert len(schema.vocabularies["genres"].terms or ()) in (18, 19)
    report = json.loads((tmp_path / "out" / "data_report.json").read_text())
    alone = {f["name"]: f["auc"] for f in report["features"]}
    # The past of a film tells most, as in every study of this data; nothing tells all.
    assert 0.6 < alone["past_item_rate"] < 0.8
    assert max(alone.values()) < 0.8
    assert report["entities"]["user"]["ids"]["train"] < 943


def test_the_github_network_is_told_better_by_all_features_than_by_the_best_one(
    spark: Any, real_data: Path, tmp_path: Path
) -> None:
    from glmix_automl.prepare.pipeline import load_recipe, prepare_dataset

    conf = CONF.with_name("github-social.yaml")
    manifest = prepare_dataset(
        spark, load_recipe(conf, [f"root={real_data / 'github-social'}", f"output={tmp_path / 'out'}"])
    )
    for split in manifest.splits.values():
        assert split.base_rate == pytest.approx(0.2, abs=0.005)  # four negatives per positive
    schema = Schema.model_validate_json((tmp_path / "out" / "schema.json").read_text())
    train, test = (pq.read_table(tmp_path / "out" / split) for split in ("train", "test"))
    model = LogisticRegression(C=0.03, max_iter=500)
    model.fit(matrix(schema, train), train["label"].to_numpy())
    auc = roc_auc_score(test["label"].to_numpy(), model.decision_function(matrix(schema, test)))
    report = json.loads((tmp_path / "out" / "data_report.json").read_text())
    assert auc > max(f["auc"] for f in report["features"]) + 0.01


def matrix(schema: Schema, rows: pa.Table) -> sparse.csr_matrix:
    """Numerics, and one column per term of each bag."""
    parts = [sparse.csr_matrix(np.stack([rows[f.name].to_numpy() for f in schema.numerics], axis=1))]
    for bag in schema.bags:
        ids = rows[bag.name].combine_chunks()
        shape = (len(rows), schema.size(bag))
        terms = ids.flatten().to_numpy()
        parts.append(sparse.csr_matrix((np.ones(len(terms)), terms, ids.offsets.to_numpy()), shape=shape))
    return sparse.hstack(parts).tocsr()
