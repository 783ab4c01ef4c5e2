"""Raw columns of any type read as numbers, as terms or as bags of terms.

The same column comes as integers from Parquet, as text from CSV, as floats (for want of a null) from pandas, so:

- a number is any number, boolean (1 and 0), date or time (seconds since the epoch), or text of one of these; text that
  is none of them, NaN and the infinities are missing;
- a term is text, or the text of an integer, boolean (`true`, `false`), date or time; a float or decimal without a
  fraction, and text of one, reads as the integer (`3.0` is `3`), whatever its size; empty text is missing;
- a bag is a list of terms, of (term, value) or (name, term, value) structs, a map from term to value, a struct (field
  names are terms), a vector of Spark ML (places are terms, zeros left out), or text split at a separator.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.errors import DataError

FLOAT32_MAX = float(np.finfo(np.float32).max)
NAME_TERM = "\x01"
"""Joins name and term of a (name, term, value) triple, as Photon-ML does."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_TIME = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?Z?$"
_WHOLE = r"^(-?\d+)\.0+$"
_INT64 = 2.0**63
_VECTOR = {"type", "size", "indices", "values"}  # fields of the struct that Spark ML keeps a vector in


class RawBag(NamedTuple):
    """The terms of a bag column, row after row.

    Attributes:
        rows: int64 [terms], the row of each term, ascending.
        terms: string array [terms], no nulls, none empty.
        values: float64 [terms], finite; 1 where the raw column has no values.
    """

    rows: npt.NDArray[np.int64]
    terms: pa.Array
    values: npt.NDArray[np.float64]


def as_numbers(column: pa.Array | pa.ChunkedArray, name: str = "") -> npt.NDArray[np.float64]:
    """The column as float64 [rows], NaN where missing, within the range of a float32; the very memory of the column
    where it is so already, which cannot be written to.

    Raises:
        DataError: the type (list, struct, map, bytes) has no reading as a number; `name` says which column.
    """
    array = _whole(column)
    kind = array.type
    if pa.types.is_null(kind):
        return np.full(len(array), np.nan)
    if _is_text(kind):
        array = _numbers_of_text(array)
    elif pa.types.is_temporal(kind):
        array = _seconds(array)
    elif _is_vector(kind):
        raise DataError(f"column {name!r} is a vector of Spark ML: declare it `kind: bag` with `weighted: true`")
    elif not (pa.types.is_boolean(kind) or is_number(kind)):
        raise DataError(f"column {name!r}: expected numbers, got {kind}")
    elif pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    numbers = array.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    if len(numbers) and numbers.min() >= -FLOAT32_MAX and numbers.max() <= FLOAT32_MAX:  # false where one is NaN
        return numbers
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    return np.clip(numbers, -FLOAT32_MAX, FLOAT32_MAX, out=numbers)


def as_texts(column: pa.Array | pa.ChunkedArray, name: str = "") -> pa.Array:
    """The column as a string array of terms, null where missing.

    Raises:
        DataError: the type (list, struct, map) has no reading as one term.
    """
    array = _whole(column)
    kind = array.type
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.string())
    if _is_text(kind):
        texts = _texts_of_texts(array.cast(pa.string()))
    elif pa.types.is_decimal(kind):
        texts = _texts_of_decimals(array)
    elif pa.types.is_floating(kind):
        texts = _texts_of_floats(array.cast(pa.float64(), safe=False))
    elif pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise DataError(f"column {name!r}: expected one term per row, got {kind}")
    elif pa.types.is_timestamp(kind):  # one unit, in UTC, whatever the unit and zone it came in
        texts = array.cast(pa.timestamp("us"), safe=False).cast(pa.string())
    else:
        texts = array.cast(pa.string())
    empty = pc.equal(texts, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), texts) if pc.any(empty).as_py() else texts


