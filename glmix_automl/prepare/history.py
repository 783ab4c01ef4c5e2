"""As-of history: what was known of a key (a member, an item, a member and a genre) before each row.

For each row and key: how many rows of the key lie strictly before the row's time, how many of them are positive, and
when the last one was. Rows of one moment do not see each other, and no row sees itself. Labels of the past count,
whatever split they are in, as they would at serving time.

Computed by window functions over (key, time), so a key's rows are sorted in one task. What would make that task too
large is cut: keys of more than `heavy_rows` rows are computed in spans of time whose sums are carried over from span to
span. The result is the same to the last bit; one task then sorts about `heavy_rows` rows of a key at most, unless more
of them lie in one span (spans are of equal time, and a single moment cannot be cut).
"""

import pydantic
from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from glmix_automl.config import Config
from glmix_automl.prepare.tables import column, split_terms

UID, MEMBER, ITEM = "_glmix_uid", "_glmix_member", "_glmix_item"
TIME, LABEL = "_glmix_time", "_glmix_label"  # bigint microseconds; integer 0 or 1
_SPAN, _PRIOR, _TERM, _DAY = "_glmix_span", "_glmix_prior", "_glmix_term", "_glmix_day"
_SEEN = ("n", "positives", "last")
_DAY_MICROS = 86_400 * 10**6


class Attribute(Config):
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


class History(Config):
    """Which history features to compute."""

    member: bool = True
    item: bool = True
    attributes: tuple[Attribute, ...] = ()
    smoothing: float = pydantic.Field(default=5.0, gt=0)
    """Response rates are (positives + smoothing x prior) / (rows + smoothing); the prior is the response rate of all
    rows up to the end of the day (UTC) before the row's."""
    heavy_rows: int = pydantic.Field(default=1_000_000, ge=1)
    """Rows of a key above which it is computed in spans of time."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys in the names of the features, in order: `member`, `item`, attributes, members' attributes."""
        single = [k for k, wanted in (("member", self.member), ("item", self.item)) if wanted]
        return (*single, *(k for a in self.attributes for k in (a.key, f"member_{a.key}")))


def names(key: str) -> tuple[str, str, str]:
    """The feature columns of a key: rows before, smoothed response rate, seconds since the last."""
    return f"past_{key}_count", f"past_{key}_rate", f"past_{key}_seconds"


def with_history(events: DataFrame, wanted: History, base: DataFrame, rows: int) -> DataFrame:
    """The events with the columns `names` of each key: counts bigint, rates double, seconds double (null where there is
    no past). All are null for an item without a value of the attribute.

    Args:
        events: columns `UID`, `MEMBER`, `ITEM`, `TIME`, `LABEL`, the attributes' raw columns, and any others, kept.
        wanted: which features.
        base: the same rows in a form that is cheap to read again; totals of heavy keys and priors come from it.
        rows: how many there are at most.
    """
    limit = wanted.heavy_rows if rows > wanted.heavy_rows else None
    frame = events.withColumn(_DAY, F.floor(F.col(TIME) / F.lit(_DAY_MICROS)))
    frame = frame.join(F.broadcast(_priors(base)), _DAY, "left").drop(_DAY)
    for key, place in (("member", MEMBER), ("item", ITEM)):
        if getattr(wanted, key):
            frame = _described(as_of(frame, [place], base, limit), key, wanted.smoothing)
    for attribute in wanted.attributes:
        frame = _with_attribute(frame, attribute, base, wanted.smoothing, limit)
    return frame.drop(_PRIOR)


def as_of(frame: DataFrame, keys: list[str], base: DataFrame, heavy_rows: int | None) -> DataFrame:
    """The frame with columns n, positives and last (microseconds, or null) of the strictly earlier rows of its key.

    Args:
        frame: has `keys` (no nulls), `TIME` and `LABEL`.
        keys: columns that make the key.
        base: the frame's rows (those columns suffice), cheap to read.
        heavy_rows: above how many rows a key is cut into spans; None where no key can have as many.
    """
    whole = Window.partitionBy(*keys).orderBy(TIME).rangeBetween(Window.unboundedPreceding, -1)
    if heavy_rows is None:
        return _seen(frame, whole)
    heavy = (
        base.groupBy(*keys)
        .agg(F.count(F.lit(1)).alias("rows"), F.min(TIME).alias("first"), F.max(TIME).alias("end"))
        .where(F.col("rows") > heavy_rows)
    )
    if heavy.isEmpty():
        return _seen(frame, whole)
    spanned = _spanned(frame, heavy, keys, heavy_rows)
    within = Window.partitionBy(*keys, _SPAN).orderBy(TIME).rangeBetween(Window.unboundedPreceding, -1)
    before = _carried(_spanned(base, heavy, keys, heavy_rows), keys)
    joined = _seen(spanned, within).join(F.broadcast(before), [*keys, _SPAN], "left")
    return joined.withColumns(
        {
            "n": F.col("n") + F.coalesce(F.col("n_before"), F.lit(0)),
            "positives": F.col("positives") + F.coalesce(F.col("positives_before"), F.lit(0)),
            "last": F.coalesce(F.col("last"), F.col("last_before")),
        }
    ).drop(_SPAN, *(f"{s}_before" for s in _SEEN))


