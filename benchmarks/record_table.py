"""Records a table of trained configurations on MovieLens-100K, for `tuning.py` to replay without training anything.

    python benchmarks/record_table.py --data path/to/data --output benchmarks/tables/ml100k_trees.csv

Trees grown by gradient boosting (scikit-learn) on as-of histories, rating >= 4 as the label, split by time: rows 60,000
to 80,000 train, the next 10,000 validate. Every combination of the levels below once: validation AUC after 1, 3, 9 and
27 iterations, DeLong's variance of the last, and the processor seconds of the training. Only figures are kept, nothing
of the data.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier

LEVELS = {
    "learning_rate": [0.02, 0.034, 0.058, 0.1, 0.17, 0.29, 0.49, 0.83],
    "leaves": [4, 8, 16, 32, 64, 128],
    "features": [0.1, 0.3, 0.6, 1.0],
    "leaf_rows": [5, 60, 720],
}
ITERATIONS = (1, 3, 9, 27)


def histories(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Count and share of positives of each row's `key` before the row; rows are in time order."""
    grouped = frame.groupby(key)["label"]
    count = grouped.cumcount()
    positives = grouped.cumsum() - frame["label"]
    return pd.DataFrame({f"{key}_count": count, f"{key}_rate": (positives + 2.75) / (count + 5)})


def movielens(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features [100000, features] and labels of all rows, in time order."""
    ratings = pd.read_csv(folder / "u.data", sep="\t", names=["user", "item", "rating", "time"])
    ratings = ratings.sort_values(["time", "user", "item"], ignore_index=True)
    ratings["label"] = (ratings["rating"] >= 4).astype(float)
    users = pd.read_csv(folder / "u.user", sep="|", names=["user", "age", "gender", "occupation", "zip"])
    users["gender"] = (users["gender"] == "F").astype(float)
    users["occupation"] = users["occupation"].astype("category").cat.codes
    genres = [f"genre{i}" for i in range(19)]
    names = ["item", "title", "released", "video", "url", *genres]
    items = pd.read_csv(folder / "u.item", sep="|", encoding="latin-1", names=names)
    items["year"] = pd.to_datetime(items["released"], format="%d-%b-%Y", errors="coerce").dt.year
    rows = ratings.merge(users.drop(columns="zip"), on="user", how="left")
    rows = rows.merge(items[["item", "year", *genres]], on="item", how="left")
    features = [
        rows[["age", "gender", "occupation", "year", *genres]],
        histories(rows, "user"),
        histories(rows, "item"),
    ]
    return np.hstack([part.to_numpy(float) for part in features]), rows["label"].to_numpy()


def auc_and_variance(label: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """AUC and DeLong's variance of it, by mid-ranks (Sun and Xu 2014)."""
    positive, negative = score[label == 1], score[label == 0]
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[:m] - rankdata(positive)) / n
    below = 1 - (ranks[m:] - rankdata(negative)) / m
    return float(above.mean()), float(above.var(ddof=1) / m + below.var(ddof=1) / n)


def record(features: np.ndarray, label: np.ndarray, levels: dict[str, float]) -> dict[str, float]:
    """Trains one configuration; its row of the table."""
    train, validation = slice(60_000, 80_000), slice(80_000, 90_000)
    model = HistGradientBoostingClassifier(
        learning_rate=levels["learning_rate"],
        max_leaf_nodes=int(levels["leaves"]),
        max_features=levels["features"],
        min_samples_leaf=int(levels["leaf_rows"]),
        max_iter=ITERATIONS[-1],
        early_stopping=False,
        random_state=0,
    )
    start = time.process_time()
    model.fit(features[train], label[train])
    seconds = time.process_time() - start
    staged = list(itertools.islice(model.staged_decision_function(features[validation]), ITERATIONS[-1]))
    found = [auc_and_variance(label[validation], staged[i - 1].ravel()) for i in ITERATIONS]
    aucs = {f"auc_{i}": round(auc, 6) for i, (auc, _) in zip(ITERATIONS, found, strict=True)}
    return {**levels, **aucs, "auc_variance": float(f"{found[-1][1]:.4g}"), "seconds": round(seconds, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Records a table of trained configurations.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds ml-100k/")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    options = parser.parse_args()
    features, label = movielens(options.data / "ml-100k")
    rows = []
    for values in itertools.product(*LEVELS.values()):
        rows.append(record(features, label, dict(zip(LEVELS, values, strict=True))))
        if len(rows) % 50 == 0:
            print(f"{len(rows)} recorded, best AUC {max(row['auc_27'] for row in rows):.4f}", flush=True)
    pd.DataFrame(rows).to_csv(options.output, index=False)


if __name__ == "__main__":
    main()
