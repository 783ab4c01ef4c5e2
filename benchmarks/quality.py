"""Test AUC at equal seconds by the clock: our default race beside its peers, on the same columns, rows and cores.

    benchmarks/peers/setup.sh build/peers
    benchmarks/peers/setup.sh --adanet build/adanet
    python benchmarks/quality.py DATASET... --peers build/peers [--seconds 60] [--seeds 5] [--only flaml catboost]
    python benchmarks/quality.py DATASET... --kept build/peer-runs --peers-alone
    python benchmarks/quality.py DATASET... --record quality-large --seconds 120 --seeds 1

A DATASET is a prepared one. Peers get its numerics, ids of categoricals and counts of the bags' frequent terms; those
that are linear get every term. Each chooses on the validation rows and is judged on the test rows; differences to ours
are paired by row with members as clusters (DeLong), averaged over seeds. Ours is the winner of
`glmix-automl search --dataset D` with `limits.seconds`, and its seconds hold the start of workers and TensorFlow, as
those of our families by Optuna do, which is the same search with `strategy: optuna` for a race; the clock of another
peer starts when its columns are in memory, its libraries loaded. A peer that ends by itself (LightGBM's 300
trees, a path of penalties) is not given more. Peers take most of an hour a data set and five seeds: `--kept` names a
folder where each leaves what it came to, and a later call takes it from there.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from peer_columns import write_columns
from results import ROOT, Figure, earlier, record

from glmix_automl import metrics
from glmix_automl.conclusion import evaluate
from glmix_automl.config import parse
from glmix_automl.dataset import Block, Dataset
from glmix_automl.layout import MODEL
from glmix_automl.reporting.leaderboard import entry_model, leaderboard
from glmix_automl.schema import SPLITS, Schema
from glmix_automl.search.growth.default_arms import LINEAR_ENTRY
from glmix_automl.serving.model import Model
from glmix_automl.study.defaults import make_default_race
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.settings import SearchSettings

OURS = "ours"
HERE = ("spark-mllib",)  # run in our own environment
ADANET = "adanet"  # in one of its own
FAMILIES = "families-optuna"  # by our own command
NAMES = {
    "autogluon": "AutoGluon",
    "flaml": "FLAML",
    "catboost": "CatBoost",
    "lightgbm": "LightGBM, 300 trees",
    "lightgbm-optuna": "LightGBM by Optuna",
    "hist-gradient-boosting": "scikit-learn, boosting",
    "logistic-regression": "scikit-learn, logistic regression",
    "spark-mllib": "Spark MLlib",
    ADANET: "adanet 0.9.0",
    FAMILIES: "our families by Optuna",
}


@dataclass
class Runs:
    """What a model came to on one dataset, a value per seed."""

    auc: list[float] = field(default_factory=list)
    difference: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)


def run_ours(
    dataset: str, folder: Path, seconds: float, seed: int, exported: bool = False, race: Mapping[str, Any] | None = None
) -> tuple[np.ndarray, dict[str, Any], Any]:
    """Scores of the winner of the default race, or of another; what it took, and what judges models on the test rows.
    `exported`: of the model that is left behind, which has been trained again on train and validation where there was
    time.
    """
    told = {"dataset": dataset, "study": str(folder), "seed": seed, "tracking": {"enabled": False}, "race": race or {}}
    told["limits"] = {"seconds": seconds, "grace_seconds": 3}
    file = folder.with_suffix(".yaml")
    file.write_text(json.dumps(told))
    command = [sys.executable, "-m", "glmix_automl.cli", "search", str(file)]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    took = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    study = StudyFolder(str(folder))
    history = study.history()
    evaluation = evaluate(study, history)
    board = leaderboard(history, evaluation, study.record.settings.prefer)
    for row in board.rows:
        print(
            f"    {row.entry:20s} {row.validation_auc:.4f} {row.test_auc:.4f} {row.worker_seconds:6.1f} s {row.model}"
        )
    winner = board.rows[0]
    model = entry_model(history, winner.entry)
    assert model is not None
    said = {"seconds": took, "chosen": winner.entry, "entries": {r.entry: r.test_auc for r in board.rows}}
    scores = evaluation.scores(model[0].number)
    if exported:
        scores = Model(study.files.within(MODEL)).score_block(evaluation.dataset.read("test", entities=True))
    return scores, said, evaluation


def make_optuna_race(dataset: str, seconds: float) -> dict[str, Any]:
    """A race of one: Optuna's TPE chooses among the families of the default race and their parameters together."""
    opened = Dataset.open(dataset)
    settings = parse({"dataset": dataset, "study": "none", "limits": {"seconds": seconds}}, SearchSettings, "quality")
    race = make_default_race(settings, opened.schema, opened.rows("train")).race
    networks, linear = race["bayes"].options, race[LINEAR_ENTRY].options
    trees = {
        "leaves": {"type": "int", "low": 8, "high": 256, "scale": "power_of_two"},
        "learning_rate": {"type": "float", "low": 0.01, "high": 0.3, "scale": "log"},
        "leaf_rows": {"type": "int", "low": 5, "high": 200, "scale": "log"},
        "feature_share": {"type": "float", "low": 0.3, "high": 1.0},
        "l2": {"type": "float", "low": 1e-3, "high": 100.0, "scale": "log"},
        "shape": {"choice": ["leafwise", "symmetric"]},
    }
    spaces = {
        "logistic": {"l2": {"type": "float", "low": 0.1, "high": 3000.0, "scale": "log"}},
        "subnetwork": networks["space"],
        "trees": trees,
    }
    fixed = {
        "logistic": {name: value for name, value in linear["parameters"].items() if name != "l2"},
        "subnetwork": networks["parameters"],
        "trees": {"trees": round(1000 / networks["epochs"]), "patience": 50},
    }
    whole = {"strategy": "optuna", "trials": 10_000, "epochs": networks["epochs"], "fraction": networks["fraction"]}
    whole["parameters"] = {f"{family}.{name}": value for family, each in fixed.items() for name, value in each.items()}
    space: dict[str, Any] = {"family": {"choice": list(spaces)}}
    space |= {f"{family}.{name}": told for family, each in spaces.items() for name, told in each.items()}
    return {"optuna": whole | {"space": space}}


