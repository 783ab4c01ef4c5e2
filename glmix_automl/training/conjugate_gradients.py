"""Newton steps by conjugate gradients on products with the Hessian, which is never formed (Martens 2010): for an entity
of many columns.
"""

import numpy as np

from glmix_automl.models.design import compile_fast
from glmix_automl.training.newton_steps import DECREMENT, NEWTON_STEPS, OVERSHOT, reach


@compile_fast
def newton_by_conjugate_gradients(  # type: ignore[no-untyped-def]
    intercept, numerics, splits, ids, values, rows, targets, local, precision, prior, mean, variance
):  # fmt: skip
    """One entity of many columns, its rows compressed; as `newton_by_cholesky`, each step by conjugate gradients."""
    owners, places, cells = _compress(intercept, numerics, splits, ids, values, rows, local)
    size, count = len(mean), len(rows)
    theta, step, gradient, diagonal = mean.astype(np.float64), np.zeros(size), np.empty(size), np.empty(size)
    before, decrement, share, made = theta.copy(), np.inf, 1.0, NEWTON_STEPS
    score, move, bend, slopes = np.empty(count), np.empty(count), np.empty(count), np.empty(count)
    for place in range(count):
        score[place] = targets[rows[place], 2]
    for entry in range(len(cells)):
        score[owners[entry]] += theta[places[entry]] * cells[entry]
    for k in range(NEWTON_STEPS):
        for place in range(count):
            r = rows[place]
            probability = 1 / (1 + np.exp(-score[place]))
            slopes[place] = targets[r, 1] * (probability - targets[r, 0])
            bend[place] = targets[r, 1] * probability * (1 - probability)
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
        share = reach(score, move)
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
