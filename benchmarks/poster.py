"""The two tables of the GLMix 2.0 poster (LinkedIn 2019) on data of one's own: model, steps, training, evaluation, AUC.

    python benchmarks/poster.py DATASET... [--seeds 3] [--epochs 3]

DATASET is a prepared one: the GitHub network and generated members stand for PYMK, MovieLens and generated jobs for
JYMBII. The grid has twelve networks, the poster's size on JYMBII; random search, Bayesian tuning and multitask tuning
search a space around it for the grid's worker-seconds; growth has the default arms, which nobody chose for the data;
GLMix is the linear model with an intercept per entity, by coordinate descent. Trials run one after the other in this
process, on one thread. Times are ratios to the grid's; AdaNet is given the grid's worker-seconds, and 1/8.5 and 1/51 of
them, which is what it needed on the poster. It sizes its candidates by what it is given; the one at work when that is
used up ends.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from adanet import Run, play
from results import Cell, Figure, record

from glmix_automl import config
from glmix_automl.dataset import Dataset
from glmix_automl.search import STRATEGIES
from glmix_automl.search.growth.default_arms import LINEAR, NETWORK_STEPS
from glmix_automl.search.strategy import Strategy
from glmix_automl.study.defaults import make_arms_within

POSTER_SHARES = (8.5, 51.0)  # of the grid's training: PYMK's 17 of 8 x 18 minutes, JYMBII's 36 of 12 x 155
GRID = {
    "depth": {"type": "int", "low": 1, "high": 3},
    "width": {"choice": [32, 64]},
    "learning_rate": {"choice": [0.001, 0.003]},
}
SPACE = {
    "depth": {"type": "int", "low": 1, "high": 4},
    "width": {"type": "int", "low": 16, "high": 256, "scale": "power_of_two"},
    "learning_rate": {"type": "float", "low": 0.0003, "high": 0.01, "scale": "log"},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5},
}
MOST = 200  # trials of a tuner; the seconds end it


def make(strategy: str, seed: int, **options: Any) -> Strategy:
    kind = STRATEGIES[strategy]
    return kind.make(config.parse(options, kind.options, strategy), seed)


def compare(place: str, seed: int, epochs: float) -> dict[str, Run]:
    """Every model of the table."""
    dataset = Dataset.open(place)
    network = {"batch_size": NETWORK_STEPS["batch_size"]}
    tuned: dict[str, Any] = {"family": "subnetwork", "parameters": network, "epochs": epochs}
    linear = {"family": "logistic", "parameters": LINEAR}
    effects = [{"family": "random_effect", "parameters": {"entity": e.name}} for e in dataset.schema.entities]
    runs = {
        "logistic regression": play(make("fixed", seed, **linear), place, seed),
        "grid, 12 networks": play(make("grid", seed, **tuned, space=GRID), place, seed),
    }
    budget = runs["grid, 12 networks"].worker_seconds
    for name, strategy in (("random", "random"), ("Bayesian", "bayes"), ("multitask", "multitask")):
        options = {**tuned, "space": SPACE, "trials": MOST}
        runs[f"{name} tuning"] = play(make(strategy, seed, **options), place, seed, seconds=budget)
    coordinates = make("coordinates", seed, coordinates=[linear, *effects])
    runs["GLMix"] = play(coordinates, place, seed)
    rows = dataset.rows("train")
    for share in (1.0, *POSTER_SHARES):
        seconds = budget / share
        arms = make_arms_within(seconds, dataset.schema, rows)
        grown = play(make("adanet", seed, weighting="positive", generator=arms), place, seed, seconds=seconds)
        runs["AdaNet" if share == 1 else f"AdaNet at 1/{share:g}"] = grown
    return runs


def spread(values: list[float]) -> Figure:
    return Figure(statistics.median(values), min(values), max(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=3.0, help="of a network that is tuned")
    given = parser.parse_args()
    rows: list[list[Cell]] = []
    above = of = 0
    for place in given.datasets:
        found: dict[str, list[list[float]]] = {}
        for seed in range(given.seeds):
            runs = compare(place, seed, given.epochs)
            grid = runs["grid, 12 networks"]
            for name, run in runs.items():
                costs = [result.costs for result in run.results.values()]
                evaluation = sum(c.eval_seconds for c in costs) / sum(
                    r.costs.eval_seconds for r in grid.results.values()
                )
                auc = run.best.metrics["test_auc"]
                values = [sum(c.steps for c in costs), run.train_seconds / grid.train_seconds, evaluation, auc]
                found.setdefault(name, []).append(values)
                print(
                    f"{Path(place).name} seed {seed} {name:22s} {len(costs):>3} trials, {values[0]:>8,} steps, "
                    f"{run.train_seconds:7.1f} s = {values[1]:.3f}, evaluation {evaluation:.3f}, {auc:.4f}",
                    flush=True,
                )
            above += runs["AdaNet"].best.metrics["test_auc"] > grid.best.metrics["test_auc"]
            of += 1
        for name, values in found.items():
            steps, training, evaluation, auc = (spread(list(column)) for column in zip(*values, strict=True))
            rows.append([Path(place).name, name, steps.value, training, evaluation.value, auc])
    heads = ["data", "model", "steps", "training, of the grid's", "evaluation, of the grid's", "test AUC"]
    says = f"Growth with its default arms ends above a grid of twelve networks in {above} of {of} runs."
    record(
        "poster",
        says,
        heads,
        rows,
        data="prepared columns; one thread",
        seeds=str(given.seeds),
        spread="median; least and most",
    )


if __name__ == "__main__":
    main()
