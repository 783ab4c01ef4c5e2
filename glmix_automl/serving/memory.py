"""What a model remembers of members and items, so that rows need bring ids and time alone."""

import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from glmix_automl import config
from glmix_automl.errors import DataError
from glmix_automl.features import as_texts
from glmix_automl.layout import RECIPE, Folder
from glmix_automl.prepare.answers import history_columns
from glmix_automl.prepare.drawn_order import ASKED
from glmix_automl.prepare.history_features import HistoryFeatures, history_of
from glmix_automl.prepare.known import HISTORY, Known
from glmix_automl.prepare.past_columns import past_features
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.times import TimeRule, time_micros


@dataclass(frozen=True)
class Memory:
    """History columns from ids and time.

    Attributes:
        wanted: which history.
        known: at the end of the model's data.
        member, item: raw columns of ids.
        rule: how rows say their time; those that do not are of now. None where rows have no times.
    """

    wanted: HistoryFeatures
    known: Known
    member: str
    item: str
    rule: TimeRule | None

    @classmethod
    def open(cls, folder: Folder) -> "Memory | None":
        """That of a model or dataset; None where it has no history.

        Raises:
            DataError, ConfigError: it is damaged.
        """
        known = Known.open(folder.within(HISTORY), hold=True)
        if known is None or not folder.exists(RECIPE):
            return None
        recipe = json.loads(folder.read(RECIPE))
        events: dict[str, Any] = recipe["interactions"]
        where = folder.path(RECIPE)
        rule = None if events.get("timestamp") is None else config.parse(events["timestamp"], TimeRule, where)
        wanted = config.parse(recipe["history"], HistoryFeatures, where)
        wanted = history_of(wanted, events.get("label") is None, rule is not None)
        return cls(wanted, known, events["member"], events["item"], rule)

    @property
    def sources(self) -> tuple[str, ...]:
        """The raw columns that history is made of."""
        time = () if self.rule is None else (self.rule.column,)
        return (self.member, self.item, *time, *(a.column for a in self.wanted.attributes))

    @property
    def made(self) -> tuple[str, ...]:
        """The columns of history."""
        return tuple(feature.source for feature in past_features(self.wanted))

    def complete(self, rows: pa.Table) -> pa.Table:
        """The rows with those columns of history that they do not bring.

        Raises:
            DataError: ids, or an attribute that is followed, are missing; a time cannot be read, or lies before the end
                of what is known.
        """
        lacking = [name for name in self.made if name not in rows.column_names]
        if not lacking:
            return rows
        for name in (self.member, self.item, *(a.column for a in self.wanted.attributes)):
            if name not in rows.column_names:
                raise DataError(
                    f"no column {name!r} in the rows, of which history is made (or bring {lacking[0]!r} and the like); "
                    f"their columns: {', '.join(rows.column_names) or 'none'}"
                )
        ids = [as_texts(rows.column(name), name) for name in (self.member, self.item)]
        values = [rows.column(a.column) for a in self.wanted.attributes]
        found = history_columns(self.wanted, self.known, ids[0], ids[1], values, self._times(rows))
        for name in lacking:
            rows = rows.append_column(name, found[name])
        return rows

    def _times(self, rows: pa.Table) -> "np.ndarray[Any, np.dtype[np.int64]]":
        if self.rule is None:
            return np.full(rows.num_rows, ASKED, np.int64)
        if self.rule.column not in rows.column_names:
            return np.full(rows.num_rows, max(time.time_ns() // 1000, self.known.until + 1), np.int64)
        raw = rows.column(self.rule.column).combine_chunks()
        micros = time_micros(raw, self.rule, "rows to score", Remarks())
        if micros.null_count:
            place = int(np.flatnonzero(micros.is_null().to_numpy(zero_copy_only=False))[0])
            raise DataError(f"column {self.rule.column!r}: {raw[place].as_py()!r} of row {place} is no time")
        return np.asarray(micros.to_numpy())