def run_peer(
    name: str, dataset: str, folder: Path, seed: int, kept: Path, given: argparse.Namespace
) -> tuple[np.ndarray, dict[str, Any]] | None:
    """A peer's scores of the test rows and what it says of itself; None if it fails or is four times over its seconds.

    What it came to in an earlier call, with as many seconds and threads, is not made again.
    """
    run = kept / f"{name}-{given.seconds:.0f}-{given.threads}-{seed}"
    if (told := run.with_suffix(".json")).exists():
        return np.load(run.with_suffix(".npy")), json.loads(told.read_text())
    if name == FAMILIES:
        race = make_optuna_race(dataset, given.seconds)
        scores, said, _ = run_ours(dataset, folder / run.name, given.seconds, seed, race=race)
        return keep_run(run, scores, said)
    script = str(ROOT / "benchmarks" / "peers" / "fit.py")
    command = [
        sys.executable if name in HERE else f"{given.adanet if name == ADANET else given.peers}/bin/python",
        script,
        name,
        str(folder),
        str(given.seconds),
        str(seed),
        str(given.threads),
    ]
    # Threads that wait should not spin: on a busy machine they would take the time of those they wait for.
    waiting = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(given.threads)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120 + 3 * given.seconds, env=waiting)
    except subprocess.TimeoutExpired:
        print(f"  {name}: ended after {120 + 3 * given.seconds:.0f} s")
        return None
    if done.returncode:
        print(f"  {name} failed: {done.stderr[-600:]}")
        return None
    return keep_run(run, np.load(folder / f"scores-{name}.npy"), json.loads(done.stdout.splitlines()[-1]))


