"""Multitask search: cheap trials first, promotions from checkpoints, and the full budget spent where it is worth it."""

import numpy as np
import pytest

from glmix_automl.search.multitask import Multitask, MultitaskOptions
from glmix_automl.search.surrogates.calibration import Line, fit_line, fit_lines
from glmix_automl.search.surrogates.gaussian_process import WIDE, matern
from glmix_automl.trial import Costs, Result, State, Trial

SPACE = {"x": {"type": "float", "low": 0, "high": 1}, "y": {"type": "float", "low": 0, "high": 1}}


def auc(trial: Trial) -> float:
    x, y = float(trial.parameters["x"] or 0), float(trial.parameters["y"] or 0)
    return 0.8 - 0.1 * ((x - 0.3) ** 2 + (y - 0.7) ** 2) - 0.05 * (1 / (trial.epochs * trial.fraction) - 1 / 27)


def run(**options: object) -> list[Trial]:
    work = {"family": "f", "space": SPACE, "epochs": 27, "trials": 40, **options}
    strategy = Multitask(MultitaskOptions.model_validate(work), 0)
    trials: list[Trial] = []
    while asked := strategy.ask(2):
        for trial in asked:
            begun = trials[trial.parent].epochs if trial.parent is not None else 0.0
            trials.append(trial)
            seconds = (trial.epochs - begun) * trial.fraction
            strategy.tell(Result(trial.number, State.FINISHED, auc(trial), costs=Costs(worker_seconds=seconds)))
    return trials


def test_it_finds_the_best_at_the_full_budget_from_mostly_cheap_trials() -> None:
    trials = run()
    full = [trial for trial in trials if trial.epochs == 27]
    assert full
    assert max(auc(trial) for trial in full) > 0.7995
    assert sum(trial.epochs < 27 for trial in trials) > len(trials) / 2


def test_a_promotion_continues_the_trial_below_with_the_same_parameters() -> None:
    trials = run()
    promoted = [trial for trial in trials if trial.parent is not None]
    assert promoted
    for trial in promoted:
        lower = trials[int(trial.parent or 0)]
        assert trial.parameters == lower.parameters
        assert trial.epochs > lower.epochs


def test_no_trial_is_continued_twice() -> None:
    parents = [trial.parent for trial in run() if trial.parent is not None]
    assert len(parents) == len(set(parents))


def test_fractions_are_a_fidelity_too() -> None:
    trials = run(fidelity="fraction", epochs=1, fraction=1.0, rungs=3)
    assert {trial.fraction for trial in trials} <= {round(1 / 9, 6), round(1 / 3, 6), 1.0}
    assert all(trial.parent is None and trial.epochs == 1 for trial in trials)
    full = [auc(trial) for trial in trials if trial.fraction == 1.0]
    # At this budget even the optimum is at 0.8 - 0.05 * 26/27.
    assert max(full) > 0.7995 - 0.05 * 26 / 27


def test_a_line_between_budgets_is_learnt_from_points_tried_on_both() -> None:
    points = [bytes([number]) for number in range(6)] + [bytes([5])]
    rungs, aucs = np.array([0] * 6 + [1]), np.array([0.6 + 0.01 * number for number in range(6)] + [0.75])
    low, top = fit_lines(points, rungs, aucs, 2)
    assert low.full(0.65) == pytest.approx(0.75)
    assert low.full(0.61) == pytest.approx(0.71)  # as far below the worst promoted point as here
    assert top.full(0.75) == 0.75
    assert top.variance == 0 < low.variance


def test_a_budget_that_ranks_by_chance_is_doubted_and_one_that_ranks_well_is_not() -> None:
    rng = np.random.default_rng(0)
    here = rng.normal(0.7, 0.01, 40)
    noise = fit_line(here, list(zip(here, rng.normal(0.75, 0.001, 40), strict=True)), Line())
    true = fit_line(here, list(zip(here, 0.1 + 0.5 * here + 0.3, strict=True)), Line())
    assert noise.slope < 0.1
    assert noise.full(0.6) < noise.full(float(here.min())) - 0.05  # what is far worse is not taken for as good
    assert true.slope == pytest.approx(0.5, abs=0.02)
    # The noise has a variance of 1e-6; a true line leaves what is expected before, shared among 41 points.
    assert noise.variance > 1e-6 / 2
    assert true.variance < noise.variance / 4


