"""The history of keys of one kind (members, items, values of an attribute), followed block by block of their rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from glmix_automl.prepare.as_of import Accumulator, Ints, KeyState, as_of
from glmix_automl.prepare.known import Known, write_state

ASKS = -1
"""Label of a row that only asks for its history: no other sees it."""


class KeyHistory:
    """What is known of some keys: begins with what was known before their rows, grows with every block, is written."""

    def __init__(
        self, key: str, accumulators: Sequence[Accumulator], known: Known | None, part: int, parts: int
    ) -> None:
        """For the keys of one of `parts` partitions; `key` says of what kind they are, as in the names of features."""
        self._key = key
        self._accumulators = accumulators
        self._part = part
        self._state = KeyState() if known is None else known.state(key, part, parts)
        self._named = np.empty(0, np.int64)
        self._names: list[dict[str, pa.Array]] = []

    def before(
        self, keys: Ints, times: Ints, label: npt.NDArray[Any], signals: Mapping[str, Ints] | None = None
    ) -> dict[str, Any]:
        """Accumulator -> its number as of each row of a block: [rows]; blocks follow each other in time."""
        counts = label != ASKS
        every = {"label": label.astype(np.int64), **(signals or {})}
        asking = None if counts.all() else counts
        found, self._state = as_of(keys, times, every, self._accumulators, self._state, asking)
        return found

    def name(self, keys: Ints, columns: Mapping[str, Any]) -> None:
        """Takes in what new keys are called: columns of each, [keys]."""
        unique, first = np.unique(keys, return_index=True)
        new = ~np.isin(unique, self._named)
        taken = pa.table(dict(columns)).take(pa.array(first[new])).combine_chunks()
        self._names.append({n: taken[n].combine_chunks() for n in taken.column_names})
        self._named = np.concatenate([self._named, unique[new]])

    def write(self, out: str) -> None:
        """Writes the state at the end, with the names of its keys, beside the dataset in the folder `out`."""
        keys = self._state.keys
        if not len(keys):
            return
        order = np.argsort(self._named, kind="stable")
        at = pa.array(order[np.searchsorted(self._named, keys, sorter=order)])
        names = pa.concat_tables([pa.table(n) for n in self._names]).take(at).combine_chunks()
        write_state(out, self._key, self._part, {n: names[n].combine_chunks() for n in names.column_names}, self._state)
