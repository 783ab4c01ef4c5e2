"""Executors that come and go in the middle of a study: the pool grows and shrinks with them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.spark_cluster import JAVA, ROOT, environment, standalone
from tests.workers.test_spark_cluster import BEGIN

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(700)]

COMING_AND_GOING = (
    BEGIN
    + """
pool = spark_pool(context, TaskSpec("tests.workers.tasks.Light", {"marks": marks}), 4, logs=marks + ".logs")
futures = []

def busy():  # with trials waiting, so that whoever comes finds work and whoever goes leaves some
    while sum(not future.done() for future in futures) < 8:
        futures.append(pool.submit(Trial(len(futures), "t", "f", {"do": "sleep", "seconds": 2.0})))
    return [slot.state for slot in pool.status()].count("busy")

until(lambda: busy() == 1)
print("one", flush=True)
until(lambda: busy() == 4)
print("four", flush=True)
until(lambda: busy() == 3)
results = [future.result(240) for future in futures]
pool.shutdown()
context.stop()
print(json.dumps([r.to_json() for r in results]))
"""
)


def test_executors_are_added_and_removed_in_mid_study(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    with standalone(tmp_path / "cluster", workers=1) as cluster:
        command = [sys.executable, "-c", COMING_AND_GOING, cluster.master, str(tmp_path / "marks"), str(ROOT), JAVA]
        with subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as driver:
            assert driver.stdout is not None
            assert driver.stdout.readline() == "one\n"
            for _ in range(3):
                cluster.does("add")
            assert driver.stdout.readline() == "four\n"
            cluster.does("remove")
            out, err = driver.communicate(timeout=560)
        assert driver.returncode == 0, err[-3000:]
    results = json.loads(out.splitlines()[-1])
    assert {r["state"] for r in results} == {"finished"}
    assert sorted(r["attempts"] for r in results) == [1] * (len(results) - 1) + [2], "the one that ran where it went"
    assert len({r["worker"] for r in results}) >= 3, "those who stayed"
