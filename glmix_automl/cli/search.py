"""`glmix-automl search CONF`: races the strategies of a configuration on a dataset.

Without a file, `search --dataset D --study S` runs the default race, which follows from the dataset.
"""

import argparse
import json

from glmix_automl.api import Study
from glmix_automl.check import check
from glmix_automl.cli import add_overrides
from glmix_automl.cli.live import work
from glmix_automl.cli.outcome import Outcome
from glmix_automl.errors import ConfigError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument(
        "configuration", metavar="CONF", nargs="?", help="YAML file, for example conf/search/quickstart.yaml"
    )
    parser.add_argument("--dataset", metavar="URI", help="instead of the file's")
    parser.add_argument("--study", metavar="FOLDER", help="instead of the file's")
    add_overrides(parser, "lay a value over the file")
    parser.add_argument("--check", action="store_true", help="only look the search through: without dataset or workers")
    parser.add_argument("--resume", action="store_true", help="go on with the study if it is there already")


def run(options: argparse.Namespace) -> Outcome:
    """Runs the search and prints the leaderboard."""
    given = {key: getattr(options, key) for key in ("dataset", "study")}
    named = [f"{key}={json.dumps(text, ensure_ascii=False)}" for key, text in given.items() if text is not None]
    if options.configuration is None and len(named) < 2:
        raise ConfigError("name a file, or --dataset and --study for the default race")
    study = Study(options.configuration or {}, [*named, *options.overrides])
    if options.check:
        entries = check(study.settings)
        print(f"{options.configuration or 'default race'}: nothing wrong in {len(entries)} entries")
        return Outcome({"entries": list(entries)})
    return work(study, options.resume)
