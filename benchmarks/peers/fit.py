"""Fits one peer within a budget of seconds, writes its scores; run by `quality.py`, most in an environment of theirs.

    python benchmarks/peers/fit.py PEER FOLDER SECONDS SEED THREADS

FOLDER has a .parquet of each split (numerics, ids of categoricals, counts of the bags' frequent terms), a .npz
(numerics, every term), and the arrays that `adanet_estimator.py` reads, labels among them. Whatever there is to choose
is chosen on the validation rows. The clock starts when the columns are in memory. Writes scores-PEER.npy of the test
rows; prints a line of JSON.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Task:
    """What a peer is given."""

    folder: Path
    seconds: float
    seed: int
    threads: int

    def dense(self) -> tuple[pd.DataFrame, ...]:
        """Columns of each split; ids of categoricals are of pandas' category."""
        frames = [pd.read_parquet(self.folder / f"{split}.parquet") for split in SPLITS]
        for name in [name for name in frames[0] if name.startswith("c")]:
            levels = pd.CategoricalDtype(range(1 + max(int(frame[name].max()) for frame in frames)))
            for frame in frames:
                frame[name] = frame[name].astype(levels)
        return tuple(frames)

    def sparse(self) -> tuple[sp.csr_matrix, ...]:
        """Every term of each split."""
        return tuple(sp.load_npz(self.folder / f"{split}.npz").tocsr() for split in SPLITS)

    def labels(self) -> tuple[np.ndarray, ...]:
        """0 or 1, of each split."""
        return tuple(np.load(self.folder / f"{split}_label.npy").astype(int) for split in SPLITS)


ADANET: dict[str, Any] = {
    "candidates": [{"depth": 1, "width": 64}, {"depth": 2, "width": 64}],
    "batch_size": 256,
    "learning_rate": 0.002,
    "table_learning_rate": 0.02,
    "embedding_width": 16,
    "bag_width": 16,
    "complexity_penalty": 1e-4,
    "penalty": 1e-5,
}
"""Candidates of an iteration of the original library, how they are trained, and the penalties of what they weigh."""
ADANET_EPOCHS = 3.0  # of a candidate: better on validation than 1, where an iteration's graphs take 15 s or more

Scores = tuple[np.ndarray, str]
"""Of the test rows, and what was chosen."""
Work = Callable[[], Scores]


def lightgbm_default(task: Task) -> Work:
    """300 trees, its own defaults."""
    from lightgbm import LGBMClassifier

    (x, _, z), (y, _, _) = task.dense(), task.labels()

    def work() -> Scores:
        model = LGBMClassifier(n_estimators=300, n_jobs=task.threads, random_state=task.seed, verbosity=-1).fit(x, y)
        return model.predict_proba(z)[:, 1], "300 trees"

    return work


def lightgbm_optuna(task: Task) -> Work:
    """LightGBM's parameters by Optuna's TPE until the seconds are over, each with early stopping."""
    import lightgbm
    import optuna

    (x, v, z), (y, w, _) = task.dense(), task.labels()
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def work() -> Scores:
        until = time.perf_counter() + task.seconds
        train = lightgbm.Dataset(x, y, free_raw_data=False)
        held = lightgbm.Dataset(v, w, reference=train, free_raw_data=False)
        best: list[Any] = [-1.0, None]

        def in_time(environment: Any) -> None:
            if time.perf_counter() > until:
                raise lightgbm.callback.EarlyStopException(environment.iteration, environment.evaluation_result_list)

        def trial(asked: Any) -> float:
            chosen = {
                "num_leaves": asked.suggest_int("num_leaves", 8, 256, log=True),
                "learning_rate": asked.suggest_float("learning_rate", 0.01, 0.3, log=True),
                "min_data_in_leaf": asked.suggest_int("min_data_in_leaf", 5, 200, log=True),
                "feature_fraction": asked.suggest_float("feature_fraction", 0.3, 1.0),
                "bagging_fraction": asked.suggest_float("bagging_fraction", 0.5, 1.0),
                "bagging_freq": 1,
                "lambda_l2": asked.suggest_float("lambda_l2", 1e-3, 100, log=True),
            }
            fixed = {"objective": "binary", "metric": "auc", "num_threads": task.threads, "seed": task.seed}
            options = {**fixed, **chosen, "verbosity": -1, "feature_pre_filter": False}
            stops = [lightgbm.early_stopping(50, verbose=False), in_time]
            model = lightgbm.train(options, train, 2000, valid_sets=[held], callbacks=stops)
            found = model.best_score["valid_0"]["auc"] if model.best_score else 0.0
            if found > best[0]:
                best[:] = [found, model]
            return found

        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=task.seed))
        study.optimize(trial, timeout=task.seconds)
        return best[1].predict(z), f"{len(study.trials)} trials, {best[1].best_iteration} trees"

    return work


