"""The steps of preparation one by one, each against its definition."""

import datetime
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from glmix_automl.errors import DataError
from glmix_automl.prepare.engine import Local
from glmix_automl.prepare.exchange import spread
from glmix_automl.prepare.fit import fit_schema, limits, vocabulary_terms
from glmix_automl.prepare.progress import StepProgress
from glmix_automl.prepare.recipe import CategoricalFeature, Checks, Fractions, NumericFeature, TimeSplit
from glmix_automl.prepare.split import borders
from glmix_automl.prepare.stage import TIME, plan_stages, read_as
from glmix_automl.prepare.tally import add_tallies, common_terms, sums, tally
from glmix_automl.schema import Entity

pytestmark = pytest.mark.spark


def test_time_borders_are_those_of_the_sorted_rows(tmp_path: Path) -> None:
    times = np.append((np.random.default_rng(0).exponential(1e13, 2000)).astype(np.int64), [5] * 300)
    parts = np.arange(len(times)) % 3
    files = [spread(str(tmp_path), pa.table({TIME: times[i::2]}), parts[i::2], 3)[0] for i in range(2)]
    rule = TimeSplit(fractions=Fractions(train=6, validation=2, test=2))
    found, train = borders(
        Local(StepProgress(), threads=2), str(tmp_path), files, rule, int(times.min()), int(times.max())
    )
    assert (found.validation, found.test) == (np.sort(times)[1380], np.sort(times)[1840])
    assert train == (times < found.validation).sum()


def test_statistics_are_those_of_numpy_in_any_order(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    values = [None if v < -1e9 else float(v) for v in np.append(random.normal(1e9, 2, 500), [-2e9] * 20)]
    table = pa.table({"x": pa.array(values), "t": [f"t{i % 9}" for i in range(520)], "same": [1.0] * 520})
    features = (
        NumericFeature(source="x"), NumericFeature(source="x", name="log", transform="log"),
        NumericFeature(source="x", name="rank", transform="quantile", knots=3),
        NumericFeature(source="same", missing="never"), CategoricalFeature(source="t", max_size=4),
    )  # fmt: skip
    whole = fitted_on(tmp_path, features, [(table, np.ones(520, np.int64))])
    halves = [
        (table.slice(260).take(pa.array(np.arange(260)[::-1])), np.ones(260, np.int64)),
        (table.slice(0, 260), np.ones(260, np.int64)),
    ]
    assert fitted_on(tmp_path, features, halves) == whole
    # A row that stands for several is as several rows.
    times = random.integers(0, 4, 520)
    repeated = table.take(pa.array(np.repeat(np.arange(520), times)))
    weighed = fitted_on(tmp_path, features, [(table, times)])
    assert weighed == fitted_on(tmp_path, features, [(repeated, np.ones(len(repeated), np.int64))])
    schema, warnings = whole
    assert warnings == ["feature 'same' has one value only in train"]
    there = np.array([v for v in values if v is not None])
    x, missing, log, _, rank = schema.numerics[:5]
    assert (x.center, x.scale) == pytest.approx((there.mean(), there.std()), rel=1e-6)
    assert abs(x.center - there.mean()) < 1e-6 * there.std()
    assert missing.transform == "missing"
    assert (log.center, log.scale) == pytest.approx((np.log1p(there).mean(), np.log1p(there).std()), rel=1e-6)
    assert rank.knots == pytest.approx(tuple(np.quantile(there, [0, 0.5, 1])), rel=1e-15)
    # 520 rows: t0 to t6 have 58, t7 and t8 57; equal counts go by text.
    assert schema.vocabularies["t"].terms == ("t0", "t1", "t2", "t3")


def fitted_on(folder: Path, features: Any, parts: list[tuple[pa.Table, Any]]) -> Any:
    """What is fitted on tables of raw columns, each row as often as its weight says, all of train."""
    places = plan_stages(features)
    keys, least, most = limits(features)
    staged = [
        (pa.table({p.name: read_as(p, t[p.source]) for p in dict.fromkeys(places.values())}), w) for t, w in parts
    ]
    tallies = [
        tally(str(folder), 2, table, features, places, keys, np.stack([w, w * 0, w * 0], axis=1), w)
        for table, w in staged
    ]
    found = add_tallies(tallies)
    totals = [sums(table, found.ranges, w) for table, w in staged]
    terms = [common_terms(str(folder), found.terms, least, most, part) for part in range(2)]
    return fit_schema(
        "t", "interactions", features, places, (Entity(name="m", source="uid", side="member"),), {}, found,
        {key: (sum(t[key][0] for t in totals), sum(t[key][1] for t in totals)) for key in found.ranges},
        vocabulary_terms(keys, most, terms), Checks(),
    )  # fmt: skip


def test_distinct_values_are_counted_to_a_few_percent(tmp_path: Path) -> None:
    """2,048 registers: a standard error of 2.3 %, so a miss of 10 % has odds below 1 in 50,000."""
    feature = NumericFeature(source="x")
    for distinct in (3, 700, 40_000):
        table = pa.table({"f0": pa.array(np.arange(3 * distinct) % distinct, pa.float64())})
        weights = np.ones((3 * distinct, 3), np.int64)
        found = tally(str(tmp_path), 1, table, (feature,), plan_stages((feature,)), [], weights, weights[:, 0])
        assert found.fills["f0"].distinct == pytest.approx(distinct, rel=0.1)


def test_ids_read_alike_in_spark_and_in_arrow(run_settings: Any) -> None:
    from glmix_automl.features import as_texts
    from glmix_automl.prepare.spark_events import id_column

    moment = datetime.datetime(2020, 1, 1, 12, 30, 0, 250)
    kinds = "a int, b double, c decimal(10,2), d boolean, e string, f timestamp, g date, h float"
    rows = [
        (7, 7.0, decimal.Decimal("2.50"), True, "x", moment, moment.date(), 0.5),
        (None, float("nan"), None, None, "", None, None, None),
    ]
    frame = run_settings.createDataFrame(rows, kinds)
    table = frame.toArrow()
    for name in frame.columns:
        texts = [row[0] for row in frame.select(id_column(frame, name)).collect()]
        assert texts == as_texts(table.column(name)).to_pylist(), name


@pytest.mark.parametrize(
    ("kind", "values", "rule", "labels"),
    [
        ("boolean", [True, False, None], {}, [1, 0, None]),
        ("string", ["1", "0", "true", "FALSE", None], {}, [1, 0, 1, 0, None]),
        ("double", [1.0, 0.0], {}, [1, 0]),
        ("string", ["3.5", "4", "x"], {"at_least": 4}, [0, 1, None]),
        ("string", ["Apply", "skip", None], {"positive": ["apply"]}, [1, 0, None]),
    ],
)
def test_labels(
    run_settings: Any, kind: str, values: list[Any], rule: dict[str, Any], labels: list[int | None]
) -> None:
    from glmix_automl.prepare.events import LabelRule
    from glmix_automl.prepare.spark_events import label_column

    frame = run_settings.createDataFrame([(v,) for v in values], f"y {kind}")
    found = frame.select(label_column(frame, LabelRule(column="y", **rule), "here")).collect()
    assert [row[0] for row in found] == labels


def test_tables_are_read_in_every_format(run_settings: Any, tmp_path: Path) -> None:
    from glmix_automl.prepare.recipe import Table
    from glmix_automl.prepare.tables import read_table

    (tmp_path / "latin.txt").write_bytes("1|Amélie|x\n2|NA|y\n".encode("latin-1"))
    table = Table(
        path="latin.txt", separator="|", columns=("id", "na.me"), encoding="latin-1", nulls=("NA",),
        rename={"na.me": "title"}, types={"id": "int"}, derive={"twice": "id * 2"},
    )  # fmt: skip
    frame = read_table(run_settings, table, str(tmp_path), "films")
    assert [tuple(r) for r in frame.collect()] == [(1, "Amélie", 2), (2, None, 4)]
    frame.write.parquet(str(tmp_path / "films.parquet"))
    frame.write.json(str(tmp_path / "films.json"), compression="gzip")
    for kind in ("parquet", "json"):
        again = read_table(run_settings, Table(path=f"films.{kind}"), str(tmp_path), "films")
        assert sorted(tuple(r) for r in again.select("id", "title").collect()) == [(1, "Amélie"), (2, None)]
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"films table .*broken.parquet: .*(magic number|not a Parquet)"):
        read_table(run_settings, Table(path="broken.parquet"), str(tmp_path), "films")


