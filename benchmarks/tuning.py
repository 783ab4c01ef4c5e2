"""Worker-seconds until a strategy reaches the best of a 144-point grid, as a share of random search's.

    python benchmarks/tuning.py --seeds 30 --slots 8
    python benchmarks/tuning.py --problems mixed --strategies random gp optuna-tpe deephyper-et

Trials are replayed on the simulated asynchronous pool. Two targets: the best of the grid, and within a small distance
of the best there is. A run that does not get there is counted at its whole cost. Figures are medians over seeds. The
peers need `pip install optuna deephyper` and are left out, with a word, where they are not installed.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from problems import EPOCHS, Problem, problems

from glmix_automl.search import STRATEGIES, Strategy
from glmix_automl.search.grid import lattice
from glmix_automl.workers.simulated import SimulatedExecutor

OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("random", {}),
    "sobol": ("random", {"sampling": "sobol"}),
    "gp": ("bayes", {}),
    "rf": ("bayes", {"surrogate": "random_forest"}),
    "multitask": ("multitask", {}),
    "asha": ("asha", {}),
    "bohb": ("bohb", {"rounds": 20}),
    "et": ("bayes", {"surrogate": "extra_trees"}),
}
"""Name here -> strategy and options."""


@dataclass(frozen=True)
class Run:
    """One seed: worker-seconds and trials until each target (None: not reached), seconds per ask and tell."""

    cost: tuple[float | None, ...]
    trials: tuple[int | None, ...]
    whole_cost: float
    seconds: float


def grid_best(problem: Problem) -> float:
    """Best full value on the 144-point grid."""
    points = list(problem.grid_points) or problem.space.from_unit(lattice(problem.space, problem.grid))
    return max(problem.value(point, EPOCHS) for point in points)


def play(problem: Problem, strategy: Strategy, slots: int, targets: tuple[float, ...], limit: float) -> Run:
    """Runs a strategy until every target is reached by a full trial, it ends, or the pool has spent `limit` seconds."""
    pool = SimulatedExecutor(problem.carry_out, slots)
    running: dict[Any, Any] = {}
    cost: list[float | None] = [None] * len(targets)
    counts: list[int | None] = [None] * len(targets)
    asked, own = 0, 0.0
    while None in cost and pool.now() * slots < limit:
        start = time.perf_counter()
        trials = strategy.ask(slots - len(running)) if len(running) < slots else []
        own += time.perf_counter() - start
        asked += len(trials)
        running.update({pool.submit(trial): trial for trial in trials})
        if not running:
            break
        for future in pool.wait(list(running), None):
            trial, result = running.pop(future), future.result()
            for i, target in enumerate(targets):
                if cost[i] is None and trial.epochs >= EPOCHS and result.auc >= target:
                    cost[i], counts[i] = pool.now() * slots, asked - len(running)
            start = time.perf_counter()
            strategy.tell(result)
            own += time.perf_counter() - start
    pool.shutdown(wait=False, cancel_futures=True)
    return Run(tuple(cost), tuple(counts), pool.now() * slots, own / max(asked, 1))


def maker(name: str) -> Callable[[Problem, int], Strategy]:
    """How to make a strategy of that name for a problem and a seed.

    Raises:
        ImportError: the peer is not installed.
    """
    if name not in OURS:
        from peers import peer  # type: ignore[import-not-found]

        return peer(name)
    kind, options = OURS[name]

    def make(problem: Problem, seed: int) -> Strategy:
        work = {"family": "replayed", "space": problem.space, "epochs": EPOCHS, **options}
        if "trials" in STRATEGIES[kind].options.model_fields:
            work["trials"] = 2000
        return STRATEGIES[kind].make(STRATEGIES[kind].options.model_validate(work), seed)

    return make


def measure(problem: Problem, name: str, slots: int, seeds: int) -> list[Run]:
    """One run per seed."""
    make = maker(name)
    targets = (grid_best(problem), problem.best - problem.near)
    limit = 400 * statistics.median(problem.seconds(p) for p in _sample(problem))
    return [play(problem, make(problem, seed), slots, targets, limit) for seed in range(seeds)]


def _sample(problem: Problem) -> list[dict[str, Any]]:
    from glmix_automl.seeds import generator

    return problem.space.sample(generator(0, "costs"), 200)


def _median(runs: list[Run], target: int) -> tuple[float, float, int]:
    """Median cost and trials (the whole cost where the target was missed), and how many seeds got there."""
    costs = [run.whole_cost if run.cost[target] is None else run.cost[target] for run in runs]
    trials = [float("inf") if run.trials[target] is None else run.trials[target] for run in runs]
    return statistics.median(costs), statistics.median(trials), sum(run.cost[target] is not None for run in runs)


def report(problem: Problem, slots: int, runs_by_name: dict[str, list[Run]]) -> None:
    """Prints a line per strategy, with its share of the cost of random search in the same call."""
    print(f"\n{problem.name}, {slots} slots, {len(next(iter(runs_by_name.values())))} seeds: best {problem.best:.5g}")
    print(f"  grid's best {grid_best(problem):.5g}; near means within {problem.near:g} of the best")
    print(f"  {'':16s} {'-- to the best of the grid --':>31s}   {'-- to near the best --':>31s}")
    print(
        f"  {'strategy':16s} " + "   ".join([f"{'trials':>16s} {'share':>7s} {'seeds':>6s}"] * 2) + f" {'ms/ask':>8s}"
    )
    for name, runs in runs_by_name.items():
        parts = []
        for target in (0, 1):
            cost, trials, reached = _median(runs, target)
            reference = _median(runs_by_name["random"], target)[0]
            parts.append(f"{trials:16.1f} {cost / reference:7.3f} {reached:6d}")
        print(
            f"  {name:16s} {'   '.join(parts)} {1000 * statistics.mean(run.seconds for run in runs):8.1f}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(problems()))
    parser.add_argument("--strategies", nargs="+", default=list(OURS))
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--slots", type=int, default=8)
    options = parser.parse_args()
    for name in options.problems:
        problem = problems()[name]
        runs: dict[str, list[Run]] = {}
        for strategy in dict.fromkeys(["random", *options.strategies]):
            try:
                runs[strategy] = measure(problem, strategy, options.slots, options.seeds)
            except ImportError as error:
                print(f"{strategy} is left out: {error}", file=sys.stderr)
        report(problem, options.slots, runs)


if __name__ == "__main__":
    main()
