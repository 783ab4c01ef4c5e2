"""An executor of a standalone Spark cluster killed in mid-trial: one attempt is lost, and nothing is left behind."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pyspark = pytest.importorskip("pyspark")

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(700)]
ROOT = Path(__file__).resolve().parents[2]
SPARK = Path(pyspark.__file__).parent
LONG = 150.0
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # starts sooner, and nothing here runs long enough to need more

DRIVER = """
import json, sys, time
import psutil
from pyspark import SparkConf, SparkContext
from glmix_automl.trial import Trial
from glmix_automl.workers.recipe import Recipe
from glmix_automl.workers.spark import spark_pool

master, marks, root, java = sys.argv[1:]
settings = {
    "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
    "spark.executor.memory": "512m", "spark.driver.memory": "512m", "spark.executorEnv.PYTHONPATH": root,
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.extraJavaOptions": java, "spark.executor.extraJavaOptions": java,
}
context = SparkContext(conf=SparkConf().setMaster(master).setAppName("fault").setAll(settings.items()))
pool = spark_pool(context, Recipe("tests.workers.tasks.Light", {"marks": marks}), 2, logs=marks + ".logs")

def until(condition):
    end = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < end, pool.status()
        time.sleep(0.05)

until(lambda: [s.state for s in pool.status()] == ["idle", "idle"])
futures = [pool.submit(Trial(n, "t", "f", {"do": "sleep", "seconds": 2.0})) for n in range(6)]
until(lambda: [s.state for s in pool.status()] == ["busy", "busy"])
port = context.getConf().get("spark.driver.port")
executors = [p for p in psutil.process_iter(["cmdline"])
             if any(f"CoarseGrainedScheduler@127.0.0.1:{port}" in part for part in p.info["cmdline"] or [])
             and "java" in p.info["cmdline"][0]]
executors[0].kill()
results = [future.result(240) for future in futures]
until(lambda: pool.slots == 2)
pool.shutdown()
context.stop()
print(json.dumps({"executors": len(executors), "results": [r.to_json() for r in results]}))
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A master and two workers of one core each."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    master = f"spark://127.0.0.1:{port}"
    started = [spark_class(tmp_path, "master.Master", "--port", str(port), "--webui-port", "0")]
    wait_for_port(port)
    for number in range(2):
        options = ["--cores", "1", "--memory", "1g", "--webui-port", "0", "-d", str(tmp_path / f"work-{number}")]
        started.append(spark_class(tmp_path, "worker.Worker", *options, master))
    yield master
    family = [child for process in started for child in psutil.Process(process.pid).children(recursive=True)]
    for process in [*family, *started]:
        process.kill()
    for process in started:
        process.wait()


def spark_class(folder: Path, name: str, *options: str) -> "subprocess.Popen[bytes]":
    """A daemon of Spark's, from the pip package alone."""
    environment = {
        **os.environ,
        "SPARK_HOME": str(SPARK),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_DAEMON_MEMORY": "256m",
    }
    command = [str(SPARK / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}", "--host", "127.0.0.1", *options]
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)


def wait_for_port(port: int) -> None:
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the master did not start")


def test_a_killed_executor_costs_one_attempt_and_leaves_nothing(cluster: str, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    command = [sys.executable, "-c", DRIVER, cluster, str(marks), str(ROOT), JAVA]
    driver = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=560)
    assert driver.returncode == 0, driver.stderr[-3000:]
    outcome = json.loads(driver.stdout.splitlines()[-1])
    assert outcome["executors"] == 2
    assert [r["state"] for r in outcome["results"]] == ["finished"] * 6
    assert sorted(r["attempts"] for r in outcome["results"]) == [1, 1, 1, 1, 1, 2]
    workers = [int(mark.name) for mark in marks.iterdir()]
    assert len(workers) >= 3, "two, and the one that came for the lost one"
    assert not [pid for pid in workers if psutil.pid_exists(pid)]
