"""Random effects: entities per second by size and features, against SciPy and scikit-learn per entity; how cost grows.

    python benchmarks/random_effects.py                    # some minutes, 2 GB
    python benchmarks/random_effects.py --largest 10000000 # entities of the last rung; 20 GB

Figures are processor seconds of one thread, so that a busy machine does not change them; the baselines solve a sample
of the same entities in the same call, to the same minimum (checked), one after the other, as GDMix does on each core.
"""

import argparse
import math
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from results import Cell, record
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from glmix_automl.models.design import Coefficients, Design, Grouping, scores
from glmix_automl.seeds import generator
from glmix_automl.training.newton import RowTargets, Solution, solve

LOOPED = 100  # entities that the baselines are timed on
SIZES = (5, 20, 80, 320)  # rows of an entity
FEATURES = (1, 8, 16, 32)  # the intercept is one


class Made:
    """Entities with planted effects, their rows in random order."""

    def __init__(self, rows: np.ndarray, features: int) -> None:
        draw = generator(0, "effects", features, len(rows))
        self.entities, total = len(rows), int(rows.sum())
        self.codes = draw.permutation(np.repeat(np.arange(self.entities, dtype=np.int32), rows))
        numerics = draw.standard_normal((total, features - 1), np.float32)
        truth = 0.7 * draw.standard_normal((self.entities, features), np.float32)
        score = truth[self.codes, 0] + np.einsum("ij,ij->i", numerics, truth[self.codes, 1:])
        label = (draw.random(total, np.float32) < 1 / (1 + np.exp(-score))).astype(np.float32)
        self.design = Design.dense(numerics)
        self.targets = RowTargets(label, np.ones(total, np.float32), np.zeros(total, np.float32))

    def gather(self) -> None:
        """Brings the rows of each entity together, as they lie in a prepared dataset by member."""
        order = np.argsort(self.codes, kind="stable")
        self.codes, self.design = self.codes[order], Design.dense(self.design.numerics[order])
        own = self.targets
        self.targets = RowTargets(own.label[order], own.weight[order], own.offset[order])

    def fit(self, threads: int = 1) -> tuple[Grouping, Coefficients, Solution]:
        """All that a fit takes: rows grouped, columns found, every entity solved."""
        grouping = Grouping.of(self.codes, self.entities)
        coefficients = Coefficients.active(self.design, grouping)
        precision = np.ones(len(coefficients.columns), np.float32)
        return grouping, coefficients, solve(
            self.design, grouping, self.targets, coefficients, precision, threads=threads
        )  # fmt: skip


def main() -> int:
    options = _options()
    small = Made(np.full(10, 5), 2)  # compiled, or read from the cache
    _, coefficients, found = small.fit()
    scores(small.design, small.codes, coefficients, found.mean)
    print("solves, per processor second\n")
    print(f"{'rows':>5}{'features':>9}{'entities/s':>12}{'rows/s':>12}{'SciPy':>9}{'scikit-learn':>13}{'ratios':>14}")
    rows: list[list[Cell]] = []
    for size in SIZES:
        ratios = [_compare(size, features, options.entities) for features in FEATURES]
        rows.append([size, *(scipy for scipy, _ in ratios), *(sklearn for _, sklearn in ratios)])
    print("\ngrouped, columns found, solved, scored: mean 18 rows (5 to 200), processor seconds\n")
    print(f"{'entities':>10}{'features':>9}{'rows':>13}{'seconds':>9}{'per million':>13}{'exponent':>10}{'peak GB':>9}")
    says = []
    for features in (1, 8):
        rungs: list[_Rung] = []
        for entities in (10_000, 100_000, 1_000_000, 10_000_000):
            if entities <= options.largest:
                rungs.append(_rung(entities, features, rungs[-1] if rungs else None, options.threads))
        first, last = rungs[0], rungs[-1]
        power = math.log(last.processor / first.processor) / math.log(last.entities / first.entities)
        says.append(
            f"With {features} feature{'s' * (features > 1)} {last.entities:,} entities take {last.processor:.0f} "
            f"processor seconds, {last.clock:.0f} by the clock on {options.threads} threads; from {first.entities:,} "
            f"on cost grows with entities by an exponent of {power:.2f}."
        )
    print("\nthe same, an entity's rows lying together\n")
    rung = None
    for entities in (10_000, 100_000, 1_000_000):
        rung = _rung(entities, 8, rung, options.threads, together=True)
    says.append(_cross())
    heads = ["rows of an entity", *(f"SciPy, {f}" for f in FEATURES), *(f"scikit-learn, {f}" for f in FEATURES)]
    told = "Entities a processor second, by features, as multiples of one after the other by SciPy's L-BFGS and by "
    data = f"planted effects; {LOOPED} entities of a baseline; mean 18 rows of an entity (5 to 200) where costs grow"
    record("random-effects", f"{told}scikit-learn. {' '.join(says)}", heads, rows, data=data, seeds="one call")
    return 0


