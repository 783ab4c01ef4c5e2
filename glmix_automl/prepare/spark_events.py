"""The roles of an event's columns, by Spark: ids as text, the label rule, the weight (the time is in `spark_times`)."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DateType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from glmix_automl.errors import DataError
from glmix_automl.prepare.events import LEAST_WEIGHT, MOST_WEIGHT, LabelRule
from glmix_automl.prepare.tables import column, id_text
from glmix_automl.spark import translate_errors


def id_column(frame: DataFrame, name: str) -> Column:
    """`id_text` of a column of the frame.

    Raises:
        DataError: it is an array, map or struct.
    """
    kind = frame.schema[name].dataType
    if not isinstance(kind, StringType | NumericType | BooleanType | DateType | TimestampType | TimestampNTZType):
        raise DataError(f"column {name!r}: an id must be text or a number, got {kind.simpleString()}")
    return id_text(column(name), kind)


def label_column(frame: DataFrame, rule: LabelRule | None, where: str) -> Column:
    """1 or 0 as an integer, null where the raw value is null or not a number; 1 without a rule.

    Raises:
        DataError: without a rule, values other than 0 and 1: which, and how a rule is given.
    """
    if rule is None:
        return F.lit(1)
    raw, kind = column(rule.column), frame.schema[rule.column].dataType
    text = F.lower(F.trim(id_text(raw, kind)))
    if rule.positive is not None:
        return F.when(text.isNotNull(), text.isin([p.lower() for p in rule.positive]).cast("int"))
    number = F.when(text == "true", 1.0).when(text == "false", 0.0).otherwise(raw.try_cast("double"))
    number = F.when(~F.isnan(number), number)
    if rule.at_least is not None:
        return (number >= rule.at_least).cast("int")
    other = text.isNotNull() & ~F.coalesce(number.isin(0.0, 1.0), F.lit(False))
    with translate_errors(where):
        bad = F.when(other, F.substring(text, 1, 40))
        rows, low, high = frame.agg(F.count(bad), F.min(bad), F.max(bad)).first()  # type: ignore[misc]
    if rows:
        examples = low if low == high else f"{low} and {high}"
        raise DataError(
            f"{where}: label column {rule.column!r} should hold 0 and 1, it also holds {examples} ({rows} rows); "
            "give a rule: `at_least: NUMBER`, or `positive: [VALUE, ...]`"
        )
    return number.cast("int")


def weight_column(frame: DataFrame, name: str | None) -> Column:
    """The row's weight as a double, null where it is missing, not a number or outside 1e-30 to 1e30; 1 without a
    column.
    """
    if name is None:
        return F.lit(1.0)
    number = column(name).try_cast("double")
    return F.when(number.between(LEAST_WEIGHT, MOST_WEIGHT), number)
