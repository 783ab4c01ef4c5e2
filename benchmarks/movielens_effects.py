"""MovieLens-100K with the features and random split of GDMix: what per-user and per-movie effects bring, rung by rung.

    python benchmarks/movielens_effects.py --data ../shared/data/ml-100k

Age, gender and occupation of users, genres and year of films, and in which of eight parts of the films its year lies (a
taste for old ones is no line); a rating above 3 is positive; four of five rows train, five seeds. A rung adds a
coordinate on the offset of those before; strengths are estimated from the training rows, so nothing is tuned. GDMix
reports 0.6237, 0.7058, 0.7599 for its linear ladder and 0.7090, 0.7665, 0.7680 for the deep one (its README: two to
three minutes on 16 cores).
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from results import Cell, record

from glmix_automl.metrics import auc
from glmix_automl.models.design import Coefficients, Design, Floats, Grouping, scores
from glmix_automl.seeds import generator
from glmix_automl.training.newton import RowTargets, solve
from glmix_automl.training.strength import estimate_precision

RUNGS = ("global", "+ per user", "+ per movie", "sweep 2", "sweep 3", "sweep 4", "sweep 5")
YEARS = 8  # parts that years of films are told apart by
GDMIX = (0.6237, 0.7058, 0.7599)


class Effect:
    """An effect of one side, with weights on the attributes of the other."""

    def __init__(self, codes: np.ndarray, features: Floats, group: list[int], train: np.ndarray) -> None:
        self.codes, self.all = codes.astype(np.int32), Design.dense(features)
        self.design, self.group = Design.dense(features[train]), np.array([0, *group], np.int32)
        self.grouping = Grouping.of(self.codes[train], int(codes.max()) + 1)
        self.coefficients = Coefficients.active(self.design, self.grouping)
        self.begin: Floats | None = None
        self.strength: np.ndarray | None = None

    def fit(self, label: Floats, offset: Floats, threads: int) -> Floats:
        """Fits strengths and effects on the training rows' offsets; scores of all rows."""
        targets = RowTargets(label, np.ones_like(label), offset)
        own = self.group[self.coefficients.columns]

        def fitted(precision: Floats) -> tuple[Floats, Floats]:
            found = solve(
                self.design, self.grouping, targets, self.coefficients, precision, begin=self.begin, threads=threads
            )
            self.begin = found.mean
            return found.mean, found.variance

        self.strength = estimate_precision(fitted, own, np.full(self.group.max() + 1, np.nan), self.strength)
        mean, _ = fitted(self.strength[own].astype(np.float32))
        return scores(self.all, self.codes, self.coefficients, mean)


def main() -> int:
    options = _options()
    user, item, label, users, films = _read(Path(options.data))
    _climb(user, item, label, users, films, 0, options.threads, sweeps=1)  # compiled, or read from the cache
    started, processor = time.perf_counter(), time.process_time()
    climbed = np.array(
        [_climb(user, item, label, users, films, seed, options.threads) for seed in range(options.seeds)]
    )
    wall, processor = (time.perf_counter() - started) / options.seeds, (time.process_time() - processor) / options.seeds
    print(f"{'rung':14}{'test AUC':>10}{'deviation':>11}{'GDMix':>9}")
    rows: list[list[Cell]] = []
    for place, name in enumerate(RUNGS):
        theirs = f"{GDMIX[place]:.4f}" if place < len(GDMIX) else ""
        mean, deviation = climbed[:, place].mean(), climbed[:, place].std(ddof=1)
        rows.append([name, mean, deviation, theirs])
        print(f"{name:14}{mean:10.4f}{deviation:11.4f}{theirs:>9}")
    print(f"\n{wall:.1f} s a seed by the clock, {processor:.1f} processor seconds, the search for strengths included")
    ours = ", ".join(f"{row[1]:.4f}" for row in rows[: len(GDMIX)])
    record(
        "movielens-effects",
        f"Global, per user, per movie: test AUC {ours}; GDMix reports {', '.join(f'{auc:.4f}' for auc in GDMIX)} for "
        f"its linear ladder. A seed takes {wall:.1f} s, {processor:.1f} of the processor.",
        ["rung", "test AUC", "deviation of AUC", "GDMix, AUC"],
        rows,
        data="MovieLens 100K, four of five rows train, GDMix's features",
        seeds=str(options.seeds),
        spread="standard deviation",
    )
    return 0


def _climb(
    user: np.ndarray,
    item: np.ndarray,
    label: Floats,
    users: Floats,
    films: Floats,
    seed: int,
    threads: int,
    sweeps: int = 5,
) -> list[float]:
    order = generator(seed, "movielens").permutation(len(label))
    train, test = np.split(order, [int(0.8 * len(order))])
    both = np.hstack([users[user], films[item]])
    everyone = Effect(np.zeros_like(user), both, [0] * both.shape[1], train)  # the fixed effect: of one entity
    # One strength per feature: the genres are one bag, the occupations one categorical.
    per_user = Effect(user, films[item], [1, *[2] * YEARS, *[3] * (films.shape[1] - 1 - YEARS)], train)
    per_film = Effect(item, users[user], [1, 2, *[3] * (users.shape[1] - 2)], train)
    base = everyone.fit(label[train], np.zeros(len(train), np.float32), threads)
    of_user = of_film = np.zeros_like(base)
    found = [auc(label[test], base[test])]
    for sweep in range(sweeps):
        if sweep:
            base = everyone.fit(label[train], (of_user + of_film)[train], threads)
        of_user = per_user.fit(label[train], (base + of_film)[train], threads)
        if sweep == 0:
            found.append(auc(label[test], (base + of_user)[test]))
        of_film = per_film.fit(label[train], (base + of_user)[train], threads)
        found.append(auc(label[test], (base + of_user + of_film)[test]))
    return found


def _read(folder: Path) -> tuple[np.ndarray, np.ndarray, Floats, Floats, Floats]:
    """User and film of each row, its label, and the features of users and of films."""
    ratings = pd.read_csv(folder / "u.data", sep="\t", names=["user", "item", "rating", "time"])
    people = pd.read_csv(folder / "u.user", sep="|", names=["user", "age", "gender", "occupation", "zip"])
    films = pd.read_csv(folder / "u.item", sep="|", encoding="latin-1", header=None)
    year = pd.to_numeric(films[2].str[-4:], errors="coerce")
    year = ((year - year.mean()) / year.std()).fillna(0)
    age = (people.age - people.age.mean()) / people.age.std()
    occupation = pd.get_dummies(people.occupation).to_numpy()
    of_users = np.column_stack([age, people.gender == "M", occupation]).astype(np.float32)
    parts = np.searchsorted(np.quantile(year, np.arange(1, YEARS) / YEARS), year)
    of_films = np.column_stack([year, np.eye(YEARS)[parts], films.iloc[:, 5:]]).astype(np.float32)
    label = (ratings.rating > 3).to_numpy(np.float32)
    return ratings.user.to_numpy() - 1, ratings.item.to_numpy() - 1, label, of_users, of_films


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/ml-100k", help="folder of u.data, u.user and u.item")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
