"""Exact Newton solves of many small logistic regressions at once, one per entity of a random effect.

For the rows r of an entity, with x the row's values in the entity's columns, it minimises

    sum_r weight_r * loss(label_r, offset_r + x_r . theta) + 1/2 sum_i precision_i * (theta_i - prior_i)^2

A step solves with the Hessian: by Cholesky where an entity has at most `EXACT` columns, else by conjugate gradients on
products with it (Martens 2010), which never form it. No step moves a score by more than it is large, and 2, as losses
bend only near 0; one that overshoots (the slope along it has turned) is halved. Training ends when the Newton
decrement, which is the distance to the minimum in posterior standard deviations whatever the columns' scales (Boyd and
Vandenberghe 2004, 9.5.1), was small before the last step. Entities are solved in parallel without a call back to
Python; sums are float64, results float32.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from glmix_automl.models.design import Coefficients, Design, Floats, Grouping, compile_fast

EXACT = 64  # columns of an entity, at most, for Cholesky
TILE = 256  # rows gathered at once: with EXACT columns 128 kB, which stay in the cache
NEWTON_STEPS = 100  # at most, halved ones included
DECREMENT = 1e-6  # square of the Newton decrement before the last step
OVERSHOT = 0.1  # share of the slope at a step's begin that its end may have, the other way
REACH = 2.0  # of a step, beside the largest score of an entity's rows
CHUNKS = 8  # per thread, of entities, of even cost


@dataclass(frozen=True, eq=False)
class RowTargets:
    """What rows are fitted to; all float32 [rows].

    Attributes:
        label: from 0 to 1.
        weight: above 0.
        offset: log-odds of everything else in the model.
    """

    label: Floats
    weight: Floats
    offset: Floats


@dataclass(frozen=True, eq=False)
class Solution:
    """The minimum for every entity.

    Attributes:
        mean: float32 [coefficients].
        variance: float32 [coefficients], the diagonal of the inverse Hessian (Laplace); where an entity has more than
            `EXACT` columns, the inverse of its diagonal.
        steps: int32 [entities], Newton steps made; `NEWTON_STEPS` where the minimum was not reached.
    """

    mean: Floats
    variance: Floats
    steps: NDArray[np.int32]


def solve(
    design: Design,
    grouping: Grouping,
    targets: RowTargets,
    coefficients: Coefficients,
    precision: Floats,
    prior: Floats | None = None,
    begin: Floats | None = None,
    threads: int = 1,
    first: int = 0,
    last: int | None = None,
) -> Solution:
    """The minimum of every entity's objective.

    Args:
        design: values of all rows.
        grouping: which rows each entity has.
        targets: of all rows.
        coefficients: the columns of each entity, at least those in which its rows have a value.
        precision: float32 [coefficients], above 0: strength of the pull of each toward its prior.
        prior: float32 [coefficients], 0 if None.
        begin: float32 [coefficients], where to begin, the prior if None.
        threads: that solve at a time.
        first, last: entities to solve; of others the solution says nothing. All, unless given.
    """
    last = len(grouping) if last is None else last
    size = len(coefficients.columns)
    prior = np.zeros(size, np.float32) if prior is None else prior
    mean = (prior if begin is None else begin).astype(np.float32)
    found = Solution(mean, np.empty(size, np.float32), np.zeros(len(grouping), np.int32))
    run = partial(
        _solve,
        *(design.intercept, design.numerics, design.splits, design.ids, design.values, design.columns),
        *(grouping.order, grouping.starts, targets.label, targets.weight, targets.offset),
        *(coefficients.starts, coefficients.columns, precision, prior, found.mean, found.variance, found.steps),
    )
    edges = split_evenly(grouping.rows[first:last], np.diff(coefficients.starts)[first:last], threads * CHUNKS)
    with ThreadPoolExecutor(threads, "newton") as pool:
        list(pool.map(run, [first + e for e in edges[:-1]], [first + e for e in edges[1:]]))
    return found


def split_evenly(rows: NDArray[np.int64], columns: NDArray[np.int64], count: int) -> list[int]:
    """Where at most `count` shares of entities of about even cost begin, and where the last one ends.

    Args:
        rows, columns: int64 [entities], how many each entity has.
        count: shares; there are fewer if single entities cost more than a share.
    """
    bounded = np.minimum(columns, EXACT).astype(np.float64)
    cost = np.cumsum(1 + (rows * (1 + bounded) + bounded**2) * (1 + bounded))
    inner = np.searchsorted(cost, np.arange(1, count) / count * cost[-1]) if len(cost) else []
    return [int(edge) for edge in np.unique([0, *inner, len(rows)])]


@compile_fast
def _solve(  # type: ignore[no-untyped-def]
    intercept, numerics, splits, ids, values, width, order, starts, label, weight, offset,
    places, columns, precision, prior, mean, variance, steps, first, last,
):  # fmt: skip
    """Solves entities `first` to `last`."""
    local = np.full(width, -1, np.int32)
    largest = 1
    for e in range(first, last):
        largest = max(largest, min(TILE, starts[e + 1] - starts[e]))
    space = np.empty(EXACT * largest)
    for e in range(first, last):
        low, high = places[e], places[e + 1]
        rows = order[starts[e] : starts[e + 1]]
        if high == low:
            continue
        for i in range(low, high):
            local[columns[i]] = i - low
        own = precision[low:high], prior[low:high], mean[low:high], variance[low:high]
        if high - low <= EXACT:
            steps[e] = _newton(
                intercept, numerics, splits, ids, values, rows, label, weight, offset, local, space, *own
            )
        else:
            steps[e] = _newton_free(intercept, numerics, splits, ids, values, rows, label, weight, offset, local, *own)
        for i in range(low, high):
            local[columns[i]] = -1


@compile_fast
def gather(intercept, numerics, splits, ids, values, rows, local, matrix):  # type: ignore[no-untyped-def]
    """Values of rows in the entity's columns: fills `matrix` [columns, rows]."""
    matrix[:] = 0
    for place in range(len(rows)):
        r = rows[place]
        if intercept:
            matrix[0, place] = 1
        for i in range(numerics.shape[1]):
            if local[i + 1] >= 0:
                matrix[local[i + 1], place] = numerics[r, i]
        for entry in range(splits[r], splits[r + 1]):
            if local[ids[entry]] >= 0:
                matrix[local[ids[entry]], place] += values[entry]


