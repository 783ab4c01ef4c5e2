"""Seconds until logistic regression's held-out log loss is within 0.001 of the converged optimum, side by side.

    python benchmarks/time_to_quality.py [--rows 1000000] [--vw PATH] [--peers keras,scikit,spark]

A million rows of 30 numerics and 8 categoricals (13 thousand weights). Ours counts everything from opening the dataset
on disk to the score that is good enough; imports are left out for all, and the others' data is in memory already
(Vowpal Wabbit: parsing of its text file counts; Spark MLlib: one-hot vectors cached in its executors, two cores).
A peer that cannot be watched is run with growing numbers of iterations, and the least that will do counts. The optimum
is L-BFGS run to its end, not timed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import scipy.sparse as sp
import tensorflow as tf
from results import Cell, record
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from glmix_automl import metrics
from glmix_automl.dataset import Block, Dataset
from glmix_automl.models import FAMILIES
from glmix_automl.training.full_batch import FullBatch
from glmix_automl.training.loop import Loop
from glmix_automl.training.measure import Point
from glmix_automl.training.resident import Resident, batch_starts, draw_order
from glmix_automl.training.schedule import factors
from glmix_automl.training.source import ResidentBlocks, Source
from glmix_automl.training.trainer import Budget, Setting
from glmix_automl.workers.collective import Alone
from tests.dataset_maker import make_dataset

CLOSE = 0.001
ITERATIONS = (5, 10, 15, 20, 30, 50, 100)  # tried in turn where a peer cannot be watched
BATCH, RATE, EPOCHS = 4096, 0.02, 3
Curve = Iterator[tuple[float, float]]
"""(seconds so far, held-out log loss)."""


def ours(folder: str) -> Curve:
    """Adam with a rate that falls to zero in three epochs; validated at the end of each."""
    started = time.perf_counter()
    dataset = Dataset.open(folder)
    block, held = dataset.read("train"), dataset.read("validation")
    train = Resident.of(block, draw_order(len(block), 0))
    validation = Resident.of(held)
    print(f"  ours: reading and shuffling took {time.perf_counter() - started:.2f} s", flush=True)
    parameters = {"batch_size": BATCH, "learning_rate": RATE, "schedule": "linear"}
    coordinate = FAMILIES["logistic"].build(dataset.schema, parameters, 0)
    loop, rows = Loop(coordinate, BATCH, Alone(), False), coordinate.prepare(train.rows)
    steps, hyper = -(-len(train) // BATCH), coordinate.hyper(train.weight)
    for epoch in range(EPOCHS):
        starts = batch_starts(len(train), BATCH, steps, np.random.default_rng(epoch))
        rates = RATE * factors(coordinate.parameters, epoch * steps, steps, EPOCHS * steps)
        loop.run(rows, starts, (rates, rates), epoch * steps, BATCH * train.weight / len(train), hyper, 0)
        yield time.perf_counter() - started, metrics.log_loss(held.label, coordinate.score(validation.rows))


def optimum(folder: str) -> float:
    dataset = Dataset.open(folder)
    held, train = dataset.read("validation"), Resident.of(dataset.read("train"))
    coordinate = FAMILIES["logistic"].build(dataset.schema, {"solver": "lbfgs", "l2": 1.0, "tolerance": 1e-9}, 0)
    rows = Resident.of(held).rows

    def validate(_: object) -> Point:
        return Point(0.5, metrics.log_loss(held.label, coordinate.score(rows)))

    blocks = ResidentBlocks(coordinate.prepare(train.rows), len(train), len(train), 1)
    source = Source(blocks, len(train), train.weight, 0, validate, list)
    fit = FullBatch(Setting(Alone())).train(coordinate, source, Budget(1.0), lambda _: False)
    assert fit.best is not None
    print(
        f"optimum: held-out log loss {fit.best.loss:.5f} after {fit.steps} passes, {fit.train_seconds:.1f} s",
        flush=True,
    )
    return fit.best.loss


def one_hot(block: Block, sizes: list[int]) -> sp.csr_matrix:
    bases = np.concatenate([[0], np.cumsum(sizes)])[:-1] + block.numerics.shape[1]
    width = block.numerics.shape[1] + len(sizes)
    numerics = np.broadcast_to(np.arange(block.numerics.shape[1]), block.numerics.shape)
    columns = np.concatenate([numerics, block.categoricals + bases], axis=1)
    values = np.concatenate([block.numerics, np.ones_like(block.categoricals, np.float32)], axis=1)
    splits = np.arange(len(block) + 1) * width
    return sp.csr_matrix((values.ravel(), columns.ravel(), splits), shape=(len(block), width - len(sizes) + sum(sizes)))


def scikit(
    train: Block,
    held: Block,
    sizes: list[int],
    solver: str,
    tolerance: float = 1e-9,
    tried: tuple[int, ...] = ITERATIONS,
) -> Callable[[], Curve]:
    x, z = one_hot(train, sizes), one_hot(held, sizes)

    def run() -> Curve:
        for iterations in tried:
            started = time.perf_counter()
            model = LogisticRegression(solver=solver, C=1.0, tol=tolerance, max_iter=iterations).fit(x, train.label)
            seconds = time.perf_counter() - started
            yield seconds, metrics.log_loss(held.label, model.decision_function(z).astype(np.float32))

    return run


def keras(train: Block, held: Block, sizes: list[int], batch: int) -> Callable[[], Curve]:
    def run() -> Curve:
        numerics = tf.keras.Input((train.numerics.shape[1],))
        ids = [tf.keras.Input((), dtype="int32") for _ in sizes]
        tables = [tf.keras.layers.Embedding(size, 1)(i) for size, i in zip(sizes, ids, strict=True)]
        model = tf.keras.Model([numerics, *ids], tf.keras.layers.Add()([tf.keras.layers.Dense(1)(numerics), *tables]))
        started = time.perf_counter()
        model.compile(tf.keras.optimizers.Adam(0.005), tf.keras.losses.BinaryCrossentropy(from_logits=True))
        for _ in range(6):
            inputs = [train.numerics, *(train.categoricals[:, k] for k in range(len(sizes)))]
            model.fit(inputs, train.label, batch, verbose=0)
            seconds = time.perf_counter() - started
            there = [held.numerics, *(held.categoricals[:, k] for k in range(len(sizes)))]
            yield seconds, metrics.log_loss(held.label, model.predict(there, 16_384, verbose=0)[:, 0])

    return run


def spark(folder: str, categoricals: int, numerics: int) -> Callable[[], Curve]:
    """Spark MLlib's L-BFGS on one-hot vectors, without a penalty as its defaults have it."""

    def run() -> Curve:
        from pyspark.ml.classification import LogisticRegression as Classifier
        from pyspark.ml.feature import OneHotEncoder, VectorAssembler
        from pyspark.ml.functions import vector_to_array
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[2]").config("spark.driver.memory", "6g")
        session = builder.config("spark.ui.enabled", "false").config("spark.log.level", "ERROR").getOrCreate()
        ids, plain = [f"c{k}" for k in range(categoricals)], [f"n{k}" for k in range(numerics)]
        splits = [session.read.parquet(f"{folder}/{split}") for split in ("train", "validation")]
        hot = [f"{i}_hot" for i in ids]
        encoder = OneHotEncoder(inputCols=ids, outputCols=hot, dropLast=False, handleInvalid="keep").fit(splits[0])
        assembler = VectorAssembler(inputCols=plain + hot, outputCol="features")
        started = time.perf_counter()
        rows, held = (assembler.transform(encoder.transform(s)).select("label", "features").cache() for s in splits)
        rows.count(), held.count()
        print(f"  Spark MLlib: vectors took {time.perf_counter() - started:.1f} s, not counted", flush=True)
        for iterations in ITERATIONS:
            started = time.perf_counter()
            model = Classifier(maxIter=iterations, tol=1e-9, standardization=False).fit(rows)
            seconds = time.perf_counter() - started
            scored = (
                model.transform(held).select("label", vector_to_array("rawPrediction")[1].alias("logit")).toPandas()
            )
            label, logit = scored.label.to_numpy(np.float32), scored.logit.to_numpy(np.float32)
            yield seconds, metrics.log_loss(label, logit)
        session.stop()

    return run


