"""`glmix-automl nightly CONF --key 2026-11-28`: one night, or one step of it; again with the same key it goes on."""

import argparse

from glmix_automl.cli import add_overrides
from glmix_automl.cli.outcome import DONE, KEPT, Outcome
from glmix_automl.errors import GlmixError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's arguments."""
    parser.add_argument("conf", metavar="CONF", help="the night's configuration, a YAML file (docs/nightly.md)")
    parser.add_argument(
        "--key", required=True, help="of the night, such as 2026-11-28; fills {key} and {date} in texts"
    )
    parser.add_argument(
        "--step", action="append", metavar="STEP", help="prepare, gate, search, promote, score or prune"
    )
    add_overrides(parser, "lay a value over the file, dotted: --set overrides.search.limits.seconds=600")


def run(options: argparse.Namespace) -> Outcome:
    """Runs the night; what it found is told also where a step failed."""
    from glmix_automl.errors import ConfigError
    from glmix_automl.nightly import night
    from glmix_automl.nightly.settings import load_night
    from glmix_automl.nightly.steps import STEPS
    from glmix_automl.nightly.tonight import Tonight

    if unknown := set(options.step or ()) - set(STEPS):
        raise ConfigError(f"--step {', '.join(sorted(unknown))}: there are {', '.join(STEPS)}")
    steps = [name for name in STEPS if name in (options.step or STEPS)]
    tonight = Tonight(load_night(options.conf, options.key, options.overrides), options.key, _say)
    try:
        night.run(tonight, steps)
    except GlmixError as error:
        return Outcome(night.summary(tonight.night), error.exit_code, str(error))
    kept = "promote" in steps and tonight.night.steps["promote"].state == "kept"
    return Outcome(night.summary(tonight.night), KEPT if kept else DONE)


def _say(line: str) -> None:
    print(line, flush=True)