@compile_fast
def _newton(  # type: ignore[no-untyped-def]
    intercept, numerics, splits, ids, values, rows, label, weight, offset, local, space,
    precision, prior, mean, variance,
):  # fmt: skip
    """One entity by Cholesky; writes `mean` and `variance`, returns the steps."""
    size, count = len(mean), len(rows)
    theta, step, gradient, hessian = mean.astype(np.float64), np.zeros(size), np.empty(size), np.empty((size, size))
    score, move, spare = np.empty(count), np.empty(count), np.empty(2 * TILE)
    labels, weights = np.empty(count, np.float32), np.empty(count, np.float32)
    for place in range(count):  # rows lie anywhere in memory: each is looked up once, not at every step
        labels[place], weights[place], score[place] = label[rows[place]], weight[rows[place]], offset[rows[place]]
    before, decrement, share, made = theta.copy(), np.inf, 1.0, NEWTON_STEPS
    for k in range(NEWTON_STEPS):
        for i in range(size):
            gradient[i] = precision[i] * (theta[i] - prior[i])
            for j in range(i):
                hessian[i, j] = 0
            hessian[i, i] = precision[i]
        for tile in range(0, count, TILE):
            some = rows[tile : tile + TILE]
            matrix = space[: size * len(some)].reshape(size, len(some))
            if k == 0 or count > TILE:
                gather(intercept, numerics, splits, ids, values, some, local, matrix)
            own = score[tile : tile + TILE]
            if k == 0:
                _multiply(matrix, theta, own)
            _add(matrix, labels[tile : tile + TILE], weights[tile : tile + TILE], own, gradient, hessian, spare)
        slope = 0.0
        for i in range(size):
            slope += gradient[i] * step[i]
        if slope > OVERSHOT * decrement and share > 1e-9:
            share *= 0.5
            for i in range(size):
                theta[i] = before[i] + share * step[i]
            for place in range(count):
                score[place] -= share * move[place]
            continue
        factorise(hessian)
        decrement = _step(hessian, gradient, step)
        if decrement < DECREMENT:
            made = k + 1
            for i in range(size):
                theta[i] += step[i]
            break
        move[:] = 0
        for tile in range(0, count, TILE):
            some = rows[tile : tile + TILE]
            matrix = space[: size * len(some)].reshape(size, len(some))
            if count > TILE:
                gather(intercept, numerics, splits, ids, values, some, local, matrix)
            _multiply(matrix, step, move[tile : tile + TILE])
        share = _reach(score, move)
        for i in range(size):
            before[i] = theta[i]
            theta[i] += share * step[i]
        for place in range(count):
            score[place] += share * move[place]
    _diagonal(hessian, variance)
    mean[:] = theta
    return made