def vowpal(train: Block, held: Block, program: str) -> Callable[[], Curve]:
    """Vowpal Wabbit's defaults, one pass, from a text file."""

    def write(block: Block, path: Path) -> None:
        with path.open("w") as file:
            for y, x, c in zip(block.label, block.numerics.tolist(), block.categoricals.tolist(), strict=True):
                numbers = " ".join(f"{k}:{v:.5g}" for k, v in enumerate(x))
                file.write(f"{1 if y else -1} |n {numbers} |c {' '.join(f'{k}_{v}' for k, v in enumerate(c))}\n")

    def run() -> Curve:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            write(train, place / "train.txt")
            write(held, place / "held.txt")
            learn = [program, "--quiet", "-b", "18", "--loss_function", "logistic"]
            started = time.perf_counter()
            subprocess.run([*learn, "-d", place / "train.txt", "-f", place / "model"], check=True)
            seconds = time.perf_counter() - started
            test = [program, "--quiet", "-t", "-d", place / "held.txt", "-i", place / "model", "-p", place / "scores"]
            subprocess.run(test, check=True)
            yield seconds, metrics.log_loss(held.label, np.loadtxt(place / "scores", dtype=np.float32))

    return run


def until(curve: Curve, target: float) -> tuple[float, float]:
    """The first point at or below the target, else the last."""
    point = (0.0, float("nan"))
    for point in curve:
        if point[1] <= target:
            break
    return point


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--vw", default=None, help="the vw program, if it is to be compared")
    parser.add_argument("--peers", default="keras,scikit,spark", help="which of keras, scikit, spark; empty for none")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    with tempfile.TemporaryDirectory() as folder:
        place = f"{folder}/dataset"
        make_dataset(
            place, rows=args.rows, numerics=30, categoricals=8, bags=0, weighted_bags=0, terms=1624, held_out=100_000
        )
        target = optimum(place) + CLOSE
        peers: dict[str, Callable[[], Curve]] = {"ours, from disk": lambda: ours(place)}
        dataset = Dataset.open(place)
        train, held = dataset.read("train"), dataset.read("validation")
        sizes = [dataset.schema.size(f) for f in dataset.schema.categoricals]
        if "keras" in args.peers:
            peers |= {f"Keras, batch {b}": keras(train, held, sizes, b) for b in (4096, 512)}
        if "scikit" in args.peers:
            peers |= {f"scikit-learn {s}": scikit(train, held, sizes, s) for s in ("lbfgs", "saga")}
            peers["scikit-learn, defaults"] = scikit(train, held, sizes, "lbfgs", tolerance=1e-4, tried=(100,))
        if "spark" in args.peers:
            peers["Spark MLlib"] = spark(place, len(sizes), train.numerics.shape[1])
        if args.vw:
            peers["Vowpal Wabbit"] = vowpal(train, held, args.vw)
        first, rows = None, list[list[Cell]]()
        for name, peer in peers.items():
            seconds, loss = until(peer(), target)
            first = first or seconds
            note = "" if loss <= target else " (not within 0.001)"
            print(f"{name:<22}{seconds:>8.2f} s{seconds / first:>8.2f} times ours   loss {loss:.5f}{note}", flush=True)
            rows.append([name + note, seconds / first, loss - target + CLOSE])
    behind = [str(row[0]) for row in rows if float(str(row[1])) < 1 and "not" not in str(row[0])]
    record(
        "time-to-quality",
        f"Until the held-out log loss is within {CLOSE} of the optimum "
        + (f"only {' and '.join(behind)} took less than ours." if behind else "nobody took less than ours."),
        ["", "seconds, of ours", "log loss above the optimum"],
        rows,
        data=f"{args.rows:,} made rows, {sum(sizes) + train.numerics.shape[1]:,} weights",
        seeds="one call",
    )


if __name__ == "__main__":
    main()
