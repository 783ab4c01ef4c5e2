"""Rows per second of training: ours, Keras `model.fit`, the bare matrix products and a step by hand, in one call.

    python benchmarks/training_speed.py [--rows 1000000] [--epochs 2] [--threads 1]

Logistic regression and a 128-128 subnetwork on 30 numerics and 8 categoricals, Adam at the same rate and batch size,
data in memory for all. Prints rows/s after a warm-up (compilation left out), held-out AUC, and ratios: medians over
turns, a ratio being that of two runs in one turn, as the machine's speed changes between turns. It changes within a
second too, so what is compared step by step (the bare products, a step by hand) has many short turns, of loops that are
built once; Keras, whose `fit` costs something per call, has few long ones. One thread is what a worker has where slots
share the cores; more help large batches only.
"""

import argparse
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import tensorflow as tf
from results import record

from glmix_automl import metrics
from glmix_automl.dataset.block import Block
from glmix_automl.models import FAMILIES
from glmix_automl.schema import Categorical, Numeric, Schema, Vocabulary
from glmix_automl.training.loop import Loop
from glmix_automl.training.resident import RankShare, Resident, batch_starts, draw_order
from glmix_automl.workers.collective import Alone

SIZES = (10_000, 2_000, 500, 300, 100, 50, 30, 20)
NUMERICS = 30
RATE = 0.002
SLICE = 50_000  # rows of a short turn
Model = Callable[[], tuple[float, float]]  # rows/s and held-out AUC of a whole training
Steps = Callable[[], float]  # rows/s of a short turn


