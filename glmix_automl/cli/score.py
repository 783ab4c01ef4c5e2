"""`glmix-automl score CONF`: scores raw rows with a model, a study's winner or the registered champion."""

import argparse
import json

from glmix_automl.cli import add_overrides


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's arguments."""
    parser.add_argument("conf", metavar="CONF", help="what to score and where to, a YAML file (docs/scoring.md)")
    add_overrides(parser, "set a key of the file: --set model=studies/tonight --set output=scores/tonight")
    parser.add_argument("--key", help="of the night; fills {key} and {date} in the file")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON for schedulers")


def run(options: argparse.Namespace) -> int:
    """Scores and says how many rows."""
    from glmix_automl.serving.scoring import load, score

    found = score(load(options.conf, options.overrides, options.key))
    print(f"{found['rows']:,} rows scored by {found['model_version']}: {found['scores']}")
    if options.json:
        print(json.dumps({"command": "score", **found}))
    return 0