def catboost(task: Task) -> Work:
    """Its defaults with early stopping, ended by the clock."""
    from catboost import CatBoostClassifier

    (x, v, z), (y, w, _) = task.dense(), task.labels()
    categories = [name for name in x if name.startswith("c")]
    for frame in (x, v, z):
        frame[categories] = frame[categories].astype(int)

    def work() -> Scores:
        until = time.perf_counter() + task.seconds

        class InTime:
            def after_iteration(self, _: Any) -> bool:
                return time.perf_counter() < until

        model = CatBoostClassifier(
            eval_metric="AUC",
            thread_count=task.threads,
            random_seed=task.seed,
            verbose=False,
            allow_writing_files=False,
        )
        told = {"eval_set": (v, w), "early_stopping_rounds": 50, "callbacks": [InTime()]}
        model.fit(x, y, cat_features=categories, **told)
        return model.predict_proba(z)[:, 1], f"{model.tree_count_} trees"

    return work


def flaml(task: Task) -> Work:
    """Its search over its own families, validation rows given."""
    from flaml import AutoML

    (x, v, z), (y, w, _) = task.dense(), task.labels()

    def work() -> Scores:
        automl = AutoML()
        told = {"X_val": v, "y_val": w, "metric": "roc_auc", "task": "classification", "verbose": 0}
        automl.fit(x, y, time_budget=task.seconds, n_jobs=task.threads, seed=task.seed, retrain_full=False, **told)
        return automl.predict_proba(z)[:, 1], str(automl.best_estimator)

    return work


def autogluon(task: Task) -> Work:
    """AutoGluon's default pool (those of its families that need no PyTorch) and its weighted ensemble."""
    import tempfile

    from autogluon.tabular import TabularPredictor

    (x, v, z), (y, w, _) = task.dense(), task.labels()

    def work() -> Scores:
        place = tempfile.mkdtemp(dir=task.folder)
        predictor = TabularPredictor("label", eval_metric="roc_auc", path=place, verbosity=0)
        told = {"time_limit": task.seconds, "num_cpus": task.threads, "num_gpus": 0}
        predictor.fit(x.assign(label=y), tuning_data=v.assign(label=w), **told)
        chosen = f"{predictor.model_best} of {len(predictor.model_names())}"
        return predictor.predict_proba(z)[1].to_numpy(), chosen

    return work


def hist_gradient_boosting(task: Task) -> Work:
    """scikit-learn's boosting; of three rates the best on validation."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from threadpoolctl import threadpool_limits

    (x, v, z), (y, w, _) = task.dense(), task.labels()
    for frame in (x, v, z):  # it takes 255 categories at most: those beyond are one
        for name in [name for name in frame if name.startswith("c")]:
            frame[name] = np.minimum(frame[name].astype(int), 250)

    def work() -> Scores:
        found = (-1.0, np.zeros(len(z)), "")
        begun = time.perf_counter()
        categories = [name.startswith("c") for name in x]
        for rate in (0.1, 0.05, 0.2):
            if time.perf_counter() - begun > task.seconds / 2:
                break
            with threadpool_limits(task.threads):
                model = HistGradientBoostingClassifier(
                    learning_rate=rate, max_iter=500, random_state=task.seed, categorical_features=categories
                ).fit(x, y)
                area = float(roc_auc_score(w, model.predict_proba(v)[:, 1]))
                if area > found[0]:
                    found = area, model.predict_proba(z)[:, 1], f"rate {rate}, {model.n_iter_} trees"
        return found[1:]

    return work


def logistic_regression(task: Task) -> Work:
    """scikit-learn's, on every term; of a path of penalties the best on validation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    (x, v, z), (y, w, _) = task.sparse(), task.labels()

    def work() -> Scores:
        found = (-1.0, np.zeros(z.shape[0]), "")
        model = LogisticRegression(max_iter=200, tol=1e-4, warm_start=True)
        begun = time.perf_counter()
        for strength in (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0):
            if time.perf_counter() - begun > task.seconds:
                break
            model.set_params(C=strength).fit(x, y)
            area = float(roc_auc_score(w, model.decision_function(v)))
            if area > found[0]:
                found = area, model.decision_function(z), f"C {strength}"
        return found[1:]

    return work