def make(rows: int, seed: int) -> tuple[Schema, Block]:
    """A schema and rows of a linear truth with one product in it."""
    truth, rng = np.random.default_rng(0), np.random.default_rng(seed)
    effects = [truth.normal(0, 0.5, size) for size in SIZES]
    weights = truth.normal(0, 0.3, NUMERICS)
    x = rng.normal(size=(rows, NUMERICS)).astype(np.float32)
    ids = np.stack([(size * rng.random(rows) ** 2).astype(np.int32) for size in SIZES], axis=1)
    logits = x @ weights + sum(e[ids[:, k]] for k, e in enumerate(effects)) + 0.5 * x[:, 0] * x[:, 1] - 0.5
    label = (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    features = [Numeric(name=f"n{k}", source=f"n{k}") for k in range(NUMERICS)]
    categories = [Categorical(name=f"c{k}", source=f"c{k}", vocabulary=f"c{k}") for k in range(len(SIZES))]
    schema = Schema(
        name="speed",
        recipe="interactions",
        features=(*features, *categories),
        entities=(),
        vocabularies={f"c{k}": Vocabulary(buckets=size - 1) for k, size in enumerate(SIZES)},
    )
    ones = np.ones(rows, np.float32)
    return schema, Block(x, ids, (), label, ones, np.zeros(rows, np.float32), np.arange(rows))


def ours(
    schema: Schema, train: RankShare, test: Block, family: str, extra: dict, batch: int, epochs: int
) -> tuple[Model, Steps]:
    parameters = {"batch_size": batch, "learning_rate": RATE, **extra}
    coordinate = FAMILIES[family].build(schema, parameters, 0)
    loop, steps = Loop(coordinate, batch, Alone(), False), len(train) // batch
    rows, rates = coordinate.prepare(train.rows), np.full(steps, RATE)
    hyper = coordinate.hyper(float(len(train)))

    def epoch(number: int, steps: int) -> float:
        starts = batch_starts(len(train), batch, len(train) // batch + 1, np.random.default_rng(number))[:steps]
        started = time.perf_counter()
        loop.run(rows, starts, (rates[:steps], rates[:steps] * 25), number * steps, batch, hyper, 0)
        return time.perf_counter() - started

    def run() -> tuple[float, float]:
        epoch(0, 4)
        loop.begin(coordinate.parameters, 0)
        seconds = sum(epoch(number, steps) for number in range(epochs))
        return epochs * steps * batch / seconds, metrics.auc(test.label, coordinate.score(Resident.of(test).rows))

    few, turns = min(SLICE // batch, steps), itertools.count()
    return run, lambda: few * batch / epoch(next(turns), few)


def keras(train: Block, test: Block, hidden: tuple[int, ...], width: int, batch: int, rows: int, epochs: int) -> Model:
    def run() -> tuple[float, float]:
        numerics = tf.keras.Input((NUMERICS,))
        ids = [tf.keras.Input((), dtype="int32") for _ in SIZES]
        embedded = [tf.keras.layers.Embedding(size, width)(i) for size, i in zip(SIZES, ids, strict=True)]
        if hidden:
            x = tf.keras.layers.Concatenate()([numerics, *embedded])
            for units in hidden:
                x = tf.keras.layers.Dense(units, "relu")(x)
            x = tf.keras.layers.Dense(1)(x)
        else:
            x = tf.keras.layers.Add()([tf.keras.layers.Dense(1)(numerics), *embedded])
        model = tf.keras.Model([numerics, *ids], x)
        loss = tf.keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(tf.keras.optimizers.Adam(RATE), loss)
        inputs = [train.numerics[:rows], *(train.categoricals[:rows, k] for k in range(len(SIZES)))]
        model.fit([a[: 4 * batch] for a in inputs], train.label[: 4 * batch], batch, verbose=0)
        started = time.perf_counter()
        model.fit(inputs, train.label[:rows], batch, epochs=epochs, verbose=0)
        seconds = time.perf_counter() - started
        held = [test.numerics, *(test.categoricals[:, k] for k in range(len(SIZES)))]
        return epochs * rows / seconds, metrics.auc(test.label, model.predict(held, 16384, verbose=0)[:, 0])

    return run


def products_only(batch: int, width: int, known: int) -> Steps:
    """The matrix products of the subnetwork's forward and backward pass, on constant data, and nothing else.

    Each layer has three: forward, towards its weights, towards its inputs; the first without `known` inputs in the
    last. Automatic differentiation knows of none; ours knows that numerics need no gradient.
    """
    shapes = [NUMERICS + width * len(SIZES), 128, 128, 1]
    inputs = [tf.random.normal([4 * batch, n]) for n in shapes]
    kernels = [tf.random.normal(shapes[k : k + 2]) for k in range(3)]
    towards = [tf.identity(kernels[0][known:]), *kernels[1:]]

    @tf.function(autograph=False)
    def loop(count: tf.Tensor) -> tf.Tensor:
        def body(step: tf.Tensor, used: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            start = step % 4 * batch  # other rows each time, or the products are taken out of the loop
            rows = [tf.slice(x, [start, 0], [batch, x.shape[1]]) for x in inputs]
            for x, w, back, out in zip(rows[:-1], kernels, towards, rows[1:], strict=True):
                products = tf.matmul(x, w), tf.matmul(x, out, transpose_a=True), tf.matmul(out, back, transpose_b=True)
                used += tf.add_n([product[0, 0] for product in products])  # or they are left out as unused
            return step + 1, used

        start = tf.constant(0), tf.constant(0.0)
        return tf.while_loop(lambda step, _: step < count, body, start, parallel_iterations=1)[1]

    return timed(loop, batch)


def step_by_hand(block: Block, batch: int, width: int) -> Steps:
    """The subnetwork's step written out in few operations of TensorFlow: gathers, products, Adam, Adagrad.

    It shows what a step needs beside the products, whoever writes it. Vocabularies up to 512 ids share a table.
    """
    columns = [[k for k, size in enumerate(SIZES) if (size > 512) == is_large] for is_large in (False, True)]
    below = [np.cumsum([0, *(SIZES[k] for k in group)]).astype(np.int32) for group in columns]
    shapes = [NUMERICS + width * len(SIZES), 128, 128, 1]
    ids = [tf.constant(block.categoricals[:, group] + base[:-1]) for group, base in zip(columns, below, strict=True)]
    numerics, label = tf.constant(block.numerics), tf.constant(block.label)[:, None]
    with tf.device("cpu"):
        tables = [tf.Variable(tf.random.normal([base[-1], width]) * 0.1) for base in below]
        kernels = [tf.Variable(tf.random.normal(shapes[k : k + 2]) / shapes[k] ** 0.5) for k in range(3)]
        biases = [tf.Variable(tf.zeros([n])) for n in shapes[1:]]
        moments = {w.ref(): (tf.Variable(w * 0), tf.Variable(w * 0)) for w in (*kernels, *biases)}
        squares = [tf.Variable(table * 0 + 0.1) for table in tables]

    def adam(weight: tf.Variable, gradient: tf.Tensor) -> tf.Operation:
        mean, square = moments[weight.ref()]
        state = {"var": weight.handle, "m": mean.handle, "v": square.handle, "beta1_power": 0.0, "beta2_power": 0.0}
        return tf.raw_ops.ResourceApplyAdam(**state, lr=RATE, beta1=0.9, beta2=0.999, epsilon=1e-8, grad=gradient)

    def adagrad(number: int, found: tf.Tensor, gradient: tf.Tensor) -> tf.Operation:
        values, at = tf.reshape(gradient, [-1, width]), tf.reshape(found, [-1])
        state = {"var": tables[number].handle, "accum": squares[number].handle, "lr": RATE * 25, "epsilon": 1e-8}
        if number == 0:  # a batch meets nearly every id of the small vocabularies
            total = tf.math.unsorted_segment_sum(values, at, tf.shape(tables[0])[0])
            return tf.raw_ops.ResourceApplyAdagradV2(**state, grad=total)
        touched, place = tf.unique(at)
        total = tf.math.unsorted_segment_sum(values, place, tf.size(touched))
        return tf.raw_ops.ResourceSparseApplyAdagradV2(**state, grad=total, indices=touched)

    def step(start: tf.Tensor) -> list[tf.Operation]:
        found = [tf.ensure_shape(each[start : start + batch], [batch, each.shape[1]]) for each in ids]
        rows = [tf.gather_nd(table, tf.expand_dims(at, -1)) for table, at in zip(tables, found, strict=True)]
        parts = [numerics[start : start + batch], *(tf.reshape(r, [batch, -1]) for r in rows)]
        inputs = [tf.concat(parts, axis=1)]
        for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
            inputs.append(tf.nn.relu(tf.nn.bias_add(inputs[-1] @ kernel, bias)))
        score = tf.nn.bias_add(inputs[-1] @ kernels[-1], biases[-1])
        slope = (tf.sigmoid(score) - label[start : start + batch]) / batch
        updates = []
        for k in (2, 1, 0):
            below_it = NUMERICS if k == 0 else 0
            back = tf.matmul(slope, kernels[k][below_it:], transpose_b=True)
            gradients = tf.matmul(inputs[k], slope, transpose_a=True), tf.reduce_sum(slope, axis=0)
            updates += [(adam, kernels[k], gradients[0]), (adam, biases[k], gradients[1])]
            slope = tf.raw_ops.ReluGrad(gradients=back, features=inputs[k]) if k else back
        towards = tf.split(slope, [width * len(group) for group in columns], axis=1)
        with tf.control_dependencies([slope, *(gradient for _, _, gradient in updates)]):
            return [update(w, g) for update, w, g in updates] + [adagrad(k, found[k], towards[k]) for k in (0, 1)]

    @tf.function(autograph=False)
    def loop(count: tf.Tensor) -> tf.Tensor:
        def body(number: tf.Tensor) -> tuple[tf.Tensor]:
            with tf.control_dependencies(step(number % (len(block) // batch) * batch)):
                return (number + 1,)

        return tf.while_loop(lambda number: number < count, body, (tf.constant(0),), parallel_iterations=1)[0]

    return timed(loop, batch)


def timed(loop: Callable[[tf.Tensor], tf.Tensor], batch: int) -> Steps:
    def run() -> float:
        started = time.perf_counter()
        loop(tf.constant(SLICE // batch)).numpy()
        return SLICE // batch * batch / (time.perf_counter() - started)

    return run


def in_turns(runs: dict[str, Model], repeats: int) -> dict[str, tuple[float, float, float]]:
    """Median rows/s, AUC, and the median over turns of how many times as fast the first was in the same turn."""
    turns = [{name: run() for name, run in runs.items()} for _ in range(repeats)]
    first = next(iter(runs))

    def outcome(name: str) -> tuple[float, float, float]:
        ratio = statistics.median(turn[first][0] / turn[name][0] for turn in turns)
        return statistics.median(turn[name][0] for turn in turns), turns[0][name][1], ratio

    return {name: outcome(name) for name in runs}


def step_by_step(runs: dict[str, Steps], turns: int) -> dict[str, tuple[float, float, float]]:
    """As `in_turns`, of short turns without an AUC, after one that is not counted."""
    short: dict[str, Model] = {name: lambda run=run: (run(), float("nan")) for name, run in runs.items()}
    in_turns(short, 1)
    return in_turns(short, turns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keras-rows", type=int, default=None, help="rows for Keras; all if not given")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=11, help="long turns")
    parser.add_argument("--turns", type=int, default=100, help="short ones")
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow, for all")
    args = parser.parse_args()
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.get_logger().setLevel("ERROR")
    schema, block = make(args.rows, 1)
    _, test = make(100_000, 2)
    train, keras_rows = Resident.of(block, draw_order(len(block), 0)), args.keras_rows or args.rows
    logistic: dict = {}
    deep = {"depth": 2, "width": 128, "embedding_width": 16, "table_learning_rate": 0.05}
    print(f"{'model':<22}{'batch':>7}{'rows/s':>14}{'AUC':>9}{'ratio':>8}")
    kept: list[list[Any]] = []
    for family, extra, hidden, width in (("logistic", logistic, (), 1), ("subnetwork", deep, (128, 128), 16)):
        for batch in (512, 4096):
            model, steps = ours(schema, train, test, family, extra, batch, args.epochs)
            theirs = keras(block, test, hidden, width, batch, keras_rows, args.epochs)
            long = in_turns({family: model, "Keras model.fit": theirs}, args.repeats)
            show(batch, long)
            (_, auc, _), (_, their_auc, times) = long.values()
            kept.append([family, batch, times, auc, their_auc, "", ""])
            if hidden:
                short = {f"{family}, steps": steps, "bare products": products_only(batch, width, 0)}
                short["the same, embeddings'"] = products_only(batch, width, NUMERICS)
                short["step by hand"] = step_by_hand(block, batch, width)
                steps_found = step_by_step(short, args.turns)
                show(batch, steps_found)
                kept[-1][5:] = [f"{steps_found[name][2]:.0%}" for name in ("bare products", "step by hand")]
    record(
        "training",
        f"Training is {min(row[2] for row in kept):.1f} to {max(row[2] for row in kept):.1f} times as fast as Keras "
        f"`model.fit`; a subnetwork is at {kept[2][5]} and {kept[3][5]} of its bare matrix products.",
        ["model", "batch", "times Keras", "AUC", "Keras' AUC", "of the bare products", "of a step by hand"],
        kept,
        data=f"{args.rows:,} made rows, {NUMERICS} numerics, {len(SIZES)} categoricals, {args.epochs} epochs, "
        f"{args.threads} thread",
        seeds=f"{args.repeats} long turns beside Keras, {args.turns} short ones",
        spread="none kept: medians of ratios within a turn",
    )


def show(batch: int, found: dict[str, tuple[float, float, float]]) -> None:
    for place, (name, (speed, auc, times)) in enumerate(found.items()):
        quality = f"{auc:>9.4f}" if auc == auc else " " * 9
        print(f"{name:<22}{batch:>7}{speed:>14,.0f}{quality}" + (f"{times:>8.2f}" if place else ""), flush=True)


if __name__ == "__main__":
    main()
