"""The MLflow UI of a finished study, seen through a real browser without a screen.

With GLMIX_SCREENSHOTS naming a folder, what the browser saw is written there (docs/mlflow/ was made so).
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from glmix_automl.api import Study
from glmix_automl.tracking.tracker import read_cursor

pytestmark = [pytest.mark.slow, pytest.mark.horovod, pytest.mark.timeout(600)]

ASSISTANT = 465  # pixels at the right that MLflow gives to its assistant in a new browser


@pytest.fixture(scope="module")
def browser() -> str:
    """The program, or a skip that says how to get it."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def ui(finished: tuple[Study, str], browser: str) -> Iterator[tuple[str, str]]:
    """The addresses of the study and of its trials that `glmix-automl ui` prints; at the end nothing of it is left."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "glmix_automl.cli", "ui", str(finished[0].folder.path), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        study, trials, _ = (process.stdout.readline() for _ in range(3))
        _until_healthy(f"http://127.0.0.1:{port}/health")
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) <= 3, [child.cmdline() for child in started]
        yield study.split()[-1], trials.split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert not psutil.wait_procs(started, 20)[1], "SIGTERM ends all of it"


def _until_healthy(address: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{address} does not answer")


def see(browser: str, address: str, picture: Path, size: tuple[int, int] = (1800, 900)) -> str:
    """The words of a page as a person sees it; a picture of it, the assistant cut away."""
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--hide-scrollbars", f"--user-data-dir={picture.parent / picture.stem}", "--virtual-time-budget=25000"]
    command += [f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    with Image.open(picture) as image:
        cut = image.crop((0, 0, size[0] - ASSISTANT, size[1])).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    folder = os.environ.get("GLMIX_SCREENSHOTS")
    if folder:
        cut.save(Path(folder) / picture.name, optimize=True)
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", done.stdout, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_run_of_a_study_shows_what_it_came_to(
    finished: tuple[Study, str], ui: tuple[str, str], browser: str, tmp_path: Path
) -> None:
    words = see(browser, ui[0], tmp_path / "study.png", (1800, 1100))
    winner = finished[0].leaderboard().iloc[0]
    assert re.search(r"made \d{4}-\d\d-\d\d \d\d:\d\d", words), "named after dataset and day"
    assert "Child runs" in words
    assert f"{winner.trial:04d} growth mixture" in words
    assert "Datasets made (" in words
    assert f"{winner.validation_auc:.5f}" in words, "the leaderboard as its description"


def test_the_trials_are_a_list_with_what_matters_in_columns(
    finished: tuple[Study, str], ui: tuple[str, str], browser: str, tmp_path: Path
) -> None:
    words = see(browser, ui[1], tmp_path / "trials.png")
    for head in ("strategy", "family", "validation_auc", "test_auc", "worker_seconds"):
        assert head in words
    best = max(r.auc or 0 for r in finished[0].history.results.values())
    assert f"{best:.10f}"[:8] in words, "its first digits; the rest is cut off, not rounded"
    assert "Training runs" in words or "Runs" in words
    compared = see(browser, ui[1].replace("&", "&compareRunsMode=CHART&"), tmp_path / "strategies.png")
    assert "best_validation_auc by entry (3)" in compared


def test_the_winning_model_can_be_registered_and_seen(
    finished: tuple[Study, str], ui: tuple[str, str], browser: str, tmp_path: Path
) -> None:
    cursor = read_cursor(finished[0].folder)
    assert cursor is not None
    client = MlflowClient(tracking_uri=cursor.uri, registry_uri=cursor.uri)
    (model,) = client.search_logged_models([str(cursor.experiment_id)])
    client.create_registered_model("ui-made")
    version = client.create_model_version("ui-made", model.artifact_location, cursor.parent, model_id=model.model_id)
    client.set_registered_model_alias("ui-made", "champion", version.version)
    server = ui[0].split("/#/")[0]
    words = see(browser, f"{server}/#/models/ui-made?workflowType=machine_learning", tmp_path / "model.png")
    assert "ui-made" in words
    assert "champion" in words
    assert "Version 1" in words