def spark_mllib(task: Task) -> Work:
    """MLlib's logistic regression on every term by three penalties, then its boosted trees on the dense columns."""
    from pyspark.ml.classification import GBTClassifier, LogisticRegression
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.functions import vector_to_array
    from pyspark.ml.linalg import Vectors
    from pyspark.sql import SparkSession
    from sklearn.metrics import roc_auc_score

    labels, matrices = task.labels(), task.sparse()
    builder = SparkSession.builder.master(f"local[{task.threads}]").config("spark.driver.memory", "4g")
    builder = builder.config("spark.sql.execution.arrow.pyspark.enabled", "true")
    session = builder.config("spark.ui.enabled", "false").config("spark.log.level", "ERROR").getOrCreate()

    def sparse(matrix: sp.csr_matrix, label: np.ndarray) -> Any:
        matrix.sort_indices()
        cut, ids, values = matrix.indptr, matrix.indices, matrix.data.astype(float)
        parts = zip(cut[:-1], cut[1:], label.tolist(), strict=True)
        rows = [
            (k, float(y), Vectors.sparse(matrix.shape[1], ids[a:b], values[a:b])) for k, (a, b, y) in enumerate(parts)
        ]
        return session.createDataFrame(rows, ["row", "label", "features"])

    def dense(split: str, label: np.ndarray) -> Any:
        frame = pd.read_parquet(task.folder / f"{split}.parquet")
        assembler = VectorAssembler(inputCols=list(frame), outputCol="features")
        whole = session.createDataFrame(frame.assign(row=range(len(frame)), label=label.astype(float)))
        return assembler.transform(whole).select("row", "label", "features")

    linear = [sparse(*each).repartition(task.threads).cache() for each in zip(matrices, labels, strict=True)]
    columns = [dense(*each).repartition(task.threads).cache() for each in zip(SPLITS, labels, strict=True)]
    for frame in (*linear, *columns):
        frame.count()

    def scores(model: Any, frame: Any) -> np.ndarray:
        told = model.transform(frame).select("row", vector_to_array("probability")[1].alias("p")).toPandas()
        return told.sort_values("row")["p"].to_numpy()

    def work() -> Scores:
        found = (-1.0, np.zeros(0), "")
        begun = time.perf_counter()
        tries = [(f"logistic regression, {r}", LogisticRegression(regParam=r, maxIter=50)) for r in (0.01, 0.001, 0.1)]
        tries.append(("boosted trees", GBTClassifier(maxIter=20, maxDepth=5, seed=task.seed, maxBins=64)))
        for name, algorithm in tries:
            if time.perf_counter() - begun > 0.7 * task.seconds:
                break
            frames = columns if name == "boosted trees" else linear
            model = algorithm.fit(frames[0])
            area = float(roc_auc_score(labels[1], scores(model, frames[1])))
            if area > found[0]:
                found = area, scores(model, frames[2]), name
        return found[1:]

    return work


def adanet(task: Task) -> Work:
    """The original library: a network of one and one of two hidden layers an iteration, validation chooses."""
    import tempfile

    from adanet_estimator import grow, read  # needs an environment of its own

    told = ADANET | json.loads((task.folder / "features.json").read_text())
    steps = round(ADANET_EPOCHS * len(np.load(task.folder / "train_label.npy")) / told["batch_size"])
    told |= {"seconds": task.seconds, "seed": task.seed, "threads": task.threads, "steps": steps}
    train, validation, test = read(task.folder, told)
    model = Path(tempfile.mkdtemp(dir=task.folder))

    def work() -> Scores:
        grown = grow(model, train, validation, told)
        return grown.score(grown.checkpoints[-1], test)[0], f"{len(grown.checkpoints)} iterations"

    return work


PEERS: dict[str, Callable[[Task], Work]] = {
    "autogluon": autogluon,
    "flaml": flaml,
    "catboost": catboost,
    "lightgbm": lightgbm_default,
    "lightgbm-optuna": lightgbm_optuna,
    "hist-gradient-boosting": hist_gradient_boosting,
    "logistic-regression": logistic_regression,
    "spark-mllib": spark_mllib,
    "adanet": adanet,
}


def main() -> None:
    warnings.simplefilter("ignore")
    name, folder, seconds, seed, threads = sys.argv[1:]
    task = Task(Path(folder), float(seconds), int(seed), int(threads))
    work = PEERS[name](task)
    started = time.perf_counter()
    scores, chosen = work()
    took = time.perf_counter() - started
    np.save(task.folder / f"scores-{name}.npy", np.asarray(scores, np.float64))
    print(json.dumps({"seconds": took, "chosen": chosen}))


if __name__ == "__main__":
    main()
