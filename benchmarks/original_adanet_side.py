"""The side of `original_adanet.py` that the original library runs: its own Python, TensorFlow 2.8, adanet 0.9.0.

    python -I original_adanet_side.py FOLDER

FOLDER has `task.json` (sizes, rates and candidates) and per split the arrays `<split>_<name>.npy`: label and weight
float32 [rows], numerics float32 [rows, n], categoricals int32 [rows, c], and for bag k `splits_k` int64 [rows + 1],
`ids_k` int32 and `values_k` float32 [entries]. Leaves `logits_<iteration>_<split>.npy` for validation and test, float32
[rows], and `answer.json`: steps of the training loop, the seconds they took, the seconds of everything but imports and
predictions, and those of the processor.
"""

import json
import os
import shutil
import sys
import time
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
    """Seconds from the end of each session's first step, which optimises the graph, to the end of its last."""

    def __init__(self):
        self.seconds, self.steps = 0.0, 0

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


class Keeper(v1.train.CheckpointSaverListener):
    """Keeps the last checkpoint of each iteration as `kept.ckpt-<step>`: the next one overwrites it as it begins."""

    def __init__(self, model):
        self._model = model

    def end(self, session, global_step_value):
        """See `CheckpointSaverListener`."""
        for file in self._model.glob(f"model.ckpt-{global_step_value}.*"):
            shutil.copy(file, file.with_name(file.name.replace("model", "kept")))


def main(folder):
    task = json.loads((folder / "task.json").read_text())
    order = np.random.default_rng(task["seed"]).permutation(len(np.load(folder / "train_label.npy")))
    train = Split(folder, "train", task, order)
    held = {split: Split(folder, split, task) for split in ("validation", "test")}
    batch, steps, iterations = task["batch_size"], task["steps"], task["iterations"]
    epoch = np.linspace(0, train.rows - batch, -(-train.rows // batch)).astype(np.int64)

    def feed():
        return train.batches(epoch, batch, repeat=True)

    def all_of(split):
        return lambda: held[split].batches(np.arange(0, held[split].rows, 16384), 16384, repeat=False)

    threads = task["threads"]
    session = v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
    model = folder / "model"
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
        evaluator=adanet.Evaluator(all_of("validation"), "auc", adanet.Evaluator.Objective.MAXIMIZE),
        force_grow=False,
        max_iterations=iterations,
        enable_ensemble_summaries=False,
        enable_subnetwork_summaries=False,
        config=config,
    )
    clock, started, used = Clock(), time.perf_counter(), time.process_time()
    estimator.train(feed, hooks=[clock], max_steps=steps * iterations, saving_listeners=[Keeper(model)])
    seconds, used = time.perf_counter() - started, time.process_time() - used
    for iteration in range(iterations):
        # Both splits at once, because each call builds its graphs anew.
        predicted = estimator.predict(
            lambda: all_of("validation")().concatenate(all_of("test")()),
            ["logits"],
            checkpoint_path=str(model / f"kept.ckpt-{steps * (iteration + 1)}"),
            yield_single_examples=False,
        )
        logits = np.concatenate([part["logits"][:, 0] for part in predicted]).astype(np.float32)
        np.save(folder / f"logits_{iteration}_validation.npy", logits[: held["validation"].rows])
        np.save(folder / f"logits_{iteration}_test.npy", logits[held["validation"].rows :])
    answer = {"steps": clock.steps, "training": clock.seconds, "seconds": seconds, "processor": used}
    (folder / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