def _compare(size: int, features: int, entities: int) -> tuple[float, float]:
    """How many times SciPy's and scikit-learn's entities a second."""
    count = max(LOOPED, entities // size)
    made = Made(np.full(count, size), features)
    seconds, (grouping, coefficients, found) = _timed(made.fit)
    scipy, sklearn = 0.0, 0.0
    for entity in range(min(LOOPED, count)):
        rows = grouping.order[grouping.starts[entity] : grouping.starts[entity + 1]]
        matrix = np.column_stack([np.ones(len(rows)), made.design.numerics[rows]]).astype(np.float64)
        own = found.mean[coefficients.starts[entity] : coefficients.starts[entity + 1]]
        label = made.targets.label[rows].astype(np.float64)
        taken, theta = _timed(lambda m=matrix, y=label: _by_scipy(m, y))
        scipy += taken
        if np.abs(theta - own).max() > 1e-3:
            raise SystemExit(f"entity {entity}: ours is {own}, SciPy's {theta}")
        if 0 < label.sum() < len(label):  # scikit-learn refuses labels of one kind
            sklearn += _timed(lambda m=matrix, y=label: _by_sklearn(m, y))[0]
    ours, theirs, others = count / seconds, LOOPED / scipy, LOOPED / sklearn
    ratios = f"{ours / theirs:.0f}x {ours / others:.0f}x"
    print(f"{size:5}{features:9}{ours:12,.0f}{ours * size:12,.0f}{theirs:9,.0f}{others:13,.0f}{ratios:>14}")
    return ours / theirs, ours / others


def _by_scipy(matrix: np.ndarray, label: np.ndarray) -> np.ndarray:
    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        score = matrix @ theta
        loss = np.logaddexp(0, score).sum() - label @ score + 0.5 * theta @ theta
        return loss, matrix.T @ (1 / (1 + np.exp(-score)) - label) + theta

    return minimize(objective, np.zeros(matrix.shape[1]), jac=True, method="L-BFGS-B", options={"ftol": 1e-12}).x


def _by_sklearn(matrix: np.ndarray, label: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(fit_intercept=False, tol=1e-6).fit(matrix, label).coef_[0]


class _Rung(NamedTuple):
    entities: int
    processor: float
    clock: float


def _rung(entities: int, features: int, last: _Rung | None, threads: int, together: bool = False) -> _Rung:
    made = Made(np.minimum(generator(0, "rows", entities).zipf(1.6, entities) + 4, 200), features)
    if together:
        made.gather()

    def whole() -> None:
        _, coefficients, found = made.fit(threads)
        scores(made.design, made.codes, coefficients, found.mean)

    started = time.perf_counter()
    seconds, _ = _timed(whole)
    wall = time.perf_counter() - started
    exponent = f"{math.log(seconds / last.processor) / math.log(entities / last.entities):.3f}" if last else ""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    each = f"{seconds / entities * 1e6:.2f}"
    print(f"{entities:10,}{features:9}{len(made.codes):13,}{seconds:9.2f}{each:>13}{exponent:>10}{peak:9.2f}", end="")
    print(f"   ({wall:.2f} s by the clock on {threads} threads)")
    return _Rung(entities, seconds, wall)


def _cross() -> str:
    """Two effects of 10,000 levels each on 100,000 rows, five sweeps: GPBoost's authors report 20 minutes."""
    rows, levels, draw = 100_000, 10_000, generator(0, "crossed")
    codes = [draw.integers(0, levels, rows).astype(np.int32) for _ in range(2)]
    truth = sum(draw.normal(size=levels)[own] for own in codes)
    label = (draw.random(rows) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    design, ones = Design.dense(np.zeros((rows, 0), np.float32)), np.ones(rows, np.float32)

    def sweeps() -> np.ndarray:
        parts = [np.zeros(rows, np.float32) for _ in codes]
        grouped = [Grouping.of(own, levels) for own in codes]
        active = [Coefficients.active(design, grouping) for grouping in grouped]
        for _ in range(5):
            for place, own in enumerate(codes):
                targets = RowTargets(label, ones, parts[1 - place])
                precision = np.ones(len(active[place].columns), np.float32)
                found = solve(design, grouped[place], targets, active[place], precision)
                parts[place] = scores(design, own, active[place], found.mean)
        return parts[0] + parts[1]

    seconds, fitted = _timed(sweeps)
    correlation = np.corrcoef(fitted, truth)[0, 1]
    said = f"Two crossed effects of {levels:,} levels, {rows:,} rows, 5 sweeps: {seconds:.2f} s"
    print(f"\n{said} (correlation with the truth {correlation:.3f})")
    return f"{said}."


def _timed(task: Callable[[], object]) -> tuple[float, object]:
    started = time.process_time()
    found = task()
    return max(time.process_time() - started, 1e-9), found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, default=400_000, help="divided by the rows of each")
    parser.add_argument("--largest", type=int, default=1_000_000, help="entities of the last rung")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
