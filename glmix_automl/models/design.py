"""The design of a random effect: which columns its coefficients multiply, and the values of every row in them.

Column 0 is the intercept, then come the numerics, then a column for each id of every categorical and bag. Values that
are there in every row (numerics) lie in a matrix, all others in compressed rows, so that an entity's few rows are
gathered into a small matrix of the columns that they have.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from glmix_automl.ensemble import Floats

Places = NDArray[np.int64]
Codes = NDArray[np.int32]

AT_ONCE = 256  # rows whose coefficients are touched before they are used

compile_fast = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
"""Compiles a loop without the interpreter's lock; kept on disk, so that a worker starts as fast as without."""


@dataclass(frozen=True, eq=False)
class Design:
    """Values of rows in the columns of an effect.

    Attributes:
        intercept: whether column 0 is used.
        numerics: float32 [rows, numerics], columns 1 and following.
        splits: int64 [rows + 1]; the other columns of row r are `ids[splits[r]:splits[r + 1]]`.
        ids: int32, columns, from `1 + numerics` on.
        values: float32 beside `ids`.
        columns: how many columns there are.
    """

    intercept: bool
    numerics: Floats
    splits: Places
    ids: Codes
    values: Floats
    columns: int

    def __len__(self) -> int:
        return len(self.numerics)

    @classmethod
    def dense(cls, numerics: Floats, intercept: bool = True) -> "Design":
        """Of numerics alone, float32 [rows, numerics]."""
        rows, width = numerics.shape
        none = np.zeros(0, np.int32), np.zeros(0, np.float32)
        return cls(
            intercept, np.ascontiguousarray(numerics, np.float32), np.zeros(rows + 1, np.int64), *none, 1 + width
        )


@dataclass(frozen=True, eq=False)
class Grouping:
    """Rows by entity: those of entity e are `order[starts[e]:starts[e + 1]]`, in the order they were in.

    Attributes:
        order: int64 [rows that belong to an entity].
        starts: int64 [entities + 1].
    """

    order: Places
    starts: Places

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def rows(self) -> Places:
        """How many each entity has, int64 [entities]."""
        return np.diff(self.starts)

    @classmethod
    def of(cls, codes: Codes, entities: int) -> "Grouping":
        """Groups rows by their entity's code; those of code -1 are left out. A counting sort: two passes, any order.

        Args:
            codes: int32 [rows], from -1 to `entities - 1`.
            entities: how many there are, those without rows included.
        """
        return cls(*_sort(np.ascontiguousarray(codes, np.int32), entities))


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Which columns the model of each entity has: those of entity e are `columns[starts[e]:starts[e + 1]]`, ascending.

    Attributes:
        starts: int64 [entities + 1].
        columns: int32 [coefficients of all entities].
    """

    starts: Places
    columns: Codes

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def entity(self) -> Places:
        """The entity of each coefficient, int64 [coefficients]."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    @classmethod
    def active(cls, design: Design, grouping: Grouping) -> "Coefficients":
        """The columns in which an entity's rows have a value other than 0."""
        arrays = design.intercept, design.numerics, design.splits, design.ids, design.values, design.columns
        counts = _active(*arrays, grouping.order, grouping.starts, np.zeros(0, np.int64), np.zeros(0, np.int32))
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        columns = np.empty(starts[-1], np.int32)
        _active(*arrays, grouping.order, grouping.starts, starts, columns)
        own = np.repeat(np.arange(len(counts)) * design.columns, counts)
        return cls(starts, (np.sort(own + columns) - own).astype(np.int32))


def scores(design: Design, codes: Codes, coefficients: Coefficients, mean: Floats) -> Floats:
    """Each row's values times the coefficients of its entity: float32 [rows], 0 for code -1.

    Args:
        design: of the rows.
        codes: int32 [rows], the entity of each, -1 if it has no model.
        coefficients: the columns of each entity.
        mean: float32 [coefficients].
    """
    out = np.zeros(len(design), np.float32)
    own = np.ascontiguousarray(codes, np.int32), coefficients.starts, coefficients.columns, mean
    _score(design.numerics, design.splits, design.ids, design.values, design.columns, *own, out)
    return out


def terms(design: Design, codes: Codes, coefficients: Coefficients, mean: Floats, group: Codes) -> Floats:
    """The parts of `scores` by group of columns: float32 [rows, groups].

    Args:
        design, codes, coefficients, mean: as of `scores`.
        group: int32 [columns], from 0 on.
    """
    out = np.zeros((len(design), int(group.max(initial=0)) + 1), np.float32)
    own = np.ascontiguousarray(codes, np.int32), coefficients.starts, coefficients.columns, mean
    _terms(design.numerics, design.splits, design.ids, design.values, *own, group, out)
    return out


