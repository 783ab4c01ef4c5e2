"""The DAG under a real Airflow, in its own environment: once per key, resumed, promoted only if better, stopped."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
import yaml

from glmix_automl.cli import main
from glmix_automl.nightly.steps import STEPS
from glmix_automl.tracking.registry import Registry
from tests.nightly.night_maker import ALONE, ROOT, configure
from tests.spark_cluster import JAVA
from tests.spark_cluster import environment as spark_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.spark,
    pytest.mark.timeout(2400),
    pytest.mark.filterwarnings("ignore:.*Any type hint"),
]
FIRST, SECOND, THIRD = "2026-11-26", "2026-11-27", "2026-11-28"
LINEAR = {"strategy": "fixed", "family": "logistic", "parameters": {"solver": "lbfgs"}}
WEAK = {**LINEAR, "family": "trees", "parameters": {"trees": 1, "leaves": 2}}


@dataclass(frozen=True)
class Airflow:
    """Airflow with a database of its own, and a folder of tables and nights."""

    folder: Path
    environment: dict[str, str]

    @property
    def nights(self) -> Path:
        return self.folder / "nights"

    def run(self, date: str, conf: str, **params: object) -> str:
        """What `airflow dags test` of one interval printed; `params` are the DAG's."""
        told = json.dumps({"conf": str(self.folder / conf), "home": str(self.nights), **params})
        return self.says("dags", "test", "glmix_nightly", date, "--conf", told)

    def says(self, *words: str, **variables: str) -> str:
        """What a command of Airflow printed."""
        command = [str(ROOT / "scripts" / "airflow.sh"), "run", *words]
        environ = self.environment | variables
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=1500, check=False)
        return done.stdout + done.stderr

    def night(self, date: str) -> dict[str, Any]:
        """The record of a night."""
        found: dict[str, Any] = json.loads((self.nights / date / "night.json").read_text())
        return found

    def announced(self) -> list[tuple[str, dict[str, Any]]]:
        """Asset and what is said of it, of every event so far."""
        database = self.folder / "home" / "airflow.db"
        if not database.exists():  # nothing was run yet
            return []
        with contextlib.closing(sqlite3.connect(database)) as store:
            events = store.execute("SELECT uri, asset_event.extra FROM asset_event JOIN asset ON asset.id = asset_id")
            return [(uri, json.loads(extra)) for uri, extra in events]

    def champion(self) -> int | None:
        """Version of the champion."""
        found = Registry(f"sqlite:///{self.nights / 'mlflow.db'}", "suggestions").champion()
        return None if found is None else found.number


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """Airflow, tables of three dates, the last of them broken, and two configurations of nights."""
    if not (ROOT / ".airflow" / "venv" / ".complete").exists():
        pytest.skip("no Airflow in .airflow/: make it with scripts/airflow.sh setup (some minutes)")
    folder = tmp_path_factory.mktemp("airflow")
    deliver(folder)
    for name, race in (("good", {"one": LINEAR, **several()}), ("weak", {"one": WEAK}), ("cluster", {"one": LINEAR})):
        rows = str(folder / ("cluster" if name == "cluster" else "nights") / "{key}" / "dataset" / "raw" / "test")
        out = str(folder / f"{name}-scores" / "date={date}")
        score = {"model": "the night's", "output": "given below", "rows": {"path": rows}, "top": 3}
        (folder / f"{name}-score.yaml").write_text(yaml.safe_dump(score))
        search = {"workers": {"slots": 1}} if name == "cluster" else ALONE
        scored = str(folder / f"{name}-score.yaml")
        overrides = {"score": {"output": out}}
        configure(folder, race, name, search, overrides, choice={"search_every": 1}, score=scored)
    return Airflow(folder, environment(folder))


def several() -> dict[str, Any]:
    """Trials enough that a search can be killed between them."""
    space = {"l2": {"choice": [0.1, 0.3, 1.0, 3.0, 10.0, 30.0]}}
    return {"grid": {"strategy": "grid", "family": "logistic", "epochs": 20, "space": space}}


def environment(folder: Path) -> dict[str, str]:
    """Of Airflow's processes: the test's own Python does the steps, retries come soon."""
    own = {"AIRFLOW_HOME": str(folder / "home"), "GLMIX_HOME": str(ROOT), "GLMIX_PYTHON": sys.executable}
    return {**os.environ, **own, "GLMIX_RETRY_SECONDS": "1", "PYTHONWARNINGS": "ignore"}


def deliver(folder: Path) -> None:
    """Tables of two dates; of a third a tenth of the rows arrived."""
    assert main(["generate", "jymbii", "--rows", "3000", "--output", str(folder / "tables" / FIRST)]) == 0
    for date in (SECOND, THIRD):
        shutil.copytree(folder / "tables" / FIRST, folder / "tables" / date)
    broken = folder / "tables" / THIRD / "interactions.parquet"
    rows = pd.read_parquet(broken).head(600)
    shutil.rmtree(broken)
    rows.to_parquet(broken)


