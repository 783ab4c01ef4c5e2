"""The roles of an event's columns, by Spark: ids as text, the label rule, the weight (the moment is in `times`)."""

import pydantic
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    MapType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from glmix_automl.config import Config
from glmix_automl.errors import DataError
from glmix_automl.prepare.tables import column, id_text
from glmix_automl.spark import translate_errors

_LEAST, _MOST = 1e-30, 1e30  # weights are float32, and products of them with losses and gradients must be too


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
    return F.when(number.between(_LEAST, _MOST), number)


def fingerprint(frame: DataFrame) -> Column:
    """A hash of the whole row, to order rows by that are the same in all that matters."""
    return F.xxhash64(*(_ordered(column(f.name), f.dataType) for f in frame.schema))


def _ordered(value: Column, kind: DataType) -> Column:
    """The value in a form that has an order: maps, which Spark does not hash, as sorted entries."""
    if "map<" not in kind.simpleString():
        return value
    if isinstance(kind, MapType):
        entries = F.map_entries(value)
        return F.array_sort(
            _ordered(entries, ArrayType(StructType().add("key", kind.keyType).add("value", kind.valueType)))
        )
    if isinstance(kind, ArrayType):
        return F.transform(value, lambda element: _ordered(element, kind.elementType))
    if isinstance(kind, StructType):
        return F.struct(*(_ordered(value.getField(f.name), f.dataType).alias(f.name) for f in kind))
    return value