@pytest.mark.parametrize("small", ["nothing", "the opposite"])
def test_where_small_budgets_mislead_only_full_trials_are_begun(small: str) -> None:
    def misleading(trial: Trial) -> float:
        if trial.epochs == 27:
            return auc(trial)
        return 0.5 + 0.2 * (trial.seed % 1000) / 1000 if small == "nothing" else 1.4 - auc(trial)

    shares = []
    for say in (misleading, auc):
        work = {"family": "f", "space": SPACE, "epochs": 27, "trials": 60}
        strategy = Multitask(MultitaskOptions.model_validate(work), 0)
        trials: list[Trial] = []
        while asked := strategy.ask(2):
            trials += asked
            for trial in asked:
                costs = Costs(worker_seconds=trial.epochs)
                strategy.tell(Result(trial.number, State.FINISHED, say(trial), costs=costs))
        full = [trial for trial in trials if trial.epochs == 27]
        assert max(auc(trial) for trial in full) > 0.7995
        shares.append(len(full) / len(trials))
        if say is misleading:
            assert all(trial.epochs == 27 for trial in trials[-20:])
    assert shares[0] > shares[1]


def test_a_search_that_was_misled_goes_on_as_it_would_have() -> None:
    def tell(strategy: Multitask, trials: list[Trial]) -> None:
        for trial in trials:
            found = auc(trial) if trial.epochs == 27 else 1.4 - auc(trial)
            costs = Costs(worker_seconds=trial.epochs)
            strategy.tell(Result(trial.number, State.FINISHED, found, costs=costs))

    options = MultitaskOptions.model_validate({"family": "f", "space": SPACE, "epochs": 27, "trials": 50})
    whole, resumed = Multitask(options, 0), Multitask(options, 0)
    for _ in range(20):
        asked = whole.ask(2)
        resumed.recall(asked, 2)
        tell(whole, asked)
        tell(resumed, asked)
    assert all(trial.epochs == 27 for trial in asked)
    while asked := whole.ask(2):
        assert resumed.ask(2) == asked
        tell(whole, asked)
        tell(resumed, asked)


def test_what_looks_worst_on_a_small_budget_is_promoted_where_that_misleads() -> None:
    side = {"type": "int", "low": 0, "high": 9}
    work = {"family": "f", "space": {"x": side, "y": side}, "epochs": 9, "rungs": 2, "start": 100, "trials": 130}
    strategy = Multitask(MultitaskOptions.model_validate(work), 0)

    def value(trial: Trial) -> float:
        x, y = int(trial.parameters["x"] or 0), int(trial.parameters["y"] or 0)
        below = 0.002 * ((x - 2) ** 2 + (y - 7) ** 2)
        return 0.8 - below if trial.epochs == 9 else 0.6 + below

    best, small = 0.0, set()
    while asked := strategy.ask(2):
        for trial in asked:
            if trial.epochs == 9:
                best = max(best, value(trial))
            else:
                small.add(tuple(trial.parameters.items()))
            costs = Costs(worker_seconds=trial.epochs if trial.parent is None else 8.0)
            strategy.tell(Result(trial.number, State.FINISHED, value(trial), costs=costs))
    assert len(small) == 100  # every point there is, the best one with the worst result
    assert best == 0.8


def test_before_any_result_the_lowest_budget_says_half_of_the_full_one() -> None:
    strategy = Multitask(MultitaskOptions.model_validate({"family": "f", "space": SPACE, "epochs": 27}), 0)
    low, full = strategy._with_rung(np.full((2, 2), 0.5), np.array([0.0, 3.0]))
    apart = np.square((low - full) / WIDE.usual(3)).sum()
    assert matern(apart) == pytest.approx(0.5, abs=0.03)


def test_it_begins_in_the_middle() -> None:
    strategy = Multitask(MultitaskOptions.model_validate({"family": "f", "space": SPACE, "epochs": 27}), 0)
    assert strategy.ask(1)[0].parameters == {"x": 0.5, "y": 0.5}
