"""The command `glmix-automl`: one module per subcommand, imported only when it is named.

Exit codes: 0 done, 1 failure, 2 bad arguments or configuration, 130 interrupted.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from glmix_automl.errors import GlmixError

COMMANDS = {
    "generate": "write raw tables with a known truth",
    "init": "write a recipe and a search file from a look at raw tables",
    "prepare": "turn raw tables into a dataset on Spark",
    "search": "race the strategies of a configuration on a dataset",
    "resume": "go on with an interrupted study",
    "status": "show what a study does or did",
    "report": "write a study's leaderboard and report again",
    "compare": "set studies side by side",
    "score": "score raw rows with a model or the registered champion",
    "promote": "make a study's winner the champion, if it is better",
    "rollback": "give the champion's place back to the one before",
    "nightly": "prepare, gate, search, promote, score and prune, once per key",
    "ui": "start the MLflow UI on a study's store",
}
"""Subcommand -> what it does; each is a module here with `arguments(parser)` and `run(options) -> int`."""


def add_overrides(parser: argparse.ArgumentParser, text: str) -> None:
    """Declares `--set KEY=VALUE`, gathered in `overrides` for `config.load`."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns its exit code; errors a person can act on are printed without a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="glmix-automl", description="AutoML for recommendation tables.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    named = next((word for word in words if word in COMMANDS), None)
    command = None
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == named:  # only the named one pays for its imports
            command = importlib.import_module(f"glmix_automl.cli.{name}")
            command.arguments(subparser)
    options = parser.parse_args(words)
    assert command is not None, "the parser demands a command"
    try:
        return int(command.run(options))
    except GlmixError as error:
        print(f"glmix-automl {options.command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"glmix-automl {options.command}: interrupted", file=sys.stderr)
        return 130
