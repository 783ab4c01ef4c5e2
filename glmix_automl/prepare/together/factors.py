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
_BEGIN = 0.5  # size of the vectors before the first fit


def factors(sample: Sample, effect: str) -> tuple[str, tuple[float, ...]]:
    """Writes the vectors of all items as of all fits: their file, and the size of effects as of each."""
    x = sample.effect(effect)
    scales = _scales(x, sample.block, sample.models)
    vectors = np.zeros((sample.models, len(sample.keys), RANK), np.float32)
    begin = _begin(sample.keys)
    member = np.repeat(np.arange(len(sample.starts) - 1), np.diff(sample.starts))
    _fit(sample.starts, sample.item, sample.block, x, sample.by_item, sample.item_starts, member, scales, begin, RIDGE,
         SWEEPS, vectors)  # fmt: skip
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
def solved(matrix, right, ridge, result):  # type: ignore[no-untyped-def]
    """Fills result [rank] with the solution of (matrix + ridge I) result = right, by Cholesky; `matrix` is spoilt."""
    rank = len(right)
    for a in range(rank):
        matrix[a, a] += ridge
        for b in range(a + 1):
            total = matrix[a, b]
            for c in range(b):
                total -= matrix[a, c] * matrix[b, c]
            matrix[a, b] = np.sqrt(total) if a == b else total / matrix[b, b]
    for a in range(rank):
        total = right[a]
        for c in range(a):
            total -= matrix[a, c] * result[c]
        result[a] = total / matrix[a, a]
    for a in range(rank - 1, -1, -1):
        total = result[a]
        for c in range(a + 1, rank):
            total -= matrix[c, a] * result[c]
        result[a] = total / matrix[a, a]


@compile_loop
def _fit(  # type: ignore[no-untyped-def]
    starts, item, block, x, by_item, item_starts, member, scales, begin, ridge, sweeps, vectors
):
    """Fills vectors [models, items, rank]."""
    models, items, rank = vectors.shape
    of_items = begin.copy()
    of_members = np.zeros((len(starts) - 1, rank))
    matrix, right = np.zeros((rank, rank)), np.zeros(rank)
    for sweep in range(models * sweeps):
        model = sweep // sweeps
        for m in range(len(starts) - 1):
            matrix[:] = 0.0
            right[:] = 0.0
            p = starts[m]
            while p < starts[m + 1] and block[p] <= model:
                vector, value = of_items[item[p]], x[p] / scales[model]
                for a in range(rank):
                    right[a] += vector[a] * value
                    for b in range(a + 1):
                        matrix[a, b] += vector[a] * vector[b]
                p += 1
            if p > starts[m]:
                solved(matrix, right, ridge, of_members[m])
        for j in range(items):
            matrix[:] = 0.0
            right[:] = 0.0
            at = item_starts[j]
            while at < item_starts[j + 1] and block[by_item[at]] <= model:
                row = by_item[at]
                vector, value = of_members[member[row]], x[row] / scales[model]
                for a in range(rank):
                    right[a] += vector[a] * value
                    for b in range(a + 1):
                        matrix[a, b] += vector[a] * vector[b]
                at += 1
            if at > item_starts[j]:
                solved(matrix, right, ridge, of_items[j])
            else:
                of_items[j] = 0.0
            vectors[model, j] = of_items[j]
