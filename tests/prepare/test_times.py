"""Times as people write them: the bulk of a column decides how it is read, by Spark and by Arrow alike."""

import datetime
import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from glmix_automl.errors import DataError
from glmix_automl.prepare.remarks import Found, Remarks, report_join
from glmix_automl.prepare.spark_times import time_column
from glmix_automl.prepare.times import TimeRule, counts_of, report_span, time_micros

pytestmark = pytest.mark.spark

NOON = datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.timezone.utc)
NOON_MICROS = 1_577_880_000_000_000
DAY = 86_400 * 10**6


def by_both(spark: Any, kind: str, values: list[Any], **rule: Any) -> tuple[list[int | None], Remarks]:
    """Microseconds of the values, which must be the same by either engine, and what was said of them."""
    frame = spark.createDataFrame([(v,) for v in values], f"`at` {kind}").coalesce(1)
    raw = frame.toArrow().column(0).combine_chunks()
    one, other = Remarks(), Remarks()
    found = [r[0] for r in frame.select(time_column(frame, TimeRule(column="at", **rule), "here", one)).collect()]
    assert found == time_micros(raw, TimeRule(column="at", **rule), "here", other).to_pylist()
    assert one == other
    return found, one


@pytest.mark.parametrize(
    ("kind", "value", "rule"),
    [
        ("bigint", 1_577_880_000, {}), ("bigint", 1_577_880_000_000, {}), ("double", 1_577_880_000.0, {}),
        ("string", "1577880000", {}), ("string", "2020-01-01T12:00:00Z", {}), ("string", "1577880000.000", {}),
        ("string", "2020-01-01 14:00:00+02:00", {}), ("string", "2020-01-01T10:30:00.000000-01:30", {}),
        ("string", "2020-01-01 12:00:00", {}), ("string", "01/01/2020 12h", {"format": "dd/MM/yyyy HH'h'"}),
        ("bigint", 1_577_880_000_000_000_000, {}), ("timestamp", NOON, {}), ("decimal(20,3)", 1_577_880_000, {}),
        ("bigint", 1_577_880_000_000, {"unit": "milliseconds"}), ("bigint", 20_200_101_120_000, {}),
        ("bigint", 202_001_011_200, {}), ("string", "2020010112", {"format": "yyyyMMddHH"}),
        ("bigint", 2_020_010_112, {"format": "yyyyMMddHH"}), ("double", 2_020_010_112.0, {"format": "yyyyMMddHH"}),
    ],
)  # fmt: skip
def test_times_are_read_in_many_forms(run_settings: Any, kind: str, value: Any, rule: dict[str, str]) -> None:
    value = decimal.Decimal(value) if kind.startswith("decimal") else value
    assert by_both(run_settings, kind, [value, None], **rule)[0] == [NOON_MICROS, None]


def test_dates_written_as_numbers_are_days(run_settings: Any) -> None:
    days = [20_231_114 + d for d in range(17)]
    for kind, values in (
        ("bigint", days),
        ("int", days),
        ("string", [str(d) for d in days]),
        ("double", [*map(float, days)]),
    ):
        found, remarks = by_both(run_settings, kind, values)
        assert np.diff(found).tolist() == [DAY] * 16  # type: ignore[arg-type]
        assert remarks.notes == [
            "here: times of 'at' were read as dates written as numbers, yyyyMMdd (`unit: seconds` if they are not)"
        ]
    found, _ = by_both(run_settings, "bigint", days, unit="seconds")
    assert found[0] == 20_231_114 * 10**6
    # Seconds that happen to begin so: the 14th month is none.
    assert by_both(run_settings, "bigint", [20_231_414, 20_231_114, 20_239_999])[0][1] == 20_231_114 * 10**6


@pytest.mark.parametrize("kind", [*(pytest.param(k, marks=pytest.mark.slow) for k in ("bigint", "double")), "string"])
def test_a_few_odd_times_change_nothing_for_the_others(run_settings: Any, kind: str) -> None:
    cast = {"bigint": int, "double": float, "string": str}[kind]
    seconds = [1_700_000_000 + 60 * i for i in range(49)]
    for odd in (253_402_300_799, 1_700_000_000_000, 1_700_000_000_000_000_000, -253_402_300_799):
        found, remarks = by_both(run_settings, kind, [cast(v) for v in [*seconds, odd]])
        assert found == [*(s * 10**6 for s in seconds), None]
        assert "do not agree on one unit: 49 look like seconds, 1 look like" in remarks.warnings[0]
        assert "`unit: seconds`" in remarks.warnings[0]
    # In milliseconds, zeros stand for missing; in seconds of a made-up clock they are times.
    found, _ = by_both(run_settings, kind, [cast(v) for v in [0, *(1000 * s for s in seconds)]])
    assert found == [None, *(s * 10**6 for s in seconds)]
    assert by_both(run_settings, kind, [cast(v) for v in [0, 1, 2]])[0] == [0, 10**6, 2 * 10**6]
    # A unit that is given is taken at its word, up to the year 10000.
    found, remarks = by_both(run_settings, kind, [cast(v) for v in [*seconds, 253_402_300_799, 10**15]], unit="seconds")
    assert found[-2:] == [253_402_300_799 * 10**6, None]
    assert not remarks.notes
    assert not remarks.warnings


def test_text_that_is_no_time_is_missing(run_settings: Any) -> None:
    texts = ["2024-02-30", "2024-02-29", "soon", "", "2024-02-29T25:00:00", "2024-02-29 23:59:59.9999999", "17"]
    found, _ = by_both(run_settings, "string", texts)
    leap = 1_709_164_800 * 10**6
    assert found[:6] == [None, leap, None, None, None, leap + DAY - 1]
    mixed = ["1577880000", "1577880000", "1577880000", "2020-01-01"]
    assert by_both(run_settings, "string", mixed)[0] == [NOON_MICROS] * 3 + [None]
    with pytest.raises(DataError, match=r"time column 'at' is array<int>, expected a number, text or time"):
        by_both(run_settings, "array<int>", [[1]])
    with pytest.raises(DataError, match=r"'XXX' is read by Spark only; set `engine: spark`"):
        time_micros(pa.array(["2024"]), TimeRule(column="at", format="yyyyXXX"), "here", Remarks())


def test_counts_of_parts_add_up() -> None:
    values = pa.array([1.0, None, 20_240_101.0, 1.7e9, 1.7e12, 1.7e15, 1.7e18, float("nan")])
    whole = counts_of(values)
    assert tuple(a + b for a, b in zip(counts_of(values[:3]), counts_of(values[3:]), strict=True)) == whole
    assert whole[2:8] == (2, 1, 1, 1, 1, 1)


def test_what_looks_wrong_is_said() -> None:
    remarks = Remarks()
    report_span(20_231_114 * 10**6, 20_231_201 * 10**6, "events", remarks)
    assert remarks.notes == ["events: times run from 1970-08-23T03:45:14Z to 1970-08-23T03:46:41Z"]
    assert "all before 1971: is the unit right? Set `timestamp.unit`" in remarks.warnings[0]
    with pytest.raises(DataError, match=r"none of 60 ids of column 'user' has a row there by 'id': .*'1\.5' in"):
        report_join("members.csv", "id", "user", Found(60, 60, "1.5", "1"), remarks)
    report_join("members.csv", "id", "user", Found(60, 40, "x", "1"), remarks)
    assert (
        remarks.warnings[1]
        == "members.csv: 20 of 60 ids of 'user' have a row, the others have no attributes: for example 'x'"
    )
