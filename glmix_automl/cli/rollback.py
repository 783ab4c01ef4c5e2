"""`glmix-automl rollback NAME`: gives the alias `champion` back to the version that had it before."""

import argparse

from glmix_automl.cli.outcome import Outcome


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's arguments."""
    parser.add_argument("name", metavar="NAME", help="of the registered model")
    parser.add_argument("--uri", required=True, help="of MLflow's server or store, for example sqlite:///mlflow.db")


def run(options: argparse.Namespace) -> Outcome:
    """Rolls back one step."""
    from glmix_automl.tracking.registry import Registry

    lost, has = Registry(options.uri, options.name).roll_back()
    print(f"{options.name}: version {has.number} is the champion again, no longer version {lost.number}")
    return Outcome({"name": options.name, "version": has.number, "champion_before": lost.number})
