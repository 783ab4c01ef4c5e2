"""`report.html`: the study on one page that opens without network, light or dark; and its charts as files."""

import time
from dataclasses import dataclass

import jinja2

from glmix_automl.layout import REPORT, Folder
from glmix_automl.reporting import charts
from glmix_automl.reporting.display import number, p_value, seconds
from glmix_automl.reporting.judge import Judge
from glmix_automl.reporting.leaderboard import Leaderboard, parameters
from glmix_automl.reporting.report_page import PAGE, STYLE
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


def report(name: str, record: StudyRecord, history: History, board: Leaderboard, judge: Judge) -> str:
    """The page.

    Raises:
        DataError: the dataset or cached scores cannot be read.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"seconds": seconds, "p": p_value, "number": number}
    gains, losses, versus = _slices(record, board, judge)
    return environment.from_string(PAGE).render(
        name=name,
        style=STYLE,
        record=record,
        history=history,
        board=board,
        reason=history.ended or "not ended",
        written=time.strftime("%Y-%m-%d %H:%M", time.localtime(history.sessions[-1][1] if history.sessions else 0)),
        utilisation=charts.utilisation(history),
        charts=drawings(history),
        gains=gains,
        losses=losses,
        versus=versus,
        trials=trial_rows(history)[:TRIALS_SHOWN],
        failed=[row for row in trial_rows(history) if not row.result.state.scored],
        settings=record.settings.model_dump_json(indent=2),
    )


def drawings(history: History) -> dict[str, str]:
    """Every chart that has something to show by its name, as HTML with inline SVG."""
    found = {
        "AUC against cost": charts.auc_against_cost(history),
        "Cost by rung": charts.cost_by_rung(history),
        "Grown models": charts.grown_models(history),
        "Worker timeline": charts.worker_timeline(history),
        "Parameter importance": charts.parameter_importance(history),
        "Parallel coordinates": charts.parallel_coordinates(history),
    }
    return {name: drawing for name, drawing in found.items() if drawing}


def write(folder: Folder, page: str, history: History) -> None:
    """The page, and each chart as a page of its own, in the study's folder."""
    folder.write(REPORT, page)
    for name, drawing in drawings(history).items():
        chart = f"<!doctype html><meta charset=utf-8><title>{name}</title><style>{STYLE}</style><main>{drawing}</main>"
        folder.write(f"{CHARTS}/{name.lower().replace(' ', '_')}.html", chart)


def trial_rows(history: History) -> list[TrialRow]:
    """Every trial that ended, the best first, failed ones last."""
    pairs = [(history.trials[number_], result) for number_, result in history.results.items()]
    pairs.sort(key=lambda pair: (-(pair[1].auc or -1.0), pair[0].number))
    return [TrialRow(trial, result, _described(trial, history)) for trial, result in pairs]


def _described(trial: Trial, history: History) -> str:
    """Its parameters; of a mixture, what it mixes."""
    if trial.fit is None:
        return parameters(trial.parameters)
    return " + ".join(f"{history.trials[number].family} {number}" for number in trial.fit.begin.members)


def _slices(record: StudyRecord, board: Leaderboard, judge: Judge) -> tuple[list[Slice], list[Slice], str]:
    """Largest gains and largest losses of the winner on the baseline; on the second, if the baseline won."""
    if board.winner is None or len(board.rows) < 2:
        return [], [], ""
    wanted = record.settings.baseline or next(iter(record.settings.race))
    others = [row for row in board.rows[1:] if row.entry == wanted] or [board.rows[1]]
    found = slices(judge, others[0].trial, board.winner.trial)
    gains = [one for one in found if one.gain.gain.difference > 0][:SLICES_SHOWN]
    losses = [one for one in reversed(found) if one.gain.gain.difference <= 0][:SLICES_SHOWN]
    return gains, losses, others[0].entry
