"""A standalone Spark cluster on this machine, from the pip package alone, and `spark-submit` to it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyspark

ROOT = Path(__file__).resolve().parent.parent
SPARK = Path(pyspark.__file__).parent
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # starts sooner, and nothing here runs long enough to need more
LONG = 240.0


def environment() -> dict[str, str]:
    """What Spark's scripts and Python processes need."""
    return {
        **os.environ,
        "SPARK_HOME": str(SPARK),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
    }


@contextmanager
def growing(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a master without workers, and what adds one of one core; nothing of them is left afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    master = f"spark://127.0.0.1:{port}"
    started = []

    def add() -> None:
        number = len(started)
        options = ["--cores", "1", "--memory", "1g", "-d", str(folder / f"work-{number}"), master]
        started.append(_daemon(folder / f"worker-{number}.log", "worker.Worker", *options))
        _until_registered(folder, number)

    try:
        started.append(_daemon(folder / "master.log", "master.Master", "--port", str(port)))
        yield master, add
    finally:
        family = [child for process in started for child in psutil.Process(process.pid).children(recursive=True)]
        for process in [*family, *started]:
            process.kill()
        for process in started:
            process.wait()


@contextmanager
def standalone(folder: Path) -> Iterator[str]:
    """The address of a master with two workers of one core; nothing of them is left afterwards."""
    with growing(folder) as (master, add):
        add()
        add()
        yield master


def _until_registered(folder: Path, workers: int) -> None:
    end = time.monotonic() + LONG
    while (folder / "master.log").read_text().count("Registering worker") < workers:
        assert time.monotonic() < end, (folder / "master.log").read_text()[-2000:]
        time.sleep(0.2)


def _daemon(log: Path, name: str, *options: str) -> "subprocess.Popen[bytes]":
    words = [f"org.apache.spark.deploy.{name}", "--host", "127.0.0.1", "--webui-port", "0", *options]
    with log.open("ab") as file:
        command = [str(SPARK / "bin" / "spark-class"), *words]
        return subprocess.Popen(command, env=environment(), stdout=file, stderr=file)


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
