"""A standalone Spark cluster on this machine, from the pip package alone, and `spark-submit` to it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark

ROOT = Path(__file__).resolve().parent.parent
SPARK = Path(pyspark.__file__).parent
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # starts sooner, and nothing here runs long enough to need more


def environment() -> dict[str, str]:
    """What Spark's scripts and Python processes need."""
    return {
        **os.environ,
        "SPARK_HOME": str(SPARK),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
    }


class Cluster:
    """The cluster of `scripts/cluster.sh` in a folder of its own."""

    def __init__(self, folder: Path, workers: int, memory: str = "1g") -> None:
        """Starts it with workers of one core; `master` is its address."""
        self._environment = {
            **environment(),
            "PYTHON": sys.executable,
            "CLUSTER_DIR": str(folder),
            "WORKERS": str(workers),
            "MEMORY": memory,
        }
        self.master = self.does("start")

    def does(self, verb: str) -> str:
        """What the script prints for `start`, `add`, `remove` or `stop`."""
        command = ["bash", str(ROOT / "scripts" / "cluster.sh"), verb]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()


@contextmanager
def standalone(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """A master with workers of one core; nothing of them is left afterwards."""
    cluster = Cluster(folder, workers)
    try:
        yield cluster
    finally:
        cluster.does("stop")


def submitted(master: str, job: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """What `spark-submit jobs/JOB` on the master did."""
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.executor.memory": "700m",
        "spark.driver.extraJavaOptions": JAVA,
        "spark.executor.extraJavaOptions": JAVA,
    }
    options = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    command = [str(SPARK / "bin" / "spark-submit"), "--master", master, *options, str(ROOT / "jobs" / job), *words]
    finds = {**environment(), "PYTHONPATH": str(ROOT)}  # the driver alone; executors get the package from it
    return subprocess.run(command, env=finds, capture_output=True, text=True, timeout=800, check=False)
