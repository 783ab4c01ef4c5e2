"""`glmix-automl ui STUDY`: starts the MLflow UI on the study's store; Ctrl-C ends it."""

import argparse
import subprocess
import sys

from glmix_automl.cli.live import console_for
from glmix_automl.study.folder import StudyFolder
from glmix_automl.tracking.tracker import default_artifacts, default_uri


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("study", metavar="STUDY", help="folder of the study")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=5000, help="port to listen on (default 5000)")


def run(options: argparse.Namespace) -> int:
    """Runs the UI until it is ended; a study on a tracking server has its UI there."""
    folder = StudyFolder(options.study)
    uri = folder.record.settings.tracking.uri or default_uri(folder)
    console = console_for()
    if uri.startswith(("http://", "https://", "databricks")):
        console.print(f"the study is tracked at {uri}; open that in a browser", highlight=False, soft_wrap=True)
        return 0
    console.print(f"http://{options.host}:{options.port} shows {uri}; Ctrl-C ends it", highlight=False, soft_wrap=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--workers", "1"]
    command += ["--default-artifact-root", default_artifacts(folder).as_uri()]
    command += ["--host", options.host, "--port", str(options.port)]
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return process.wait()  # Ctrl-C reached it as well
    finally:
        if process.poll() is None:
            process.terminate()
