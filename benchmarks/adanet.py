"""What the parts of growth cost and bring, against baselines run in the same call; growth beside a grid: `poster.py`.

    python benchmarks/adanet.py fit                        # weights on a million rows, against scikit-learn
    python benchmarks/adanet.py straggler DATASET CONF     # one of 4 slots slowed 4 times: with and without barrier
    python benchmarks/adanet.py rounds DATASET CONF        # seconds of the same candidates, round by round
    python benchmarks/adanet.py equal DATASET CONF         # one tower, an ensemble, growth: equal parameters

DATASET is a prepared dataset; CONF a search configuration whose race has an entry `adanet` with a pool of candidates,
such as `conf/search/quickstart.yaml`; its budget does not count here. Trials run one after the other in this process,
each on one thread; slots are those of a virtual clock on which a trial takes the seconds it took here.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glmix_automl import config
from glmix_automl.errors import GlmixError
from glmix_automl.models.mixture import Targets
from glmix_automl.search import STRATEGIES, Strategy
from glmix_automl.search.adanet import AdaNet
from glmix_automl.search.growth.grown import trace_growth
from glmix_automl.search.growth.options import AdaNetOptions
from glmix_automl.study.settings import EntrySettings, SearchSettings
from glmix_automl.training.mixture_weights import fit_mixture
from glmix_automl.trial import Result, Trial


@dataclass
class Run:
    """One strategy on one dataset: trials and results as a journal has them, and when each ended on the clock."""

    trials: dict[int, Trial] = field(default_factory=dict)
    results: dict[int, Result] = field(default_factory=dict)
    ended: dict[int, float] = field(default_factory=dict)

    @property
    def best(self) -> Result:
        """The best on validation."""
        return max((r for r in self.results.values() if r.auc is not None), key=lambda r: r.auc or 0.0)

    @property
    def train_seconds(self) -> float:
        """Of every trial, mixture fits included."""
        return sum(r.costs.train_seconds for r in self.results.values())

    @property
    def worker_seconds(self) -> float:
        """Training, evaluation and all between."""
        return sum(r.costs.worker_seconds for r in self.results.values())


def play(
    strategy: Strategy,
    dataset: str,
    seed: int,
    slots: int = 1,
    factor: Callable[[int], float] = lambda slot: 1.0,
    seconds: float = math.inf,
) -> Run:
    """Runs a strategy on slots of a virtual clock to its end, or until trials took so many worker-seconds; `factor` is
    how much slower a slot is.
    """
    from glmix_automl.training.evaluate import Evaluator

    run, clock = Run(), 0.0
    out: list[tuple[float, int, int]] = []
    with tempfile.TemporaryDirectory() as study:
        evaluator = Evaluator(dataset, study, seed=seed, threads=1)
        while True:
            free = [slot for slot in range(slots) if slot not in {s for _, _, s in out}]
            wanted = len(free) if run.worker_seconds < seconds else 0
            for trial, slot in zip(strategy.ask(wanted) if wanted else (), free, strict=False):
                run.trials[trial.number] = trial
                run.results[trial.number] = _evaluated(evaluator, trial)
                took = run.results[trial.number].costs.worker_seconds
                out.append((clock + took * factor(slot), trial.number, slot))
            if not out:
                return run
            first = min(out)
            out.remove(first)
            clock = run.ended[first[1]] = first[0]
            strategy.tell(run.results[first[1]])


def _evaluated(evaluator: Any, trial: Trial) -> Result:
    try:
        result: Result = evaluator(trial, lambda progress: False)
    except GlmixError as error:
        return Result.failure(trial.number, str(error))
    return result


def made(entry: EntrySettings, seed: int, **changes: Any) -> Strategy:
    """The strategy of a race entry, some options changed."""
    kind = STRATEGIES[entry.strategy]
    return kind.make(config.parse({**entry.options, **changes}, kind.options, entry.strategy), seed)


def fit(arguments: argparse.Namespace) -> None:
    """Seconds of a mixture fit by rows and members; scikit-learn's lbfgs on the same columns beside it."""
    from sklearn.linear_model import LogisticRegression

    print(
        f"{'rows':>9} {'members':>7} {'cold s':>7} {'warm s':>7} {'sklearn s':>9} {'ratio':>6} {'loss - its loss':>20}"
    )
    rng = np.random.default_rng(0)
    for rows in (100_000, 1_000_000):
        truth = rng.normal(size=rows)
        columns = [(truth * (1 + k / 10) + rng.normal(size=rows)).astype(np.float32) for k in range(10)]
        label = (rng.uniform(size=rows) < 1 / (1 + np.exp(-truth))).astype(np.float32)
        for members in (1, 2, 5, 10):
            taken = columns[:members]
            cold, found = _timed(fit_mixture, taken, Targets(label), [0.0] * members)
            begin = (*found.weights[:-1], 0.0)
            warm, _ = _timed(fit_mixture, taken, Targets(label), [0.0] * members, begin, found.bias)
            stacked = np.stack(taken, axis=1)
            theirs, model = _timed(LogisticRegression(C=1e6).fit, stacked, label)
            margin = stacked @ model.coef_[0] + model.intercept_[0]
            loss = float(np.mean(np.logaddexp(0, margin) - label * margin))
            print(
                f"{rows:>9,} {members:>7} {cold:>7.3f} {warm:>7.3f} {theirs:>9.3f} {theirs / cold:>6.1f} "
                f"{found.loss - loss:>16.1e}"
            )


