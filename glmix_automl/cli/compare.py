"""`glmix-automl compare STUDY STUDY...`: sets studies side by side, and their winners against each other.

Studies of the same dataset are compared on the same test rows (paired, DeLong); others by their figures only.
"""

import argparse
import dataclasses

from rich import box
from rich.table import Table

from glmix_automl import metrics
from glmix_automl.api import Study
from glmix_automl.cli.live import console_for
from glmix_automl.cli.outcome import Outcome
from glmix_automl.conclusion import evaluate
from glmix_automl.pages.numbers import format_seconds, number, p_value
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import leaderboard


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("studies", metavar="STUDY", nargs="+", help="folders of studies; the first is compared with")


def run(options: argparse.Namespace) -> Outcome:
    """Prints a row per study."""
    table = Table(box=box.SIMPLE_HEAD, title="winners of each study", title_justify="left")
    for name in (
        "study",
        "dataset",
        "winner",
        "trials",
        "workers",
        "validation AUC",
        "test AUC [95 %]",
        "to first",
        "p",
    ):
        table.add_column(name)
    first: tuple[str, Evaluation, int] | None = None
    found = []
    for path in options.studies:
        study = Study.open(path)
        history = study.history
        evaluation = evaluate(study.folder, history)
        winner = leaderboard(history, evaluation, study.settings.prefer).rows[0]
        digest = study.folder.record.digest
        if first is None:
            first = digest, evaluation, winner.trial
        paired = _pair(first, digest, evaluation, winner.trial) if first[1] is not evaluation else None
        found.append({"study": study.folder.uri, "digest": digest, **dataclasses.asdict(winner)})
        table.add_row(
            study.folder.name,
            f"{study.folder.record.dataset_name} {digest[:8]}",
            winner.entry,
            str(len(history.results)),
            format_seconds(history.spent),
            number(winner.validation_auc, 5),
            f"{number(winner.test_auc, 4)} [{number(winner.test_low, 4)}, {number(winner.test_high, 4)}]",
            "" if paired is None else f"{paired.difference:+.4f}",
            "" if paired is None else p_value(paired.p_value),
        )
    console_for().print(table)
    return Outcome({"studies": found})


def _pair(
    first: tuple[str, Evaluation, int], digest: str, evaluation: Evaluation, winner: int
) -> metrics.Comparison | None:
    """AUC of a study's winner less that of the first study's, None where they are of different datasets."""
    if first[0] != digest:
        return None
    before, now = first[1].scores(first[2]), evaluation.scores(winner)
    return metrics.delong_test(evaluation.labels, before, now, evaluation.weights, evaluation.members)
