"""Ladders of budgets: who climbs, what a promotion is, and how brackets are made."""

import numpy as np
import pytest

from glmix_automl.search import STRATEGIES, Strategy
from glmix_automl.search.auc_noise import AucNoise
from glmix_automl.search.rungs import RungOptions, Standing, climbers
from glmix_automl.trial import Result, State, Trial

SPACE = {"x": {"type": "float", "low": 0, "high": 1}}
WORK = {"family": "f", "space": SPACE, "epochs": 9, "rungs": 3, "noise": {"deviations": 0}}


def make(name: str, **options: object) -> Strategy:
    kind = STRATEGIES[name]
    return kind.make(kind.options.model_validate({**WORK, **options}), 0)


def scored(number: int, auc: float, variance: float = 0.0) -> Result:
    return Result(number, State.FINISHED, auc, metrics={"auc_variance": variance})


def run(strategy: Strategy, slots: int = 1) -> list[Trial]:
    """Runs to the end, larger x the better."""
    trials: list[Trial] = []
    while asked := strategy.ask(slots):
        trials += asked
        for trial in asked:
            strategy.tell(scored(trial.number, float(trial.parameters["x"] or 0)))
    return trials


def test_budgets_grow_by_the_reduction_up_to_the_full_one() -> None:
    options = RungOptions.model_validate({"family": "f", "space": SPACE, "epochs": 27, "rungs": 4})
    assert options.budgets == (1, 3, 9, 27)
    by_fraction = options.model_copy(update={"fidelity": "fraction", "reduction": 2, "rungs": 3})
    assert by_fraction.budgets == (0.25, 0.5, 1.0)


def test_the_best_climb_and_failures_do_not() -> None:
    results = [scored(0, 0.6), scored(1, 0.8), Result.failure(2, "lost"), scored(3, 0.7)]
    assert climbers(results, 2, AucNoise(deviations=0)) == [1, 3]
    assert climbers(results, 0, AucNoise()) == []
    assert climbers([Result.failure(0, "lost")], 1, AucNoise()) == []


def test_who_is_not_clearly_below_the_last_place_climbs_too() -> None:
    # Variance 1e-4 each and correlation 0.5: the difference has deviation 0.01.
    results = [scored(0, 0.80, 1e-4), scored(1, 0.795, 1e-4), scored(2, 0.78, 1e-4)]
    assert climbers(results, 1, AucNoise(deviations=1, correlation=0.5)) == [0, 1]
    assert climbers(results, 1, AucNoise(deviations=3, correlation=0.5)) == [0, 1, 2]
    assert climbers(results, 1, AucNoise(deviations=1, correlation=1.0)) == [0]


def test_successive_halving_keeps_a_third_per_rung_and_finds_the_best() -> None:
    trials = run(make("successive_halving", trials=27))
    assert [sum(t.epochs == budget for t in trials) for budget in (1, 3, 9)] == [27, 9, 3]
    best = max(trials, key=lambda t: float(t.parameters["x"] or 0))
    assert {t.epochs for t in trials if t.parameters == best.parameters} == {1, 3, 9}


def test_a_promotion_continues_its_own_checkpoint() -> None:
    trials = run(make("asha", trials=9), slots=2)
    promoted = [trial for trial in trials if trial.parent is not None]
    assert promoted
    for trial in promoted:
        lower = trials[int(trial.parent or 0)]
        assert trial.parameters == lower.parameters
        assert trial.epochs == 3 * lower.epochs


def test_fractions_start_over() -> None:
    trials = run(make("asha", trials=9, fidelity="fraction", epochs=5))
    assert {trial.fraction for trial in trials} == {round(1 / 9, 6), round(1 / 3, 6), 1.0}
    assert all(trial.parent is None and trial.epochs == 5 for trial in trials)


def test_asha_never_waits_while_points_are_left() -> None:
    strategy = make("asha", trials=30)
    assert len(strategy.ask(20)) == 20
    assert len(strategy.ask(10)) == 10
    assert strategy.ask(1) == []


def test_asha_brings_at_least_one_to_the_full_budget() -> None:
    assert max(trial.epochs for trial in run(make("asha", trials=4))) == 9


def test_hyperband_has_the_brackets_of_the_paper() -> None:
    trials = run(make("hyperband"), slots=50)
    started = [trial for trial in trials if trial.parent is None]
    # Li et al. 2018, algorithm 1, with s_max = 2 and eta = 3: 9, 5 and 3 points at 1, 3 and 9 epochs.
    assert [sum(t.epochs == budget for t in started) for budget in (1, 3, 9)] == [9, 5, 3]


def test_bohb_draws_new_points_where_good_ones_are() -> None:
    trials = run(make("bohb", rounds=6))
    new = [float(t.parameters["x"] or 0) for t in trials if t.parent is None]
    even = [float(t.parameters["x"] or 0) for t in run(make("hyperband", rounds=6)) if t.parent is None]
    later = len(new) // 2
    assert sum(new[later:]) / len(new[later:]) > 0.15 + sum(even[later:]) / len(even[later:])


@pytest.mark.parametrize("slots", [1, 7])
def test_the_number_of_slots_does_not_change_a_synchronous_bracket(slots: int) -> None:
    parameters = {str(t.parameters) for t in run(make("successive_halving", trials=9), slots) if t.epochs == 9}
    assert parameters == {str(t.parameters) for t in run(make("successive_halving", trials=9), 3) if t.epochs == 9}


@pytest.mark.parametrize("deviations", [0, 1])
def test_who_climbs_is_as_by_sorting_everybody_again(deviations: float) -> None:
    rng, noise = np.random.default_rng(0), AucNoise(deviations=deviations, correlation=0.5)
    for reduction in (2, 4):
        standing, told, climbed = Standing(noise), list[Result](), set[int]()
        for number in range(200):
            if rng.random() < 0.1:
                result = Result.failure(number, "lost")
            else:
                result = scored(number, round(0.7 + 0.05 * rng.normal(), 2), float(rng.choice([0.0, 1e-5, 1e-4])))
            standing.add(result)
            told.append(result)
            for _ in range(int(rng.integers(3))):
                places = standing.told // reduction
                expected = next((n for n in climbers(told, places, noise) if n not in climbed), None)
                assert standing.climb(places) == expected
                climbed |= {expected} - {None}
        assert len(climbed) > 30
