"""`report.html`: the study on one page that opens without network, light or dark; and its charts as files."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from glmix_automl.layout import REPORT, Folder
from glmix_automl.pages.drawing import Picture
from glmix_automl.pages.page import render
from glmix_automl.reporting import model_charts, parameter_charts, race_charts
from glmix_automl.reporting.effects import effect_rows
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import Leaderboard, Row, parameters
from glmix_automl.reporting.permutation import Importance
from glmix_automl.reporting.slices import Slice, slices
from glmix_automl.study.folder import StudyRecord
from glmix_automl.study.history import History
from glmix_automl.trial import Result, Trial

SLICES_SHOWN = 12  # gains, and as many losses
TRIALS_SHOWN = 500
CHARTS = "charts"  # in the study's folder


@dataclass(frozen=True)
class TrialRow:
    """One line of the table of trials."""

    trial: Trial
    result: Result
    parameters: str


def write_study_report(
    folder: Folder,
    name: str,
    record: StudyRecord,
    history: History,
    board: Leaderboard,
    evaluation: Evaluation,
    importance: Importance | None = None,
) -> None:
    """Writes the page, and each of its sections of charts as a page of its own, into the study's folder.

    Raises:
        DataError: the dataset or cached scores cannot be read.
    """
    baseline = _baseline(record, board)
    found = study_charts(history, board, evaluation, baseline, importance or Importance())
    folder.write(REPORT, _page(name, record, history, board, evaluation, baseline, found))
    for title, pictures in found.items():
        chart = render("chart.html", title=title, pictures=pictures)
        folder.write(f"{CHARTS}/{title.lower().replace(' ', '_')}.html", chart)


def study_charts(
    history: History, board: Leaderboard, evaluation: Evaluation, baseline: Row | None, importance: Importance
) -> dict[str, list[Picture]]:
    """The charts that have something to show, by the titles of their sections."""
    models = {row.entry: row.trial for row in (board.winner, baseline) if row is not None}
    found = {
        "AUC and cost": [*race_charts.auc_against_cost(history), *race_charts.front(history, evaluation)],
        "Quality on test rows": model_charts.quality(evaluation, models),
        "Grown models": model_charts.grown_models(history),
        "Feature importance": model_charts.feature_importance(importance.losses, importance.rows, importance.groups),
        "Cost by rung": race_charts.cost_by_rung(history),
        "Worker timeline": race_charts.worker_timeline(history),
        "Parameter importance": parameter_charts.parameter_importance(history),
        "Parallel coordinates": parameter_charts.parallel_coordinates(history),
    }
    return {title: pictures for title, pictures in found.items() if pictures}


def _page(
    name: str,
    record: StudyRecord,
    history: History,
    board: Leaderboard,
    evaluation: Evaluation,
    baseline: Row | None,
    found: Mapping[str, list[Picture]],
) -> str:
    rows = trial_rows(history)
    gains, losses = _slices(board, evaluation, baseline)
    return render(
        "study_report.html",
        name=name,
        record=record,
        history=history,
        board=board,
        reason=history.ended or "not ended",
        written=time.strftime("%Y-%m-%d %H:%M", time.localtime(history.sessions[-1][1] if history.sessions else 0)),
        utilisation=race_charts.utilisation(history),
        effects=[] if board.winner is None else effect_rows(history, evaluation, board.winner.trial),
        cold=int(evaluation.unseen.sum()),
        sections=found,
        gains=gains,
        losses=losses,
        versus="" if baseline is None else baseline.entry,
        trials=rows[:TRIALS_SHOWN],
        failed=[row for row in rows if not row.result.state.scored],
        settings=record.settings.model_dump_json(indent=2),
    )


def trial_rows(history: History) -> list[TrialRow]:
    """Every trial that ended, the best first, failed ones last."""
    pairs = [(history.trials[number], result) for number, result in history.results.items()]
    pairs.sort(key=lambda pair: (-(pair[1].quality or -1.0), pair[0].number))
    return [TrialRow(trial, result, _words(trial, history)) for trial, result in pairs]


def _words(trial: Trial, history: History) -> str:
    """Its parameters; of a mixture, what it mixes."""
    if trial.fit is None:
        return parameters(trial.parameters)
    return " + ".join(f"{history.trials[number].family} {number}" for number in trial.fit.begin.members)


def _baseline(record: StudyRecord, board: Leaderboard) -> Row | None:
    """The row that the winner is compared with: of the entry that is named or first; the second, if that won."""
    wanted = record.settings.baseline or next(iter(record.settings.race))
    return next((row for row in board.rows[1:] if row.entry == wanted), next(iter(board.rows[1:]), None))


def _slices(board: Leaderboard, evaluation: Evaluation, baseline: Row | None) -> tuple[list[Slice], list[Slice]]:
    """Largest gains and largest losses of the winner on the baseline."""
    if board.winner is None or baseline is None:
        return [], []
    found = slices(evaluation, baseline.trial, board.winner.trial)
    gains = [one for one in found if one.gain.gain.difference > 0][:SLICES_SHOWN]
    losses = [one for one in reversed(found) if one.gain.gain.difference <= 0][:SLICES_SHOWN]
    return gains, losses
