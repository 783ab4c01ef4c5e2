"""Worker-seconds until a strategy reaches the best of a 144-point grid, as a share of random search's.

    python benchmarks/tuning.py --seeds 30 --slots 8
    python benchmarks/tuning.py --problems mixed --strategies random gp optuna-tpe deephyper-et
    python benchmarks/tuning.py utilisation
    python benchmarks/tuning.py speedup --picture speedup.svg

Trials are replayed on the simulated asynchronous pool. Two targets: the best of the grid, and within a small distance
of the best there is. A run ends when it has reached both, or spent the worker-seconds of `--limit` trials; one that
does not get there is counted at its whole cost. Figures are medians over seeds, of random search over the same ones;
`short` is what a run's best lacks to the best there is. The peers need packages of their own (see `tuning_peers.py`)
and are left out, with a word, where they are not installed. `--grid-only` ends runs at the best of the grid: a peer
that takes seconds for each proposal then has time for as many seeds as ours.

`utilisation` keeps 2,000 workers busy with Hartmann trials whose seconds are log-normal (median 60, deviation 0.5 of
the logarithm). The processor seconds that the strategy takes to be told and to propose pass on the pool's clock, and
workers that come free meanwhile wait; what the study around it takes (journal, hand-over, MLflow) is not counted: see
`controller.py` and `pool.py`. It is the busy share of slots x time, from an empty pool until the last trial is asked.

`speedup` is the time on the pool's clock until the best of the grid, on one worker over that on 2, 4, ... 128; there a
strategy's own time is not counted.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from problems import EPOCHS, Problem, problems
from results import Cell, earlier, record

from glmix_automl.search import STRATEGIES, Strategy
from glmix_automl.search.grid import lattice
from glmix_automl.seeds import generator
from glmix_automl.trial import Result
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
TRIALS = 2000
"""Most trials of a run, unless told otherwise."""
LIMIT = 400
"""Trials whose worker-seconds a run may spend, unless told otherwise."""


@dataclass(frozen=True)
class Run:
    """One seed: worker-seconds and trials until each target (None: not reached), the best, seconds per ask and tell."""

    cost: tuple[float | None, ...]
    trials: tuple[int | None, ...]
    best: float
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
    best, asked, own = float("-inf"), 0, 0.0
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
            if trial.epochs >= EPOCHS:
                best = max(best, result.auc)
            for i, target in enumerate(targets):
                if cost[i] is None and best >= target:
                    cost[i], counts[i] = pool.now() * slots, asked - len(running)
            start = time.perf_counter()
            strategy.tell(result)
            own += time.perf_counter() - start
    pool.shutdown(wait=False, cancel_futures=True)
    return Run(tuple(cost), tuple(counts), best, pool.now() * slots, own / max(asked, 1))


def maker(name: str, trials: int = TRIALS) -> Callable[[Problem, int], Strategy]:
    """How to make a strategy of that name for a problem and a seed.

    Raises:
        ImportError: the peer is not installed.
    """
    if name not in OURS:
        from tuning_peers import peer  # type: ignore[import-not-found]

        return peer(name)
    kind, options = OURS[name]

    def make(problem: Problem, seed: int) -> Strategy:
        work = {"family": "replayed", "space": problem.space, "epochs": EPOCHS, **options}
        if "trials" in STRATEGIES[kind].options.model_fields:
            work["trials"] = trials
        return STRATEGIES[kind].make(STRATEGIES[kind].options.model_validate(work), seed)

    return make


def measure(problem: Problem, name: str, slots: int, seeds: int, trials: int, grid_only: bool = False) -> list[Run]:
    """One run per seed, to both targets or to the first."""
    make = maker(name)
    targets = (grid_best(problem), problem.best - problem.near)[: 1 if grid_only else 2]
    return [play(problem, make(problem, seed), slots, targets, limit(problem, trials)) for seed in range(seeds)]


def limit(problem: Problem, trials: int) -> float:
    """Worker-seconds of so many trials, at the median of those drawn at random."""
    drawn = problem.space.sample(generator(0, "costs"), 200)
    return trials * statistics.median(problem.seconds(parameters) for parameters in drawn)


def _median(runs: list[Run], target: int) -> tuple[float, float, int]:
    """Median cost and trials (the whole cost where the target was missed), and how many seeds got there."""
    costs = [run.whole_cost if run.cost[target] is None else run.cost[target] for run in runs]
    trials = [float("inf") if run.trials[target] is None else run.trials[target] for run in runs]
    return statistics.median(costs), statistics.median(trials), sum(run.cost[target] is not None for run in runs)


def report(problem: Problem, slots: int, runs_by_name: dict[str, list[Run]]) -> None:
    """Prints a line per strategy, with its share of the cost of random search in the same call."""
    print(f"\n{problem.name}, {slots} slots: best {problem.best:.5g}")
    print(f"  grid's best {grid_best(problem):.5g}; near means within {problem.near:g} of the best")
    print(f"  {'':16s} {'-- to the best of the grid --':>31s}   {'-- to near the best --':>31s}")
    heads = "   ".join([f"{'trials':>16s} {'share':>7s} {'seeds':>6s}"] * 2)
    print(f"  {'strategy':16s} {heads} {'short':>9s} {'ms/ask':>8s}")
    for name, runs in runs_by_name.items():
        parts = []
        for target in range(len(runs[0].cost)):
            _, trials, reached = _median(runs, target)
            share = _share(runs_by_name, name, target)
            parts.append(f"{trials:16.1f} {share:7.3f} {f'{reached}/{len(runs)}':>6s}")
        short = problem.best - statistics.median(run.best for run in runs)
        own = 1000 * statistics.mean(run.seconds for run in runs)
        print(f"  {name:16s} {'   '.join(parts)} {short:9.2g} {own:8.1f}", flush=True)


def compare(options: argparse.Namespace) -> None:
    """The costs to both targets, problem by problem."""
    shares: dict[str, dict[str, list[float | None]]] = earlier(options.add, "shares")
    blind: dict[str, float] = earlier(options.add, "random_trials")
    for name in options.problems:
        problem = problems()[name]
        runs: dict[str, list[Run]] = {}
        for strategy in dict.fromkeys(["random", *options.strategies]):
            try:
                seeds = options.seeds if strategy in OURS else min(options.seeds, options.peer_seeds)
                runs[strategy] = measure(problem, strategy, options.slots, seeds, options.limit, options.grid_only)
            except ImportError as error:
                print(f"{strategy} is left out: {error}", file=sys.stderr)
        report(problem, options.slots, runs)
        found = {s: [_share(runs, s, target) for target in range(len(runs[s][0].cost))] for s in runs}
        known = shares.setdefault(name, {})
        known |= {s: [*cells, *known.get(s, [None, None])[len(cells) :]] for s, cells in found.items()}
        blind[name] = _median(runs["random"], 0)[1]
    told = list(dict.fromkeys(s for each in shares.values() for s in each if s != "random"))
    said = {s: ", ".join(f"{each[s][0]:.2f}" if s in each else "not run" for each in shares.values()) for s in told}
    none = [None, None]
    record(
        "tuning",
        f"Worker-seconds to a grid's best, of random search's, on {', '.join(shares)}: "
        f"{'; '.join(f'{strategy} {costs}' for strategy, costs in said.items())}. Random search is there after "
        f"{', '.join(f'{trials:g} trials on {name}' for name, trials in blind.items())}.",
        ["cost, of random search's", *(f"{p}{to}" for p in shares for to in ("", ", near the optimum"))],
        [[s, *(cell for each in shares.values() for cell in each.get(s, none))] for s in told],
        data=f"recorded tables and functions, {options.slots} slots of the simulated pool",
        seeds=f"{options.seeds}, peers at most {options.peer_seeds}",
        spread="medians",
        more={"shares": shares, "random_trials": blind},
    )


def _share(runs: dict[str, list[Run]], strategy: str, target: int) -> float:
    """Median cost of a strategy to a target, of random search's over the same seeds."""
    return _median(runs[strategy], target)[0] / _median(runs["random"][: len(runs[strategy])], target)[0]


