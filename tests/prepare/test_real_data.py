"""MovieLens 100K by its recipe."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from glmix_automl.schema import Schema

pytestmark = [pytest.mark.real_data, pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

CONF = Path(__file__).resolve().parents[2] / "conf" / "prepare" / "ml-100k.yaml"


def test_ml_100k_is_prepared_as_its_description_says(spark: Any, real_data: Path, tmp_path: Path) -> None:
    from glmix_automl.prepare.pipeline import load, prepare

    recipe = load(CONF, [f"root={real_data / 'ml-100k'}", f"output={tmp_path / 'out'}"])
    manifest = prepare(spark, recipe)
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
