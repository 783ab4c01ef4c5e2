"""Staging: raw rows in plain types go to the partition of their member, and all later steps read them there.

Staged columns have names of our own (`f0`, `f1`, ...), so odd names of the raw data end here, and types of three kinds
only: double, string, array of (term, value). What describes a member or an item stays in a table of its own (a side),
with one row per id: it is fitted with the number of its rows as weight, encoded once, and put beside rows when a shard
is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from glmix_automl.features import as_bag, as_numbers, as_texts
from glmix_automl.prepare.events import NegativeSampling
from glmix_automl.prepare.exchange import Ints, Spread, spread
from glmix_automl.prepare.followed import signals_of
from glmix_automl.prepare.history_features import HistoryFeatures
from glmix_automl.prepare.key_history import ASKS
from glmix_automl.prepare.known import Days
from glmix_automl.prepare.priors import DAY_MICROSECONDS
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, NumericFeature, SplitRule
from glmix_automl.prepare.row_hash import buckets_of, keys_of, parts_of_buckets, parts_of_keys, row_hashes
from glmix_automl.schema import Entity

UID, LABEL, WEIGHT, TIME, FOLD = "uid", "label", "weight", "time", "fold"
SPLIT = "split"
"""The split of rows without times that have a history: the order they are put in depends on it."""
STAGED_TYPES = {
    "numeric": pa.float64(),
    "categorical": pa.string(),
    "bag": pa.list_(pa.struct([("term", pa.string()), ("value", pa.float64())])),
}
HELD_ROWS = 1_000_000
DeclaredFeature = NumericFeature | CategoricalFeature | BagFeature


@dataclass(frozen=True)
class Staged:
    """What a staged column holds: a raw column read as one kind. Features may share one."""

    name: str
    source: str
    kind: str
    separator: str | None = None


def plan_stages(features: tuple[DeclaredFeature, ...]) -> dict[DeclaredFeature, Staged]:
    """The staged column of each feature."""
    places: dict[tuple[str, str, str | None], Staged] = {}
    result = {}
    for feature in features:
        key = (feature.source, feature.kind, getattr(feature, "separator", None))
        places.setdefault(key, Staged(f"f{len(places)}", *key))
        result[feature] = places[key]
    return result


@dataclass(frozen=True)
class Staging:
    """What every task of a preparation is told.

    Attributes:
        folder: URI of intermediate files.
        out: URI of the unfinished dataset.
        parts: partitions of every exchange.
        features: declared, with their sides.
        entities: whom random effects belong to; the first is the member.
        sides: entity (its number) -> sources that its side holds.
        split: which split a row is in.
        negatives: share of negative training rows kept.
        seed: of every draw.
        history: what of the past is computed, or None.
        uid: how rows are named: given, or made of member, item and time.
        repeats: whether rows that repeat a given uid are dropped, all but one.
        timed: whether rows have times.
        asks: whether the rows only ask for their history, and so bring no signals.
        sampling: how negatives are drawn, where all rows are positive.
        held_rows: of a partition or shard that a task holds at a time, about.
    """

    folder: str
    out: str
    parts: int
    features: tuple[DeclaredFeature, ...]
    entities: tuple[Entity, ...]
    sides: Mapping[int, frozenset[str]]
    split: SplitRule
    negatives: float
    seed: int
    history: HistoryFeatures | None = None
    uid: str | None = UID
    repeats: bool = False
    timed: bool = True
    asks: bool = False
    sampling: NegativeSampling | None = None
    held_rows: int = HELD_ROWS

    @property
    def cut_by(self) -> str:
        """The column that a large partition of members is cut by: a name made of member, item and time is made in one
        block.
        """
        return TIME if self.timed or self.history is not None else "other"

    @property
    def places(self) -> dict[DeclaredFeature, Staged]:
        """The staged column of each feature."""
        return plan_stages(self.features)

    def side_of(self, source: str) -> int | None:
        """The entity in whose side a raw column is, or None for the rows' own."""
        return next((number for number, sources in self.sides.items() if source in sources), None)

    def features_of(self, side: int | None) -> tuple[DeclaredFeature, ...]:
        """The features read from a side, or from the rows themselves."""
        return tuple(f for f in self.features if self.side_of(f.source) == side)


@dataclass(frozen=True)
class Taken:
    """What a block of rows became.

    Attributes:
        rows: in the partitions of their members.
        asked: by item, for history (see `history.items_step`) and for what negatives are drawn from, or None.
        uids: by uid, to find repeated ones, or None.
        first, last: times.
        days: rows, positives and sums of signals.
    """

    rows: Spread
    asked: Spread | None
    uids: Spread | None
    first: int
    last: int
    days: Days


