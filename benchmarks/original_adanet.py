"""Growth against the original library (adanet 0.9.0, Weill et al. 2019): same data, candidates, steps and threads.

    benchmarks/peers/setup.sh --adanet build/adanet
    python benchmarks/original_adanet.py DATASET... --python build/adanet/bin/python [--iterations 3] [--epochs 1]

The original runs on TensorFlow 2.8, so it has an environment of its own, which the first line builds.

Each side trains a dense subnetwork of one and one of two hidden layers per iteration on the labels, for the same steps
of the same batch size: Adam for kernels, Adagrad for embeddings, the same rates, widths and initial distributions.
Of (ensemble + candidate) the better by validation AUC enters, if it is better than the ensemble; mixture weights are
learned on the training rows with the same lambda and beta. What differs:

- The original learns mixture weights by Adam at the same rate during the training of the candidates, from 1 / members
  (from their last values for the members); ours are the optimum of the convex fit. Ours charges |w| in units of the
  scores' deviation.
- The original trains both candidates of an iteration in one graph, with one forward pass of the members so far; ours
  one after the other, members not at all.
- The original chooses by its approximate AUC (200 thresholds). AUCs printed are exact, for both.

The original is fed by `tf.data` from memory with ready batches, without summaries or checkpoints on the way, which is
faster than its defaults. `training` is the time in training steps: the original's first step of each session is left
out because it optimises the graph, ours has the tracing in it. `all` is from the first call to the last result, with
all graphs, choosing and, for ours, reading the data and scoring every split; imports are left out of both. The
original's last choice falls in its predictions, which are not counted.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import tensorflow as tf
from adanet import Run, play
from peer_columns import write_arrays
from peers.fit import ADANET
from results import Cell, record

from glmix_automl import config, metrics
from glmix_automl.dataset import Dataset
from glmix_automl.schema import SPLITS
from glmix_automl.search.adanet import AdaNet
from glmix_automl.search.growth.options import AdaNetOptions

SIDE = Path(__file__).parent / "peers" / "adanet_estimator.py"
CANDIDATES = ADANET["candidates"]
TRAINED = ("batch_size", "learning_rate", "table_learning_rate", "embedding_width", "bag_width")
SHARED: dict[str, Any] = {"accumulator": 0.0} | {key: ADANET[key] for key in TRAINED}
PENALTIES = {key: ADANET[key] for key in ("complexity_penalty", "penalty")}


@dataclass(frozen=True)
class Side:
    """What one of the two did.

    Attributes:
        training: seconds in training steps.
        steps: of candidates in those seconds.
        seconds: from the first call to the last result.
        processor: seconds of all threads in the same time.
        aucs: (validation, test) of the ensemble after each iteration.
    """

    training: float
    steps: int
    seconds: float
    processor: float
    aucs: list[tuple[float, float]]


def original(dataset: Dataset, arguments: argparse.Namespace, steps: int) -> Side:
    """Runs the other Python on a copy of the data."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_arrays({split: dataset.read(split) for split in SPLITS}, dataset.schema, folder)
        task = ADANET | json.loads((folder / "features.json").read_text())
        task |= {"steps": steps, "seed": arguments.seed}
        task |= {"iterations": arguments.iterations, "threads": arguments.threads}
        (folder / "task.json").write_text(json.dumps(task))
        done = subprocess.run([arguments.python, SIDE, folder], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{arguments.python} {SIDE}: failed:\n{done.stderr[-4000:]}")
        answer = json.loads((folder / "answer.json").read_text())
        aucs = []
        for iteration in range(arguments.iterations):
            logits = [np.load(folder / f"logits_{iteration}_{split}.npy") for split in SPLITS[1:]]
            aucs.append(_aucs(dataset, logits))
    return Side(answer["training"], answer["steps"] * len(CANDIDATES), answer["seconds"], answer["processor"], aucs)


def _aucs(dataset: Dataset, logits: list[np.ndarray]) -> tuple[float, float]:
    found = [
        metrics.auc(dataset.labels(split), scores, dataset.weights(split))
        for split, scores in zip(SPLITS[1:], logits, strict=True)
    ]
    return found[0], found[1]


def ours(place: str, arguments: argparse.Namespace) -> tuple[Side, Run]:
    """Growth in this process with the textbook's rounds."""
    # One validation, at the end: the original keeps the last weights, not the best.
    pool = [{"family": "subnetwork", "parameters": {**SHARED, "evaluations": 1, **c}} for c in CANDIDATES]
    trained = len(CANDIDATES) * arguments.iterations
    options: dict[str, Any] = {"generator": {"kind": "pool", "candidates": pool}, "barrier": True, **PENALTIES}
    options |= {"training": "labels", "epochs": arguments.epochs, "improvement": 0.0}
    options |= {"rounds": arguments.iterations, "candidates": trained, "patience": trained}
    started, used = time.perf_counter(), time.process_time()
    strategy = AdaNet(config.parse(options, AdaNetOptions, "growth"), arguments.seed)
    run = play(strategy, place, arguments.seed)
    seconds, used = time.perf_counter() - started, time.process_time() - used
    steps = sum(run.results[n].costs.steps for n, trial in run.trials.items() if trial.family == "subnetwork")
    return Side(run.train_seconds, steps, seconds, used, _after_rounds(run)), run


def _after_rounds(run: Run) -> list[tuple[float, float]]:
    """The best mixture so far after the mixtures of each round: growth chooses by validation AUC as well."""
    mixtures = [run.results[n] for n, trial in sorted(run.trials.items()) if trial.family == "mixture"]
    aucs = [(result.auc or 0.0, result.metrics["test_auc"]) for result in mixtures]
    return [max(aucs[:tried]) for tried in range(len(CANDIDATES), len(aucs) + 1, len(CANDIDATES))]


def report(sides: dict[str, Side], run: Run) -> None:
    first, rates = sides["ours"], [side.steps * SHARED["batch_size"] / side.training for side in sides.values()]
    for number, aucs in enumerate(zip(*(side.aucs for side in sides.values()), strict=True), 1):
        told = (f"{name} {found[0]:.5f} {found[1]:.5f}" for name, found in zip(sides, aucs, strict=True))
        print(f"after iteration {number}, validation and test AUC: {', '.join(told)}")
    print(
        f"{'side':<9} {'training s':>10} {'ratio':>6} {'candidate-rows/s':>16} {'all s':>7} {'ratio':>6} "
        f"{'processor s':>11} {'ratio':>6} {'validation':>10} {'test':>8}"
    )
    for (name, side), rate in zip(sides.items(), rates, strict=True):
        print(
            f"{name:<9} {side.training:>10.2f} {rates[0] / rate:>6.1f} {rate:>16,.0f} {side.seconds:>7.1f} "
            f"{side.seconds / first.seconds:>6.1f} {side.processor:>11.1f} {side.processor / first.processor:>6.1f} "
            f"{side.aucs[-1][0]:>10.5f} {side.aucs[-1][1]:>8.5f}"
        )
    for place, split in enumerate(("validation", "test")):
        goal = sides["original"].aucs[-1][place]
        reached = [
            run.ended[n]
            for n, result in run.results.items()
            if goal <= ((result.auc or 0.0), result.metrics.get("test_auc", 0.0))[place]
        ]
        told = f"{min(reached):.1f} s" if reached else "not reached"
        print(f"the original's final {split} AUC {goal:.5f}: ours first reached it after {told}")


def compare(place: str, arguments: argparse.Namespace) -> list[Cell]:
    """A row of the table."""
    print(place, flush=True)
    mine, run = ours(place, arguments)
    candidates = sum(trial.family == "subnetwork" for trial in run.trials.values())
    other = original(Dataset.open(place), arguments, mine.steps // candidates)
    report({"ours": mine, "original": other}, run)
    of_steps, in_all = (mine.steps / mine.training) / (other.steps / other.training), other.seconds / mine.seconds
    return [Path(place).name, of_steps, in_all, mine.aucs[-1][1], other.aucs[-1][1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", help="folders of prepared datasets")
    parser.add_argument("--python", required=True, help="of the environment with adanet 0.9.0")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=1.0, help="of a candidate")
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow, for both")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    rows = [compare(place, arguments) for place in arguments.datasets]
    training, whole = (" and ".join(f"{row[column]:.1f}" for row in rows) for column in (1, 2))
    record(
        "original-adanet",
        f"The same candidates train {training} times as fast as by adanet 0.9.0, the whole {whole} times, "
        "most of it graphs that the original builds anew.",
        ["data", "training, times as fast", "in all, times as fast", "test AUC", "original's test AUC"],
        rows,
        data=f"{arguments.iterations} iterations of two candidates, {arguments.threads} thread(s)",
        seeds="1",
    )


if __name__ == "__main__":
    main()
