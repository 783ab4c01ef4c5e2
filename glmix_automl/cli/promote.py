"""`glmix-automl promote STUDY`: registers a study's winner; it becomes the champion if it is better, beyond noise."""

import argparse

from glmix_automl.cli import set_aside
from glmix_automl.cli.outcome import DONE, KEPT, Outcome
from glmix_automl.config import parse, read_yaml


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's arguments."""
    parser.add_argument("study", metavar="STUDY", help="folder of a study that has ended")
    parser.add_argument("--name", help="of the registered model (default: the dataset's name)")
    parser.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a key of the rule in docs/scoring.md, for example smallest_gain=0.001",
    )
    parser.add_argument("--force", action="store_true", help="make it the champion whatever the comparison says")


def run(options: argparse.Namespace) -> Outcome:
    """Promotes or keeps; either is done."""
    from glmix_automl.study.executors import LOGS
    from glmix_automl.study.folder import StudyFolder

    given = {key: read_yaml(value, f"--rule {key}") for key, _, value in (text.partition("=") for text in options.rule)}
    folder = StudyFolder(options.study)
    assert folder.record, "raises where there is no study"
    with set_aside(folder.path / LOGS / "promote.log"):  # TensorFlow speaks from its first import on
        from glmix_automl.serving.champion import PromotionRule
        from glmix_automl.serving.promotion import promote

        found = promote(folder, options.name, parse(given, PromotionRule, "--rule"), options.force)
    print(f"{found['name']} version {found['version']}: {found['action']}, {found['reason']}")
    return Outcome(found, DONE if found["action"] == "promoted" else KEPT)
