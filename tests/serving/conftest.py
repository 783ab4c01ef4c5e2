"""Studies and an MLflow server that several modules of tests share."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import requests

from tests.serving.trained import Trained, of_graph, of_interactions


@pytest.fixture(scope="session")
def of_members(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A study of members and items, with a model of each family."""
    return of_interactions(tmp_path_factory.mktemp("of members"))


@pytest.fixture(scope="session")
def of_network(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A study of a network, with a model of each family."""
    return of_graph(tmp_path_factory.mktemp("of network"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow server."""
    folder = tmp_path_factory.mktemp("server")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("wb") as log:
        quiet = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # eight processes fewer
        process = subprocess.Popen(command, stdout=log, stderr=log, env=quiet)
    try:
        uri, end = f"http://127.0.0.1:{port}", time.monotonic() + 120
        while True:
            try:
                requests.get(f"{uri}/health", timeout=1)
                break
            except requests.RequestException:
                assert time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.3)
        yield uri
    finally:
        process.terminate()
        process.wait(30)
