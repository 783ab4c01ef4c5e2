"""`glmix-automl promote STUDY`: registers a study's winner; it becomes the champion if it is better, beyond noise."""

import argparse
import json

from glmix_automl.config import parse

KEPT_CODE = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's arguments."""
    parser.add_argument("study", metavar="STUDY", help="folder of a study that has ended")
    parser.add_argument("--name", help="of the registered model (default: the dataset's name)")
    parser.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="level, smallest_gain, calibration, member_auc, cold_start_auc or scoring_time (docs/scoring.md)",
    )
    parser.add_argument("--force", action="store_true", help="make it the champion whatever the comparison says")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON for schedulers")


def run(options: argparse.Namespace) -> int:
    """Promotes or keeps; the exit code is 0 where the winner is the champion now, 3 where the old one was kept."""
    import yaml

    from glmix_automl.cli.live import set_aside
    from glmix_automl.study.executors import LOGS
    from glmix_automl.study.folder import StudyFolder

    given = {key: yaml.safe_load(value) for key, _, value in (text.partition("=") for text in options.rule)}
    folder = StudyFolder(options.study)
    assert folder.record, "raises where there is no study"
    with set_aside(folder.path / LOGS / "promote.log"):  # TensorFlow speaks from its first import on
        from glmix_automl.serving.champion import PromotionRule
        from glmix_automl.serving.promotion import promote

        found = promote(folder, options.name, parse(given, PromotionRule, "--rule"), options.force)
    print(f"{found['name']} version {found['version']}: {found['action']}, {found['reason']}")
    if options.json:
        print(json.dumps({"command": "promote", **found}))
    return 0 if found["action"] == "promoted" else KEPT_CODE
