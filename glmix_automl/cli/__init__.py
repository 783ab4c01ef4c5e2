"""The command `glmix-automl`: one module per subcommand, imported only when it is named.

`outcome` has the exit codes, and what `--json` ends with.
"""

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from glmix_automl.cli.outcome import INTERRUPTED, Outcome
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
    "prune": "remove old nights, but none that a model or the next night needs",
    "ui": "start the MLflow UI on a study's store",
}
"""Subcommand -> what it does; each is a module here with `arguments(parser)` and `run(options) -> Outcome`."""


def add_overrides(parser: argparse.ArgumentParser, text: str) -> None:
    """Declares `--set KEY=VALUE`, gathered in `overrides` for `config.load`."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=text)


@contextlib.contextmanager
def set_aside(log: Path) -> Iterator[None]:
    """Sends to a file what libraries write to standard error: TensorFlow, loaded to check the exported model, speaks of
    GPUs from native code, which no setting silences.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    terminal = os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


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
        subparser.add_argument("--json", action="store_true", help="end with a line of JSON for schedulers")
    options = parser.parse_args(words)
    assert command is not None, "the parser demands a command"
    outcome = _outcome(command, options)
    if outcome.error is not None:
        print(f"glmix-automl {options.command}: {outcome.error}", file=sys.stderr)
    if options.json:
        print(outcome.line(options.command), flush=True)
    return outcome.code


def _outcome(command: ModuleType, options: argparse.Namespace) -> Outcome:
    try:
        found: Outcome = command.run(options)
    except GlmixError as error:
        return Outcome(code=error.exit_code, error=str(error))
    except KeyboardInterrupt:
        return Outcome(code=INTERRUPTED, error="interrupted")
    return found
