"""`glmix-automl compare STUDY STUDY...`: sets studies side by side, and their winners against each other.

Studies of the same dataset are compared on the same test rows (paired, DeLong); others by their figures only.
"""

import argparse
import dataclasses

from glmix_automl import metrics
from glmix_automl.api import Study
from glmix_automl.cli.live import console_for
from glmix_automl.cli.outcome import Outcome
from glmix_automl.conclusion import evaluate
from glmix_automl.pages.numbers import format_seconds, number, p_value
from glmix_automl.reporting.display import auc_with_interval, whole_columns
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import leaderboard

DISPENSABLE = ("workers", "trials", "validation", "dataset")
"""Columns that a narrow terminal goes without, the first of them first."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("studies", metavar="STUDY", nargs="+", help="folders of studies; the first is compared with")


def run(options: argparse.Namespace) -> Outcome:
    """Prints a row per study."""
    first: tuple[str, Evaluation, int] | None = None
    found, lines = [], []
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
        lines.append(
            {
                "study": study.folder.name,
                "dataset": f"{study.folder.record.dataset_name} {digest[:8]}",
                "winner": winner.entry,
                "trials": str(len(history.results)),
                "workers": format_seconds(history.spent),
                "validation": number(winner.validation_auc, 5),
                "test AUC [95 %]": auc_with_interval(winner),
                "to first": "" if paired is None else f"{paired.difference:+.4f}",
                "p": "" if paired is None else p_value(paired.p_value),
            }
        )
    console, cells = console_for(), {name: [line[name] for line in lines] for name in lines[0]}
    console.print(
        whole_columns(cells, "winners of each study", console.width, DISPENSABLE, ("study", "dataset", "winner"))
    )
    return Outcome({"studies": found})


def _pair(
    first: tuple[str, Evaluation, int], digest: str, evaluation: Evaluation, winner: int
) -> metrics.Comparison | None:
    """AUC of a study's winner less that of the first study's, None where they are of different datasets."""
    if first[0] != digest:
        return None
    before, now = first[1].scores(first[2]), evaluation.scores(winner)
    return metrics.delong_test(evaluation.labels, before, now, evaluation.weights, evaluation.members)
