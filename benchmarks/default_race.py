"""The default race against LightGBM, logistic regression and the pools found by hand, on prepared datasets.

    python benchmarks/default_race.py DATASET... [--seeds 3] [--seconds 600] [--pool conf/search/quickstart.yaml]
    python benchmarks/default_race.py DATASET... --effects     # only its growth, with and without random effects

Nothing is said to the default race but the dataset (and `--seconds`, of each study). Baselines run in the same call on
the same splits: LightGBM with 300 trees and its own defaults, without a look at validation; logistic regression with
`l2: auto`; the entry `adanet` of `--pool`. So does the winner trained again on train and validation. For each model the
mean test AUC over the seeds, and its difference to the default race's winner, paired by row with members as clusters
(DeLong), averaged over the seeds.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from results import Cell, Figure, record

from glmix_automl import metrics
from glmix_automl.api import Study
from glmix_automl.conclusion import evaluate
from glmix_automl.config import load
from glmix_automl.dataset import Dataset
from glmix_automl.layout import LEADERBOARD_JSON, REFIT
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import entry_model, leaderboard
from glmix_automl.search.growth.default_arms import LINEAR, make_default_arms
from glmix_automl.study.settings import SearchSettings

WINNER = "default race"
AGAIN = "its winner, trained again on train and validation"
BASELINES: dict[str, Any] = {
    "LightGBM, 300 trees": {"strategy": "fixed", "family": "trees", "parameters": {"trees": 300, "patience": 0}},
    "logistic regression": {"strategy": "fixed", "family": "logistic", "parameters": LINEAR},
}

Scored = dict[str, tuple[float, float, Any]]
"""Model -> (validation AUC, test AUC, scores of the test rows)."""


def run(dataset: str, folder: Path, seed: int, seconds: float | None, race: dict[str, Any]) -> Study:
    """A study that has ended."""
    settings: dict[str, Any] = {"dataset": dataset, "study": str(folder), "seed": seed, "race": race}
    settings["tracking"] = {"enabled": False}
    settings["limits"] = {"seconds": seconds} if seconds else {}
    settings["refit"] = not race
    return Study(settings).run()


def read_models(study: Study, entries: bool) -> tuple[Scored, Any]:
    """The winner, or every entry, of a study; and what evaluates them."""
    history = study.history
    evaluation = evaluate(study.folder, history)
    board = leaderboard(history, evaluation, study.settings.prefer)
    print(f"  {board.choice}")
    remarks = json.loads(study.folder.files.read(LEADERBOARD_JSON))["remarks"]
    print("\n".join(f"  {remark}" for remark in remarks))
    for row in board.rows:
        print(
            f"    {row.entry:22s} {row.validation_auc:.4f} {row.test_auc:.4f} {row.worker_seconds:6.1f} s  {row.model}"
        )
    rows = board.rows if entries else board.rows[:1]
    found: Scored = {}
    for row in rows:
        model = entry_model(history, row.entry)
        assert model is not None
        name = row.entry if entries else WINNER
        found[name] = row.validation_auc, row.test_auc or 0.0, evaluation.scores(model[0].number)
    return found, evaluation


def read_again(study: Study, evaluation: Evaluation) -> Scored:
    """The winner trained again on train and validation, where that was possible."""
    place = study.folder.files.within(REFIT)
    if not place.exists():
        return {}
    again = Evaluation(evaluation.dataset, place, study.history, measure=evaluation.measure.name)
    scores = again.scores(int(study.leaderboard().trial[0]))
    return {AGAIN: (float("nan"), float(metrics.auc(again.labels, scores, again.weights)), scores)}


def compare_models(
    dataset: str, seeds: int, seconds: float | None, pool: str | None
) -> Iterator[tuple[Scored, dict[str, Any]]]:
    """The models of each seed, and of each other than the winner its difference to it."""
    baselines = dict(BASELINES)
    if pool is not None:
        baselines["hand-made pool"] = load(pool, SearchSettings).race["adanet"].model_dump(exclude={"budget"})
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as place:
            started = time.perf_counter()
            study = run(dataset, Path(place) / "default", seed, seconds, {})
            found, evaluation = read_models(study, entries=False)
            found |= read_again(study, evaluation)
            print(f"  seed {seed}: {time.perf_counter() - started:.0f} s")
            found |= read_models(run(dataset, Path(place) / "baselines", seed, seconds, baselines), entries=True)[0]
            first, gaps = found[WINNER][2], {}
            for name, (_, _, scores) in found.items():
                if name != WINNER:
                    gap = metrics.delong_test(evaluation.labels, first, scores, evaluation.weights, evaluation.members)
                    gaps[name] = gap
                    print(
                        f"  seed {seed}: {name} less {WINNER}: {gap.difference:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]",
                        flush=True,
                    )
            yield found, gaps


def compare_all(datasets: list[str], seeds: int, seconds: float | None, pool: str | None) -> None:
    """The default race beside the others, a table per dataset."""
    table: list[list[Cell]] = []
    for dataset in datasets:
        print(dataset)
        runs = list(compare_models(dataset, seeds, seconds, pool))
        print(f"| {Path(dataset).name} | validation AUC | test AUC | less the default race, by seed |")
        print("|---|---|---|---|")
        for name in runs[0][0]:
            validation, test = (statistics.mean(found[name][k] for found, _ in runs) for k in (0, 1))
            gaps = [own[name] for _, own in runs if name in own]
            print(f"| {name} | {validation:.4f} | {test:.4f} | {' '.join(f'{g.difference:+.4f}' for g in gaps)} |")
            differs = mean_gap(gaps) if gaps else None
            table.append([Path(dataset).name, name, None if np.isnan(validation) else validation, test, differs])
    told = []
    for name in dict.fromkeys(str(row[1]) for row in table if isinstance(row[4], Figure)):
        own = [f"{row[4].value:+.4f} on {row[0]}" for row in table if row[1] == name and isinstance(row[4], Figure)]
        told.append(f"{name} {', '.join(own)}")
    says = f"Test AUC less that of the default race, which is told nothing but its seconds: {'; '.join(told)}"
    heads = ["data", "model", "validation AUC", "test AUC", "difference of AUC"]
    record(
        "default-race",
        f"{says}.",
        heads,
        table,
        data="prepared columns" + (f"; pool of {pool}" if pool else ""),
        seeds=str(seeds),
        spread="95 %, paired",
    )


def mean_gap(gaps: list[Any]) -> Figure:
    """The mean of paired differences over seeds, and of the ends of their intervals."""
    return Figure(*(statistics.mean(getattr(gap, key) for gap in gaps) for key in ("difference", "low", "high")))


def compare_effects(datasets: list[str], seeds: int, seconds: float | None) -> None:
    """What random effects among the arms of growth are worth, all else the same."""
    rows: list[list[Cell]] = []
    for dataset in datasets:
        opened = Dataset.open(dataset)
        arms = make_default_arms(opened.schema, opened.rows("train"))
        without = arms | {"arms": [a for a in arms["arms"] if a["turns"][0]["family"] != "random_effect"]}
        names = "with effects", "without"
        race = {
            name: {"strategy": "adanet", "weighting": "positive", "generator": generator}
            for name, generator in zip(names, (arms, without), strict=True)
        }
        tests, gaps = [], []
        for seed in range(1, seeds + 1):
            with tempfile.TemporaryDirectory() as place:
                found, evaluation = read_models(run(dataset, Path(place), seed, seconds, race), entries=True)
            (*_, after), (*_, before) = (found[name] for name in names)
            gaps.append(metrics.delong_test(evaluation.labels, before, after, evaluation.weights, evaluation.members))
            tests.append([found[name][1] for name in names])
            print(f"  seed {seed}: {gaps[-1].difference:+.4f} [{gaps[-1].low:+.4f}, {gaps[-1].high:+.4f}]", flush=True)
        after, before = (statistics.mean(column) for column in zip(*tests, strict=True))
        rows.append([Path(dataset).name, before, after, mean_gap(gaps)])
    says = "Random effects among the arms of growth, beside history and other columns: " + "; ".join(
        f"{row[0]} {row[3].value:+.4f}" for row in rows if isinstance(row[3], Figure)
    )
    heads = ["data", "test AUC without", "test AUC with", "difference of AUC"]
    record(
        "effects-in-growth", f"{says}.", heads, rows, data="prepared columns", seeds=str(seeds), spread="95 %, paired"
    )


def main() -> None:
    """Runs all of it and prints a table per dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--pool", help="search file whose entry `adanet` is raced too")
    parser.add_argument("--effects", action="store_true", help="only growth with and without random effects")
    given = parser.parse_args()
    if given.effects:
        compare_effects(given.datasets, given.seeds, given.seconds)
        return
    compare_all(given.datasets, given.seeds, given.seconds, given.pool)


if __name__ == "__main__":
    main()