def as_bag(column: pa.Array | pa.ChunkedArray, name: str = "", separator: str | None = None) -> RawBag:
    """The terms of each row; null and empty terms, and null values, are left out.

    Raises:
        DataError: no form of a bag, or text without a `separator`.
    """
    array = _whole(column)
    kind = array.type
    if pa.types.is_null(kind):
        return RawBag(np.empty(0, np.int64), pa.array([], pa.string()), np.empty(0))
    if _is_text(kind):
        array = _split(array, name, separator)
    elif _is_vector(kind):
        return _bag_of_vectors(array)
    elif pa.types.is_struct(kind):
        return _bag_of_fields(array, name)
    elif not (_is_list(kind) or pa.types.is_map(kind)):
        raise DataError(f"column {name!r}: expected lists, maps, structs or separated text, got {kind}")
    # Without the null rows, and so compacted: offsets and elements then agree for lists and maps alike.
    there = np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False))
    array = array.drop_null()
    elements = array.flatten() if _is_list(array.type) else _entries(array)
    rows = np.repeat(there, _lengths(array))
    terms, values = _terms_and_values(elements, name)
    if _is_text(kind):
        terms = pc.utf8_trim_whitespace(terms)
    return _without_missing(rows, terms, values)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One array, dictionaries decoded."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps several chunks where offsets would overflow
        array = pa.concat_arrays(array.chunks)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether values of the type are numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_vector(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind)) and {kind.field(i).name for i in range(kind.num_fields)} == _VECTOR


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _seconds(array: pa.Array) -> pa.Array:
    """Dates and times as seconds since the epoch, durations and times of day as seconds."""
    kind = array.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        ticks = array.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    elif pa.types.is_duration(kind):
        ticks = array.cast(pa.duration("us"), safe=False).cast(pa.int64())
    elif pa.types.is_time(kind):
        ticks = array.cast(pa.time64("us")).cast(pa.int64())
    else:
        raise DataError(f"expected numbers, got {kind}")
    return pc.divide(ticks.cast(pa.float64(), safe=False), 1e6)


def _numbers_of_text(array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.float64())
    except pa.ArrowInvalid:  # something else than numbers is there: sort out what
        text = pc.utf8_trim_whitespace(array.cast(pa.string()))
    nothing = pa.scalar(None, pa.string())
    plain = pc.if_else(pc.match_substring_regex(text, _NUMBER), pc.utf8_ltrim(text, "+"), nothing)
    numbers = plain.cast(pa.float64())
    lower = pc.utf8_lower(text)
    numbers = pc.if_else(pc.fill_null(pc.equal(lower, "true"), False), 1.0, numbers)
    numbers = pc.if_else(pc.fill_null(pc.equal(lower, "false"), False), 0.0, numbers)
    times = pc.if_else(pc.match_substring_regex(text, _TIME), pc.utf8_rtrim(text, "Z"), nothing)
    if times.null_count == len(times):
        return numbers
    try:
        return pc.coalesce(numbers, _seconds(times.cast(pa.timestamp("us"))))
    except pa.ArrowInvalid:  # the shape of a date, but no such day
        return numbers


def _texts_of_texts(texts: pa.Array) -> pa.Array:
    """`12.0` as `12`: what pandas makes of integers among which one is missing, written to CSV."""
    if not pc.any(pc.match_substring(texts, ".0")).as_py():
        return texts
    return pc.replace_substring_regex(texts, _WHOLE, r"\1")


def _texts_of_floats(numbers: pa.Array) -> pa.Array:
    """`3.0` as `3`, `0.5` as `0.5`; NaN and the infinities are missing."""
    missing = pa.scalar(None, pa.float64())
    finite = pc.if_else(pc.fill_null(pc.is_finite(numbers), False), numbers, missing)
    whole = pc.and_(pc.equal(finite, pc.floor(finite)), pc.less(pc.abs(finite), _INT64))
    integers = pc.if_else(whole, finite, missing).cast(pa.int64(), safe=False).cast(pa.string())
    return pc.coalesce(integers, finite.cast(pa.string()))


def _texts_of_decimals(decimals: pa.Array) -> pa.Array:
    """`3.00` as `3`, exactly; with a fraction as floats are."""
    kind = decimals.type
    whole = pc.equal(decimals, pc.trunc(decimals))
    wide = pa.decimal256(76, 0) if pa.types.is_decimal256(kind) else pa.decimal128(38, 0)
    integers = pc.if_else(whole, decimals, pa.scalar(None, kind)).cast(wide).cast(pa.string())
    return pc.coalesce(integers, _texts_of_floats(decimals.cast(pa.float64(), safe=False)))