def read_as(place: Staged, raw: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A raw column as its staged kind.

    Raises:
        DataError: it is of a type that the feature cannot be read from.
    """
    if place.kind == "numeric":
        numbers = as_numbers(raw, place.source)
        return pa.array(numbers, mask=numbers != numbers)
    if place.kind == "categorical":
        return as_texts(raw, place.source)
    bag = as_bag(raw, place.source, place.separator)
    ends = np.cumsum(np.bincount(bag.rows, minlength=len(raw)))
    pairs = pa.StructArray.from_arrays([bag.terms, pa.array(bag.values)], ["term", "value"])
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]).astype(np.int32)), pairs)


def by_source(work: Staging, staged: Mapping[str, Any]) -> dict[str, Any]:
    """Staged columns under the names of their raw ones, from which features are made as well.

    A column that is read in several ways is kept as text, from which numbers are read too.
    """
    kinds = ("numeric", "bag", "categorical")
    places = sorted(dict.fromkeys(work.places.values()), key=lambda place: kinds.index(place.kind))
    return {place.source: staged[place.name] for place in places if place.name in staged}


def take_in(work: Staging, rows: pa.Table) -> Taken:
    """Writes a block of rows to the partitions of their members.

    Args:
        work: what is prepared.
        rows: `label` (0 or 1; `history.ASKS` of rows to be scored), `weight`, `time`, `e0`, `e1`, ..., the rows' own
            staged columns, signals of history (`s0`, ...), `uid` where it is given, `fold` where the split goes by it,
            `split` where it is known;
            no nulls but in features and `fold`.
    """
    key = keys_of(rows["e0"])
    part = parts_of_ids(key, 0, work.parts)
    kept = rows.append_column("key", pa.array(key))
    other = keys_of(rows["e1"]) if len(work.entities) > 1 else None
    if other is not None:
        kept = kept.append_column("other", pa.array(other))
    spread_rows, place = spread(work.folder, kept, part, work.parts)
    address = {"origin": pa.array(part.astype(np.int32)), "place": pa.array(place.astype(np.int32))}
    asked = uids = None
    signals = {s: rows[s] for s in signals_of(work.history)} if work.history is not None else {}
    follows = work.history is not None and (work.history.follows_items or work.history.attributes)
    if follows or work.sampling is not None:
        assert other is not None, "history is of members and items"
        question = {
            "key": pa.array(other), "id": rows["e1"], "time": rows[TIME], "label": rows[LABEL], **signals, **address
        }  # fmt: skip
        asked, _ = spread(work.folder, pa.table(question), parts_of_keys(other, work.parts), work.parts)
    if work.uid == UID:
        hashed = keys_of(rows[UID])
        named = {"key": pa.array(hashed), UID: rows[UID], **address}
        if work.repeats:
            named["everything"] = pa.array(everything(rows))
        uids, _ = spread(work.folder, pa.table(named), parts_of_keys(hashed, work.parts), work.parts)
    time, label = rows[TIME].to_numpy(), rows[LABEL].to_numpy()
    days = _by_day(time, label, [s.to_numpy() for s in signals.values()])
    return Taken(spread_rows, asked, uids, int(time.min()), int(time.max()), days)


def take_in_side(work: Staging, side: int, rows: pa.Table) -> Spread:
    """Writes a block of a side (`id`, its staged columns, `a0`, ...) to the partitions of its ids."""
    key = keys_of(rows["id"])
    part = parts_of_ids(key, side, work.parts)
    return spread(work.folder, rows.append_column("key", pa.array(key)), part, work.parts)[0]


def parts_of_ids(key: Ints, side: int, parts: int) -> Ints:
    """The partition of the ids of a side: members lie where their rows do, others by their key."""
    return parts_of_keys(key, parts) if side else parts_of_buckets(buckets_of(key), parts)


def everything(rows: pa.Table) -> npt.NDArray[np.int64]:
    """A hash of the whole row, to put rows of one name in an order that does not depend on how they came."""
    return row_hashes([rows[c] for c in sorted(rows.column_names)]).view(np.int64)


def in_large_tables(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The batches put together to tables of about `rows` rows."""
    waiting: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        waiting.append(batch)
        held += batch.num_rows
        if held >= rows:
            yield pa.Table.from_batches(waiting)
            waiting, held = [], 0
    if held:
        yield pa.Table.from_batches(waiting)


def _by_day(time: Ints, label: Ints, signals: Sequence[Ints]) -> Days:
    days, at = np.unique(time // DAY_MICROSECONDS, return_inverse=True)
    counted = label != ASKS
    numbers = np.zeros((len(days), 2 + len(signals)), np.int64)
    for place, column in enumerate((counted, label == 1, *(s * counted for s in signals))):
        np.add.at(numbers[:, place], at, column)
    return dict(zip(days.tolist(), map(tuple, numbers.tolist()), strict=True))
