"""How the ids of two features match, row by row: what a table of products of features would have to learn."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.schema import TermMatch


class RowTerms(NamedTuple):
    """The ids of a feature's rows, without 0, by row and then by id; each once per row.

    Attributes:
        row: int64 [ids of all rows], where each is.
        ids: beside `row`.
    """

    row: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]

    @classmethod
    def of_categorical(cls, ids: npt.NDArray[np.int32]) -> "RowTerms":
        """From one id per row, 0 for none."""
        row = np.flatnonzero(ids)
        return cls(row, ids[row].astype(np.int64))

    @classmethod
    def of_bag(cls, splits: npt.NDArray[np.int64], ids: npt.NDArray[np.int32]) -> "RowTerms":
        """From compressed sparse rows."""
        return cls(np.repeat(np.arange(len(splits) - 1), np.diff(splits)), ids.astype(np.int64))

    @classmethod
    def of_column(cls, column: pa.Array | pa.ChunkedArray) -> "RowTerms":
        """From an encoded column, int32 or list<int32>."""
        whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if not pa.types.is_list(whole.type):
            return cls.of_categorical(whole.to_numpy())
        row = pc.list_parent_indices(whole).to_numpy(zero_copy_only=False).astype(np.int64)
        return cls(row, whole.flatten().to_numpy(zero_copy_only=False).astype(np.int64))


def measure_match(match: TermMatch, rows: int, one: RowTerms, other: RowTerms) -> npt.NDArray[np.float64]:
    """What a match says of each row [rows], before its transform, from the ids of its two features."""
    size = 1 + max(int(one.ids.max(initial=0)), int(other.ids.max(initial=0)))
    wanted, there = one.row * size + one.ids, other.row * size + other.ids
    place = np.searchsorted(there, wanted)
    found = np.append(there, -1)[place] == wanted
    shared = np.bincount(one.row[found], minlength=rows).astype(np.float64)
    if match.measure == "count":
        return shared
    either = np.bincount(one.row, minlength=rows) + np.bincount(other.row, minlength=rows) - shared
    return np.divide(shared, either, out=np.zeros(rows), where=either > 0)
