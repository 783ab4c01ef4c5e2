"""Which history features a recipe asks for, and the values of the attributes of items that they follow."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pydantic

from glmix_automl.config import Config


class FollowedAttribute(Config):
    """An attribute of items whose past is followed, over all members and per member."""

    column: str
    separator: str | None = pydantic.Field(default=None, min_length=1)
    """Splits text into several values; arrays have several without it."""
    name: str | None = None
    """In the names of the features; the column's unless given."""
    max_values: int = pydantic.Field(default=20, ge=1)
    """Values of one item that count (the first in text order); bounds what a row can multiply into."""

    @property
    def key(self) -> str:
        """In the names of the features."""
        return self.name or self.column


class HistoryFeatures(Config):
    """Which history features to compute."""

    member: bool = True
    item: bool = True
    attributes: tuple[FollowedAttribute, ...] = ()
    signals: tuple[str, ...] = ()
    """Graded columns of the interactions (stars, seconds watched) whose means and effects are followed beside the
    label's; numbers up to a million on either side, 0 where one is missing."""
    effects: bool = True
    """Per member, the mean of response less the item's mean."""
    recent: bool = True
    """Response rates of member and item, and the member's effect, lately: half-lives of 1, 5 and 20 rows."""
    tastes: bool = True
    """Per member and value of an attribute the mean of response less the item's mean; mean, greatest and least over the
    item's values."""
    similar: bool = True
    """The member's last effects weighed by how much alike, and how often together, their items and the row's are."""
    factors: bool = True
    """Product of vectors of item and member, fitted on effects."""
    smoothing: float = pydantic.Field(default=5.0, gt=0)
    """Response rates are (positives + smoothing x prior) / (rows + smoothing); the prior is the response rate of all
    rows up to the end of the day (UTC) before the row's. Means of signals likewise; effects with a prior of 0."""
    heavy_rows: int = pydantic.Field(default=1_000_000, ge=1)
    """Rows that a task holds at a time, about. A larger partition (one key has most rows) is read in blocks of time, a
    larger shard in blocks of its order."""

    takes: ClassVar[bool] = False
    """Whether all rows are positive."""
    timed: ClassVar[bool] = True
    """Whether rows have times."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys in the names of the features, in order: `member`, `item`, attributes, members' attributes."""
        single = [k for k, wanted in (("member", self.member), ("item", self.item)) if wanted]
        return (*single, *(k for a in self.attributes for k in (a.key, f"member_{a.key}")))

    @property
    def follows_items(self) -> bool:
        """Whether what is known of items is needed."""
        tastes = self.tastes and bool(self.attributes)
        return self.item or bool(self.signals) or self.effects or self.recent or tastes or self.fits_items

    @property
    def fits_items(self) -> bool:
        """Whether models of items are fitted."""
        return self.similar or self.factors

    @property
    def follows_members(self) -> bool:
        """Whether what is known of members is needed."""
        shares = self.takes and bool(self.attributes)
        return self.member or bool(self.signals) or self.effects or self.recent or shares


class HistoryOfTakes(HistoryFeatures):
    """The history of positives only: counts, shares and times, and models of items of what is taken together. There are
    no response rates, and an effect is that an item was taken.
    """

    takes: ClassVar[bool] = True


class UntimedHistory(HistoryFeatures):
    """The history of rows without times, in an order that is drawn (`drawn_order`): nothing of how long ago it was."""

    timed: ClassVar[bool] = False


class UntimedHistoryOfTakes(HistoryOfTakes, UntimedHistory):
    """Both."""


def history_of(wanted: HistoryFeatures, takes: bool, timed: bool) -> HistoryFeatures:
    """The groups of history that can be computed, of what is wanted.

    Args:
        wanted: by the recipe.
        takes: whether all rows are positive.
        timed: whether rows have times.
    """
    if timed and not takes:
        return wanted
    none: dict[str, bool] = {"recent": False}
    none |= {"effects": False, "tastes": False, "factors": False} if takes else {}
    kind = HistoryOfTakes if timed else UntimedHistoryOfTakes if takes else UntimedHistory
    return kind(**wanted.model_dump() | none)


def values_of(raw: pa.Array | pa.ChunkedArray, attribute: FollowedAttribute) -> pa.Array:
    """An item's values of an attribute: list<string> [items], distinct, in text order, at most `max_values`.

    Args:
        raw: text, or a list of text.
        attribute: how to read it.
    """
    array = raw.combine_chunks() if isinstance(raw, pa.ChunkedArray) else raw
    if attribute.separator is not None and not pa.types.is_list(array.type):
        array = pc.split_pattern(array.cast(pa.string()), attribute.separator)
        rows, texts = pc.list_parent_indices(array), pc.utf8_trim(array.flatten(), " ")
    elif pa.types.is_list(array.type):
        rows, texts = pc.list_parent_indices(array), array.flatten().cast(pa.string())
    else:
        rows, texts = pa.array(np.arange(len(array))), array.cast(pa.string())
    pairs = pa.table({"row": rows.cast(pa.int64()), "text": texts})
    pairs = pairs.filter(pc.fill_null(pc.not_equal(pairs["text"], ""), False)).group_by(["row", "text"]).aggregate([])
    pairs = pairs.sort_by([("row", "ascending"), ("text", "ascending")])
    row = pairs["row"].to_numpy()
    place = np.arange(len(row)) - np.searchsorted(row, row)
    pairs, row = pairs.filter(pa.array(place < attribute.max_values)), row[place < attribute.max_values]
    ends = np.cumsum(np.bincount(row, minlength=len(array)))
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, pairs["text"].combine_chunks().cast(pa.string()))
