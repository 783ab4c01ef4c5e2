"""The leaderboard: for each entry of the race the model it stands for, what it cost and how good it is.

One rule (`entry_model`) says which model that is, another (`reporting.choice`) which of them wins by the study's
measure on validation rows.
Test rows only evaluate what was chosen.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from glmix_automl.ensemble import MIXTURE
from glmix_automl.layout import LEADERBOARD_CSV, LEADERBOARD_JSON, Folder
from glmix_automl.reporting.choice import choose
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.search.growth.growth_trials import final_mixture
from glmix_automl.search.objectives import pareto_front
from glmix_automl.study.history import History
from glmix_automl.study.settings import Preference
from glmix_automl.trial import Result, Trial


@dataclass(frozen=True)
class Row:
    """One entry of the race.

    Attributes:
        place: 1 is the winner; the others by `quality`.
        entry: its name in the race.
        model: the model it found, in words.
        trial: number of the trial that found it.
        trials, failed: how many it had, and how many of these left no model.
        steps: optimiser steps of all its trials.
        train_seconds, eval_seconds, worker_seconds: of all its trials.
        quality: what it was chosen by: the study's measure on validation rows.
        test_quality: the same on test rows.
        validation_auc: over all rows.
        test_auc, test_low, test_high: with the bounds of the 95 % interval.
        member_auc: mean test AUC within members, None where there are no entities.
        ndcg_at_10, precision_at_10: of members' test rows, likewise.
        cold_start_auc: test AUC on rows of an entity that train has not seen, None where there are none.
        p_value: paired, of no difference of the measure to the winner on the test rows; None for the winner.
        difference: the measure on test rows less the winner's.
        on_front: whether no other entry's model is better on validation for as few worker-seconds of the entry.
    """

    place: int
    entry: str
    model: str
    trial: int
    trials: int
    failed: int
    steps: int
    train_seconds: float
    eval_seconds: float
    worker_seconds: float
    quality: float
    test_quality: float | None
    validation_auc: float
    test_auc: float | None
    test_low: float | None
    test_high: float | None
    member_auc: float | None
    ndcg_at_10: float | None
    precision_at_10: float | None
    cold_start_auc: float | None
    p_value: float | None
    difference: float | None
    on_front: bool = True


@dataclass(frozen=True)
class Leaderboard:
    """The rows, the winner first. Entries without a model are not in it but named in `without_model`; `choice` says how
    sure it is that the winner is the best, `remarks` what to look at, `measure` what it was chosen by.
    """

    rows: tuple[Row, ...]
    without_model: tuple[str, ...] = ()
    choice: str = ""
    measure: str = "AUC"
    remarks: tuple[str, ...] = ()

    @property
    def winner(self) -> Row | None:
        """The one that was chosen, None if no trial left a model."""
        return self.rows[0] if self.rows else None

    def frame(self) -> pd.DataFrame:
        """As a table, a column per attribute of `Row`."""
        return pd.DataFrame([dataclasses.asdict(row) for row in self.rows], columns=[f.name for f in _FIELDS])

    def write(self, folder: Folder) -> None:
        """As CSV and JSON in the study's folder."""
        folder.write(LEADERBOARD_CSV, self.frame().map(_plain).to_csv(index=False))
        rows = [dataclasses.asdict(row) for row in self.rows]
        told = {
            "without_model": self.without_model,
            "choice": self.choice,
            "measure": self.measure,
            "remarks": self.remarks,
        }
        content = {"version": 1, "rows": rows, **told}
        folder.write(LEADERBOARD_JSON, json.dumps(content, indent=1))


_FIELDS = dataclasses.fields(Row)


