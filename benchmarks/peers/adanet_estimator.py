"""Growth by the original library, adanet 0.9.0: in its own environment, with TensorFlow 2.8 (`setup.sh --adanet`).

    python adanet_estimator.py FOLDER

Run so by `benchmarks/original_adanet.py`, for iterations of so many steps; `fit.py` calls `grow` for so many seconds.
FOLDER has `task.json` (sizes, rates and candidates) and per split the arrays `<split>_<name>.npy`: label and weight
float32 [rows], numerics float32 [rows, n], categoricals int32 [rows, c], and for bag k `splits_k` int64 [rows + 1],
`ids_k` int32 and `values_k` float32 [entries]. Leaves `logits_<iteration>_<split>.npy` for validation and test, float32
[rows], and `answer.json`: steps of the training loop, the seconds they took, the seconds of everything but imports and
predictions, and those of the processor.
"""

import contextlib
import functools
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import adanet
import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


class Split:
    """Rows of a split as batches: slices of arrays in memory, so that the feed costs as little as it can."""

    def __init__(self, folder, split, task, order=None):
        def load(name):
            return np.load(folder / f"{split}_{name}.npy")

        self.rows = len(load("label"))
        order = np.arange(self.rows) if order is None else order
        self.label, self.weight = load("label")[order, None], load("weight")[order, None]
        self.weight /= self.weight.mean()
        self.numerics, self.categoricals = load("numerics")[order], load("categoricals")[order]
        self.bags = []
        for k in range(len(task["bags"])):
            splits, ids, values = load(f"splits_{k}"), load(f"ids_{k}"), load(f"values_{k}")
            lengths = np.diff(splits)[order]
            ends = np.concatenate([[0], np.cumsum(lengths)])
            entries = np.repeat(splits[:-1][order] - ends[:-1], lengths) + np.arange(ends[-1])
            owners = np.repeat(np.arange(self.rows, dtype=np.int32), lengths)
            self.bags.append((ends, ids[entries], values[entries], owners))

    def take(self, start, size):
        """Features by name and labels of rows `start` to `start + size`, flat, as a list."""
        part = slice(start, min(start + size, self.rows))
        taken = [self.numerics[part], self.categoricals[part], self.weight[part], self.label[part]]
        for ends, ids, values, owners in self.bags:
            entries = slice(ends[part.start], ends[part.stop])
            taken += [ids[entries], values[entries], owners[entries] - np.int32(part.start)]
        return taken

    def batches(self, starts, size, repeat):
        """A dataset of (features, labels), a batch for each of `starts`; in a new order each time if they repeat."""
        shapes = [[None, self.numerics.shape[1]], [None, self.categoricals.shape[1]], [None, 1], [None, 1]]
        shapes += [[None]] * 3 * len(self.bags)
        kinds = [tf.float32, tf.int32, tf.float32, tf.float32, *[tf.int32, tf.float32, tf.int32] * len(self.bags)]

        def features(start):
            found = tf.numpy_function(lambda s: self.take(int(s), size), [start], kinds)
            for k, shape in enumerate(shapes):
                found[k].set_shape(shape)
            named = {"numerics": found[0], "categoricals": found[1], "weight": found[2]}
            for k in range(len(self.bags)):
                named[f"ids_{k}"], named[f"values_{k}"], named[f"owners_{k}"] = found[4 + 3 * k : 7 + 3 * k]
            return named, found[3]

        dataset = tf.data.Dataset.from_tensor_slices(np.asarray(starts, np.int64))
        if repeat:
            dataset = dataset.shuffle(len(starts), seed=1, reshuffle_each_iteration=True).repeat()
        return dataset.map(features).prefetch(2)

    def in_order(self):
        """All rows, once."""
        return self.batches(np.arange(0, self.rows, 16384), 16384, repeat=False)


