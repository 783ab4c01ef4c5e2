"""The two tables of the GLMix 2.0 poster (LinkedIn 2019) on data of one's own: model, steps, training, evaluation, AUC.

    python benchmarks/poster.py DATASET... [--seeds 3] [--epochs 3] [--picture poster.svg] [--add RECORD]

DATASET is a prepared one: the GitHub network and generated members stand for PYMK, MovieLens and generated jobs for
JYMBII. The grid has twelve networks, the poster's size on JYMBII; random search, Bayesian tuning and multitask tuning
search a space around it for the grid's worker-seconds; growth has the default arms, which nobody chose for the data;
GLMix is the linear model with an intercept per entity, by coordinate descent. Trials run one after the other in this
process, on one thread. Times are ratios to the grid's; AdaNet is given the grid's worker-seconds, and 1/8.5 and 1/51 of
them, which is what it needed on the poster. It sizes its candidates by what it is given; the one at work when that is
used up ends. The three searches cost as much as the grid each; `--leave-out` leaves out what it names.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adanet import Run, play
from matplotlib.figure import Figure as Picture
from results import Cell, Figure, earlier, record

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
GROWTH = {share: "AdaNet" if share == 1 else f"AdaNet at 1/{share:g}" for share in (1.0, *POSTER_SHARES)}
WHOLE_GRID, GLMIX = "grid, 12 networks", "GLMix"
TUNERS = {"random tuning": "random", "Bayesian tuning": "bayes", "multitask tuning": "multitask"}
MARKS = {
    "logistic regression": "s",
    WHOLE_GRID: "D",
    "random tuning": "v",
    "Bayesian tuning": "^",
    "multitask tuning": "<",
    GLMIX: "P",
}

Values = dict[str, dict[str, list[list[float]]]]
"""By data set and model a list per seed: steps, training and evaluation as shares of the grid's, test AUC."""


def make(strategy: str, seed: int, **options: Any) -> Strategy:
    kind = STRATEGIES[strategy]
    return kind.make(config.parse(options, kind.options, strategy), seed)


def compare(place: str, seed: int, epochs: float, left_out: Sequence[str]) -> dict[str, Run]:
    """Every model of the table that is not left out."""
    dataset = Dataset.open(place)
    network = {"batch_size": NETWORK_STEPS["batch_size"]}
    tuned: dict[str, Any] = {"family": "subnetwork", "parameters": network, "epochs": epochs}
    linear = {"family": "logistic", "parameters": LINEAR}
    effects = [{"family": "random_effect", "parameters": {"entity": e.name}} for e in dataset.schema.entities]
    runs = {
        "logistic regression": play(make("fixed", seed, **linear), place, seed),
        WHOLE_GRID: play(make("grid", seed, **tuned, space=GRID), place, seed),
    }
    budget = runs[WHOLE_GRID].worker_seconds
    for name, strategy in TUNERS.items():
        if name not in left_out:
            options = {**tuned, "space": SPACE, "trials": MOST}
            runs[name] = play(make(strategy, seed, **options), place, seed, seconds=budget)
    if GLMIX not in left_out:
        runs[GLMIX] = play(make("coordinates", seed, coordinates=[linear, *effects]), place, seed)
    rows = dataset.rows("train")
    for share, name in GROWTH.items():
        seconds = budget / share
        arms = make_arms_within(seconds, dataset.schema, rows)
        runs[name] = play(make("adanet", seed, weighting="positive", generator=arms), place, seed, seconds=seconds)
    return runs


def measure(runs: Mapping[str, Run]) -> dict[str, list[float]]:
    """What a seed's runs took and came to."""
    grid, found = runs[WHOLE_GRID], {}
    for name, run in runs.items():
        steps, evaluation = (
            sum(getattr(result.costs, cost) for result in run.results.values()) for cost in ("steps", "eval_seconds")
        )
        whole = sum(result.costs.eval_seconds for result in grid.results.values())
        auc = run.best.metrics["test_auc"]
        found[name] = [steps, run.train_seconds / grid.train_seconds, evaluation / whole, auc]
        print(
            f"  {name:22s} {len(run.results):>3} trials, {steps:>8,} steps, {run.train_seconds:7.1f} s = "
            f"{found[name][1]:.3f}, evaluation {found[name][2]:.3f}, {auc:.4f}",
            flush=True,
        )
    return found


