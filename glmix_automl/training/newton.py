"""Exact Newton solves of many small logistic regressions at once, one per entity of a random effect.

For the rows r of an entity, with x the row's values in the entity's columns, it minimises

    sum_r weight_r * loss(label_r, offset_r + x_r . theta) + 1/2 sum_i precision_i * (theta_i - prior_i)^2

A step solves with the Hessian: by its Cholesky factor where an entity has at most `EXACT` columns (`cholesky`), else by
conjugate gradients (`conjugate_gradients`). No step moves a score by more than it is large, and 2, as losses
bend only near 0; one that overshoots (the slope along it has turned) is halved. Training ends when the Newton
decrement, which is the distance to the minimum in posterior standard deviations whatever the columns' scales (Boyd and
Vandenberghe 2004, 9.5.1), was small before the last step. Entities are solved in parallel without a call back to
Python; sums are float64, results float32.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from glmix_automl.models.design import Coefficients, Design, Floats, Grouping, compile_fast
from glmix_automl.training.cholesky import EXACT, TILE, newton_by_cholesky
from glmix_automl.training.conjugate_gradients import newton_by_conjugate_gradients

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

    @cached_property
    def packed(self) -> Floats:
        """The three beside each other, float32 [rows, 3]: an entity's rows lie anywhere in memory, and each is then
        looked up once instead of three times.
        """
        return np.column_stack([self.label, self.weight, self.offset])


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
        *(grouping.order, grouping.starts, targets.packed),
        *(coefficients.starts, coefficients.columns, precision, prior, found.mean, found.variance, found.steps),
    )
    run_in_shares(run, grouping, coefficients, threads, first, last)
    return found


def run_in_shares(
    run: Callable[[int, int], object],
    grouping: Grouping,
    coefficients: Coefficients,
    threads: int,
    first: int,
    last: int,
) -> None:
    """Calls `run(begin, end)` for shares of the entities from `first` to `last` of about even cost, in threads."""
    edges = split_evenly(grouping.rows[first:last], np.diff(coefficients.starts)[first:last], threads * CHUNKS)
    with ThreadPoolExecutor(threads, "entities") as pool:
        list(pool.map(run, [first + e for e in edges[:-1]], [first + e for e in edges[1:]]))


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
    intercept, numerics, splits, ids, values, width, order, starts, targets,
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
            steps[e] = newton_by_cholesky(intercept, numerics, splits, ids, values, rows, targets, local, space, *own)
        else:
            steps[e] = newton_by_conjugate_gradients(
                intercept, numerics, splits, ids, values, rows, targets, local, *own
            )
        for i in range(low, high):
            local[columns[i]] = -1
