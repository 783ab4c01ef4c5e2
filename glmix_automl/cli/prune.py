"""`glmix-automl prune HOME --keep 7`: removes old nights, but none that a model or the next night needs."""

import argparse

from glmix_automl.cli.outcome import Outcome
from glmix_automl.errors import ConfigError
from glmix_automl.layout import Folder


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's arguments."""
    parser.add_argument("home", metavar="HOME", help="folder of the nights, each with a night.json")
    parser.add_argument("--keep", type=int, default=7, metavar="N", help="nights to keep (default 7)")


def run(options: argparse.Namespace) -> Outcome:
    """Removes them and says which."""
    from glmix_automl.nightly.retention import prune

    if options.keep < 1:
        raise ConfigError(f"--keep {options.keep}: must be 1 or more")
    if not Folder(options.home).exists():
        raise ConfigError(f"{options.home}: there is no such folder")
    removed = prune(Folder(options.home), options.keep)
    print(f"{options.home}: removed {', '.join(removed) or 'nothing'}")
    return Outcome({"home": options.home, "removed": removed})