def spread(values: Sequence[float]) -> Figure:
    return Figure(statistics.median(values), min(values), max(values))


def gains(models: Mapping[str, list[list[float]]], model: str) -> list[float]:
    """Test AUC above the grid's, by seed."""
    return [own[3] - grid[3] for own, grid in zip(models[model], models[WHOLE_GRID], strict=True)]


def say(every: Values) -> str:
    """Growth at each of its budgets against the grid."""
    told = []
    for share, name in GROWTH.items():
        found = [gain for models in every.values() for gain in gains(models, name)]
        by_data = ", ".join(
            f"{data} {statistics.median(gains(models, name)):+.4f} for "
            f"{statistics.median(values[1] for values in models[name]):.2g}"
            for data, models in every.items()
        )
        given = "the worker-seconds of the grid" if share == 1 else f"1/{share:g} of them"
        told.append(f"Given {given} it is above in {sum(gain > 0 for gain in found)} of {len(found)} runs ({by_data}).")
    return (
        "Growth with its default arms beside a grid of twelve networks; in brackets the difference of test AUC and the "
        f"training it took, of the grid's. {' '.join(told)}"
    )


def draw(every: Values, path: Path) -> None:
    """Test AUC by training, a panel for each data set; medians over seeds."""
    columns = 2 if len(every) > 1 else 1
    picture = Picture(figsize=(4.4 * columns, 3.2 * -(-len(every) // columns)), layout="constrained")
    panels = picture.subplots(-(-len(every) // columns), columns, squeeze=False).ravel()
    for panel in panels[len(every) :]:
        panel.set_visible(False)
    for panel, (data, models) in zip(panels, every.items(), strict=False):
        middle = {
            name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in models.items()
        }
        grown = sorted(middle[name][1::2] for name in GROWTH.values())
        panel.plot(*zip(*grown, strict=True), "o-", color="crimson", label="AdaNet: 1/51, 1/8.5, all of the grid's")
        for place, (name, mark) in enumerate(MARKS.items()):
            if name in middle:
                panel.plot(*middle[name][1::2], mark, label=name, color=f"C{place}")
        panel.axhline(middle[WHOLE_GRID][3], color="gray", linewidth=0.8, linestyle=":")
        panel.set(title=data, xscale="log", xlabel="training, of the grid's", ylabel="test AUC")
        panel.xaxis.set_minor_formatter("")
    named = max(every.values(), key=len)
    handles, labels = panels[list(every.values()).index(named)].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    picture.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=3.0, help="of a network that is tuned")
    parser.add_argument("--leave-out", nargs="*", choices=(*TUNERS, GLMIX), default=[], help="models not to be run")
    parser.add_argument("--picture", type=Path, help="file to draw to, by its ending: svg, png, pdf")
    parser.add_argument("--add", type=Path, help="a record whose runs, of other data sets or seeds, are kept beside")
    given = parser.parse_args()
    every: Values = earlier(given.add, "runs")
    for place in given.datasets:
        models = every.setdefault(Path(place).name, {})
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            print(f"{Path(place).name}, seed {seed}", flush=True)
            for name, values in measure(compare(place, seed, given.epochs, given.leave_out)).items():
                models.setdefault(name, []).append(values)
    if given.picture:
        draw(every, given.picture)
    rows: list[list[Cell]] = []
    for data, models in every.items():
        for name, runs in models.items():
            steps, training, evaluation, auc = (spread(column) for column in zip(*runs, strict=True))
            rows.append([data, name, steps.value, training, evaluation.value, auc])
    record(
        "poster",
        say(every) + (f"\n\n![test AUC by training]({given.picture.name})" if given.picture else ""),
        ["data", "model", "steps", "training, of the grid's", "evaluation, of the grid's", "test AUC"],
        rows,
        data="prepared columns; one thread",
        seeds=", ".join(f"{data}: {len(models[WHOLE_GRID])}" for data, models in every.items()),
        spread="median; least and most",
        more={"runs": every},
    )


if __name__ == "__main__":
    main()
