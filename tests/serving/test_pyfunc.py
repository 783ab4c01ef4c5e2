"""A logged model answers by MLflow: loaded without pickles, over HTTP, in Spark, and its fixed part in TensorFlow."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import tensorflow as tf
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from glmix_automl.layout import Folder
from glmix_automl.models.saved_model import SAVED_MODEL, save_fixed_part
from glmix_automl.serving import pyfunc
from glmix_automl.serving.card import model_card
from glmix_automl.serving.model import Model
from tests.serving.trained import Trained

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*Any type hint", "ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def model(of_members: Trained) -> Model:
    """A subnetwork that remembers its members and items."""
    return Model(Folder(of_members.model(1)))


@pytest.fixture(scope="module")
def example(of_members: Trained, model: Model) -> pd.DataFrame:
    """What is logged as an example of the input."""
    rows = pd.read_parquet(of_members.dataset.folder.path("validation")).head(5)
    return pyfunc.example(model.schema, rows, model.memory)


@pytest.fixture(scope="module")
def saved(of_members: Trained, model: Model, example: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The model as MLflow saves it."""
    path = str(tmp_path_factory.mktemp("mlflow") / "model")
    mlflow.pyfunc.save_model(
        path,
        loader_module=pyfunc.__name__,
        data_path=of_members.model(1),
        code_paths=pyfunc.code(),
        pip_requirements=pyfunc.requirements(),
        signature=pyfunc.model_signature(model.schema, model.memory),
        input_example=example,
    )
    return path


@pytest.fixture(scope="module")
def address(saved: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of `mlflow models serve`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", saved, "--env-manager", "local"]
    log = tmp_path_factory.mktemp("serve") / "log"
    path = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # as activated: MLflow looks for uvicorn there
    )
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | {"PATH": path})
    try:
        end = time.monotonic() + 180
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}/ping", timeout=1).raise_for_status()
                break
            except requests.RequestException:
                assert time.monotonic() < end, log.read_text()
                assert process.poll() is None, log.read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        process.terminate()
        process.wait(30)


def test_the_example_is_ids_and_readable_times(example: pd.DataFrame, model: Model) -> None:
    assert "who" in example
    assert "item id" in example
    assert not [name for name in example if name.startswith("past_")]
    assert example["when"].str.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ").all()
    assert np.isfinite(model.predict(example).log_odds).all()


def test_it_loads_without_pickles(
    saved: str, model: Model, example: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    found = mlflow.pyfunc.load_model(saved).predict(example)
    pd.testing.assert_frame_equal(found, model.predict(example), atol=1e-6)
    assert not list(Path(saved).rglob("*.pkl"))


def test_it_answers_json_over_http(address: str, model: Model, example: pd.DataFrame) -> None:
    def ask(rows: pd.DataFrame) -> requests.Response:
        return requests.post(
            address, json={"dataframe_records": json.loads(rows.to_json(orient="records"))}, timeout=60
        )

    answer = ask(example)
    assert answer.status_code == 200, answer.text
    found = pd.DataFrame(answer.json()["predictions"])
    np.testing.assert_allclose(found.log_odds, model.predict(example).log_odds, atol=1e-5)
    assert ask(example.drop(columns="when")).status_code == 200, "without a time it is now"
    for name in ("who", "age.years"):
        refused = ask(example.drop(columns=name))
        assert refused.status_code == 400
        assert name in refused.text
    refused = ask(example.assign(when="yesterday"))
    assert refused.status_code == 400
    assert "yesterday" in refused.text


@pytest.mark.spark
def test_it_answers_in_spark(saved: str, model: Model, example: pd.DataFrame, spark: SparkSession) -> None:
    scorer = mlflow.pyfunc.spark_udf(
        spark, saved, env_manager="local", result_type="probability double, log_odds double"
    )
    frame = spark.createDataFrame(example.astype(object).where(example.notna(), None))
    row = F.struct(*(F.col(f"`{name}`") for name in frame.columns))
    answers = frame.select(scorer(row).alias("answer")).select("answer.log_odds").toPandas()
    np.testing.assert_allclose(answers.log_odds, model.predict(example).log_odds, atol=1e-5)


def test_tensorflow_alone_scores_encoded_rows(of_members: Trained, tmp_path: Path) -> None:
    """The SavedModel of a logistic regression and of a subnetwork, on the dataset's own test rows."""
    block = of_members.dataset.read("test")
    inputs: dict[str, Any] = {"numerics": block.numerics, "categoricals": block.categoricals.astype(np.int32)}
    for number, bag in enumerate(block.bags):
        values = np.ones(len(bag.ids), np.float32) if bag.values is None else bag.values
        inputs |= {f"bag_{number}_splits": bag.splits.astype(np.int32), f"bag_{number}_ids": bag.ids}
        inputs[f"bag_{number}_values"] = values
    for number in (0, 1):
        model, place = Model(Folder(of_members.model(number))), Folder(str(tmp_path / str(number)))
        save_fixed_part(place, model.schema, [(1.0, model.trained[0])], model.description.bias)
        served = tf.saved_model.load(place.path(SAVED_MODEL)).signatures["serving_default"]
        found = served(**{name: tf.constant(value) for name, value in inputs.items()})["log_odds"].numpy()
        np.testing.assert_allclose(found, model.score_block(block), atol=1e-5)


def test_the_card_says_what_is_needed(of_members: Trained, model: Model) -> None:
    text = model_card("tonight", model, of_members.dataset, {"test auc": 0.75, "member auc": None})
    for part in (
        "| train | 480 |",
        "| test auc | 0.75000 |",
        "1_subnetwork",
        "`who`",
        "They may bring: `when`",
        "2020-09",
    ):
        assert part in text, text
    assert "member auc" not in text
    written = of_members.study.folder.files.read("model/model.md").decode()
    assert "## Measures" in written
