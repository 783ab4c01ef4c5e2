"""When an event was, from columns as people write them: one decision per column, applied by Spark or by Arrow.

The column is first counted (`TimeCounts`, the same numbers by either engine): how many values are numbers, of which
size, how many look like a date written as a number. `choose_reading` reads the counts and says how the column is read.
The bulk decides: a few far-away values, or rows that another client logged in another unit, change nothing for the
others; they count as rows without a usable time.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.config import Config
from glmix_automl.errors import DataError
from glmix_automl.features import as_numbers, as_texts
from glmix_automl.features.values import is_number
from glmix_automl.prepare.remarks import Remarks

TimeUnit = Literal["seconds", "milliseconds", "microseconds", "nanoseconds"]
UNITS: dict[str, int] = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
"""Unit -> how many are a second."""
FIRST = 1e8
"""Numbers below stand for no moment after March 1973 in any unit: zeros and other fillers, which say nothing of it."""
BOUNDS = (1e11, 1e14, 1e17)
"""Where milliseconds, microseconds and nanoseconds begin: seconds up to the year 5138, the others from 1973 on."""
LAST = 253_402_300_800
"""Seconds of the year 10000: no time is read beyond, either side of 1970."""
WRITTEN = {8: "yyyyMMdd", 12: "yyyyMMddHHmm", 14: "yyyyMMddHHmmss"}
"""Digits -> the pattern of a moment written as one number."""
_MOSTLY = 0.95
MICROS = 10**6


class TimeRule(Config):
    """How a column says when the event was."""

    column: str
    unit: TimeUnit | None = None
    """Of numbers; told from the size of most unless given (seconds below 1e11, milliseconds below 1e14, and so on)."""
    format: str | None = None
    """Of text and of numbers written as dates (20231114), as Spark's datetime patterns; ISO 8601 unless given. Text
    without a zone is UTC."""


class TimeCounts(NamedTuple):
    """What a column of numbers or text holds.

    Attributes:
        there: values that are not null.
        numbers: of them, numbers or text of numbers.
        fillers: numbers below 1e8.
        seconds, milliseconds, microseconds, nanoseconds: numbers by the unit that their size speaks of.
        days, minutes, stamps: numbers that are valid dates of 8, 12 and 14 digits.
    """

    there: int
    numbers: int
    fillers: int
    seconds: int
    milliseconds: int
    microseconds: int
    nanoseconds: int
    days: int
    minutes: int
    stamps: int


@dataclass(frozen=True)
class TimeReading:
    """How a column is read: by its own type, as ISO text, by a format, or as numbers of a unit.

    Attributes:
        how: the way.
        unit: of numbers.
        format: a Spark datetime pattern.
        low, high: numbers outside are of another unit, and so unusable; both inclusive, in absolute value.
    """

    how: Literal["type", "text", "format", "unit"]
    unit: TimeUnit = "seconds"
    format: str = ""
    low: float = 0.0
    high: float = float("inf")


def choose_reading(counts: TimeCounts, rule: TimeRule, where: str, remarks: Remarks) -> TimeReading:
    """How a column of numbers or text is read; what was guessed is added to the remarks."""
    if rule.format:
        return TimeReading("format", format=rule.format)
    if counts.numbers * 2 <= counts.there:
        return TimeReading("text")
    said = f"{where}: times of {rule.column!r}"
    if rule.unit is not None:
        return TimeReading("unit", rule.unit)
    written = {8: counts.days, 12: counts.minutes, 14: counts.stamps}
    digits, most = max(written.items(), key=lambda pair: pair[1])
    if most >= _MOSTLY * counts.numbers:
        pattern = WRITTEN[digits]
        remarks.notes.append(
            f"{said} were read as dates written as numbers, {pattern} (`unit: seconds` if they are not)"
        )
        return TimeReading("format", format=pattern)
    sizes = dict(zip(UNITS, counts[3:7], strict=True))
    unit = max(sizes, key=lambda name: sizes[name])  # the smaller unit where equal
    place = list(UNITS).index(unit)
    edges = (0.0, *BOUNDS, float("inf"))
    remarks.notes.append(f"{said} were read as {unit} since 1970, told from their size")
    if others := {name: n for name, n in sizes.items() if n and name != unit}:
        listed = ", ".join(f"{n:,} look like {name}" for name, n in others.items())
        remarks.warnings.append(
            f"{said} do not agree on one unit: {sizes[unit]:,} look like {unit}, {listed}; these were left out as "
            f"unusable: mend them, or say `unit: {unit}` to read all as {unit}"
        )
    return TimeReading("unit", unit, low=edges[place], high=np.nextafter(edges[place + 1], 0))  # type: ignore[arg-type]


def report_span(first: float | None, last: float | None, where: str, remarks: Remarks) -> None:
    """Adds the first and last time (microseconds) to the remarks, with a warning where they are all of 1970."""
    if first is None or last is None:
        return
    said = f"{where}: times run from {_iso(first)} to {_iso(last)}"
    remarks.notes.append(said)
    if last < 365 * 86_400 * MICROS:
        remarks.warnings.append(
            f"{said}, all before 1971: is the unit right? Set `timestamp.unit` or `timestamp.format`"
        )


def _iso(micros: float) -> str:
    try:
        moment = datetime.fromtimestamp(micros / MICROS, timezone.utc)
    except (OverflowError, ValueError):
        return f"{micros / MICROS:.0f} seconds"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def is_date(day: Any) -> Any:
    """Whether whole numbers, of Spark or of numpy, are dates yyyyMMdd of the years 1900 to 2999."""
    month, rest = (day % 10_000) / 100, day % 100
    return (day >= 19_000_101) & (day <= 29_991_231) & (month >= 1) & (month < 13) & (rest >= 1) & (rest <= 31)


def is_clock(number: Any, digits: int) -> Any:
    """Whether the digits after yyyyMMdd are hours, minutes and seconds, and the number is whole."""
    valid = number % 1 == 0
    for place in range(digits - 8, 0, -2):
        most = 24 if place == digits - 8 else 60
        valid = valid & ((number % float(10**place)) / float(10 ** (place - 2)) < most)
    return valid


def time_micros(raw: pa.Array, rule: TimeRule, where: str, remarks: Remarks) -> pa.Array:
    """As `spark_times.time_column`, of a whole column: int64 microseconds, null where unusable.

    Raises:
        DataError: as `time_column`; or a `format` that only Spark reads.
    """
    kind = raw.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return raw.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    if pa.types.is_boolean(kind) or not (_is_text(kind) or is_number(kind)):
        raise DataError(f"{where}: time column {rule.column!r} is {kind}, expected a number, text or time")
    return read_times(choose_reading(counts_of(raw), rule, where, remarks), raw, where)


def counts_of(raw: pa.Array) -> TimeCounts:
    """The counts of a column of numbers or text; those of parts of a column add up."""
    number = _numbers(raw)
    found = ~np.isnan(number)
    number, size = number[found], np.abs(number[found])
    edges = (FIRST, *BOUNDS, np.inf)
    sizes = [int(((size >= low) & (size < high)).sum()) for low, high in pairwise(edges)]
    dates = [int((is_date(np.floor(number / 10.0 ** (d - 8))) & is_clock(number, d)).sum()) for d in WRITTEN]
    return TimeCounts(len(raw) - raw.null_count, len(number), int((size < FIRST).sum()), *sizes, *dates)


def read_times(reading: TimeReading, raw: pa.Array, where: str) -> pa.Array:
    """int64 microseconds of a column as `reading` says, null where unusable."""
    if reading.how == "format":
        return _micros_of(pc.strptime(as_texts(raw), _strptime(reading.format, where), "us", error_is_null=True))
    if reading.how == "text":
        return _micros_of_iso(raw)
    ticks, number = UNITS[reading.unit], _numbers(raw)
    with np.errstate(invalid="ignore"):
        size = np.abs(number)
        usable = (size >= reading.low) & (size <= min(reading.high, float(LAST * ticks)))
    if pa.types.is_integer(raw.type):
        whole = raw.fill_null(0).cast(pa.int64(), safe=False).to_numpy()
        with np.errstate(over="ignore"):  # what wraps is not usable
            micros = whole * (MICROS // ticks) if ticks <= MICROS else whole // (ticks // MICROS)
    elif pa.types.is_floating(raw.type):
        micros = np.floor(np.where(usable, number, 0) * MICROS / ticks).astype(np.int64)
    else:
        micros = _exact_micros(as_texts(raw), usable, ticks)
    return pa.array(micros, mask=~usable)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _numbers(raw: pa.Array) -> npt.NDArray[np.float64]:
    """float64, NaN for what is no number; of text only numbers, no dates."""
    if _is_text(raw.type):
        text = pc.utf8_trim_whitespace(raw)
        plain = pc.match_substring_regex(text, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
        raw = pc.if_else(plain, text, pa.scalar(None, raw.type))
    return as_numbers(raw)


def _exact_micros(texts: pa.Array, usable: npt.NDArray[np.bool_], ticks: int) -> npt.NDArray[np.int64]:
    """Of decimal numbers as text, without passing through floats."""
    chosen = pc.utf8_trim_whitespace(texts.filter(pa.array(usable)))
    micros = np.zeros(len(texts), np.int64)
    if pc.all(pc.match_substring_regex(chosen, r"^-?\d{1,18}$")).as_py():
        whole = chosen.cast(pa.int64()).to_numpy()
        micros[usable] = whole * (MICROS // ticks) if ticks <= MICROS else whole // (ticks // MICROS)
    else:
        micros[usable] = [
            int((Decimal(text) * MICROS / ticks).to_integral_value(ROUND_FLOOR)) for text in chosen.to_pylist()
        ]
    return micros


def _micros_of(times: pa.Array) -> pa.Array:
    return times.cast(pa.timestamp("us"), safe=False).cast(pa.int64())


_ISO = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?)?$"


def _micros_of_iso(raw: pa.Array) -> pa.Array:
    text = pc.utf8_trim_whitespace(raw.cast(pa.string()))
    nothing = pa.scalar(None, pa.string())
    text = pc.if_else(pc.match_substring_regex(text, _ISO), text, nothing)
    text = pc.replace_substring_regex(text, r"(\.\d{6})\d+", r"\1")  # Arrow refuses digits after microseconds
    zone = pc.extract_regex(text, r"[:\d](?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})$")
    bare = pc.replace_substring_regex(text, r"(:\d{2}(?:\.\d+)?) ?(?:Z|UTC|[+-]\d{2}:?\d{2})$", r"\1")
    try:
        micros = bare.cast(pa.timestamp("us")).cast(pa.int64())
    except pa.ArrowInvalid:  # the shape of a date, but no such day or hour
        micros = pa.array([_one(value) for value in bare.to_pylist()], pa.int64())
    hours, minutes = (pc.struct_field(zone, i).cast(pa.int64()) for i in (1, 2))
    shift = pc.multiply(pc.add(pc.multiply(hours, 60), minutes), 60 * MICROS)
    shift = pc.if_else(pc.equal(pc.struct_field(zone, 0), "-"), pc.negate(shift), shift)
    return pc.subtract(micros, shift.fill_null(0))


def _one(text: str | None) -> int | None:
    try:
        return pa.array([text]).cast(pa.timestamp("us")).cast(pa.int64())[0].as_py()
    except pa.ArrowInvalid:
        return None


_PATTERNS = {
    "yyyy": "%Y", "MM": "%m", "M": "%m", "MMM": "%b", "MMMM": "%B", "dd": "%d", "d": "%d", "HH": "%H", "H": "%H",
    "hh": "%I", "h": "%I", "mm": "%M", "ss": "%S", "a": "%p",
}  # fmt: skip


def _strptime(pattern: str, where: str) -> str:
    """A Spark datetime pattern as C writes it.

    Raises:
        DataError: a letter that C has no word for, such as fractions and zones.
    """
    result = []
    for found in re.finditer(r"'([^']*)'|(([A-Za-z])\3*)|([^A-Za-z'])", pattern):
        quoted, letters, other = found.group(1), found.group(2), found.group(4)
        if letters and letters not in _PATTERNS:
            raise DataError(f"{where}: `format: {pattern}`: {letters!r} is read by Spark only; set `engine: spark`")
        result.append(_PATTERNS[letters] if letters else (quoted or other or "'").replace("%", "%%"))
    return "".join(result)