def _split(array: pa.Array, name: str, separator: str | None) -> pa.Array:
    if separator is None:
        raise DataError(f"column {name!r} is text: a bag of it needs a `separator`")
    return pc.split_pattern(array.cast(pa.string()), separator)


def _lengths(array: pa.Array) -> npt.NDArray[np.int64]:
    if pa.types.is_map(array.type):
        return np.diff(array.offsets.to_numpy()).astype(np.int64)
    return pc.list_value_length(array).to_numpy(zero_copy_only=False).astype(np.int64)


def _entries(array: pa.Array) -> pa.Array:
    """The (key, item) pairs of a map column as structs, in row order."""
    offsets = array.offsets
    first, last = offsets[0].as_py(), offsets[len(offsets) - 1].as_py()
    keys, items = array.keys[first:last], array.items[first:last]
    return pa.StructArray.from_arrays([keys, items], ["term", "value"])


def _terms_and_values(elements: pa.Array, name: str) -> tuple[pa.Array, npt.NDArray[np.float64]]:
    elements = elements.dictionary_decode() if pa.types.is_dictionary(elements.type) else elements
    if _is_text(elements.type):
        return elements.cast(pa.string()), np.ones(len(elements))
    if not pa.types.is_struct(elements.type):
        return as_texts(elements, name), np.ones(len(elements))
    fields = [elements.type.field(i).name for i in range(elements.type.num_fields)]
    parts = dict(zip(fields, elements.flatten(), strict=True))
    if set(fields) == {"name", "term", "value"}:
        fields = ["name", "term", "value"]
    elif set(fields) == {"term", "value"}:
        fields = ["term", "value"]
    if len(fields) == 2:
        return as_texts(parts[fields[0]], name), as_numbers(parts[fields[1]], name)
    if len(fields) == 3:
        names, terms = as_texts(parts[fields[0]], name), as_texts(parts[fields[1]], name)
        joined = pc.binary_join_element_wise(names, pc.fill_null(terms, ""), NAME_TERM)
        return joined, as_numbers(parts[fields[2]], name)
    raise DataError(f"column {name!r}: structs of a bag need (term, value) or (name, term, value), got {fields}")


def _bag_of_fields(array: pa.Array, name: str) -> RawBag:
    """A struct per row, as pandas dictionaries become: field names are the terms, fields the values."""
    fields = [array.type.field(i).name for i in range(array.type.num_fields)]
    if not fields:
        return RawBag(np.empty(0, np.int64), pa.array([], pa.string()), np.empty(0))
    values = np.stack(
        [as_numbers(part, f"{name}.{field}") for field, part in zip(fields, array.flatten(), strict=True)]
    )
    rows, places = np.nonzero(~np.isnan(values.T))
    return RawBag(rows.astype(np.int64), pa.array(fields, pa.string()).take(pa.array(places)), values.T[rows, places])


def _bag_of_vectors(array: pa.Array) -> RawBag:
    """A vector per row: dense ones have no indices, all values are there in order; sparse ones pairs of both."""
    values = array.field("values")
    there = pc.and_(array.is_valid(), values.is_valid()).to_numpy(zero_copy_only=False)
    lengths = np.where(there, pc.list_value_length(values).fill_null(0).to_numpy(), 0)
    numbers = pc.list_flatten(values.filter(pa.array(there))).to_numpy(zero_copy_only=False).astype(np.float64)
    rows = np.repeat(np.arange(len(array)), lengths)
    places = np.arange(len(numbers)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    sparse = there & array.field("indices").is_valid().to_numpy(zero_copy_only=False)
    given = pc.list_flatten(array.field("indices").filter(pa.array(sparse))).to_numpy(zero_copy_only=False)
    places[np.repeat(sparse, lengths)] = given
    kept = np.isfinite(numbers) & (numbers != 0)
    return RawBag(rows[kept].astype(np.int64), pa.array(places[kept]).cast(pa.string()), numbers[kept])


def _without_missing(rows: npt.NDArray[np.int64], terms: pa.Array, values: npt.NDArray[np.float64]) -> RawBag:
    kept = pc.fill_null(pc.not_equal(terms, ""), False).to_numpy(zero_copy_only=False) & ~np.isnan(values)
    if kept.all():
        return RawBag(rows, terms, values)
    return RawBag(rows[kept], terms.filter(pa.array(kept)), values[kept])
