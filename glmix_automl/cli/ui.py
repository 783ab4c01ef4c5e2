"""`glmix-automl ui STUDY`: starts the MLflow UI on the study's store and says where the study is; Ctrl-C ends it."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import FrameType

from glmix_automl.cli.live import console_for
from glmix_automl.cli.outcome import Outcome
from glmix_automl.study.folder import StudyFolder
from glmix_automl.tracking.names import run_page, runs_page
from glmix_automl.tracking.store import default_artifacts, default_uri, settle
from glmix_automl.tracking.tracker import logged

END_SECONDS = 10.0  # for the server to end when asked, before it is killed


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("study", metavar="STUDY", help="folder of the study")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=5000, help="port to listen on (default 5000)")


def run(options: argparse.Namespace) -> Outcome:
    """Runs the UI until it is ended; a study on a tracking server has its UI there."""
    folder = StudyFolder(options.study)
    uri = folder.record.settings.tracking.uri or default_uri(folder)
    away = uri.startswith(("http://", "https://"))
    server = uri if away else f"http://{options.host}:{options.port}"
    console = console_for()
    for line in _addresses(folder, server):
        console.print(line, soft_wrap=True)
    if away or uri.startswith("databricks"):
        console.print(f"the study is tracked at {uri}; open that in a browser", soft_wrap=True)
        return Outcome({"server": uri})
    console.print(f"{server} shows {uri}; Ctrl-C ends it", soft_wrap=True)
    if uri == default_uri(folder):
        settle(folder)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--workers", "1"]
    command += ["--default-artifact-root", default_artifacts(folder).as_uri()]
    command += ["--host", options.host, "--port", str(options.port)]
    # Its jobs (evaluation of agents and the like) are eight processes that no study needs.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with _group(command, environment) as process:
        return Outcome({"server": server}, process.wait())


def _addresses(folder: StudyFolder, server: str) -> Iterator[str]:
    """Where the study's own run and its trials are shown, once something is logged."""
    cursor = logged(folder)
    if cursor is not None and cursor.parent is not None and cursor.experiment_id is not None:
        yield f"the study:  {run_page(server, cursor.experiment_id, cursor.parent)}"
        yield f"its trials: {runs_page(server, cursor.experiment_id)}"


@contextlib.contextmanager
def _group(command: list[str], environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a group of its own; the whole group ends with the block, on Ctrl-C and SIGTERM too."""
    process = subprocess.Popen(command, env=environment, start_new_session=True)

    def end(number: int, frame: FrameType | None) -> None:
        os.killpg(process.pid, signal.SIGTERM)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
            os.killpg(process.pid, signal.SIGKILL)
        for number, handler in before.items():
            signal.signal(number, handler)
