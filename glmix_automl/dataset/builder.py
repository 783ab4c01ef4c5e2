"""Arrow tables become blocks: columns are checked and laid row by row, into arrays made once."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from glmix_automl import schema as names
from glmix_automl.dataset.block import BagColumn, Block
from glmix_automl.errors import DataError
from glmix_automl.schema import Bag, Schema

_TILE = (
    2048  # rows transposed at a time: source and target stay in the core's cache (4 times faster than whole columns)
)


def block_columns(schema: Schema) -> list[str]:
    """The columns a block is made of; entity ids, `uid` and `timestamp` are not among them."""
    columns = [names.LABEL, names.WEIGHT, names.OFFSET]
    columns += [f.name for f in (*schema.numerics, *schema.categoricals)]
    for bag in schema.bags:
        columns += [bag.name, bag.values] if bag.weighted else [bag.name]
    return columns


class BlockBuilder:
    """A block of a known number of rows, filled piece by piece, in any order and from several threads."""

    def __init__(self, schema: Schema, rows: int) -> None:
        self._schema = schema
        self._numerics = np.empty((rows, len(schema.numerics)), np.float32)
        self._categoricals = np.empty((rows, len(schema.categoricals)), np.int32)
        self._fixed = {name: np.empty(rows, np.float32) for name in (names.LABEL, names.WEIGHT, names.OFFSET)}
        self._bags: dict[str, dict[int, BagColumn]] = {bag.name: {} for bag in schema.bags}

    def fill(self, at: int, table: pa.Table, path: str) -> None:
        """Puts the rows of `table`, read from the file `path`, at row `at`.

        Raises:
            DataError: a number is not finite, a label not 0 or 1, a weight not above 0, an id outside its vocabulary.
        """
        stop = at + table.num_rows
        for name, target in self._fixed.items():
            target[at:stop] = dense(table.column(name))
        _check_fixed({name: target[at:stop] for name, target in self._fixed.items()}, path)
        numerics = [dense(table.column(f.name)) for f in self._schema.numerics]
        categoricals = [dense(table.column(f.name)) for f in self._schema.categoricals]
        for numeric, values in zip(self._schema.numerics, numerics, strict=True):
            _check_finite(values, numeric.name, path)
        for categorical, ids in zip(self._schema.categoricals, categoricals, strict=True):
            _check_ids(ids, categorical.name, 0, self._schema.size(categorical), path)
        _transpose(numerics, self._numerics[at:stop])
        _transpose(categoricals, self._categoricals[at:stop])
        for bag in self._schema.bags:
            self._bags[bag.name][at] = self._bag(bag, table, path)

    def build(self, rows: np.ndarray, entities: Mapping[str, np.ndarray]) -> Block:
        """The block, once all rows are filled; `rows` are their places in the split."""
        bags = tuple(_join_pieces(self._bags[bag.name], bag.weighted) for bag in self._schema.bags)
        return Block(
            self._numerics,
            self._categoricals,
            bags,
            self._fixed[names.LABEL],
            self._fixed[names.WEIGHT],
            self._fixed[names.OFFSET],
            rows,
            entities,
        )

    def _bag(self, bag: Bag, table: pa.Table, path: str) -> BagColumn:
        splits, ids = _lists(table.column(bag.name))
        _check_ids(ids, bag.name, 1, self._schema.size(bag), path)
        if not bag.weighted:
            return BagColumn(splits, ids)
        value_splits, values = _lists(table.column(bag.values))
        if not np.array_equal(splits, value_splits):
            raise DataError(f"{path}: columns {bag.name!r} and {bag.values!r} have lists of different lengths")
        _check_finite(values, bag.values, path)
        return BagColumn(splits, ids, values)


def dense(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers without nulls as an array; a view where it lies in one piece."""
    pieces = [chunk.to_numpy(zero_copy_only=True) for chunk in column.chunks]
    return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0, column.type.to_pandas_dtype()), *pieces])


def _lists(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """(splits, flattened values) of a column of lists."""
    lengths = [np.diff(chunk.offsets.to_numpy()) for chunk in column.chunks]
    flat = pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)
    splits = np.zeros(len(column) + 1, np.int64)
    np.cumsum(np.concatenate([np.empty(0, np.int64), *lengths]), out=splits[1:])
    return splits, dense(flat)


def _transpose(columns: list[np.ndarray], target: np.ndarray) -> None:
    for start in range(0, len(target), _TILE):
        tile = target[start : start + _TILE]
        for place, column in enumerate(columns):
            tile[:, place] = column[start : start + _TILE]


def _join_pieces(parts: dict[int, BagColumn], weighted: bool) -> BagColumn:
    """One bag column from those of the pieces, by the row they begin at; the pieces are let go."""
    bags = [parts[at] for at in sorted(parts)]
    parts.clear()
    lengths = np.concatenate([np.empty(0, np.int64), *(np.diff(bag.splits) for bag in bags)])
    splits = np.append(0, np.cumsum(lengths))
    ids = np.concatenate([np.empty(0, np.int32), *(bag.ids for bag in bags)])
    values = [bag.values for bag in bags if bag.values is not None]
    return BagColumn(splits, ids, np.concatenate([np.empty(0, np.float32), *values]) if weighted else None)


def _check_fixed(fixed: Mapping[str, np.ndarray], path: str) -> None:
    label, weight = fixed[names.LABEL], fixed[names.WEIGHT]
    wrong = label[(label != 0) & (label != 1)]
    if len(wrong):
        raise DataError(f"{path}: column {names.LABEL!r} must be 0 or 1, got {wrong[0]:g} in {len(wrong)} rows")
    for name, values in fixed.items():
        _check_finite(values, name, path)
    if len(weight) and weight.min() <= 0:
        raise DataError(f"{path}: column {names.WEIGHT!r} must be above 0, got {weight.min():g}")


def _check_finite(values: np.ndarray, name: str, path: str) -> None:
    # The sum is finite unless a value is not, or the sum overflows: one fast pass in the common case.
    with np.errstate(over="ignore", invalid="ignore"):
        suspect = not np.isfinite(values.sum())
    if suspect and not np.isfinite(values).all():
        raise DataError(f"{path}: column {name!r} has {np.sum(~np.isfinite(values))} values that are not finite")


def _check_ids(ids: np.ndarray, name: str, low: int, size: int, path: str) -> None:
    if len(ids) and (ids.min() < low or ids.max() >= size):
        raise DataError(
            f"{path}: column {name!r} has ids from {ids.min()} to {ids.max()}, its vocabulary {low} to {size - 1}: "
            "shard and schema are not of one preparation"
        )