def keep_run(run: Path, scores: np.ndarray, said: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """Leaves what a peer came to for a later call."""
    print(f"  {run.name}: {said['seconds']:.1f} s", flush=True)
    run.parent.mkdir(parents=True, exist_ok=True)
    np.save(run.with_suffix(".npy"), scores)
    run.with_suffix(".json").write_text(json.dumps(said))
    return scores, said


def prepared(dataset: str) -> tuple[dict[str, Block], Schema]:
    """The columns of a dataset."""
    opened = Dataset.open(dataset)
    return {split: opened.read(split) for split in SPLITS}, opened.schema


def compare(
    dataset: str,
    names: list[str],
    given: argparse.Namespace,
    seen: Callable[[str], tuple[dict[str, Block], Schema]] = prepared,
    before: float = 0.0,
    exported: bool = False,
) -> dict[str, Runs]:
    """Every model on a dataset, seed by seed.

    Args:
        dataset: that ours searches.
        names: of peers.
        given: arguments of the call.
        seen: gives the columns that peers get.
        before: seconds that ours has taken already, of those of the call.
        exported: whether ours is the model that it exports, or the one of train alone.
    """
    found: dict[str, Runs] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        kept = Path(given.kept or place) / Path(dataset).name
        write_columns(*seen(dataset), folder)
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            peers = {name: run_peer(name, dataset, folder, seed, kept, given) for name in names}
            if given.peers_alone:
                continue
            study = folder / f"study-{seed}"
            ours, said, evaluation = run_ours(dataset, study, given.seconds - before, seed, exported)
            said["seconds"] += before
            for name, told in {OURS: (ours, said), **peers}.items():
                if told is None:
                    continue
                scores, said = told
                gap = metrics.delong_test(evaluation.labels, ours, scores, evaluation.weights, evaluation.members)
                runs = found.setdefault(name, Runs())
                runs.auc.append(float(metrics.auc(evaluation.labels, scores, evaluation.weights)))
                for values, value in ((runs.difference, gap.difference), (runs.low, gap.low), (runs.high, gap.high)):
                    values.append(float(value) if name != OURS else 0.0)
                runs.seconds.append(said["seconds"])
                runs.chosen.append(said["chosen"])
                print(
                    f"  seed {seed} {name:24s} {runs.auc[-1]:.4f} {runs.difference[-1]:+.4f} "
                    f"[{runs.low[-1]:+.4f}, {runs.high[-1]:+.4f}] {said['seconds']:6.1f} s  {said['chosen']}",
                    flush=True,
                )
    return found


def keep(found: dict[str, dict[str, Runs]], given: argparse.Namespace, part: str, data: str) -> None:
    """Records the runs, with those of an earlier record, of other data sets and seeds, where `--add` names one."""
    if given.peers_alone:
        return
    every: dict[str, Any] = earlier(given.add, "runs")
    for name, models in found.items():
        for model, runs in models.items():
            before = every.setdefault(name, {}).setdefault(model, vars(Runs()))
            every[name][model] = {key: before[key] + values for key, values in vars(runs).items()}
    models = [OURS, *(m for m in NAMES if any(m in each for each in every.values()))]
    rows: list[list[Any]] = []
    for model in models:
        cells: list[Any] = [NAMES.get(model, "**ours**, the default race")]
        for runs in (each.get(model) for each in every.values()):
            if runs is None:
                cells.append("not run")
            elif model == OURS:
                cells.append(f"{statistics.mean(runs['auc']):.4f}")
            else:
                cells.append(Figure(*(round(statistics.mean(runs[key]), 4) for key in ("difference", "low", "high"))))
        took = [second for each in every.values() if model in each for second in each[model]["seconds"]]
        rows.append([*cells, f"{statistics.mean(took):.0f} ({min(took):.0f} to {max(took):.0f})"])
    own = [second for each in every.values() for second in each[OURS]["seconds"]]
    spent = f"{given.seconds:.0f} seconds and takes {min(own):.0f} to {max(own):.0f}, start and reports included"
    record(
        part,
        f"{say(every)} Ours is given {spent}.",
        ["test AUC; difference to ours", *every, f"seconds taken of {given.seconds:.0f}"],
        rows,
        data=data,
        seeds=", ".join(f"{name}: {len(models[OURS]['auc'])}" for name, models in every.items()),
        spread="95 % of the paired difference, members as clusters",
        more={"runs": every, "seconds": given.seconds},
    )


def say(every: dict[str, Any]) -> str:
    """Which peers are ahead, and where ours is, by intervals that leave 0 out."""
    ahead: list[str] = []
    behind = level = 0
    for dataset, models in every.items():
        for model, runs in models.items():
            if model == OURS:
                continue
            low, high = statistics.mean(runs["low"]), statistics.mean(runs["high"])
            behind, level = behind + (high < 0), level + (low <= 0 <= high)
            ahead += [f"{NAMES[model]} on {dataset}"] if low > 0 else []
    told = f"Ahead of ours: {'; '.join(ahead)}." if ahead else "No peer is ahead of ours."
    return f"Of {behind + level + len(ahead)} comparisons ours is ahead in {behind}, level in {level}. {told}"


def arguments(text: str | None, whats: str, names: Sequence[str] = tuple(NAMES)) -> argparse.ArgumentParser:
    """What a comparison is told; `names`: of the peers that take part."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(whats, nargs="+")
    parser.add_argument("--peers", default="build/peers", help="environment made by benchmarks/peers/setup.sh")
    parser.add_argument("--adanet", default="build/adanet", help="and by benchmarks/peers/setup.sh --adanet")
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kept", help="folder of what peers came to, taken from there where it is")
    parser.add_argument("--peers-alone", action="store_true", help="run and keep the peers only, compare nothing")
    parser.add_argument("--add", help="a record whose runs, of other data sets or seeds, are kept beside these")
    return parser


def main() -> None:
    parser = arguments(__doc__, "datasets")
    names = ("quality", "quality-large")
    parser.add_argument("--record", choices=names, default=names[0], help="its name; its runs are of equal seconds")
    given = parser.parse_args()
    found: dict[str, dict[str, Runs]] = {}
    for dataset in given.datasets:
        print(dataset, flush=True)
        found[Path(dataset).name] = compare(dataset, given.only, given)
    keep(found, given, given.record, "prepared columns of the recipes in conf/prepare, the same splits for all")


if __name__ == "__main__":
    main()
