"""`glmix-automl search CONF`: races the strategies of a configuration on a dataset."""

import argparse

from glmix_automl.api import Study
from glmix_automl.check import check
from glmix_automl.cli import add_overrides
from glmix_automl.cli.live import work


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("configuration", metavar="CONF", help="YAML file, for example conf/search/quickstart.yaml")
    add_overrides(parser, "lay a value over the file")
    parser.add_argument("--check", action="store_true", help="only look the search through: without dataset or workers")
    parser.add_argument("--resume", action="store_true", help="go on with the study if it is there already")


def run(options: argparse.Namespace) -> int:
    """Runs the search and prints the leaderboard."""
    study = Study(options.configuration, options.overrides)
    if options.check:
        check(study.settings)
        print(f"{options.configuration}: nothing wrong in {len(study.settings.race)} entries of its race")
        return 0
    return work(study, options.resume)
