"""Spark ML: fit, transform, and both through a Pipeline that is saved and loaded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import DataFrame

from glmix_automl.errors import ConfigError
from glmix_automl.estimator import GlmixAutoML, GlmixAutoMLModel
from glmix_automl.metrics import auc

pytestmark = [pytest.mark.spark]
RACE = {"one": {"strategy": "fixed", "family": "logistic", "parameters": {"solver": "lbfgs"}}}
SEARCH = json.dumps({"race": RACE, "workers": {"place": "in_process"}, "tracking": {"enabled": False}})


def responses(rows: int = 2000) -> pd.DataFrame:
    """Responses that depend on a number, a code, a word and tags."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "member": random.integers(0, 50, rows).astype(str),
            "job": random.integers(0, 30, rows),
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.sort(random.integers(0, 10**6, rows)), unit="s"),
            "age": random.normal(40, 10, rows),
            "level": random.integers(0, 4, rows),
            "city": random.choice(["x", "y", "z"], rows),
            "tags": [list(random.choice(["a", "b", "c", "d"], 2, replace=False)) for _ in range(rows)],
        }
    )
    log_odds = 0.1 * (frame.age - 40) + np.array([1.0, -1.0, 0.5, -0.5])[frame.level] + (frame.city == "x")
    log_odds += np.array([1.5 if "a" in tags else -0.5 for tags in frame.tags])
    frame["applied"] = random.random(rows) < 1 / (1 + np.exp(-log_odds))
    return frame


@pytest.fixture(scope="module")
def frame(spark: Any) -> DataFrame:
    made: DataFrame = spark.createDataFrame(responses())
    return made


def automl(folder: Path, **changed: Any) -> GlmixAutoML:
    named = {"memberCol": "member", "itemCol": "job", "labelCol": "applied", "timestampCol": "at"}
    return GlmixAutoML(**{**named, "workdir": str(folder), "search": SEARCH, "categoricalCols": ["level"], **changed})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_pipeline_is_fitted_saved_loaded_and_scores_alike(frame: DataFrame, tmp_path: Path) -> None:
    older = SQLTransformer(statement="SELECT *, age + 1 AS age_next_year FROM __THIS__")
    pipeline = Pipeline(stages=[older, automl(tmp_path / "fits", probabilityCol="p")])
    pipeline.write().save(str(tmp_path / "unfitted"))
    fitted = Pipeline.load(str(tmp_path / "unfitted")).fit(frame)
    scored = fitted.transform(frame).orderBy("at", "member").toPandas()
    assert list(scored.columns) == [*frame.columns, "age_next_year", "p", "score"]
    assert auc(scored.applied.to_numpy(), scored.score.to_numpy()) > 0.75
    assert np.allclose(scored.p, 1 / (1 + np.exp(-scored.score.astype(float))))

    fitted.write().save(str(tmp_path / "fitted"))
    loaded = PipelineModel.load(str(tmp_path / "fitted"))
    assert isinstance(loaded.stages[1], GlmixAutoMLModel)
    assert loaded.stages[1].uid == fitted.stages[1].uid
    again = loaded.transform(frame.drop("applied")).orderBy("at", "member").toPandas()
    assert again.score.equals(scored.score), "a label is not needed, and the model is the same"
    with pytest.raises(ConfigError, match="columns p, score are in the frame already"):
        loaded.transform(loaded.transform(frame))
    assert len(list((tmp_path / "fits").glob("fit-*/study/report.html"))) == 1


def test_columns_become_features_by_their_types(frame: DataFrame, tmp_path: Path) -> None:
    recipe = automl(tmp_path).recipe(frame.schema)
    kinds = {feature["source"]: feature["kind"] for feature in recipe["interactions"]["features"]}
    assert kinds == {"age": "numeric", "level": "categorical", "city": "categorical", "tags": "bag"}
    assert recipe["split"] == {"by": "time"}
    with pytest.raises(ConfigError, match="itemCol: there is no column 'work'; the columns are member, job"):
        automl(tmp_path, itemCol="work").recipe(frame.schema)
    with pytest.raises(ConfigError, match="memberCol: is needed"):
        GlmixAutoML().recipe(frame.schema)
    estimator = automl(tmp_path)
    copied = estimator.copy({estimator.seed: 7})
    assert (copied.getOrDefault("seed"), copied.getOrDefault("memberCol")) == (7, "member")
