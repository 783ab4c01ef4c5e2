"""Logistic regression to its exact optimum: L-BFGS, whole passes over sparse matrices, gradients summed over ranks.

With `l2: auto` a path of optima from strong to weak penalties, each from the one before (Friedman, Hastie and
Tibshirani, J. Stat. Software 2010): the strong ones take few passes, and it ends soon after the best.
"""

import operator
import time
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from glmix_automl.errors import TrialError
from glmix_automl.models.logistic import Logistic
from glmix_automl.models.rows import Rows
from glmix_automl.training.lbfgs import Curvature, Minimum, Vector, minimise
from glmix_automl.training.measure import Point
from glmix_automl.training.pieces import Pieces
from glmix_automl.training.source import Source, each_block
from glmix_automl.training.trainer import Budget, Fit, Moment, Setting, Start, Trainer, Watch
from glmix_automl.training.warm_start import warm_start
from glmix_automl.trial import State
from glmix_automl.workers.collective import Collective

CHUNK_ROWS = 65_536  # rows whose products are summed in float32
MOST_DENSE = 300  # numerics whose Hessian is taken whole; of independent ones more cost more than they save
QUANTILE_ROWS = 200_000  # that quantiles of numerics are taken of
STRONGEST = 0.1  # l2 that `auto` begins with, per row
STEP = 10**0.5  # from one strength to the next
STRENGTHS = 14  # at most: the last is four millionths of the first
PATIENCE = 2  # strengths in a row without a better validation AUC that end the path


