"""Newton steps by the Cholesky factor of the Hessian, for an entity of few columns: exact, and its inverse at hand."""

import numpy as np

from glmix_automl.models.design import compile_fast
from glmix_automl.training.newton_steps import DECREMENT, NEWTON_STEPS, OVERSHOT, reach

EXACT = 64  # columns of an entity, at most
TILE = 256  # rows gathered at once: with EXACT columns 128 kB, which stay in the cache


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
        for entry in range(splits[r], splits[r + 1]) if len(ids) else range(0):
            if local[ids[entry]] >= 0:
                matrix[local[ids[entry]], place] += values[entry]


@compile_fast
def newton_by_cholesky(  # type: ignore[no-untyped-def]
    intercept, numerics, splits, ids, values, rows, targets, local, space,
    precision, prior, mean, variance,
):  # fmt: skip
    """One entity by Cholesky; writes `mean` and `variance`, returns the steps."""
    size, count = len(mean), len(rows)
    theta, step, gradient, hessian = mean.astype(np.float64), np.zeros(size), np.empty(size), np.empty((size, size))
    score, move, spare = np.empty(count), np.empty(count), np.empty(2 * TILE)
    labels, weights = np.empty(count, np.float32), np.empty(count, np.float32)
    for place in range(count):  # rows lie anywhere in memory: each is looked up once, not at every step
        r = rows[place]
        labels[place], weights[place], score[place] = targets[r, 0], targets[r, 1], targets[r, 2]
    for place in range(count if numerics.shape[1] else 0):  # touched in a short loop, so that look-ups wait together
        move[place] = numerics[rows[place], 0]
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
        share = reach(score, move)
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