@compile_fast
def _sort(codes, entities):  # type: ignore[no-untyped-def]
    starts = np.zeros(entities + 1, np.int64)
    for r in range(len(codes)):
        if codes[r] >= 0:
            starts[codes[r] + 1] += 1
    for e in range(entities):
        starts[e + 1] += starts[e]
    order = np.empty(starts[entities], np.int64)
    place = starts[:-1].copy()
    for r in range(len(codes)):
        if codes[r] >= 0:
            order[place[codes[r]]] = r
            place[codes[r]] += 1
    return order, starts


@compile_fast
def _active(intercept, numerics, splits, ids, values, width, order, starts, places, out):  # type: ignore[no-untyped-def]
    """Counts the active columns of each entity, and writes them in the order met where `places` says, if not empty."""
    counts = np.zeros(len(starts) - 1, np.int64)
    seen = np.full(width, -1, np.int64)  # the last entity that had the column
    found = np.empty(width, np.int32)
    dense = numerics.shape[1]
    for e in range(len(starts) - 1):
        count = 0
        if intercept and starts[e + 1] > starts[e]:
            found[count] = 0
            count += 1
        missing = dense
        for place in range(starts[e], starts[e + 1]):
            r = order[place]
            if missing:
                for i in range(dense):
                    if seen[i + 1] != e and numerics[r, i] != 0:
                        seen[i + 1] = e
                        found[count] = i + 1
                        count += 1
                        missing -= 1
            for entry in range(splits[r], splits[r + 1]) if len(ids) else range(0):
                column = ids[entry]
                if seen[column] != e and values[entry] != 0:
                    seen[column] = e
                    found[count] = column
                    count += 1
        counts[e] = count
        if len(places):
            for i in range(count):
                out[places[e] + i] = found[i]
    return counts


@compile_fast
def _score(numerics, splits, ids, values, width, codes, starts, columns, mean, out):  # type: ignore[no-untyped-def]
    """Entities lie anywhere in memory. So the coefficients of some rows are first touched, in a loop so short that many
    look-ups wait for memory at once, and then used.
    """
    dense, seen = numerics.shape[1], np.float32(0)
    whole = 1 + dense if width == 1 + dense else -1  # an entity of so many coefficients has every column
    for begin in range(0, len(codes), AT_ONCE):
        end = min(begin + AT_ONCE, len(codes))
        for r in range(begin, end):
            if codes[r] >= 0:
                place, last = starts[codes[r]], starts[codes[r] + 1]
                if place < last:
                    seen += mean[place]
                if place < last and last - place != whole:
                    seen += columns[place]
        for r in range(begin, end):
            if codes[r] < 0:
                continue
            place, last = starts[codes[r]], starts[codes[r] + 1]
            total = 0.0
            if last - place == whole:
                total += mean[place]
                for i in range(dense):
                    total += np.float64(numerics[r, i]) * mean[place + 1 + i]
                out[r] = total
                continue
            if place < last and columns[place] == 0:
                total += mean[place]
                place += 1
            while place < last and columns[place] <= dense:
                total += np.float64(numerics[r, columns[place] - 1]) * mean[place]
                place += 1
            for entry in range(splits[r], splits[r + 1]) if len(ids) else range(0):
                at = place + np.searchsorted(columns[place:last], ids[entry])
                if at < last and columns[at] == ids[entry]:
                    total += np.float64(values[entry]) * mean[at]
            out[r] = total
    return seen


@compile_fast
def _terms(numerics, splits, ids, values, codes, starts, columns, mean, group, out):  # type: ignore[no-untyped-def]
    dense = numerics.shape[1]
    for r in range(len(codes)):
        if codes[r] < 0:
            continue
        place, last = starts[codes[r]], starts[codes[r] + 1]
        if place < last and columns[place] == 0:
            out[r, group[0]] += mean[place]
            place += 1
        while place < last and columns[place] <= dense:
            out[r, group[columns[place]]] += numerics[r, columns[place] - 1] * mean[place]
            place += 1
        for entry in range(splits[r], splits[r + 1]) if len(ids) else range(0):
            at = place + np.searchsorted(columns[place:last], ids[entry])
            if at < last and columns[at] == ids[entry]:
                out[r, group[ids[entry]]] += values[entry] * mean[at]