class FullBatch(Trainer[Logistic]):
    """Minimises `(sum_i weight_i * loss_i + l2 / 2 |w|^2 + l1 |w|) / sum_i weight_i`, the bias not penalised.

    A step of the costs is one pass over all rows. It goes to the optimum whatever the budget in epochs, as half of the
    way to it is no model; `iterations` and `tolerance` bound it.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._kept: dict[Any, Logistic] = {}  # by structure, for their traced scoring

    def begin(self, coordinate: Logistic, start: Start) -> tuple[Logistic, float]:
        """See `Trainer` and `warm_start`: near the optimum there are fewer passes to it."""
        kept = self._kept.setdefault(coordinate.structure, coordinate)
        kept.reset(coordinate.parameters, start.trial.seed)
        warm_start(kept, start)
        return kept, 0.0

    def adopt(self, coordinate: Logistic, start: Start) -> Logistic:
        """See `Trainer` and `warm_start`."""
        return self.begin(coordinate, start)[0]

    def train(self, coordinate: Logistic, source: Source, budget: Budget, watch: Watch) -> Fit:
        """See `Trainer`.

        Raises:
            TrialError: the objective is not finite.
        """
        started, until = time.perf_counter(), time.monotonic() + budget.seconds
        collective, parameters = self.setting.collective, coordinate.parameters
        objective, fit = _Objective(coordinate, source, collective), Fit()

        def stop(passes: int) -> bool:
            done = fit.steps + passes
            wish = collective.rank == 0 and (watch(Moment(float(done), done)) or time.monotonic() > until)
            return wish if collective.size == 1 else bool(collective.broadcast(np.asarray(float(wish))))

        # More threads gain nothing on products as narrow as these, and where cores are busy each waits for the other.
        with threadpool_limits(self.setting.threads or 1, user_api="blas"):
            w = best = objective.start()
            misses = 0
            for l2 in list_strengths(source.weight) if parameters.l2 == "auto" else (parameters.l2,):
                found = objective.minimum(w, l2, stop)
                w, point = found.w, _validated(objective, found, source, fit)
                watch(Moment(fit.epochs, fit.steps, point))
                is_better = fit.best is None or point.auc > fit.best.auc
                if is_better:
                    fit.best, fit.metrics["l2"], best = point, float(l2), w
                misses = 0 if is_better else misses + 1
                if found.stopped or misses == PATIENCE:
                    break
        objective.put(best)
        fit.train_seconds = time.perf_counter() - started - fit.eval_seconds
        return fit


def _validated(objective: "_Objective", found: Minimum, source: Source, fit: Fit) -> Point:
    """What an optimum is worth on the validation rows; its costs are added to the fit."""
    started = time.perf_counter()
    objective.put(found.w)
    point = source.validate(objective.coordinate)
    fit.eval_seconds += time.perf_counter() - started
    fit.steps += found.evaluations
    fit.rows, fit.epochs = fit.steps * source.rows, float(fit.steps)
    fit.state = State.STOPPED if found.stopped else State.FINISHED
    return point


def list_strengths(weight: float) -> list[float]:
    """The l2 that `auto` tries, strongest first, by the sum of the training rows' weights.

    At the first, what a column is worth is seen only where it is filled in a good share of the rows; at the last,
    where there is something to regularise at all, validation has long ended the path.
    """
    return [round(weight * STRONGEST / STEP**k, 6) for k in range(STRENGTHS)]


class _Objective:
    """The objective as a `Problem` in float64 [ids + numerics + 1]: table, then linear with the bias last.

    A whole pass is products of a sparse matrix and its transpose with a vector, which scipy does several times faster
    than gathers and segment sums in a graph.
    """

    def __init__(self, coordinate: Logistic, source: Source, collective: Collective) -> None:
        self.coordinate, self._collective = coordinate, collective
        self._blocks, self._total = source.blocks, source.weight
        self._ids = int(coordinate.table.shape[0])
        self.size = self._ids + int(coordinate.linear.shape[0])
        self._l2 = np.zeros(self.size)
        numerics = int(coordinate.knots.shape[0])
        self._dense = np.append(self._ids + np.arange(numerics), self.size - 1)
        if numerics > MOST_DENSE or coordinate.parameters.l1:
            self._dense = self._dense[:0]
        if coordinate.bins:
            coordinate.place_knots(source.whole().numerics.numpy()[:QUANTILE_ROWS])
            coordinate.knots.assign(collective.broadcast(coordinate.knots.numpy()))
        self._knots = coordinate.knots.numpy() if coordinate.bins else None
        is_resident = source.blocks.count == 1
        self._resident = (
            [_Block(rows, self._ids, self._knots) for rows in each_block(source.blocks)] if is_resident else None
        )

    def start(self) -> Vector:
        """The coordinate's weights as they are."""
        parts = [self.coordinate.table.numpy(), self.coordinate.linear.numpy()]
        return np.concatenate(parts).astype(np.float64)

    def minimum(self, start: Vector, l2: float, stop: Callable[[int], bool]) -> Minimum:
        """The optimum under a strength of the penalty, from where to begin."""
        parameters = self.coordinate.parameters
        self._l2[:-1] = l2
        l1 = np.full(self.size, parameters.l1 / self._total)
        l1[-1] = 0.0
        return minimise(self, start, l1, parameters.tolerance, parameters.iterations, stop)

    def put(self, w: Vector) -> None:
        """Gives the coordinate these weights."""
        self.coordinate.table.assign(w[: self._ids].astype(np.float32))
        self.coordinate.linear.assign(w[self._ids :].astype(np.float32))

    def value(self, w: Vector) -> tuple[float, Vector]:
        """See `Problem`."""
        sums = self._over_blocks(lambda block: block.loss_and_gradient(w))
        if not np.isfinite(sums[0]):
            raise TrialError("the objective of logistic regression is not finite; are the numerics on a sane scale?")
        value = (sums[0] + 0.5 * float(self._l2 @ (w * w))) / self._total
        return value, (sums[1:] + self._l2 * w) / self._total

    def curvature(self, w: Vector) -> Curvature:
        """See `Problem`: all of it among numerics and the bias, if they are few."""
        k = len(self._dense)
        sums = self._over_blocks(lambda block: block.curvature(w, k > 0)) / self._total
        diagonal = sums[: self.size] + self._l2 / self._total
        block = sums[self.size :].reshape(k, k) + np.diag(self._l2[self._dense]) / self._total
        return Curvature(diagonal, self._dense, block)

    def _over_blocks(self, one_pass: Callable[["_Block"], Vector]) -> Vector:
        """Sums of a pass over every block of every rank."""
        blocks = self._resident or (_Block(rows, self._ids, self._knots) for rows in each_block(self._blocks))
        total = reduce(np.add, map(one_pass, blocks))
        return self._collective.allreduce(total)


