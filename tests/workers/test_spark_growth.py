"""Executors that come and go in the middle of a study: the pool grows and shrinks with them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.spark_cluster import JAVA, ROOT, environment, growing
from tests.workers.test_spark_cluster import BEGIN

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(700)]

COMING_AND_GOING = (
    BEGIN
    + """
pool = spark_pool(context, TaskSpec("tests.workers.tasks.Light", {"marks": marks}), 4, logs=marks + ".logs")

until(lambda: pool.slots == 1)
futures = [pool.submit(Trial(n, "t", "f", {"do": "sleep", "seconds": 3.0})) for n in range(16)]
print("one", flush=True)
until(lambda: [s.state for s in pool.status()].count("busy") == 4)
executors = find_executors()
executors[0].kill()
results = [future.result(240) for future in futures]
pool.shutdown()
context.stop()
print(json.dumps({"executors": len(executors), "results": [r.to_json() for r in results]}))
"""
)


def test_executors_are_added_and_lost_in_mid_study(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    with growing(tmp_path) as (master, add):
        add()
        command = [sys.executable, "-c", COMING_AND_GOING, master, str(tmp_path / "marks"), str(ROOT), JAVA]
        with subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as driver:
            assert driver.stdout is not None
            assert driver.stdout.readline() == "one\n"
            for _ in range(3):
                add()
            out, err = driver.communicate(timeout=560)
        assert driver.returncode == 0, err[-3000:]
    found = json.loads(out.splitlines()[-1])
    assert found["executors"] == 4
    results = found["results"]
    assert [r["state"] for r in results] == ["finished"] * 16
    assert sorted(r["attempts"] for r in results) == [1] * 15 + [2]
    assert len({r["worker"] for r in results}) >= 4
