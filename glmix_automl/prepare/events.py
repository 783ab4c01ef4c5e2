"""The roles of an event's columns, by Arrow: ids as text, the label rule, the time, the weight (`spark_events` does the
same by Spark).
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pydantic

from glmix_automl.config import Config
from glmix_automl.features import as_numbers, as_texts
from glmix_automl.prepare.key_history import ASKS
from glmix_automl.prepare.times import TimeReading, TimeRule, read_times

LEAST_WEIGHT, MOST_WEIGHT = 1e-30, 1e30
"""Weights are float32, and products of them with losses and gradients must be too."""
_EXAMPLE = 40


class LabelRule(Config):
    """What makes a row positive: a column of 0 and 1 (or true and false), a threshold, or a list of values."""

    column: str
    at_least: float | None = None
    """Positive where the column's number is at least this."""
    positive: tuple[str, ...] | None = None
    """Positive where the column's text is one of these, negative where it is any other."""

    @pydantic.model_validator(mode="after")
    def _one_rule(self) -> "LabelRule":
        if self.at_least is not None and self.positive is not None:
            raise ValueError("a label has either `at_least` or `positive`")
        return self


class NegativeSampling(Config):
    """How negatives are drawn where all rows are positive (views, listens): items that the member had not taken by the
    moment of its positive, and others had.
    """

    per_positive: int = pydantic.Field(default=4, ge=1)
    """Negatives for each positive; the base rate is 1 / (1 + per_positive) where members leave enough items."""
    by: Literal["uniform", "popularity"] = "uniform"
    """Every item alike, or by how often it had been taken."""
    repeats: bool = False
    """Whether what the member has taken before can be drawn; if not, its positives are in history only."""
    weigh: bool = False
    """Whether a negative weighs what it stands for: the items it was drawn from, over how many were drawn."""

    @pydantic.model_validator(mode="after")
    def _alike(self) -> "NegativeSampling":
        if self.weigh and self.by != "uniform":
            raise ValueError("negatives drawn by popularity do not stand for equally many items; `weigh` needs uniform")
        return self


@dataclass(frozen=True)
class EventColumns:
    """Which column of the interactions has which role, and how it is read.

    Rows without a `label` column are rows to be scored: they ask for their history; or, if `all_positive`, responses.
    Rows up to `after` (microseconds) are known already and left out.
    """

    member: str
    item: str
    label: str | None
    at_least: float | None = None
    positive: tuple[str, ...] | None = None
    time: TimeRule | None = None
    weight: str | None = None
    uid: str | None = None
    fold: str | None = None
    after: int | None = None
    all_positive: bool = False


@dataclass
class RowCounts:
    """Rows of a table, those without each role and without any, first and last time, labels that are no labels; adds
    up over blocks.
    """

    rows: int = 0
    dropped: int = 0
    lacking: dict[str, int] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None
    odd: int = 0
    examples: tuple[str, ...] = ()

    def __add__(self, other: "RowCounts") -> "RowCounts":
        lacking = {k: self.lacking.get(k, 0) + other.lacking.get(k, 0) for k in {**self.lacking, **other.lacking}}
        examples = tuple(sorted({*self.examples, *other.examples}))
        shown = (examples[0], examples[-1]) if examples else ()
        times = [t for t in (self.first, self.last, other.first, other.last) if t is not None]
        return RowCounts(
            rows=self.rows + other.rows,
            dropped=self.dropped + other.dropped,
            lacking=lacking,
            first=min(times, default=None),
            last=max(times, default=None),
            odd=self.odd + other.odd,
            examples=shown,
        )


def read_roles(events: EventColumns, block: pa.Table, reading: TimeReading, where: str) -> dict[str, pa.Array]:
    """Role -> its column, null where it cannot be used."""
    found = {
        "member": as_texts(block[events.member], events.member),
        "item": as_texts(block[events.item], events.item),
        "label": _label(events, block),
    }
    if events.time is not None:
        raw = block[events.time.column].combine_chunks()
        if reading.how == "type":
            found["time"] = raw.cast(pa.timestamp("us", getattr(raw.type, "tz", None)), safe=False).cast(pa.int64())
        else:
            found["time"] = read_times(reading, raw, where)
    if events.weight is not None:
        numbers = as_numbers(block[events.weight], events.weight)
        found["weight"] = pa.array(numbers, mask=~((numbers >= LEAST_WEIGHT) & (numbers <= MOST_WEIGHT)))
    if events.uid is not None:
        found["uid"] = as_texts(block[events.uid], events.uid)
    return found


def _label(events: EventColumns, block: pa.Table) -> pa.Array:
    if events.label is None:
        return pa.array(np.full(block.num_rows, 1 if events.all_positive else ASKS, np.int8))
    raw = block[events.label]
    if events.positive is not None:
        text = pc.utf8_lower(pc.utf8_trim_whitespace(as_texts(raw, events.label)))
        known = pc.is_in(text, value_set=pa.array([p.lower() for p in events.positive], pa.string()))
        return pc.if_else(text.is_valid(), known, pa.scalar(None, pa.bool_())).cast(pa.int8())
    numbers = as_numbers(raw, events.label)
    positive = numbers >= (1 if events.at_least is None else events.at_least)
    return pa.array(positive.astype(np.int8), mask=np.isnan(numbers))


def odd_labels(events: EventColumns, block: pa.Table) -> tuple[int, tuple[str, ...]]:
    """Labels other than 0 and 1 where there is no rule: how many, the least and the greatest text of them."""
    if events.label is None or events.at_least is not None or events.positive is not None:
        return 0, ()
    numbers = as_numbers(block[events.label], events.label)
    texts = as_texts(block[events.label], events.label)
    other = texts.filter(pa.array(is_there(texts) & (numbers != 0) & (numbers != 1)))
    if not len(other):
        return 0, ()
    shown = pc.utf8_slice_codeunits(other, 0, _EXAMPLE)
    return len(other), (pc.min(shown).as_py(), pc.max(shown).as_py())


def is_there(column: pa.Array) -> Any:
    """[rows] whether there is a value."""
    return column.is_valid().to_numpy(zero_copy_only=False)