@compile_fast
def _multiply(matrix, theta, out):  # type: ignore[no-untyped-def]
    """Adds the product of a matrix [columns, rows] with coefficients to `out` [rows]."""
    for i in range(matrix.shape[0]):
        for place in range(matrix.shape[1]):
            out[place] += theta[i] * matrix[i, place]


@compile_fast
def _reach(score, move):  # type: ignore[no-untyped-def]
    """Share of a step, at most 1, that moves no score by more than `REACH` and the largest of them."""
    largest, farthest = 0.0, 1e-300
    for place in range(len(score)):
        largest, farthest = max(largest, abs(score[place])), max(farthest, abs(move[place]))
    return min(1.0, (REACH + largest) / farthest)


@compile_fast
def _add(matrix, label, weight, score, gradient, hessian, spare):  # type: ignore[no-untyped-def]
    """Adds what rows have in the gradient and the lower half of the Hessian."""
    size, count = matrix.shape
    bend, product = spare[:count], spare[TILE : TILE + count]
    for place in range(count):
        probability = 1 / (1 + np.exp(-score[place]))
        product[place] = weight[place] * (probability - label[place])
        bend[place] = weight[place] * probability * (1 - probability)
    for i in range(size):
        total = 0.0
        for place in range(count):
            total += matrix[i, place] * product[place]
        gradient[i] += total
    for i in range(size):
        for place in range(count):
            product[place] = matrix[i, place] * bend[place]
        for j in range(i + 1):
            total = 0.0
            for place in range(count):
                total += product[place] * matrix[j, place]
            hessian[i, j] += total


@compile_fast
def factorise(matrix):  # type: ignore[no-untyped-def]
    """Its Cholesky factor, in place of the lower half."""
    for i in range(len(matrix)):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = np.sqrt(total) if i == j else total / matrix[j, j]


@compile_fast
def _step(factor, gradient, step):  # type: ignore[no-untyped-def]
    """Writes the Newton step; returns the square of the decrement, `gradient . inverse Hessian . gradient`."""
    size, decrement = len(step), 0.0
    for i in range(size):
        total = gradient[i]
        for k in range(i):
            total -= factor[i, k] * step[k]
        step[i] = total / factor[i, i]
        decrement += step[i] * step[i]
    for i in range(size - 1, -1, -1):
        step[i] /= factor[i, i]
        for k in range(i):
            step[k] -= factor[i, k] * step[i]
    for i in range(size):
        step[i] = -step[i]
    return decrement


@compile_fast
def _diagonal(factor, variance):  # type: ignore[no-untyped-def]
    """Diagonal of a matrix's inverse from its Cholesky factor: the squared columns of the factor's inverse."""
    size = len(variance)
    column = np.empty(size)
    for j in range(size):
        column[j] = 1 / factor[j, j]
        square = column[j] * column[j]
        for i in range(j + 1, size):
            total = 0.0
            for k in range(j, i):
                total -= factor[i, k] * column[k]
            column[i] = total / factor[i, i]
            square += column[i] * column[i]
        variance[j] = square


