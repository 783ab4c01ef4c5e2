"""Generated tables on disk: the same by seed whatever the parallelism, with the truth beside them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from glmix_automl.errors import DataError
from glmix_automl.generate import jymbii_tables, pymk_tables
from glmix_automl.generate.ceiling import binned_auc
from glmix_automl.generate.jymbii import Jymbii, interactions
from glmix_automl.generate.pymk import Pymk
from glmix_automl.generate.write import write_tables

pytestmark = pytest.mark.spark


def table(uri: Path) -> list[tuple[Any, ...]]:
    return sorted(tuple(map(str, row.values())) for row in pq.read_table(uri).to_pylist())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "settings"), [("jymbii", Jymbii(rows=2_000)), ("pymk", Pymk(rows=800))])
def test_tables_are_the_same_in_any_number_of_parts(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, settings: Any
) -> None:
    truth = write_tables(spark, kind, settings, str(tmp_path / "one"))
    monkeypatch.setattr("glmix_automl.generate.columns.ROWS_PER_PART", 300)
    assert write_tables(spark, kind, settings, str(tmp_path / "other")) == truth
    for name, rows in truth["rows"].items():
        one = table(tmp_path / "one" / f"{name}.parquet")
        assert one == table(tmp_path / "other" / f"{name}.parquet")
        assert len(one) == rows


@pytest.mark.slow
def test_the_truth_is_written_last_and_names_the_ceilings(spark: Any, tmp_path: Path) -> None:
    write_tables(spark, "jymbii", Jymbii(rows=1_000), str(tmp_path / "out"), form="csv")
    truth = json.loads((tmp_path / "out" / "truth.json").read_text())
    write_tables(spark, "jymbii", Jymbii(rows=1_000, seed=1), str(tmp_path / "seed"), form="csv")
    assert json.loads((tmp_path / "seed" / "truth.json").read_text())["ceilings"] != truth["ceilings"]
    assert truth["rows"]["interactions"] == 1_000
    assert set(truth["ceilings"]) == {
        "all rows",
        "all rows, no random effects",
        "last 10 % by time",
        "last 10 % by time, no random effects",
        "last 10 % by time, random effects learned before",
    }
    members = spark.read.csv(str(tmp_path / "out" / "members.csv"), header=True)
    assert members.where("skills like '%|%'").count() > 0
    with pytest.raises(DataError, match="--overwrite"):
        write_tables(spark, "jymbii", Jymbii(rows=1_000), str(tmp_path / "out"))


def test_the_binned_auc_is_the_auc(spark: Any) -> None:
    settings = Jymbii(rows=3_000, seed=2)
    rows = interactions(settings, np.arange(settings.rows))
    frame = jymbii_tables.jymbii_truth(spark, settings)
    label = frame["response"]
    found = binned_auc(frame, {"all": (label, 1 - label)}, {"p": frame["probability"], "f": frame["fixed_probability"]})
    assert found["all", "p"] == pytest.approx(roc_auc_score(rows.response, rows.probability), abs=2e-5)
    assert found["all", "f"] == pytest.approx(roc_auc_score(rows.response, rows.fixed_probability), abs=2e-5)


def test_an_oracle_tells_links_from_other_pairs(spark: Any) -> None:
    settings = Pymk(rows=1_500)
    edges = pymk_tables.pymk_tables(spark, settings)["edges"].selectExpr("source", "target", "1 as label")
    others = edges.selectExpr("source", "concat('n', pmod(hash(target), 100)) as target", "0 as label")
    pairs = edges.union(others.where("source != target"))
    scored = pymk_tables.score_pairs(pairs, settings, "source", "target").toPandas()
    assert scored.label.sum() == edges.count()
    assert roc_auc_score(scored.label, scored.score) > 0.8