def _seen(frame: DataFrame, within: WindowSpec) -> DataFrame:
    return frame.withColumns(
        {
            "n": F.count(F.lit(1)).over(within),
            "positives": F.coalesce(F.sum(LABEL).over(within), F.lit(0)).cast("bigint"),
            "last": F.max(TIME).over(within),
        }
    )


def _spanned(frame: DataFrame, heavy: DataFrame, keys: list[str], heavy_rows: int) -> DataFrame:
    """The frame with the number of each row's span: 0 for keys that are not heavy, -1 for none."""
    parts = F.ceil(F.col("rows") / F.lit(heavy_rows))
    width = F.ceil((F.col("end") - F.col("first") + 1) / parts)
    span = F.floor((F.col(TIME) - F.col("first")) / width).cast("bigint")
    joined = frame.join(F.broadcast(heavy), keys, "left")
    return joined.withColumn(_SPAN, F.coalesce(span, F.lit(-1))).drop("rows", "first", "end")


def _carried(spanned: DataFrame, keys: list[str]) -> DataFrame:
    """What lies before each span of the heavy keys; a small table, a few rows per `heavy_rows` rows."""
    totals = (
        spanned.where(F.col(_SPAN) >= 0)
        .groupBy(*keys, _SPAN)
        .agg(F.count(F.lit(1)).alias("n"), F.sum(LABEL).alias("positives"), F.max(TIME).alias("last"))
    )
    earlier = Window.partitionBy(*keys).orderBy(_SPAN).rowsBetween(Window.unboundedPreceding, -1)
    carried = {
        "n_before": F.sum("n").over(earlier),
        "positives_before": F.sum("positives").over(earlier),
        "last_before": F.max("last").over(earlier),
    }
    return totals.withColumns(carried).select(*keys, _SPAN, *carried)


def _priors(base: DataFrame) -> DataFrame:
    """Day -> response rate of all rows before it, by Laplace's rule (the first day has 1/2); one row per day."""
    days = base.groupBy(F.floor(F.col(TIME) / F.lit(_DAY_MICROS)).alias(_DAY)).agg(
        F.count(F.lit(1)).alias("n"), F.sum(LABEL).alias("positives")
    )
    # One partition on purpose: this is a table of days.
    earlier = Window.partitionBy(F.lit(0)).orderBy(_DAY).rowsBetween(Window.unboundedPreceding, -1)
    n, positives = (F.coalesce(F.sum(c).over(earlier), F.lit(0)) for c in ("n", "positives"))
    return days.select(_DAY, ((positives + 1) / (n + 2)).alias(_PRIOR))


def _described(frame: DataFrame, key: str, smoothing: float) -> DataFrame:
    """Replaces n, positives and last by the key's feature columns."""
    count, rate, seconds = names(key)
    smoothed = (F.col("positives") + F.lit(smoothing) * F.col(_PRIOR)) / (F.col("n") + F.lit(smoothing))
    since = (F.col(TIME) - F.col("last")) / F.lit(1e6)
    return frame.withColumns({count: F.col("n"), rate: smoothed, seconds: since}).drop(*_SEEN)


def _with_attribute(
    frame: DataFrame, attribute: Attribute, base: DataFrame, smoothing: float, limit: int | None
) -> DataFrame:
    """The features of an attribute and of the member's past with it, summed over an item's values.

    A row becomes one row per value of its item, at most `max_values`, with the five columns that matter, and is put
    together again by its uid.
    """
    columns = [UID, MEMBER, TIME, LABEL]
    values = _values(frame, attribute)
    single = frame.select(*columns, F.explode(values).alias(_TERM))
    single_base = base.select(MEMBER, TIME, LABEL, F.explode(_values(base, attribute)).alias(_TERM))
    found = []
    for name, keys in ((attribute.key, [_TERM]), (f"member_{attribute.key}", [MEMBER, _TERM])):
        single = as_of(single, keys, single_base, limit)
        parts = {f"{name}_{s}": s for s in _SEEN}
        single = single.withColumnsRenamed({old: new for new, old in parts.items()})
        found += [F.sum(f"{name}_n"), F.sum(f"{name}_positives"), F.max(f"{name}_last")]
    keys_of = (attribute.key, f"member_{attribute.key}")
    labelled = [f.alias(f"{k}_{s}") for f, (k, s) in zip(found, [(k, s) for k in keys_of for s in _SEEN], strict=True)]
    together = single.groupBy(UID).agg(*labelled)
    frame = frame.join(together, UID, "left")
    for key in keys_of:
        frame = _described(frame.withColumnsRenamed({f"{key}_{s}": s for s in _SEEN}), key, smoothing)
    return frame


def _values(frame: DataFrame, attribute: Attribute) -> Column:
    """The item's distinct values as an array of text, without nulls, at most `max_values`."""
    raw, kind = column(attribute.column), frame.schema[attribute.column].dataType.typeName()
    if kind == "array":
        values = F.transform(raw, lambda v: v.cast("string"))
    elif attribute.separator is not None:
        values = split_terms(raw.cast("string"), attribute.separator)
    else:
        values = F.array(raw.cast("string"))
    values = F.filter(values, lambda v: v.isNotNull() & (v != ""))
    return F.slice(F.array_sort(F.array_distinct(values)), 1, attribute.max_values)