class Builder(adanet.subnetwork.Builder):
    """A dense subnetwork on numerics and embeddings: our `subnetwork` with the same initial distributions and rates."""

    def __init__(self, task, depth, width):
        self._task, self._depth, self._width = task, depth, width

    @property
    def name(self):
        """Within an iteration."""
        return f"depth_{self._depth}_width_{self._width}"

    def build_subnetwork(self, features, logits_dimension, training, iteration_step, summary, previous_ensemble=None):
        """See `adanet.subnetwork.Builder`."""
        hidden = tf.concat([features["numerics"], *self._embedded(features)], axis=1)
        for layer in range(self._depth):
            hidden = tf.nn.relu(self._linear(f"layer_{layer}", hidden, self._width))
        logits = self._linear("output", hidden, logits_dimension)
        # The root of the depth, the output layer included, as our family has it.
        complexity = tf.sqrt(tf.constant(1.0 + self._depth))
        return adanet.Subnetwork(last_layer=hidden, logits=logits, complexity=complexity)

    def _linear(self, name, x, units):
        inputs = int(x.shape[1])
        normal = v1.random_normal_initializer(stddev=(2.0 / max(inputs, 1)) ** 0.5)
        kernel = v1.get_variable(f"{name}_kernel", [inputs, units], initializer=normal)
        bias = v1.get_variable(f"{name}_bias", [units], initializer=v1.zeros_initializer())
        return tf.nn.bias_add(tf.matmul(x, kernel), bias)

    def _embedded(self, features):
        def table(feature, width):
            return v1.get_variable(
                f"table_{feature['table']}_{width}",
                [feature["size"], width],
                initializer=v1.random_normal_initializer(stddev=0.1),
            )

        rows = tf.shape(features["numerics"])[0]
        with v1.variable_scope("tables", reuse=v1.AUTO_REUSE):
            for k, feature in enumerate(self._task["categoricals"]):
                yield tf.gather(table(feature, self._task["embedding_width"]), features["categoricals"][:, k])
            for k, feature in enumerate(self._task["bags"]):
                values, owners = features[f"values_{k}"], features[f"owners_{k}"]
                found = tf.gather(table(feature, self._task["bag_width"]), features[f"ids_{k}"])
                total = tf.math.unsorted_segment_sum(found * values[:, None], owners, rows)
                mass = tf.math.unsorted_segment_sum(tf.abs(values), owners, rows)
                yield total / tf.maximum(mass, 1e-6)[:, None]

    def build_subnetwork_train_op(
        self, subnetwork, loss, var_list, labels, iteration_step, summary, previous_ensemble=None
    ):
        """See `adanet.subnetwork.Builder`."""
        tables = [v for v in var_list if "/tables/" in v.name]
        dense = [v for v in var_list if "/tables/" not in v.name]
        adam = v1.train.AdamOptimizer(self._task["learning_rate"])
        adagrad = v1.train.AdagradOptimizer(self._task["table_learning_rate"], initial_accumulator_value=1e-12)
        updates = [adam.minimize(loss, var_list=dense)]
        return tf.group(*updates, *([adagrad.minimize(loss, var_list=tables)] if tables else []))


class Generator(adanet.subnetwork.Generator):
    """The same candidates at each iteration."""

    def __init__(self, task):
        self._task = task

    def generate_candidates(self, previous_ensemble, iteration_number, previous_ensemble_reports, all_reports):
        """See `adanet.subnetwork.Generator`."""
        return [Builder(self._task, **candidate) for candidate in self._task["candidates"]]


class Clock(v1.train.SessionRunHook):
    """Seconds from the end of each session's first step, which optimises the graph, to the end of its last; asks for
    the end when time is over.
    """

    def __init__(self, until=float("inf")):
        self.seconds, self.steps, self._until = 0.0, 0, until

    def after_create_session(self, session, coord):
        """See `SessionRunHook`."""
        self._last = None

    def after_run(self, run_context, run_values):
        """See `SessionRunHook`."""
        now = time.perf_counter()
        if self._last is not None:
            self.seconds += now - self._last
            self.steps += 1
        self._last = now
        if now > self._until:
            run_context.request_stop()


class Keeper(v1.train.CheckpointSaverListener):
    """Keeps the last checkpoint of each iteration as `kept.ckpt-<step>`: the next one overwrites it as it begins."""

    def __init__(self, model):
        self._model, self.checkpoints = model, []

    def end(self, session, global_step_value):
        """See `CheckpointSaverListener`."""
        for file in self._model.glob(f"model.ckpt-{global_step_value}.*"):
            shutil.copy(file, file.with_name(file.name.replace("model", "kept")))
        self.checkpoints.append(str(self._model / f"kept.ckpt-{global_step_value}"))


