"""Which entry of a race wins: the best on validation, or a simpler one that is not told apart from it there."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.search.growth.state import complexity
from glmix_automl.study.history import History
from glmix_automl.study.settings import Preference
from glmix_automl.trial import Result, Trial

EntryModel = tuple[Trial, Result]


@dataclass(frozen=True)
class WinnerChoice:
    """The winner among entries, and why.

    Attributes:
        entry: the one that wins.
        order: all of them, the winner first, then by the study's measure on validation.
        words: how sure it is that the winner is the best, a sentence.
    """

    entry: str
    order: tuple[str, ...]
    words: str


def choose(models: Mapping[str, EntryModel], judged: Evaluation, history: History, prefer: Preference) -> WinnerChoice:
    """The winner by the one-standard-error rule (Breiman et al. 1984, Classification and Regression Trees, 3.4.3).

    Among entries whose measure on validation is within one standard error of the best one's, of the paired difference
    with members as clusters, `simpler` takes the one of the least complexity; `best` takes the best whatever the noise.

    Args:
        models: the model of each entry, by name; at least one.
        judged: of the validation rows.
        history: of the study.
        prefer: `simpler` or `best`.
    """
    ranked = sorted(models, key=lambda entry: (-(models[entry][1].quality or 0.0), models[entry][0].number))
    best, near = ranked[0], {}
    for entry in ranked[1:]:
        found = judged.compare(models[entry][0].number, models[best][0].number)
        if found.difference <= found.standard_error:  # false where there is no standard error
            near[entry] = found
    size = {entry: sum_complexity(models[entry][0], judged, history) for entry in (best, *near)}
    simpler = [entry for entry in near if size[entry] < size[best]]
    winner = min(simpler, key=size.__getitem__) if simpler and prefer == "simpler" else best
    order = (winner, *(entry for entry in ranked if entry != winner))
    if winner != best:
        gap = near[winner]
        words = (
            f"{winner} wins: it is simpler than {best}, whose validation {judged.measure.words} is higher by "
            f"{gap.difference:.4f} only, within one standard error ({gap.standard_error:.4f})"
        )
    elif simpler:
        words = f"{best} is within one standard error of simpler models: {', '.join(simpler)}"
    elif near:
        words = f"{best} is the best on validation, and no entry within one standard error of it is simpler"
    else:
        words = f"{best} is the best on validation, by more than one standard error"
    return WinnerChoice(winner, order, words if len(models) > 1 else f"{best} is the only entry with a model")


def sum_complexity(trial: Trial, evaluation: Evaluation, history: History) -> float:
    """The sum of the complexities r(h) of the coordinates that a model is made of (Cortes et al. 2017)."""
    members = evaluation.model(trial.number).pruned.members
    return math.fsum(complexity(history.trials[member], history.results[member]) for member in members)
