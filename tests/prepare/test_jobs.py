"""The same preparation under spark-submit: in local mode and on a standalone cluster of two workers."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest
import yaml

from glmix_automl.config import parse
from glmix_automl.manifest import Manifest

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
SPARK = Path(pyspark.__file__).parent


def environment() -> dict[str, str]:
    # Executors get the package from the driver; only the driver finds it here.
    return {**os.environ, "SPARK_HOME": str(SPARK), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a master with two workers of one core."""
    port = free_port()
    master = f"spark://127.0.0.1:{port}"
    where = ["--host", "127.0.0.1", "--webui-port", "0"]
    deploy = "org.apache.spark.deploy"
    commands = [[f"{deploy}.master.Master", *where, "--port", str(port)]]
    commands += [
        [f"{deploy}.worker.Worker", *where, "--cores", "1", "--memory", "1g", "--work-dir", f"{tmp_path}/w{i}", master]
        for i in range(2)
    ]
    running = []
    try:
        for number, words in enumerate(commands):
            log = (tmp_path / f"log{number}").open("w")
            running.append(
                subprocess.Popen(
                    [str(SPARK / "bin" / "spark-class"), *words], env=environment(), stdout=log, stderr=log
                )
            )
        deadline = time.monotonic() + 240
        while (tmp_path / "log0").read_text().count("Registering worker") < 2:
            assert time.monotonic() < deadline, (tmp_path / "log0").read_text()[-2000:]
            time.sleep(0.5)
        yield master
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=60)


def submitted(master: str, conf: Path, *words: str) -> subprocess.CompletedProcess[str]:
    settings = ["spark.ui.enabled=false", "spark.driver.host=127.0.0.1", "spark.executor.memory=700m"]
    return subprocess.run(
        [str(SPARK / "bin" / "spark-submit"), "--master", master, *(w for s in settings for w in ("--conf", s)),
         str(ROOT / "jobs" / "prepare.py"), str(conf), *words],
        env={**environment(), "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip


def test_submitted_runs_give_the_same_digests_as_the_session_here(
    spark: Any, settings: dict[str, Any], tmp_path: Path, cluster: str
) -> None:
    from glmix_automl.prepare.interactions import Interactions
    from glmix_automl.prepare.pipeline import prepare

    here = prepare(spark, parse(settings, Interactions, "test"))
    conf = tmp_path / "recipe.yaml"
    conf.write_text(yaml.safe_dump(settings))
    for master in ("local[1]", cluster):
        output = tmp_path / master.partition("[")[0].partition(":")[0]
        done = submitted(master, conf, "--set", f"output={output}")
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        assert here.digest in done.stdout
        assert Manifest.model_validate_json((output / "manifest.json").read_text()) == here
    refused = submitted("local[1]", conf, "--set", "interactions.member=nobody", "--set", f"output={tmp_path / 'no'}")
    assert refused.returncode == 1
    # spark-submit logs its own end after ours
    said = [line for line in refused.stderr.rstrip().splitlines() if " INFO " not in line]
    assert said[-1].startswith("glmix-automl prepare: interactions table ")