def utilisation(options: argparse.Namespace) -> None:
    """Share of the time that the workers of a large pool are busy, per strategy."""
    problem = problems()["hartmann6"]
    print(f"{options.slots:,} slots, {options.trials:,} trials: utilisation, and the strategy's own time")
    rows: list[list[Cell]] = []
    for name in options.strategies:
        busy, seconds, longest = occupy(problem, maker(name, options.trials)(problem, 0), options.slots, options.trials)
        rows.append([name, busy, 1000 * seconds / options.trials, longest])
        print(
            f"  {name:10s} {busy:7.2%}   {rows[-1][2]:6.2f} ms per trial, {longest:5.2f} s at most at once", flush=True
        )
    told = "; ".join(f"{name} {busy:.1%}" for name, busy, *_ in rows)
    record(
        "utilisation",
        f"With trials of a minute {options.slots:,} workers are busy, all the time charged that a strategy takes to be "
        f"told and to propose: {told}.",
        ["strategy", "busy", "ms a trial", "s at most at once"],
        rows,
        data=f"Hartmann, {options.trials:,} trials of log-normal seconds on the simulated pool",
        seeds="1",
    )


def occupy(problem: Problem, strategy: Strategy, slots: int, trials: int) -> tuple[float, float, float]:
    """Utilisation until the last of `trials` is asked for; seconds of all asks and tells, and of the longest."""
    pool = SimulatedExecutor(problem.carry_out, slots)
    running: set[Future[Result]] = set()
    news: set[Future[Result]] = set()
    busy, seconds, longest, asked = 0.0, 0.0, 0.0, 0
    while asked < trials:
        start = time.process_time()
        for future in news:
            strategy.tell(future.result())
        drafted = strategy.ask(min(slots - len(running), trials - asked))
        own = time.process_time() - start
        seconds, longest, asked = seconds + own, max(longest, own), asked + len(drafted)
        news = passed(pool, running, own)
        running = (running - news) | {pool.submit(trial) for trial in drafted}
        if not running:
            sys.exit(f"the strategy ended after {asked:,} of {trials:,} trials; --trials asks for fewer")
        if len(running) == slots:
            news |= pool.wait(running, None)
            running -= news
        busy += sum(future.result().costs.worker_seconds for future in news)
    busy += sum(pool.now() - status.since for status in pool.status() if status.state == "busy")
    return busy / (slots * pool.now()), seconds, longest