def test_a_kill_between_the_renames_loses_nothing(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from glmix_automl.prepare import publish
    from glmix_automl.prepare.storage import Storage

    def write(content: str) -> None:
        with publish.publishing(spark, str(tmp_path / "out"), overwrite=True) as storage:
            storage.write("manifest.json", content)

    write("old")
    target = Storage(spark, str(tmp_path / "out"))
    # As the disk looks when a run dies after the first rename, with the new dataset whole.
    target.rename(target.uri, target.sibling("out.old-1"))
    (tmp_path / "out.new-1").mkdir()
    (tmp_path / "out.new-1" / "manifest.json").write_text("new")
    publish.recover(target)
    assert target.read("manifest.json") == "old", "an unfinished dataset is not put in place"
    target.rename(target.uri, target.sibling("out.old-1"))
    (tmp_path / "out.new-1" / "_SUCCESS").touch()
    publish.recover(target)
    assert target.read("manifest.json") == "new"
    write("newest")
    assert target.read("manifest.json") == "newest"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    # A rename that fails puts the old one back.
    rename = Storage.rename

    def failing(self: Storage, old: str, new: str) -> None:
        if ".new-" in old and new.endswith("/out"):
            raise DataError("no")
        rename(self, old, new)

    monkeypatch.setattr(Storage, "rename", failing)
    with pytest.raises(DataError):
        write("never")
    assert target.read("manifest.json") == "newest"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_stability_and_area_by_hand() -> None:
    from glmix_automl.prepare.checks import area, stability

    assert area(np.array([1, 1, 0]), np.array([0, 1, 2])) == pytest.approx((0.5 + 1 + 2 + 2) / 6)
    assert stability(np.array([50, 50]), np.array([500, 500])) == 0
    assert stability(np.array([50, 50]), np.array([75, 25])) == pytest.approx(0.25 * np.log(1.5) - 0.25 * np.log(0.5))
