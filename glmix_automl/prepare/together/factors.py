"""A short vector for each item, as of every fit: effects as products of a member's and an item's vector.

Alternating least squares (Zhou et al. 2008), one sweep per fit, begun where the last fit ended. Effects are divided by
their root mean square as of the fit. Members' vectors are not kept: a row's is solved from its member's own past
(`look_back`).
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from glmix_automl.prepare.exchange import Ints, read_batch, write_batches
from glmix_automl.prepare.pairs.adjacency import compile_loop
from glmix_automl.prepare.row_hash import row_hashes
from glmix_automl.prepare.together.sample import Sample

RANK = 8
RIDGE = 8.0
SWEEPS = 2
"""Per fit."""
ADDED_AT_ONCE = 16
"""Rows that are read together and then added (`add_rows`)."""
_BEGIN = 0.5  # size of the vectors before the first fit
_GONE = 1e-4  # mean square of vectors that shrank to nothing on few rows, from where least squares never grow again


def factors(sample: Sample, effect: str) -> tuple[str, tuple[float, ...]]:
    """Writes the vectors of all items as of all fits: their file, and the size of effects as of each."""
    x = sample.effect(effect)
    scales = _scales(x, sample.block, sample.models)
    vectors = np.empty((sample.models, len(sample.keys), RANK), np.float32)
    begin = _begin(sample.keys)
    of_items, of_members = begin.copy(), np.zeros((len(sample.starts) - 1, RANK))
    # Arrays of one kind (read-only ones are another), so that the loop is compiled once.
    item, block, by_item = sample.item.copy(), sample.block.copy(), sample.by_item
    member = np.repeat(np.arange(len(of_members), dtype=np.int32), np.diff(sample.starts))
    # Both sides in their own order: rows that are read one after the other lie one after the other.
    member_of, block_of, x_of = member[by_item], block[by_item], x[by_item]
    for model in range(sample.models):
        scaled, scaled_of = x / scales[model], x_of / scales[model]
        if np.square(of_items).mean() < _GONE:
            of_items[:] = begin
        for _ in range(SWEEPS):
            solve_side(sample.starts, item, block, scaled, model, of_items, RIDGE, of_members)
            solve_side(sample.item_starts, member_of, block_of, scaled_of, model, of_members, RIDGE, of_items)
        vectors[model] = of_items
    path = write_batches(sample.folder, [pa.table({"vectors": vectors.reshape(-1)})])
    return path, tuple(scales.tolist())


def opened(folder: str, path: str, models: int) -> npt.NDArray[np.float32]:
    """The vectors, where they lie: [models, items, rank]."""
    return read_batch(folder, path, 0)["vectors"].to_numpy().reshape(models, -1, RANK)


def _scales(x: npt.NDArray[np.float64], block: npt.NDArray[np.int16], models: int) -> npt.NDArray[np.float64]:
    rows = np.cumsum(np.bincount(block, minlength=models))
    squares = np.cumsum(np.bincount(block, weights=x * x, minlength=models))
    return np.maximum(np.sqrt(squares / np.maximum(rows, 1)), 1e-9)


def _begin(keys: Ints) -> npt.NDArray[np.float64]:
    """[items, rank], drawn by hashes of the items, so that no other item matters."""
    draws = [row_hashes([pa.array(keys)], seed) >> np.uint64(11) for seed in range(RANK)]
    return _BEGIN * (np.stack(draws, axis=1) / 2.0**52 - 1.0)


@compile_loop
def solve(matrix, right, ridge, result, row):  # type: ignore[no-untyped-def]
    """Fills a row of result [rows, rank] with the solution of (matrix + ridge I) r = right, by Cholesky; `matrix`, of
    which the lower half counts, is spoilt.
    """
    for a in range(RANK):  # the diagonal becomes one over what it is: a division takes as long as many products
        matrix[a, a] += ridge
        for b in range(a + 1):
            total = matrix[a, b]
            for c in range(b):
                total -= matrix[a, c] * matrix[b, c]
            matrix[a, b] = 1.0 / np.sqrt(total) if a == b else total * matrix[b, b]
    for a in range(RANK):
        total = right[a]
        for c in range(a):
            total -= matrix[a, c] * result[row, c]
        result[row, a] = total * matrix[a, a]
    for a in range(RANK - 1, -1, -1):
        total = result[row, a]
        for c in range(a + 1, RANK):
            total -= matrix[c, a] * result[row, c]
        result[row, a] = total * matrix[a, a]


@compile_loop
def add_rows(matrix, right, vectors, effects, count):  # type: ignore[no-untyped-def]
    """Adds rows to what `solve` is given: the products of each of the first `count` of vectors [rows, rank] with
    itself, and with its effect.

    A row of the matrix at a time, held in the processor while all vectors are added to it.
    """
    for a in range(RANK):
        m0, m1, m2, m3 = matrix[a, 0], matrix[a, 1], matrix[a, 2], matrix[a, 3]
        m4, m5, m6, m7 = matrix[a, 4], matrix[a, 5], matrix[a, 6], matrix[a, 7]
        for row in range(count):
            one = vectors[row, a]
            m0, m1 = m0 + one * vectors[row, 0], m1 + one * vectors[row, 1]
            m2, m3 = m2 + one * vectors[row, 2], m3 + one * vectors[row, 3]
            m4, m5 = m4 + one * vectors[row, 4], m5 + one * vectors[row, 5]
            m6, m7 = m6 + one * vectors[row, 6], m7 + one * vectors[row, 7]
        matrix[a, 0], matrix[a, 1], matrix[a, 2], matrix[a, 3] = m0, m1, m2, m3
        matrix[a, 4], matrix[a, 5], matrix[a, 6], matrix[a, 7] = m4, m5, m6, m7
    for row in range(count):
        for b in range(RANK):
            right[b] += vectors[row, b] * effects[row]


@compile_loop
def solve_side(starts, other, block, x, model, given, ridge, result):  # type: ignore[no-untyped-def]
    """Fills result [ids, rank] with ridge regressions of each id's rows on the vectors of their other ends.

    Args:
        starts: [ids + 1], where each id's rows begin, those of earlier blocks first.
        other: [rows], number of the other end.
        block: [rows].
        x: [rows].
        model: rows of later blocks are left out.
        given: [others, rank].
        ridge: strength.
        result: 0 of ids without rows.
    """
    matrix, right = np.zeros((RANK, RANK)), np.zeros(RANK)
    vectors, effects = np.zeros((ADDED_AT_ONCE, RANK)), np.zeros(ADDED_AT_ONCE)
    for one in range(len(starts) - 1):
        if starts[one] == starts[one + 1] or block[starts[one]] > model:
            for a in range(RANK):
                result[one, a] = 0.0
            continue
        right[:] = 0.0
        matrix[:] = 0.0
        end = starts[one]
        while end < starts[one + 1] and block[end] <= model:
            end += 1
        for begin in range(starts[one], end, ADDED_AT_ONCE):
            count = min(ADDED_AT_ONCE, end - begin)
            for at in range(count):
                k = other[begin + at]
                effects[at] = x[begin + at]
                for a in range(RANK):
                    vectors[at, a] = given[k, a]
            add_rows(matrix, right, vectors, effects, count)
        solve(matrix, right, ridge, result, one)