class OutOfTimeError(Exception):
    """There is none for another iteration."""


@dataclass
class Grown:
    """What came of it: checkpoints after iterations, steps and their seconds, all seconds, those of the processor."""

    estimator: adanet.Estimator
    checkpoints: list
    steps: int
    training: float
    seconds: float
    processor: float

    def score(self, checkpoint, *splits):
        """Logits of splits by the best ensemble, which is chosen here; at once, because each call builds its graphs
        anew.
        """

        def feed():
            feeds = [split.in_order() for split in splits]
            return functools.reduce(lambda before, other: before.concatenate(other), feeds)

        told = {"checkpoint_path": checkpoint, "yield_single_examples": False}
        predicted = self.estimator.predict(feed, ["logits"], **told)
        logits = np.concatenate([part["logits"][:, 0] for part in predicted]).astype(np.float32)
        return np.split(logits, np.cumsum([split.rows for split in splits])[:-1])


def read(folder, task):
    """The splits: train in an order of its own, validation, test."""
    order = np.random.default_rng(task["seed"]).permutation(len(np.load(folder / "train_label.npy")))
    return Split(folder, "train", task, order), Split(folder, "validation", task), Split(folder, "test", task)


def grow(model, train, validation, task):
    """Grows until `task["iterations"]` have ended, or time is over: what the one under way has come to then counts.

    Args:
        model: an empty folder.
        train, validation: splits; validation chooses.
        task: sizes, rates, candidates; `steps` of an iteration; `iterations` or `seconds`.
    """
    batch, steps, iterations = task["batch_size"], task["steps"], task.get("iterations")
    epoch = np.linspace(0, train.rows - batch, -(-train.rows // batch)).astype(np.int64)
    started, used = time.perf_counter(), time.process_time()
    until = started + task.get("seconds", float("inf"))
    clock, keeper = Clock(until), Keeper(model)

    def feed():
        if time.perf_counter() > until:
            raise OutOfTimeError
        return train.batches(epoch, batch, repeat=True)

    threads = task["threads"]
    session = v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
    config = tf.estimator.RunConfig(
        model_dir=str(model),
        tf_random_seed=task["seed"],
        session_config=session,
        save_summary_steps=10**9,
        log_step_count_steps=10**9,
        save_checkpoints_secs=10**9,
        keep_checkpoint_max=None,
    )
    ensembler = adanet.ensemble.ComplexityRegularizedEnsembler(
        optimizer=v1.train.AdamOptimizer(task["learning_rate"]),
        warm_start_mixture_weights=True,
        model_dir=str(model),
        adanet_lambda=task["complexity_penalty"],
        adanet_beta=task["penalty"],
        use_bias=True,
    )
    estimator = adanet.Estimator(
        head=tf.estimator.BinaryClassHead(weight_column="weight"),
        subnetwork_generator=Generator(task),
        max_iteration_steps=steps,
        ensemblers=[ensembler],
        evaluator=adanet.Evaluator(validation.in_order, "auc", adanet.Evaluator.Objective.MAXIMIZE),
        force_grow=False,
        max_iterations=iterations,
        enable_ensemble_summaries=False,
        enable_subnetwork_summaries=False,
        config=config,
    )
    most = None if iterations is None else steps * iterations
    with contextlib.suppress(OutOfTimeError):
        estimator.train(feed, hooks=[clock], max_steps=most, saving_listeners=[keeper])
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    return Grown(estimator, keeper.checkpoints, clock.steps, clock.seconds, seconds, processor)


def main(folder):
    task = json.loads((folder / "task.json").read_text())
    train, *held = read(folder, task)
    grown = grow(folder / "model", train, held[0], task)
    for iteration, checkpoint in enumerate(grown.checkpoints):
        for split, logits in zip(("validation", "test"), grown.score(checkpoint, *held), strict=True):
            np.save(folder / f"logits_{iteration}_{split}.npy", logits)
    kept = ("steps", "training", "seconds", "processor")
    (folder / "answer.json").write_text(json.dumps({key: getattr(grown, key) for key in kept}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