def passed(pool: SimulatedExecutor, running: set[Future[Result]], seconds: float) -> set[Future[Result]]:
    """Lets time pass on the pool's clock; what ended meanwhile."""
    until, ended = pool.now() + seconds, set[Future[Result]]()
    while (left := until - pool.now()) > 1e-9:
        ended |= pool.wait(running - ended, left)
    return ended


def speedup(options: argparse.Namespace) -> None:
    """Time until the best of the grid on one worker over that on more, printed and drawn."""
    from matplotlib.figure import Figure

    workers = [2**k for k in range(8)]
    figure = Figure(figsize=(4.2 * len(options.problems), 4), layout="constrained")
    panels = figure.subplots(1, len(options.problems), squeeze=False)[0]
    rows: list[list[Cell]] = []
    for panel, problem in zip(panels, (problems()[name] for name in options.problems), strict=True):
        print(f"\n{problem.name}, {options.seeds} seeds: speed-up against one worker, seeds that got there")
        panel.plot(workers, workers, ":", color="gray", label="ideal")
        for name in options.strategies:
            seconds, reached = zip(*(_until(problem, name, slots, options.seeds) for slots in workers), strict=True)
            gains = [seconds[0] / each for each in seconds]
            panel.plot(workers, gains, "o-", label=name)
            rows.append([f"{problem.name}, {name}", *gains[1:]])
            print(f"  {name:10s}", *(f"{gain:6.1f} ({n})" for gain, n in zip(gains, reached, strict=True)), flush=True)
        panel.set(title=problem.name, xlabel="workers", ylabel="speed-up to the best of the grid")
        panel.set(xscale="log", yscale="log", xticks=workers, xticklabels=workers, yticks=workers, yticklabels=workers)
        panel.minorticks_off()
        panel.legend()
    figure.savefig(options.picture)
    best = "; ".join(f"{row[0]} {row[-1]:.0f}" for row in rows)
    record(
        "speed-up",
        f"Time to the grid's best on one worker over that on {workers[-1]}: {best} "
        f"([picture]({options.picture.name})).",
        ["speed-up on workers", *map(str, workers[1:])],
        rows,
        data="functions and recorded tables, simulated pool",
        seeds=str(options.seeds),
        spread="medians",
    )


def _until(problem: Problem, name: str, slots: int, seeds: int) -> tuple[float, int]:
    """Median time on the pool's clock until the best of the grid, and how many seeds got there."""
    make, target = maker(name), grid_best(problem)
    runs = [play(problem, make(problem, seed), slots, (target,), limit(problem, LIMIT)) for seed in range(seeds)]
    cost, _, reached = _median(runs, 0)
    return cost / slots, reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(problems()))
    parser.add_argument("--strategies", nargs="+", default=list(OURS))
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--peer-seeds", type=int, default=30, help="at most so many for a peer, as some are slow")
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--grid-only", action="store_true", help="a run ends at the best of the grid")
    parser.add_argument("--limit", type=int, default=LIMIT, help="a run ends at the worker-seconds of so many trials")
    parser.add_argument("--add", type=Path, help="a record whose problems and strategies are kept beside these")
    parser.set_defaults(part=compare)
    parts = parser.add_subparsers()
    command = parts.add_parser("utilisation")
    command.set_defaults(part=utilisation)
    command.add_argument("--strategies", nargs="+", default=["random", "gp"])
    command.add_argument("--slots", type=int, default=2000)
    command.add_argument("--trials", type=int, default=20_000)
    command = parts.add_parser("speedup")
    command.set_defaults(part=speedup)
    command.add_argument("--problems", nargs="+", default=list(problems()))
    command.add_argument("--strategies", nargs="+", default=["random", "gp"])
    command.add_argument("--seeds", type=int, default=30)
    command.add_argument("--picture", type=Path, required=True, help="file to draw to, by its ending: svg, png, pdf")
    options = parser.parse_args()
    options.part(options)


if __name__ == "__main__":
    main()
