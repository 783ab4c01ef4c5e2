"""When an event was, by Spark: the reading that `times` decides on, as a column."""

from itertools import pairwise

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DateType,
    DecimalType,
    IntegralType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from glmix_automl.errors import DataError
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.tables import column, id_text
from glmix_automl.prepare.times import (
    BOUNDS,
    FIRST,
    LAST,
    MICROS,
    UNITS,
    WRITTEN,
    TimeCounts,
    TimeReading,
    TimeRule,
    choose_reading,
    is_clock,
    is_date,
)
from glmix_automl.spark import translate_errors


def time_column(frame: DataFrame, rule: TimeRule, where: str, remarks: Remarks | None = None) -> Column:
    """Microseconds since the epoch as a bigint, null where the raw value is null or unreadable.

    Counts the column in a pass over it, where its type does not say how it is read.

    Raises:
        DataError: the column is of a type that is neither numbers, text nor times.
    """
    raw, kind = column(rule.column), frame.schema[rule.column].dataType
    remarks = remarks if remarks is not None else Remarks()
    if isinstance(kind, TimestampType | TimestampNTZType | DateType):
        return _in_spark(TimeReading("type"), raw, kind)
    if not isinstance(kind, StringType | NumericType):
        raise DataError(
            f"{where}: time column {rule.column!r} is {kind.simpleString()}, expected a number, text or time"
        )
    with translate_errors(where):
        counts = TimeCounts(*frame.agg(*_counted(raw)).first())  # type: ignore[misc]
    return _in_spark(choose_reading(counts, rule, where, remarks), raw, kind)


def _counted(raw: Column) -> list[Column]:
    """The aggregates of `TimeCounts`, in order."""
    number = raw.try_cast("double")
    size = F.abs(number)
    edges = (FIRST, *BOUNDS, float("inf"))
    classes = [(size >= F.lit(low)) & (size < F.lit(high)) for low, high in pairwise(edges)]
    dates = [
        is_date(F.floor(number / F.lit(float(10 ** (digits - 8))))) & is_clock(number, digits) for digits in WRITTEN
    ]
    conditions = [raw.isNotNull(), number.isNotNull(), size < F.lit(FIRST), *classes, *dates]
    return [F.count_if(F.coalesce(condition, F.lit(False))) for condition in conditions]


def _in_spark(reading: TimeReading, raw: Column, kind: DataType) -> Column:
    if reading.how == "type":
        return F.unix_micros(raw.cast("timestamp"))
    if reading.how == "format":
        return F.unix_micros(F.try_to_timestamp(id_text(raw, kind), F.lit(reading.format)))
    if reading.how == "text":
        return F.unix_micros(F.try_to_timestamp(raw))
    ticks, number = UNITS[reading.unit], raw.try_cast("double")
    usable = F.abs(number).between(reading.low, min(reading.high, float(LAST * ticks)))
    if isinstance(kind, IntegralType):
        micros = F.floor(raw.cast("bigint") * (MICROS // ticks)) if ticks <= MICROS else F.expr("0")
        if ticks > MICROS:
            exact = raw.cast("decimal(20,0)") / F.lit(ticks // MICROS)
            micros = F.floor(exact).cast("bigint")
    else:
        exact = raw.try_cast("decimal(38,9)") if isinstance(kind, StringType | DecimalType) else number
        micros = F.floor(exact * F.lit(MICROS) / F.lit(ticks)).cast("bigint")
    return F.when(usable, micros)
