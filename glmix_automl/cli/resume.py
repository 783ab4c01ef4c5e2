"""`glmix-automl resume STUDY`: goes on with a study that was interrupted, or whose limits are raised."""

import argparse

from glmix_automl import layout
from glmix_automl.api import Study
from glmix_automl.cli import add_overrides
from glmix_automl.cli.live import work
from glmix_automl.config import load
from glmix_automl.study.folder import StudyFolder, StudyRecord


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("study", metavar="STUDY", help="folder of the study")
    add_overrides(parser, "change limits, workers or tracking, for example limits.trials=100")


def run(options: argparse.Namespace) -> int:
    """Goes on with the study and prints the leaderboard."""
    folder = StudyFolder(options.study)
    settings = folder.record.settings
    if options.overrides:
        overrides = [f"settings.{text}" for text in options.overrides]
        settings = load(folder.path / layout.STUDY, StudyRecord, overrides).settings
    # The folder may have been moved since it was begun.
    return work(Study(settings.model_copy(update={"study": str(folder.path)})), resume=True)
