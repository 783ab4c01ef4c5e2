"""`glmix-automl resume STUDY`: goes on with a study that was interrupted, or whose limits are raised."""

import argparse

from glmix_automl.api import Study
from glmix_automl.cli import add_overrides
from glmix_automl.cli.live import work
from glmix_automl.cli.outcome import Outcome
from glmix_automl.config import lay_over, parse
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.settings import SearchSettings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("study", metavar="STUDY", help="folder of the study")
    add_overrides(parser, "change limits, workers or tracking, for example limits.trials=100")


def run(options: argparse.Namespace) -> Outcome:
    """Goes on with the study and prints the leaderboard."""
    settings = StudyFolder(options.study).record.settings
    changed = lay_over(settings.model_dump(mode="json"), options.overrides)
    return work(Study(parse(changed, SearchSettings, options.study)), resume=True)
