"""The laws of `Strategy`, run over every strategy; a new one adds a line to CASES."""

import json
import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from glmix_automl.search import STRATEGIES, Strategy
from glmix_automl.search.ordered import Ordered
from glmix_automl.space import Space
from glmix_automl.trial import Costs, Progress, Result, State, Trial

SPACE = {
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1, "scale": "log"},
    "keep": {"type": "float", "low": 0.1, "high": 0.9, "scale": "logit"},
    "depth": {"type": "int", "low": 0, "high": 3},
    "width": {"choice": [16, 64, 256], "when": {"depth": {"low": 1}}},
    "nesterov": {"type": "bool"},
    "forbidden": [{"depth": 3, "width": 256}],
}
WORK = {"family": "subnetwork", "space": SPACE}
POOL = {"kind": "pool", "candidates": [{"family": "logistic"}, {"family": "subnetwork", "parameters": {"depth": 2}}]}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "growth": ("adanet", {"generator": POOL, "candidates": 20}),
    "growth in rounds": ("adanet", {"generator": POOL, "candidates": 20, "barrier": True, "warm_start": True}),
    "growth of all": ("adanet", {"generator": {"kind": "simple"}, "candidates": 20, "ensemble": "all"}),
    "growth in both directions": (
        "adanet",
        {"generator": {"kind": "dynamic"}, "rounds": 5, "distillation": "born_again", "training": "labels"},
    ),
    "replay": (
        "replay",
        {"plan": {"members": [{"family": "logistic"}, {"family": "cross", "offset": {0: 1.0}}, {"family": "cross"}]}},
    ),
    "warm replay": (
        "replay",
        {
            "plan": {
                "origin": "studies/yesterday",
                "members": [
                    {"family": "logistic", "checkpoint": "trials/0"},
                    {"family": "cross", "offset": {0: 1.0}, "checkpoint": "trials/3"},
                    {"family": "cross", "parent": 1},
                ],
            },
            "warm_start": True,
        },
    ),
    "growth by arms": ("adanet", {}),
    "tuned growth": (
        "adanet",
        {"generator": {"kind": "tuned", "strategy": "random", **WORK, "trials": 12}, "candidates": 20},
    ),
    "fixed": ("fixed", {"family": "logistic", "trials": [{}, {"parameters": {"l2": 0.1}}, {"epochs": 3}]}),
    "coordinates": (
        "coordinates",
        {
            "coordinates": [
                {"family": "logistic"},
                {"family": "random_effect", "parameters": {"entity": "member"}, "locked": True},
                {"family": "random_effect", "parameters": {"entity": "item"}},
            ],
            "improvement": 0.0,
        },
    ),
    "grid": ("grid", {**WORK, "resolution": {"learning_rate": 3, "keep": 2}}),
    "random": ("random", {**WORK, "trials": 20}),
    "latin hypercube": ("random", {**WORK, "trials": 20, "sampling": "latin_hypercube"}),
    "sobol": ("random", {**WORK, "trials": 20, "sampling": "sobol"}),
    "gaussian process": ("bayes", {**WORK, "trials": 12, "start": 4}),
    "random forest": ("bayes", {**WORK, "trials": 12, "surrogate": "random_forest", "decay": {}}),
    "extra trees": (
        "bayes",
        {**WORK, "trials": 12, "surrogate": "extra_trees", "own_exploration": True, "liar": "min"},
    ),
    "expected improvement": ("bayes", {**WORK, "trials": 10, "acquisition": "expected_improvement", "exploration": 0}),
    "constrained": ("bayes", {**WORK, "trials": 10, "constraints": [{"metric": "parameters", "at_most": 64}]}),
    "pareto": (
        "bayes",
        {**WORK, "trials": 10, "second": {"metric": "parameters"}, "acquisition": "probability_of_improvement"},
    ),
    "asha": ("asha", {**WORK, "trials": 20, "epochs": 9, "rungs": 3}),
    "asha by fraction": ("asha", {**WORK, "trials": 20, "fidelity": "fraction", "rungs": 3}),
    "successive halving": ("successive_halving", {**WORK, "trials": 20, "epochs": 9, "rungs": 3}),
    "hyperband": ("hyperband", {**WORK, "epochs": 9, "rungs": 3, "rounds": 2}),
    "bohb": ("bohb", {**WORK, "epochs": 9, "rungs": 3, "rounds": 2}),
    "median rule": ("random", {**WORK, "trials": 20, "epochs": 9, "median_rule": {}}),
    "multitask": ("multitask", {**WORK, "trials": 20, "start": 6, "epochs": 9, "rungs": 3}),
    "multitask by fraction": ("multitask", {**WORK, "trials": 15, "start": 6, "fidelity": "fraction", "rungs": 3}),
    "optuna": ("optuna", {**WORK, "trials": 20, "sampler": "TPESampler"}),
}
"""Case -> (name of the strategy, options)."""
ORDERED = {
    "bayes told in order": ("random forest", 3),
    "gain per second told in order": ("gaussian process", 3),
    "multitask told in order": ("multitask", 2),
    "growth told in order": ("growth", 2),
    "grid in turn": ("grid", 0),
}
"""Case -> the case that is told in order, and the lag."""
LIMIT = 3000
"""Trials after which a strategy counts as endless; every case is configured to stop far below."""


