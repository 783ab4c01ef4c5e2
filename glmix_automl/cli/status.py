"""`glmix-automl status STUDY`: what a study does, or did."""

import argparse
import json
import time
from typing import Any

from rich.live import Live

from glmix_automl.cli.live import console_for
from glmix_automl.cli.outcome import Outcome
from glmix_automl.reporting.display import status_view
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.session import STATUS


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("study", metavar="STUDY", help="folder of the study")
    parser.add_argument("--watch", action="store_true", help="show it anew every second until the study ends")


def run(options: argparse.Namespace) -> Outcome:
    """Prints the status once, or until the study ends."""
    folder = StudyFolder(options.study)
    console = console_for()
    if not options.watch:
        console.print(_view(folder))
        return Outcome(_found(folder))
    with Live(_view(folder), console=console, auto_refresh=False) as live:
        while folder.running:
            time.sleep(1)
            live.update(_view(folder), refresh=True)
    return Outcome(_found(folder))


def _found(folder: StudyFolder) -> dict[str, Any]:
    record, history = folder.record, folder.history()
    best = history.best
    return {
        "study": folder.uri,
        "dataset": record.settings.dataset,
        "digest": record.digest,
        "state": "running" if folder.running else "ended" if history.ended else "killed",
        "ended": history.ended,
        "trials": len(history.trials),
        "results": len(history.results),
        "worker_seconds": history.spent,
        "validation_auc": None if best is None else best.auc,
    }


def _view(folder: StudyFolder) -> Any:
    limits = folder.record.settings.limits
    history = folder.history()
    running = folder.running
    status = json.loads(folder.files.read(STATUS)) if running and folder.files.exists(STATUS) else {"workers": []}
    state = "running" if running else f"ended: {history.ended}" if history.ended else "its controller was killed"
    return status_view(history, status, limits, time.time() if running else None, f"{folder.name} ({state})")
