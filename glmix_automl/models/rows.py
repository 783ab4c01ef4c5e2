"""Rows as tensors in the form the training loop slices without copying; `[rows, ...]` throughout."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from glmix_automl.dataset.block import Block
from glmix_automl.models.coordinate import Form
from glmix_automl.models.tensorflow import tf
from glmix_automl.schema import Schema

ALIGNED_BYTES = 64  # at whose multiples TensorFlow expects memory to begin


class BagRows(NamedTuple):
    """One feature bag of all rows, in compressed form; entry `e` belongs to row `owners[e]`.

    Attributes:
        splits: int32 [rows + 1], entries of row i are `splits[i]` to `splits[i + 1]`.
        owners: int32 [entries], ascending.
        ids: int32 [entries].
        values: float32 [entries].
    """

    splits: tf.Tensor
    owners: tf.Tensor
    ids: tf.Tensor
    values: tf.Tensor


class Rows(NamedTuple):
    """Rows of a split, a block or a batch.

    Attributes:
        numerics: float32 [rows, numerics].
        categoricals: int32 [rows, categoricals]; a network's prepared rows have a tuple of these, one per table, and a
            batch of them as `taker` says.
        bags: one per bag of the schema.
        label, weight, offset: float32 [rows].
    """

    numerics: tf.Tensor
    categoricals: tf.Tensor
    bags: tuple[BagRows, ...]
    label: tf.Tensor
    weight: tf.Tensor
    offset: tf.Tensor


def row_signature(schema: Schema) -> Rows:
    """The shapes and types of any rows of a dataset, so that a loop is traced once for all of them."""
    bag = BagRows(*(tf.TensorSpec([None], t) for t in (tf.int32, tf.int32, tf.int32, tf.float32)))
    column = tf.TensorSpec([None], tf.float32)
    return Rows(
        tf.TensorSpec([None, len(schema.numerics)], tf.float32),
        tf.TensorSpec([None, len(schema.categoricals)], tf.int32),
        (bag,) * len(schema.bags),
        column,
        column,
        column,
    )


def in_form(block: Block, form: Form) -> "Rows | Block":
    """A block as coordinates of a form score it."""
    return from_block(block) if form is Form.TENSORS else block


def from_block(block: Any, order: np.ndarray | None = None, offset: np.ndarray | None = None) -> Rows:
    """A block of the dataset as tensors.

    Args:
        block: arrays as `glmix_automl.dataset.Block` has them.
        order: int [taken], which rows in which order; may repeat. All, as they are, if None.
        offset: float32 [rows of the block], in place of the block's own.
    """
    own = block.offset if offset is None else offset
    return Rows(
        _tensor(block.numerics, np.float32, order),
        _tensor(block.categoricals, np.int32, order),
        tuple(_bag(bag, order) for bag in block.bags),
        *(_tensor(column, np.float32, order) for column in (block.label, block.weight, own)),
    )


def pick_rows(rows: Rows, order: np.ndarray) -> Rows:
    """Copies of these rows, int [taken], which may repeat; a loop's batches are `taker`'s."""
    return from_block(tf.nest.map_structure(lambda column: np.asarray(memoryview(column)), rows), order)


def _tensor(array: np.ndarray, kind: type, order: np.ndarray | None = None) -> tf.Tensor:
    """A copy of the array's rows on the CPU, in memory that numpy has from the system and TensorFlow takes over.

    Numpy asks for large pages, TensorFlow does not, and where the system makes small ones slowly, a copy into
    TensorFlow's own memory took longer than to read the rows from disk.
    """
    array = np.asarray(array, kind)
    shape = (len(array) if order is None else len(order), *array.shape[1:])
    size = math.prod(shape) * array.itemsize
    if not size:
        return tf.zeros(shape, kind)
    memory = np.empty(size + ALIGNED_BYTES, np.uint8)
    first = -memory.ctypes.data % ALIGNED_BYTES
    rows: np.ndarray = memory[first : first + size].view(kind).reshape(shape)
    if order is None:
        np.copyto(rows, array)
    else:
        np.take(array, order, axis=0, out=rows, mode="clip")  # the one mode that needs no buffer
    return tf.experimental.dlpack.from_dlpack(rows.__dlpack__())


def _bag(bag: Any, order: np.ndarray | None) -> BagRows:
    splits, ids, values = np.asarray(bag.splits, np.int64), bag.ids, bag.values
    lengths, entries = np.diff(splits), None
    if order is not None:
        starts, lengths = splits[:-1][order], lengths[order]
        splits = np.concatenate([[0], np.cumsum(lengths)])
        entries = np.repeat(starts - splits[:-1], lengths) + np.arange(splits[-1])
    else:
        ids, values = ids[splits[0] : splits[-1]], None if values is None else values[splits[0] : splits[-1]]
        splits = splits - splits[0]
    owners = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    filled = np.ones(len(ids), np.float32) if values is None else values
    return BagRows(
        _tensor(splits, np.int32),
        _tensor(owners, np.int32),
        _tensor(ids, np.int32, entries),
        _tensor(filled, np.float32, entries),
    )


def taker(rows: Rows) -> Callable[[tf.Tensor, tf.Tensor | int], Rows]:
    """Takes a batch: from its first row, int64 [1], and its size; in graph, without a copy if it begins at a multiple
    of 16.

    TensorFlow shares the memory of an aligned slice of a vector, but of a matrix only if each row is aligned. So
    matrices are vectors here, and the ids of prepared rows, of which no one needs a matrix, remain such in a batch:
    int32 [rows * categoricals of the table]. A loop makes its taker before it begins.
    """
    flat = tf.nest.map_structure(lambda column: tf.reshape(column, [-1]), (rows.numerics, rows.categoricals))

    def take(begin: tf.Tensor, size: tf.Tensor | int) -> Rows:
        def entries(vector: tf.Tensor, width: int = 1) -> tf.Tensor:
            length = tf.cast(size, tf.int64) * width
            return tf.slice(vector, begin if width == 1 else begin * width, [length])

        def matrix(vector: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
            return tf.reshape(entries(vector, like.shape[1]), [size, like.shape[1]])

        numerics, ids = flat
        if isinstance(ids, tuple):
            taken = tuple(entries(*each) for each in zip(ids, (own.shape[1] for own in rows.categoricals), strict=True))
        else:
            taken = matrix(ids, rows.categoricals)
        bags = tuple(_bag_entries(bag, begin, size) for bag in rows.bags)
        return Rows(matrix(numerics, rows.numerics), taken, bags, *map(entries, (rows.label, rows.weight, rows.offset)))

    return take


def _bag_entries(bag: BagRows, begin: tf.Tensor, size: tf.Tensor | int) -> BagRows:
    splits = tf.slice(bag.splits, begin, [tf.cast(size, tf.int64) + 1])
    first = splits[0]
    entries = [splits[-1] - first]
    return BagRows(
        splits - first,
        tf.slice(bag.owners, [first], entries) - tf.cast(begin, tf.int32),
        tf.slice(bag.ids, [first], entries),
        tf.slice(bag.values, [first], entries),
    )


def bases(sizes: Sequence[int]) -> np.ndarray:
    """Where each of several tables begins when they lie one after another: int32 [tables]."""
    return np.concatenate([[0], np.cumsum(sizes)])[:-1].astype(np.int32)