def maker(case: str) -> Callable[[int], Strategy]:
    if case in ORDERED:
        inner, lag = ORDERED[case]
        make = maker(inner)
        return lambda seed: Ordered(make(seed), lag)
    name, options = CASES[case]
    kind = STRATEGIES[name]
    return lambda seed: kind.make(kind.options.model_validate(options), seed)


@pytest.fixture(params=[*CASES, *ORDERED])
def case(request: pytest.FixtureRequest) -> Callable[[int], Strategy]:
    return maker(request.param)


def outcome(trial: Trial, fails: bool = False) -> Result:
    """What becomes of a trial: an AUC that its parameters and budget decide, one in five lost if `fails`."""
    if fails and trial.seed % 5 == 0:
        return Result.failure(trial.number, "lost its worker", costs=Costs(worker_seconds=0.5))
    rate = float(trial.parameters.get("learning_rate") or 0.1)
    auc = 0.8 - 0.01 * (math.log10(rate) + 2) ** 2 - 0.02 / trial.epochs + (trial.seed % 100) * 1e-5
    curve = (Progress(trial.number, trial.epochs, 1, 1.0, auc=auc),)
    costs = Costs(worker_seconds=trial.epochs * trial.fraction)
    metrics = {"auc_variance": 1e-6, "parameters": float(trial.parameters.get("width") or 1)}
    ensemble = None
    if trial.fit is not None:  # what a mixture fit reports
        metrics |= {"objective": 0.5}
        ensemble = replace(trial.fit.begin, weights=(1.0,) * len(trial.fit.begin.members))
    return Result(trial.number, State.FINISHED, auc, 0.5, metrics, curve, costs, ensemble=ensemble)


def play(strategy: Strategy, slots: int, order: np.random.Generator, fails: bool = False) -> list[list[Trial]]:
    """Runs a strategy to its end on `slots` slots; trials end in random order. Gives every ask's answer."""
    asks: list[list[Trial]] = []
    out: list[Trial] = []
    for _ in range(LIMIT):
        asks.append(strategy.ask(slots - len(out)) if len(out) < slots else [])
        assert len(asks[-1]) <= slots - len(out)
        out += asks[-1]
        if not out:
            return asks
        ended = out.pop(int(order.integers(len(out))))
        result, seconds = outcome(ended, fails), float(order.exponential())
        strategy.tell(replace(result, costs=replace(result.costs, worker_seconds=seconds)))
    raise AssertionError(f"no end after {LIMIT} asks")


def test_it_ends_and_numbers_its_trials_from_0(case: Callable[[int], Strategy]) -> None:
    trials = [trial for asked in play(case(1), 4, np.random.default_rng(0)) for trial in asked]
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert len(trials) >= 3


def test_once_ended_it_stays_ended(case: Callable[[int], Strategy]) -> None:
    strategy = case(1)
    play(strategy, 4, np.random.default_rng(0))
    assert strategy.ask(4) == []


def test_the_same_seed_and_calls_give_the_same_asks(case: Callable[[int], Strategy]) -> None:
    assert play(case(3), 4, np.random.default_rng(1)) == play(case(3), 4, np.random.default_rng(1))