@compile_fast
def _newton_free(  # type: ignore[no-untyped-def]
    intercept, numerics, splits, ids, values, rows, label, weight, offset, local, precision, prior, mean, variance
):  # fmt: skip
    """One entity of many columns, its rows compressed; as `_newton`, each step by conjugate gradients."""
    owners, places, cells = _compress(intercept, numerics, splits, ids, values, rows, local)
    size, count = len(mean), len(rows)
    theta, step, gradient, diagonal = mean.astype(np.float64), np.zeros(size), np.empty(size), np.empty(size)
    before, decrement, share, made = theta.copy(), np.inf, 1.0, NEWTON_STEPS
    score, move, bend, slopes = np.empty(count), np.empty(count), np.empty(count), np.empty(count)
    for place in range(count):
        score[place] = offset[rows[place]]
    for entry in range(len(cells)):
        score[owners[entry]] += theta[places[entry]] * cells[entry]
    for k in range(NEWTON_STEPS):
        for place in range(count):
            r = rows[place]
            probability = 1 / (1 + np.exp(-score[place]))
            slopes[place] = weight[r] * (probability - label[r])
            bend[place] = weight[r] * probability * (1 - probability)
        for i in range(size):
            gradient[i], diagonal[i] = precision[i] * (theta[i] - prior[i]), precision[i]
        for entry in range(len(cells)):
            gradient[places[entry]] += cells[entry] * slopes[owners[entry]]
            diagonal[places[entry]] += cells[entry] ** 2 * bend[owners[entry]]
        slope = 0.0
        for i in range(size):
            slope += gradient[i] * step[i]
        if slope > OVERSHOT * decrement and share > 1e-9:
            share *= 0.5
            theta[:] = before + share * step
            score -= share * move
            continue
        decrement = _conjugate(owners, places, cells, bend, precision, diagonal, gradient, step)
        if decrement < DECREMENT:
            made = k + 1
            theta += step
            break
        move[:] = 0
        for entry in range(len(cells)):
            move[owners[entry]] += step[places[entry]] * cells[entry]
        share = _reach(score, move)
        before[:] = theta
        theta += share * step
        score += share * move
    for i in range(size):
        variance[i] = 1 / diagonal[i]
    mean[:] = theta
    return made


@compile_fast
def _compress(intercept, numerics, splits, ids, values, rows, local):  # type: ignore[no-untyped-def]
    """Row, column of the entity and value of every entry that is not 0."""
    count = 0
    for r in rows:
        count += 1 + numerics.shape[1] + splits[r + 1] - splits[r]
    owners, places, cells = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count)
    count = 0
    for place in range(len(rows)):
        r = rows[place]
        if intercept:
            owners[count], places[count], cells[count] = place, 0, 1.0
            count += 1
        for i in range(numerics.shape[1]):
            if local[i + 1] >= 0 and numerics[r, i] != 0:
                owners[count], places[count], cells[count] = place, local[i + 1], numerics[r, i]
                count += 1
        for entry in range(splits[r], splits[r + 1]):
            if local[ids[entry]] >= 0:
                owners[count], places[count], cells[count] = place, local[ids[entry]], values[entry]
                count += 1
    return owners[:count], places[:count], cells[:count]


@compile_fast
def _conjugate(owners, places, cells, bend, precision, diagonal, gradient, step):  # type: ignore[no-untyped-def]
    """Solves `hessian . step = -gradient` by conjugate gradients, preconditioned by the diagonal, closely enough that
    steps still converge faster than linearly; returns `-gradient . step`.
    """
    residual, size, count = -gradient, len(step), len(bend)
    step[:] = 0
    direction = residual / diagonal
    norm = np.sum(residual * direction)
    goal = norm * min(1e-2, norm)
    for _ in range(2 * size):
        if norm <= goal:
            break
        product, mapped = precision * direction, np.zeros(count)
        for entry in range(len(cells)):
            mapped[owners[entry]] += cells[entry] * direction[places[entry]]
        for entry in range(len(cells)):
            product[places[entry]] += cells[entry] * bend[owners[entry]] * mapped[owners[entry]]
        length = norm / np.sum(direction * product)
        step += length * direction
        residual -= length * product
        scaled = residual / diagonal
        following = np.sum(residual * scaled)
        direction = scaled + following / norm * direction
        norm = following
    return -np.sum(gradient * step)
