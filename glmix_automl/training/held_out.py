"""What an entity's model would score each of its rows had it been fitted without that row.

Effects know the rows that they were fitted on, the better the fewer an entity has: in-sample scores make mixture
weights run away and leave later coordinates too little to learn. Leaving out row r moves the minimum by about one
Newton step from where it is, which has a closed form (Beirami et al., NeurIPS 2017; Rad and Maleki, JRSS B 2020):

    score_r + h_r * slope_r / (1 - bend_r * h_r)        h_r = x_r . inverse Hessian . x_r

with slope and bend the first two derivatives of the row's weighted loss. So held-out scores cost less than one more
step of the fit, where folds would cost a fit each.
"""

from functools import partial

import numpy as np

from glmix_automl.models.design import Coefficients, Design, Floats, Grouping, compile_fast
from glmix_automl.training.cholesky import EXACT, factorise, gather
from glmix_automl.training.newton import RowTargets, run_in_shares

DUAL = 256  # rows of an entity, at most, for the exact leverage where it has more than `EXACT` columns
LARGEST = 0.99  # of a row's leverage `bend * h`, where it is only about right


def leave_one_out(
    design: Design,
    grouping: Grouping,
    targets: RowTargets,
    coefficients: Coefficients,
    precision: Floats,
    mean: Floats,
    threads: int = 1,
    first: int = 0,
    last: int | None = None,
) -> Floats:
    """Scores of rows by their entity's model without them: float32 [rows], 0 for rows that are in no group.

    Args:
        design, grouping, targets, coefficients, precision: as `newton.solve` had them.
        mean: float32 [coefficients], the minimum it found.
        threads: at a time.
        first, last: entities whose rows are wanted; all, unless given.
    """
    last = len(grouping) if last is None else last
    out = np.zeros(len(design), np.float32)
    run = partial(
        _leave_out,
        *(design.intercept, design.numerics, design.splits, design.ids, design.values, design.columns),
        *(grouping.order, grouping.starts, targets.packed),
        *(coefficients.starts, coefficients.columns, precision, mean, out),
    )
    run_in_shares(run, grouping, coefficients, threads, first, last)
    return out


@compile_fast
def _leave_out(  # type: ignore[no-untyped-def]
    intercept, numerics, splits, ids, values, width, order, starts, targets,
    places, columns, precision, mean, out, first, last,
):  # fmt: skip
    local = np.full(width, -1, np.int32)
    for e in range(first, last):
        low, high = places[e], places[e + 1]
        rows = order[starts[e] : starts[e + 1]]
        size, count = high - low, len(rows)
        if size == 0 or count == 0:
            continue
        for i in range(low, high):
            local[columns[i]] = i - low
        matrix = np.empty((size, count))
        gather(intercept, numerics, splits, ids, values, rows, local, matrix)
        score, slope, bend, spread = np.zeros(count), np.empty(count), np.empty(count), np.empty(count)
        for i in range(size):
            for place in range(count):
                score[place] += mean[low + i] * matrix[i, place]
        for place in range(count):
            r = rows[place]
            probability = 1 / (1 + np.exp(-score[place] - targets[r, 2]))
            slope[place] = targets[r, 1] * (probability - targets[r, 0])
            bend[place] = targets[r, 1] * probability * (1 - probability)
        if size <= EXACT:
            _primal(matrix, bend, precision[low:high], spread)
        elif count <= DUAL:
            _dual(matrix, bend, precision[low:high], spread)
        else:
            _diagonal(matrix, bend, precision[low:high], spread)
        for place in range(count):
            share = min(bend[place] * spread[place], LARGEST)
            out[rows[place]] = score[place] + spread[place] * slope[place] / (1 - share)
        for i in range(low, high):
            local[columns[i]] = -1


@compile_fast
def _primal(matrix, bend, precision, spread):  # type: ignore[no-untyped-def]
    """Writes each row's `x . inverse Hessian . x`, by the factor of the Hessian."""
    size, count = matrix.shape
    hessian, solved = np.zeros((size, size)), np.empty(size)
    for i in range(size):
        for j in range(i + 1):
            for place in range(count):
                hessian[i, j] += matrix[i, place] * bend[place] * matrix[j, place]
        hessian[i, i] += precision[i]
    factorise(hessian)
    for place in range(count):
        _forward(hessian, matrix[:, place], solved)
        spread[place] = np.sum(solved * solved)


@compile_fast
def _dual(matrix, bend, precision, spread):  # type: ignore[no-untyped-def]
    """The same of many columns and few rows: `k_rr - k_r . inverse (K + 1 / bend) . k_r`, K the rows' products over the
    precisions (Woodbury).
    """
    size, count = matrix.shape
    kernel, solved = np.zeros((count, count)), np.empty(count)
    for i in range(size):
        for r in range(count):
            for s in range(r + 1):
                kernel[r, s] += matrix[i, r] * matrix[i, s] / precision[i]
    whole = kernel.copy()
    for r in range(count):
        whole[r, r] += 1 / max(bend[r], 1e-12)
        for s in range(r):
            kernel[s, r] = kernel[r, s]
    factorise(whole)
    for r in range(count):
        _forward(whole, kernel[:, r], solved)
        spread[r] = kernel[r, r] - np.sum(solved * solved)


@compile_fast
def _diagonal(matrix, bend, precision, spread):  # type: ignore[no-untyped-def]
    """The same of many columns and rows, about: by the diagonal of the Hessian."""
    spread[:] = 0
    for i in range(len(precision)):
        total = np.float64(precision[i])
        for place in range(len(bend)):
            total += bend[place] * matrix[i, place] ** 2
        for place in range(len(bend)):
            spread[place] += matrix[i, place] ** 2 / total


@compile_fast
def _forward(factor, vector, solved):  # type: ignore[no-untyped-def]
    """Solves `factor . solved = vector`, the factor being lower triangular."""
    for i in range(len(solved)):
        total = vector[i]
        for k in range(i):
            total -= factor[i, k] * solved[k]
        solved[i] = total / factor[i, i]