def test_proposals_are_points_of_the_space(case: Callable[[int], Strategy], request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["case"]
    options = CASES[ORDERED[name][0] if name in ORDERED else name][1]
    if "space" not in options:
        pytest.skip("chooses from no space")
    space = Space.model_validate(options["space"])
    for trial in (trial for asked in play(case(5), 3, np.random.default_rng(2)) for trial in asked):
        assert space.problem(trial.parameters) is None, trial


def test_failures_are_survived(case: Callable[[int], Strategy]) -> None:
    assert play(case(2), 4, np.random.default_rng(3), fails=True)


def test_all_trials_failing_is_survived(case: Callable[[int], Strategy]) -> None:
    strategy, failed = case(2), 0
    while asked := strategy.ask(4):
        for trial in asked:
            strategy.tell(Result.failure(trial.number, "no luck"))
        failed += len(asked)
        assert failed < LIMIT


def test_the_order_of_tells_between_two_asks_does_not_matter(case: Callable[[int], Strategy]) -> None:
    forward, backward = case(4), case(4)
    for _ in range(LIMIT):
        asked = forward.ask(6)
        assert backward.ask(6) == asked
        if not asked:
            return
        for trial in asked:
            forward.tell(outcome(trial))
        for trial in reversed(asked):
            backward.tell(outcome(trial))
    raise AssertionError("no end")


def test_pickling_in_the_middle_keeps_the_next_asks(case: Callable[[int], Strategy]) -> None:
    strategy = case(6)
    for _ in range(3):
        for trial in strategy.ask(3):
            strategy.tell(outcome(trial))
    copy = pickle.loads(pickle.dumps(strategy))
    rest = play(strategy, 3, np.random.default_rng(4))
    assert play(copy, 3, np.random.default_rng(4)) == rest


Call = tuple[int, list[Trial]] | Result


def begin(strategy: Strategy, calls: int) -> tuple[list[Call], list[Trial]]:
    """The first calls of a run on three slots, and the trials that are out after them."""
    made: list[Call] = []
    out: list[Trial] = []
    order = np.random.default_rng(6)
    while len(made) < calls:
        if len(out) < 3:
            made.append((3 - len(out), strategy.ask(3 - len(out))))
            out += made[-1][1]
        if not out:
            break
        result = outcome(out.pop(int(order.integers(len(out)))))
        made.append(result)
        strategy.tell(result)
    return made, out


def recall(strategy: Strategy, calls: list[Call], change: Callable[[Trial], Trial] = lambda trial: trial) -> None:
    """What a journal makes of these calls, by way of JSON."""
    for call in calls:
        if isinstance(call, Result):
            strategy.tell(Result.from_json(json.loads(json.dumps(call.to_json()))))
        else:
            asked = [Trial.from_json(json.loads(json.dumps(change(trial).to_json()))) for trial in call[1]]
            strategy.recall(asked, call[0])


def go_on(strategy: Strategy, out: list[Trial]) -> list[list[Trial]]:
    for trial in out:
        strategy.tell(outcome(trial))
    return play(strategy, 3, np.random.default_rng(7))


@pytest.mark.parametrize("calls", [3, 17])
def test_recalling_what_was_asked_leaves_it_as_asking_did(
    case: Callable[[int], Strategy], calls: int, request: pytest.FixtureRequest
) -> None:
    whole, resumed = case(8), case(8)
    made, out = begin(whole, calls)
    recall(resumed, made)
    rest, again = go_on(whole, out), go_on(resumed, out)
    if request.node.callspec.params["case"] == "optuna":  # its samplers' generators begin anew
        assert [len(asked) for asked in again] == [len(asked) for asked in rest]
    else:
        assert again == rest


def elsewhere(trial: Trial) -> Trial:
    """A trial as another processor would round it."""
    moved = {
        name: math.nextafter(value, 0.5) if isinstance(value, float) else value
        for name, value in trial.parameters.items()
    }
    return replace(trial, parameters=moved)


def test_what_was_recorded_is_the_truth_where_it_would_be_proposed_otherwise(case: Callable[[int], Strategy]) -> None:
    made, out = begin(case(9), 12)
    resumed = case(9)
    recall(resumed, made, elsewhere)
    asked = [trial for call in made if isinstance(call, tuple) for trial in call[1]]
    rest = [trial for asks in go_on(resumed, out) for trial in asks]
    assert [trial.number for trial in [*asked, *rest]] == list(range(len(asked) + len(rest)))


def test_a_parent_is_an_earlier_trial_that_was_told(case: Callable[[int], Strategy]) -> None:
    strategy, order = case(7), np.random.default_rng(5)
    out: list[Trial] = []
    told: set[int] = set()
    for _ in range(LIMIT):
        out += strategy.ask(5 - len(out)) if len(out) < 5 else []
        for trial in out:
            assert trial.parent is None or trial.parent in told
        if not out:
            return
        ended = out.pop(int(order.integers(len(out))))
        strategy.tell(outcome(ended))
        told.add(ended.number)


def test_asking_for_none_gives_none(case: Callable[[int], Strategy]) -> None:
    assert case(0).ask(0) == []


@pytest.mark.parametrize("name", ORDERED)
def test_told_in_order_it_repeats_itself_whatever_took_how_long(name: str) -> None:
    runs = [play(maker(name)(1), 3, np.random.default_rng(order), fails=True) for order in range(3)]
    first, *others = [sorted((t for asked in run for t in asked), key=lambda t: t.number) for run in runs]
    assert others == [first, first]
    unordered = [play(maker("random forest")(1), 3, np.random.default_rng(order)) for order in range(2)]
    assert unordered[0] != unordered[1], "or this test could not fail"


def test_a_strategy_that_stops_trials_cannot_be_told_in_order() -> None:
    with pytest.raises(ValueError, match="cannot repeat itself"):
        Ordered(maker("median rule")(1), 2)
