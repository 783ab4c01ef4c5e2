"""`glmix-automl report STUDY`: writes leaderboard, report and model of a study again, and logs what MLflow missed."""

import argparse

from glmix_automl.api import Study
from glmix_automl.cli.live import console_for, show_study
from glmix_automl.cli.outcome import Outcome


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("study", metavar="STUDY", help="folder of the study, at work or not")


def run(options: argparse.Namespace) -> Outcome:
    """Writes the report and prints the leaderboard."""
    return Outcome(show_study(console_for(), Study.open(options.study)))