@contextlib.contextmanager
def killing(journal: Path, step: str, key: str) -> Iterator[list[int]]:
    """Kills the process of a step once, as soon as its study's journal holds two results; gives its pid."""
    killed: list[int] = []
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            time.sleep(0.02)
            if journal.is_file() and journal.read_bytes().count(b'"event":"result"') >= 2:
                words = ["nightly", key, step]
                for process in psutil.process_iter(["cmdline"]):
                    line = process.info["cmdline"] or []
                    if "glmix_automl.cli" in line and all(word in line for word in words):
                        process.send_signal(signal.SIGKILL)
                        killed.append(process.pid)
                        return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_a_killed_search_is_resumed_by_the_retry_and_a_night_is_done_once(airflow: Airflow) -> None:
    journal = airflow.nights / FIRST / "study" / "journal.jsonl"
    with killing(journal, "search", FIRST) as killed:
        out = airflow.run(FIRST, "good.yaml")
    assert len(killed) == 1, out[-4000:]
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [event["event"] for event in events].count("session") == 2, "one retry, which went on with the study"
    ended = [event["result"]["number"] for event in events if event["event"] == "result"]
    assert len(ended) == len(set(ended)) == 7, "no trial that had ended was trained again"
    night = airflow.night(FIRST)
    assert {name: step["state"] for name, step in night["steps"].items()} == dict.fromkeys(night["steps"], "done")
    assert list(night["steps"]) == list(STEPS)
    scores = pq.read_table(airflow.folder / "good-scores")
    assert scores.num_rows == night["steps"]["score"]["found"]["rows"] > 0
    assert scores["date"].unique().to_pylist() == [FIRST], "a partition a night"
    assert airflow.champion() == 1
    auc = night["steps"]["promote"]["found"]["candidate.auc"]
    assert airflow.announced() == [("glmix://champion/suggestions", {"version": 1, "auc": auc})]

    before = {path: path.read_bytes() for path in airflow.nights.rglob("*.json*")}
    out = airflow.run(FIRST, "good.yaml")
    assert "search: done already" in out, out[-4000:]
    assert {path: path.read_bytes() for path in airflow.nights.rglob("*.json*")} == before
    assert (airflow.champion(), len(airflow.announced())) == (1, 1)


@pytest.fixture
def done(airflow: Airflow) -> Airflow:
    """The same with the first night done, by Airflow or else here, and its model the champion."""
    words = ["--key", FIRST, "--set", f"home={airflow.nights}"]
    assert main(["nightly", str(airflow.folder / "good.yaml"), *words]) == 0
    assert airflow.champion() == 1
    return airflow


def test_a_worse_model_is_not_promoted(done: Airflow) -> None:
    announced = len(done.announced())
    out = done.run(SECOND, "weak.yaml")
    steps = done.night(SECOND)["steps"]
    assert steps["search"]["found"]["way"] == "search", out[-4000:]
    assert (steps["promote"]["state"], steps["promote"]["found"]["version"]) == ("kept", 2)
    assert steps["prune"]["state"] == "done"
    assert done.champion() == 1
    assert len(done.announced()) == announced


def test_a_broken_table_stops_at_the_gate(done: Airflow) -> None:
    out = done.run(THIRD, "good.yaml")
    steps = done.night(THIRD)["steps"]
    assert {name: step["state"] for name, step in steps.items()} == {"prepare": "done", "gate": "refused"}, out[-4000:]
    assert "did not pass the gate" in out
    assert "a share of 0.5 may differ" in out, "the reason is in the task's log"
    assert done.champion() == 1


def test_a_person_may_be_asked_before_promotion(airflow: Airflow) -> None:
    """The DAG is parsed where there is no Spark, TensorFlow or MLflow: Airflow's environment has none of them."""
    listed = airflow.says("tasks", "list", "glmix_nightly", GLMIX_APPROVAL="1").split()
    assert {"approve", *STEPS} <= set(listed)
    assert "approve" not in airflow.says("tasks", "list", "glmix_nightly").split()


def test_a_night_on_a_cluster(airflow: Airflow, cluster: str) -> None:
    """Every step through SparkSubmitOperator; preparation, trials and scores are the executors' work."""
    host, _, port = cluster.rpartition(":")
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.executor.memory": "700m",
        "spark.driver.extraJavaOptions": JAVA,
        "spark.executor.extraJavaOptions": JAVA,
        "spark.ui.enabled": "false",
    }
    own = {
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": host, "port": int(port)}),
        "GLMIX_SPARK_CONF": json.dumps(settings),
        "PYTHONPATH": str(ROOT),
    }
    there = Airflow(airflow.folder, {**airflow.environment, **spark_environment(), **own})
    out = there.run(FIRST, "cluster.yaml", place="spark", home=str(airflow.folder / "cluster"))
    steps = json.loads((airflow.folder / "cluster" / FIRST / "night.json").read_text())["steps"]
    assert {name: step["state"] for name, step in steps.items()} == dict.fromkeys(STEPS, "done"), out[-4000:]
    journal = (airflow.folder / "cluster" / FIRST / "study" / "journal.jsonl").read_text()
    workers = {json.loads(line)["result"]["worker"] for line in journal.splitlines() if '"event":"result"' in line}
    assert all(worker.startswith("spark") for worker in workers)
    rows = pq.read_table(airflow.folder / "cluster-scores").num_rows
    assert rows == steps["score"]["found"]["rows"] > 0