def _timed(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - started, result


def straggler(arguments: argparse.Namespace) -> None:
    """When growth reaches the barrier run's validation AUC, one slot being four times slower.

    Both may have a candidate on every slot; the run without a barrier may go on to twice the candidates, as what is
    compared is when it gets there.
    """
    entry = config.load(arguments.conf, SearchSettings, [f"dataset={arguments.dataset}"]).race["adanet"]

    def factor(slot: int) -> float:
        return 4.0 if slot == 0 else 1.0

    most = int(entry.options["candidates"])
    runs = {
        barrier: play(
            made(entry, 0, barrier=barrier, patience=arguments.slots, candidates=most if barrier else 2 * most),
            arguments.dataset,
            0,
            arguments.slots,
            factor,
        )
        for barrier in (True, False)
    }
    wall = max(runs[True].ended.values())
    goal = runs[True].best.auc or 0.0
    print(
        f"with a barrier: {wall:.1f} s for validation AUC {goal:.5f} (test {runs[True].best.metrics['test_auc']:.5f})"
    )
    free = runs[False]
    for margin in (0.0, 0.0005, 0.001):
        reached = [free.ended[n] for n, r in free.results.items() if (r.auc or 0.0) >= goal - margin]
        told = f"{min(reached):.1f} s, {min(reached) / wall:.2f} of the time" if reached else "not reached"
        print(f"without: that less {margin}: {told}")
    print(f"without, at its end: {free.best.auc:.5f} after {max(free.ended.values()):.1f} s")


def rounds(arguments: argparse.Namespace) -> None:
    """Seconds of the textbook rounds: the same candidates each time, so that only the ensemble differs."""
    entry = config.load(arguments.conf, SearchSettings, [f"dataset={arguments.dataset}"]).race["adanet"]
    candidate = {"family": "subnetwork", "parameters": {"depth": 2, "width": 64, "batch_size": 512}}
    changes: dict[str, Any] = {"generator": {"kind": "pool", "candidates": [candidate, candidate]}, "barrier": True}
    changes |= {"candidates": 12, "patience": 12, "improvement": 0.0, "holdout": "loss", "select": "loss"}
    run = play(made(entry, 0, **changes), arguments.dataset, 0)
    by_round: dict[int, list[Result]] = {}
    for place, number in enumerate(n for n, t in run.trials.items() if t.family != "mixture"):
        by_round.setdefault(place // 2, []).append(run.results[number])
    # The first round traces the graphs that all share, so the second is what the others are compared with.
    base = sum(r.costs.worker_seconds for r in by_round[1])
    for number, results in by_round.items():
        seconds = sum(r.costs.worker_seconds for r in results)
        trained = sum(r.costs.train_seconds for r in results)
        print(f"round {number + 1}: {seconds:.2f} s ({trained:.2f} s of training), {seconds / base:.2f} of round 2")
    fits = [run.results[n].costs.worker_seconds for n, t in run.trials.items() if t.family == "mixture"]
    print(f"mixture trials: first {fits[0]:.3f} s, last {fits[-1]:.3f} s")


def equal(arguments: argparse.Namespace) -> None:
    """The talk's table for this data: about as many weights in one tower, in a uniform ensemble, in growth.

    Whatever improves at all enters, until there are four members.
    """
    entry = config.load(arguments.conf, SearchSettings, [f"dataset={arguments.dataset}"]).race["adanet"]
    common = {"batch_size": 512, "learning_rate": 0.003}

    def pool(width: int, embedding: int) -> dict[str, Any]:
        shape = {"depth": 2, "width": width, "embedding_width": embedding, "bag_width": embedding}
        return {"kind": "pool", "candidates": [{"family": "subnetwork", "parameters": {**common, **shape}}]}

    always: dict[str, Any] = {"parameters": {}, "rounds": 4, "candidates": 16, "patience": 16, "epochs": 2}
    always["improvement"] = 0.0
    rows = {
        "one tower": {"generator": pool(96, 32), **always, "candidates": 1},
        "ensemble, uniform mean": {"generator": pool(64, 8), **always, "training": "labels", "weighting": "mean"},
        "growth, labels, learned weights": {"generator": pool(64, 8), **always, "training": "labels"},
        "growth, residual": {"generator": pool(64, 8), **always, "training": "residual"},
        "growth, residual, adaptive distillation": {
            "generator": pool(64, 8),
            **always,
            "training": "residual",
            "distillation": "adaptive",
        },
    }
    print(f"{'model':<42} {'members':>7} {'weights':>9} {'train s':>8} {'validation':>10} {'test':>8}")
    for name, changes in rows.items():
        strategy = AdaNet(
            config.parse({**entry.options, "distillation": "none", **changes}, AdaNetOptions, name), arguments.seed
        )
        run = play(strategy, arguments.dataset, arguments.seed)
        found = trace_growth(run.trials, run.results)
        final = run.results[found.ensemble] if found.ensemble is not None else run.best
        weights = sum(run.results[m.trial].metrics["parameters"] for m in found.members if m.weight)
        print(
            f"{name:<42} {len(found.members):>7} {weights:>9,.0f} {run.train_seconds:>8.1f} {final.auc:>10.5f} "
            f"{final.metrics['test_auc']:>8.5f}",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    parts.add_parser("fit").set_defaults(part=fit)
    for part in (straggler, rounds, equal):
        command = parts.add_parser(part.__name__)
        command.set_defaults(part=part)
        command.add_argument("dataset")
        command.add_argument("conf")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--slots", type=int, default=4)
    arguments = parser.parse_args()
    arguments.part(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
