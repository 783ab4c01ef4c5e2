"""The roles of an event's columns: ids as text, the label rule, the moment, the weight."""

from typing import Literal

import pydantic
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from glmix_automl.config import Config
from glmix_automl.errors import DataError
from glmix_automl.prepare.tables import column
from glmix_automl.spark import translated

Unit = Literal["seconds", "milliseconds", "microseconds", "nanoseconds"]
_PER_SECOND: dict[str, int] = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_EXACT_INTEGERS = 2.0**53


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


class TimeRule(Config):
    """How a column says when the event was."""

    column: str
    unit: Unit | None = None
    """Of numbers; told from their size unless given (seconds below 1e11, milliseconds below 1e14, and so on)."""
    format: str | None = None
    """Of text, as Spark's datetime patterns; ISO 8601 unless given. Text without a zone is UTC."""


def id_text(value: Column, kind: DataType) -> Column:
    """An id as text, null where it is missing; the reading of `glmix_automl.features.as_texts`."""
    if isinstance(kind, FloatType | DoubleType | DecimalType):
        number = value.cast("double")
        whole = (number == F.floor(number)) & (F.abs(number) < _EXACT_INTEGERS)
        text = F.when(whole, number.cast("bigint").cast("string")).when(~F.isnan(number), number.cast("string"))
    elif isinstance(kind, TimestampType | TimestampNTZType):
        text = F.date_format(value, "yyyy-MM-dd HH:mm:ss.SSSSSS")
    else:
        text = value.cast("string")
    return F.when(text != "", text)


def id_column(frame: DataFrame, name: str) -> Column:
    """`id_text` of a column of the frame.

    Raises:
        DataError: it is an array, map or struct.
    """
    kind = frame.schema[name].dataType
    if not isinstance(kind, StringType | NumericType | BooleanType | DateType | TimestampType | TimestampNTZType):
        raise DataError(f"column {name!r}: an id must be text or a number, got {kind.simpleString()}")
    return id_text(column(name), kind)


def label_column(frame: DataFrame, rule: LabelRule, where: str) -> Column:
    """1 or 0 as an integer, null where the raw value is null or not a number.

    Raises:
        DataError: without a rule, values other than 0 and 1: which, and how a rule is given.
    """
    raw, kind = column(rule.column), frame.schema[rule.column].dataType
    text = F.lower(F.trim(id_text(raw, kind)))
    if rule.positive is not None:
        return F.when(text.isNotNull(), text.isin([p.lower() for p in rule.positive]).cast("int"))
    number = F.when(text == "true", 1.0).when(text == "false", 0.0).otherwise(raw.try_cast("double"))
    number = F.when(~F.isnan(number), number)
    if rule.at_least is not None:
        return (number >= rule.at_least).cast("int")
    other = text.isNotNull() & ~F.coalesce(number.isin(0.0, 1.0), F.lit(False))
    with translated(where):
        bad = F.when(other, F.substring(text, 1, 40))
        rows, low, high = frame.agg(F.count(bad), F.min(bad), F.max(bad)).first()  # type: ignore[misc]
    if rows:
        examples = low if low == high else f"{low} and {high}"
        raise DataError(
            f"{where}: label column {rule.column!r} should hold 0 and 1, it also holds {examples} ({rows} rows); "
            "give a rule: `at_least: NUMBER`, or `positive: [VALUE, ...]`"
        )
    return number.cast("int")


def time_column(frame: DataFrame, rule: TimeRule, where: str) -> Column:
    """Microseconds since the epoch as a bigint, null where the raw value is null or unreadable.

    Raises:
        DataError: the column holds neither numbers nor times: examples.
    """
    raw, kind = column(rule.column), frame.schema[rule.column].dataType
    if isinstance(kind, TimestampType | TimestampNTZType | DateType):
        return F.unix_micros(raw.cast("timestamp"))
    if isinstance(kind, StringType) and (rule.format or not _numbers_in(frame, raw, where)):
        read = F.try_to_timestamp(raw, F.lit(rule.format)) if rule.format else F.try_to_timestamp(raw)
        return F.unix_micros(read)
    if not isinstance(kind, StringType | NumericType):
        raise DataError(
            f"{where}: time column {rule.column!r} is {kind.simpleString()}, expected a number, text or time"
        )
    number = raw.cast("decimal(38,9)") if isinstance(kind, StringType | DecimalType) else raw
    unit = rule.unit or _unit(frame, raw, where)
    if isinstance(kind, IntegralType):
        return F.floor(raw * (10**6 // _PER_SECOND[unit])) if unit != "nanoseconds" else F.floor(raw / 1000)
    return F.floor(number * F.lit(10**6) / F.lit(_PER_SECOND[unit])).cast("bigint")


def weight_column(frame: DataFrame, name: str | None) -> Column:
    """The row's weight as a double, null where it is missing, not a number or not positive; 1 without a column."""
    if name is None:
        return F.lit(1.0)
    number = column(name).try_cast("double")
    return F.when((number > 0) & (number < float("inf")) & ~F.isnan(number), number)


def _numbers_in(frame: DataFrame, raw: Column, where: str) -> bool:
    """Whether text holds numbers, judged by its first values (a mixture is caught when unreadable rows are counted)."""
    with translated(where):
        rows = frame.where(raw.isNotNull()).select(raw.try_cast("double")).limit(100).collect()
    return sum(row[0] is not None for row in rows) * 2 > len(rows)


def _unit(frame: DataFrame, raw: Column, where: str) -> str:
    """The unit that puts the largest time of the column between 1970 and 5138."""
    with translated(where):
        largest = frame.select(F.max(F.abs(raw.try_cast("double")))).first()[0] or 0.0  # type: ignore[index]
    bounds = {"seconds": 1e11, "milliseconds": 1e14, "microseconds": 1e17}
    return next((unit for unit, bound in bounds.items() if largest < bound), "nanoseconds")