class _Block:
    """Prepared rows as matrices: numerics float32 [rows, n], and one of categoricals and bags, float64 [rows, ids]."""

    def __init__(self, rows: Rows, ids: int, knots: np.ndarray | None = None) -> None:
        self._label, self._weight, self._offset = (c.numpy() for c in (rows.label, rows.weight, rows.offset))
        self._numerics = rows.numerics.numpy()
        self._pieces = None if knots is None else Pieces(self._numerics, knots)
        count, columns = rows.categoricals.shape
        ends = np.arange(count + 1, dtype=np.int32) * columns
        parts = [_matrix(np.ones(count * columns), np.ravel(rows.categoricals), ends, ids)]
        parts += [_matrix(bag.values, bag.ids, bag.splits, ids) for bag in rows.bags]
        self._terms = reduce(operator.add, parts)
        self._ids = ids

    def loss_and_gradient(self, w: Vector) -> Vector:
        """The sum of weighted losses, then the gradient."""
        score = self._score(w)
        loss = float(self._weight @ np.logaddexp(0.0, score) - (self._weight * self._label) @ score)
        return np.concatenate([[loss], self._pulled_back((expit(score) - self._label) * self._weight)])

    def curvature(self, w: Vector, with_block: bool) -> Vector:
        """The diagonal of the Hessian, then, if wished, all of it among numerics and the bias, row by row."""
        p = expit(self._score(w))
        steepness = p * (1 - p) * self._weight
        diagonal = self._pulled_back(steepness, power=2)
        if not with_block:
            return diagonal
        n = self._numerics.shape[1]
        block = np.zeros((n + 1, n + 1))
        for rows in self._chunks():
            own = steepness[rows].astype(np.float32)
            scaled = own[:, None] * self._numerics[rows]
            block[:n, :n] += scaled.T @ self._numerics[rows]
            block[n, :n] += scaled.sum(0)
        block[:n, n], block[n, n] = block[n, :n], steepness.sum()
        return np.concatenate([diagonal, block.ravel()])

    def _score(self, w: Vector) -> Vector:
        linear, n = w[self._ids :], self._numerics.shape[1]
        slopes = linear[:n].astype(np.float32)
        own = np.concatenate([self._numerics[rows] @ slopes for rows in self._chunks()])
        bent = 0.0 if self._pieces is None else self._pieces.scores(linear[n:-1])
        return self._terms @ w[: self._ids] + (self._offset + linear[-1] + own) + bent

    def _chunks(self) -> Iterator[slice]:
        return (slice(start, start + CHUNK_ROWS) for start in range(0, max(len(self._label), 1), CHUNK_ROWS))

    def _pulled_back(self, residual: Vector, power: int = 1) -> Vector:
        """`X^T residual`, entries of X to a power; float32 products of numerics are summed in float64 by chunks."""
        linear = np.zeros(self._numerics.shape[1])
        for rows in self._chunks():
            linear += residual[rows].astype(np.float32) @ self._numerics[rows] ** power
        terms = self._terms if power == 1 else self._terms.power(power)
        bends = np.empty(0) if self._pieces is None else self._pieces.pulled_back(residual, power)
        return np.concatenate([terms.T @ residual, linear, bends, [residual.sum()]])


def _matrix(values: Any, ids: Any, splits: Any, size: int) -> sparse.csr_matrix:
    arrays = np.asarray(values, np.float64), np.asarray(ids), np.asarray(splits)
    return sparse.csr_matrix(arrays, shape=(len(arrays[2]) - 1, size))
