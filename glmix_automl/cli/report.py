"""`glmix-automl report STUDY`: writes leaderboard, report and model of a study again, and logs what MLflow missed."""

import argparse

from glmix_automl.api import Study
from glmix_automl.cli.live import console_for
from glmix_automl.layout import REPORT
from glmix_automl.study.display import leaderboard_view
from glmix_automl.study.folder import StudyFolder


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("study", metavar="STUDY", help="folder of the study, at work or not")


def run(options: argparse.Namespace) -> int:
    """Writes the report and prints the leaderboard."""
    study = Study.open(options.study)
    console = console_for()
    console.print(leaderboard_view(study.conclude(), study.folder.name, console.width))
    console.print(f"report: {StudyFolder(options.study).path / REPORT}", highlight=False, soft_wrap=True)
    return 0
