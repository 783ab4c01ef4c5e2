"""`glmix-automl nightly CONF --key 2026-11-28`: one night, or one step of it; again with the same key it goes on."""

import argparse
import json
import sys

from glmix_automl.cli import add_overrides
from glmix_automl.errors import GlmixError

KEPT_CODE = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's arguments."""
    parser.add_argument("conf", metavar="CONF", help="the night's configuration, a YAML file (docs/nightly.md)")
    parser.add_argument(
        "--key", required=True, help="of the night, such as 2026-11-28; fills {key} and {date} in texts"
    )
    parser.add_argument(
        "--step", action="append", metavar="STEP", help="prepare, gate, search, promote, score or prune"
    )
    parser.add_argument("--json", action="store_true", help="end with a line of JSON for schedulers")
    add_overrides(parser, "lay a value over the file, dotted: --set overrides.search.limits.seconds=600")


def run(options: argparse.Namespace) -> int:
    """Runs the night; 0 done, 3 the old champion was kept, 1 worth a retry, 2 not."""
    from glmix_automl.errors import ConfigError
    from glmix_automl.nightly.night import NightRun
    from glmix_automl.nightly.record import STEPS
    from glmix_automl.nightly.settings import load

    if unknown := set(options.step or ()) - set(STEPS):
        raise ConfigError(f"--step {', '.join(sorted(unknown))}: there are {', '.join(STEPS)}")
    steps = [name for name in STEPS if name in (options.step or STEPS)]
    night = NightRun(load(options.conf, options.key, options.overrides), options.key, _say)
    code, problem = 0, None
    try:
        night.run(steps)
    except GlmixError as error:
        code, problem = error.exit_code, str(error)
        if not options.json:
            raise
        print(f"glmix-automl nightly: {error}", file=sys.stderr)
    if code == 0 and "promote" in steps and night.night.steps["promote"].state == "kept":
        code = KEPT_CODE
    if options.json:
        print(json.dumps({"command": "nightly", "exit_code": code, "error": problem, **night.summary()}))
    return code


def _say(line: str) -> None:
    print(line, flush=True)