def _plain(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula: text that begins like one begins with an apostrophe instead."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def entry_model(history: History, entry: str) -> tuple[Trial, Result] | None:
    """The trial whose model an entry of the race stands for, everywhere: leaderboard, report, plan, replay, export.

    Where growth or a replay has an ensemble it is that, though an attempt that growth refused, as it was not better by
    `improvement`, may have a higher validation AUC; else the trial with the highest measure, the earliest of equals.
    None where no trial left a model.
    """
    ensemble = final_mixture(history.trials, history.results, entry)
    if ensemble is not None:
        return ensemble, history.results[ensemble.number]
    found = list(history.scored(entry))
    return max(found, key=lambda pair: (pair[1].quality or 0.0, -pair[0].number), default=None)


def leaderboard(history: History, evaluation: Evaluation, prefer: Preference = "simpler") -> Leaderboard:
    """Ranks the entries of a race by what they have found so far.

    Args:
        history: of the study.
        evaluation: of its test rows.
        prefer: which model wins among those that validation does not tell apart.

    Raises:
        DataError: cached scores are missing.
    """
    entries = list(dict.fromkeys(trial.strategy for trial in history.trials.values()))
    best = {entry: found for entry in entries if (found := entry_model(history, entry)) is not None}
    if not best:
        return Leaderboard((), tuple(entries))
    choice = choose(best, evaluation.on("validation"), history, prefer)
    rows = [_row(history, evaluation, n, best[name], best[choice.entry][0]) for n, name in enumerate(choice.order, 1)]
    front = pareto_front(np.array([(row.quality, -row.worker_seconds) for row in rows]).reshape(-1, 2))
    rows = [dataclasses.replace(row, on_front=bool(on)) for row, on in zip(rows, front, strict=True)]
    return Leaderboard(
        tuple(rows), tuple(entry for entry in entries if entry not in best), choice.words, evaluation.measure.words
    )


def _row(history: History, evaluation: Evaluation, place: int, found: tuple[Trial, Result], winner: Trial) -> Row:
    trial, result = found
    results = [r for n, r in history.results.items() if history.trials[n].strategy == trial.strategy]
    auc, within = evaluation.auc(trial.number), evaluation.within_members(trial.number)
    paired = evaluation.compare(winner.number, trial.number) if trial.number != winner.number else None
    return Row(
        place=place,
        entry=trial.strategy,
        model=describe_trial(trial, evaluation, history),
        trial=trial.number,
        trials=len(results),
        failed=sum(not r.state.scored for r in results),
        steps=sum(r.costs.steps for r in results),
        train_seconds=sum(r.costs.train_seconds for r in results),
        eval_seconds=sum(r.costs.eval_seconds for r in results),
        worker_seconds=sum(r.costs.worker_seconds for r in results),
        quality=float(result.quality or 0.0),
        test_quality=_finite(evaluation.quality(trial.number).estimate),
        validation_auc=float(result.auc or 0.0),
        test_auc=_finite(auc.estimate),
        test_low=_finite(auc.low),
        test_high=_finite(auc.high),
        member_auc=_finite(within["member_auc"]),
        ndcg_at_10=_finite(within["ndcg_at_10"]),
        precision_at_10=_finite(within["precision_at_10"]),
        cold_start_auc=_finite(evaluation.cold_start(trial.number)),
        p_value=None if paired is None else _finite(paired.p_value),
        difference=None if paired is None else _finite(paired.difference),
    )


def describe_trial(trial: Trial, evaluation: Evaluation, history: History) -> str:
    """A trial's model in words: the family and its parameters, or the families that a mixture is made of."""
    members = evaluation.model(trial.number).members
    if trial.family != MIXTURE and len(members) == 1:
        return f"{trial.family} {parameters(trial.parameters)}".strip()
    families = [history.trials[number].family for number in members]
    counted = {family: families.count(family) for family in dict.fromkeys(families)}
    return "mixture of " + " + ".join(f"{count} {family}" for family, count in counted.items())


def parameters(values: Mapping[str, object]) -> str:
    """Parameters in a line."""
    return ", ".join(f"{name}={_short(value)}" for name, value in values.items())


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
