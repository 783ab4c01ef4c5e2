"""Workers on a standalone Spark cluster: an executor killed in mid-trial, a world of two ranks."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.spark_cluster import JAVA, ROOT, SPARK, environment

pytestmark = [pytest.mark.spark, pytest.mark.timeout(700)]

BEGIN = """
import json, sys, time
import psutil
from pyspark import SparkConf, SparkContext
from glmix_automl.trial import Trial
from glmix_automl.workers.task_spec import TaskSpec
from glmix_automl.workers.spark import spark_pool

master, marks, root, java = sys.argv[1:]
settings = {
    "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
    "spark.executor.memory": "512m", "spark.driver.memory": "512m", "spark.executorEnv.PYTHONPATH": root,
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.extraJavaOptions": java, "spark.executor.extraJavaOptions": java,
}
context = SparkContext(conf=SparkConf().setMaster(master).setAppName("fault").setAll(settings.items()))

def until(condition):
    end = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < end, pool.status()
        time.sleep(0.05)

def find_executors():
    port = context.getConf().get("spark.driver.port")
    return [p for p in psutil.process_iter(["cmdline"])
            if any(f"CoarseGrainedScheduler@127.0.0.1:{port}" in part for part in p.info["cmdline"] or [])
            and "java" in p.info["cmdline"][0]]
"""

KILLING = (
    BEGIN
    + """
pool = spark_pool(context, TaskSpec("tests.workers.tasks.Light", {"marks": marks}), 2, logs=marks + ".logs")

until(lambda: [s.state for s in pool.status()] == ["idle", "idle"])
futures = [pool.submit(Trial(n, "t", "f", {"do": "sleep", "seconds": 2.0})) for n in range(6)]
until(lambda: [s.state for s in pool.status()] == ["busy", "busy"])
executors = find_executors()
executors[0].kill()
results = [future.result(240) for future in futures]
until(lambda: pool.slots == 2)
pool.shutdown()
context.stop()
print(json.dumps({"executors": len(executors), "results": [r.to_json() for r in results]}))
"""
)

WORLD = (
    BEGIN
    + """
pool = spark_pool(context, TaskSpec("tests.workers.tasks.Ranked", {"marks": marks}), 1, 2, logs=marks + ".logs")
results = [pool.submit(Trial(n, "t", "f", {"do": "sum"})).result(240) for n in range(2)]
pool.shutdown()
context.stop()
print(json.dumps([r.to_json() for r in results]))
"""
)


def outcome(program: str, master: str, marks: Path, **variables: str) -> Any:
    """What a driver prints last; its workers leave files named by their processes in `marks`."""
    marks.mkdir()
    command = [sys.executable, "-c", program, master, str(marks), str(ROOT), JAVA]
    environ = environment() | variables
    driver = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=560)
    assert driver.returncode == 0, driver.stderr[-3000:]
    assert not [mark for mark in marks.iterdir() if psutil.pid_exists(int(mark.name))]
    return json.loads(driver.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_killed_executor_costs_one_attempt_and_leaves_nothing(tmp_path: Path) -> None:
    """Master and workers are threads of the driver, which saves three JVMs; executors are processes as ever."""
    home = tmp_path / "spark"  # where workers put the directories of executors
    home.mkdir()
    for name in ("bin", "jars", "python"):
        (home / name).symlink_to(SPARK / name)
    found = outcome(KILLING, "local-cluster[2,1,1024]", tmp_path / "marks", SPARK_HOME=str(home))
    assert found["executors"] == 2
    assert [r["state"] for r in found["results"]] == ["finished"] * 6
    assert sorted(r["attempts"] for r in found["results"]) == [1, 1, 1, 1, 1, 2]
    assert len(list((tmp_path / "marks").iterdir())) >= 3, "two, and the one that came for the lost one"


@pytest.mark.slow
def test_a_world_has_ranks_on_two_executors(cluster: str, tmp_path: Path) -> None:
    results = outcome(WORLD, cluster, tmp_path / "marks")
    assert [(r["metrics"]["size"], r["metrics"]["sum"]) for r in results] == [(2, 3)] * 2
