"""Metrics against scikit-learn, SciPy and loops over members: seconds and ratios, and that the values agree.

    python benchmarks/metrics.py                    # one million rows, about a minute
    python benchmarks/metrics.py --rows 10000000    # scikit-learn then takes most of the time

Each line runs ours and the baseline on the same arrays in the same call, takes the fastest of a few runs of either, and
fails if the values differ.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from results import Cell, record
from scipy.stats import rankdata
from sklearn import metrics as sklearn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from glmix_automl import metrics
from glmix_automl.seeds import generator

LOOPED = 500  # members that the loops over members are timed on; their time is scaled to all


def main() -> int:
    options = _options()
    draw = generator(0, "benchmark")
    rows, members = options.rows, options.members
    labels = (draw.random(rows) < 0.3).astype(np.float32)
    first, second = ((labels + 2 * draw.normal(size=rows) - 1).astype(np.float32) for _ in range(2))
    weights = draw.choice(np.array([0.5, 1, 2], np.float32), rows)
    member = (members * draw.random(rows) ** 2).astype(np.int32)
    probability = 1 / (1 + np.exp(-first.astype(np.float64)))
    tied = first.round(2)
    few = member % (members // LOOPED) == 0 if members > LOOPED else np.ones(rows, bool)
    shown = (labels[few], first[few], member[few])

    print(f"{rows:,} rows, {members:,} members\n")
    print(f"{'metric':34}{'ours, s':>9}{'theirs, s':>11}{'ratio':>8}")
    compare = _Comparison()
    compare("AUC", lambda: metrics.auc(labels, first), lambda: sklearn.roc_auc_score(labels, first))
    compare("AUC, many ties", lambda: metrics.auc(labels, tied), lambda: sklearn.roc_auc_score(labels, tied))
    compare(
        "AUC, weights",
        lambda: metrics.auc(labels, first, weights),
        lambda: sklearn.roc_auc_score(labels, first, sample_weight=weights),
    )
    compare("log loss", lambda: metrics.log_loss(labels, first), lambda: sklearn.log_loss(labels, probability))
    compare(
        "DeLong's paired test (p-value)",
        lambda: metrics.delong_test(labels, first, second).p_value,
        lambda: _delong(labels, first, second),
    )
    compare("AUC per member", lambda: metrics.member_auc(*shown), lambda: _loop(_own_auc, *shown))
    compare("NDCG@10 per member", lambda: metrics.ndcg(*shown, 10), lambda: _loop(_own_ndcg, *shown))
    print(f"(the last two on {few.sum():,} rows of {len(np.unique(member[few])):,} members)\n")
    print(f"{'ours alone, all rows':34}{'seconds':>9}")
    _show("AUC per member", lambda: metrics.member_auc(labels, first, member))
    _show("NDCG@10 per member", lambda: metrics.ndcg(labels, first, member, 10))
    _show("AUC interval, members as clusters", lambda: metrics.auc_interval(labels, first, clusters=member))
    told = "; ".join(f"{name} {times:.1f}" for name, _, _, times in compare.rows)
    record(
        "metrics",
        f"Values agree to 1e-6; times as fast as scikit-learn, SciPy or loops over members: {told}.",
        ["metric", "ours, s", "theirs, s", "times as fast"],
        compare.rows,
        data=f"{rows:,} made rows, {members:,} members; by member on {few.sum():,} rows of {LOOPED}",
        seeds="the fastest of 5 runs, and of 2 of theirs",
    )
    return 0


class _Comparison:
    """Prints a line per metric, and keeps it."""

    def __init__(self) -> None:
        self.rows: list[list[Cell]] = []

    def __call__(self, name: str, ours: Callable[[], float], theirs: Callable[[], float]) -> None:
        mine, own = _fastest(ours, 5)
        yours, other = _fastest(theirs, 2)
        if not math.isclose(own, other, rel_tol=1e-6, abs_tol=1e-9):
            raise SystemExit(f"{name}: ours is {own!r}, theirs {other!r}")
        self.rows.append([name, mine, yours, yours / mine])
        print(f"{name:34}{mine:9.3f}{yours:11.3f}{yours / mine:7.1f}x")


def _show(name: str, metric: Callable[[], object], parts: int = 1) -> None:
    print(f"{name:34}{_fastest(metric, 2)[0] / parts:9.3f}")


def _fastest(metric: Callable[[], float], times: int) -> tuple[float, float]:
    """(seconds of the fastest run, value)."""
    taken, value = [], math.nan
    for _ in range(times):
        started = time.perf_counter()
        value = metric()
        taken.append(time.perf_counter() - started)
    return min(taken), value


def _delong(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """The p-value by midranks of SciPy, as Sun and Xu (2014) give it."""
    positive = labels > 0
    areas, of_positives, of_negatives = [], [], []
    for scores in (first, second):
        ranks = rankdata(scores)
        m, n = int(positive.sum()), int((~positive).sum())
        of_positives.append((ranks[positive] - rankdata(scores[positive])) / n)
        of_negatives.append(1 - (ranks[~positive] - rankdata(scores[~positive])) / m)
        areas.append(of_positives[-1].mean())
    covariance = np.cov(of_positives) / m + np.cov(of_negatives) / n
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    return math.erfc(abs(areas[1] - areas[0]) / error / math.sqrt(2))


def _loop(
    metric: Callable[[np.ndarray, np.ndarray], float], labels: np.ndarray, scores: np.ndarray, members: np.ndarray
) -> float:
    """Mean of a metric over members, one after the other, the rows sorted by member beforehand."""
    order = np.argsort(members, kind="stable")
    cuts = np.flatnonzero(np.diff(members[order])) + 1
    own = [metric(labels[rows], scores[rows]) for rows in np.split(order, cuts)]
    return float(np.nanmean(own))


def _own_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    return sklearn.roc_auc_score(labels, scores) if 0 < labels.sum() < len(labels) else math.nan


def _own_ndcg(labels: np.ndarray, scores: np.ndarray) -> float:
    if not labels.any():
        return math.nan
    return sklearn.ndcg_score(labels[None], scores[None], k=10) if len(labels) > 1 else 1.0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--members", type=int, default=20_000)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
