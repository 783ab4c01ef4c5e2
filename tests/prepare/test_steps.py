"""The steps of preparation one by one, each against its definition."""

import datetime
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glmix_automl.errors import DataError
from glmix_automl.prepare.recipe import BagFeature, CategoricalFeature, Checks, Fractions, NumericFeature
from glmix_automl.schema import Entity

pytestmark = pytest.mark.spark


def test_time_borders_are_those_of_the_sorted_rows(spark: Any) -> None:
    from glmix_automl.prepare.split import moments

    times = (np.random.default_rng(0).exponential(1e13, 2000)).astype(np.int64).tolist() + [5] * 300
    frame = spark.createDataFrame([(t,) for t in times], "time bigint")
    found = moments(frame, Fractions(train=6, validation=2, test=2))
    assert found == (sorted(times)[1380], sorted(times)[1840])


def test_statistics_are_those_of_numpy_in_any_order(run_settings: Any) -> None:
    from glmix_automl.prepare.fit import fitted
    from glmix_automl.prepare.rows import Rows
    from glmix_automl.prepare.stage import staged

    random = np.random.default_rng(0)
    values = [None if v < -1e9 else float(v) for v in np.append(random.normal(1e9, 2, 500), [-2e9] * 20)]
    data = [(str(i), i % 2, v, f"t{i % 9}", 1.0) for i, v in enumerate(values)]
    features = (
        NumericFeature(source="x"), NumericFeature(source="x", name="log", transform="log"),
        NumericFeature(source="x", name="rank", transform="quantile", knots=3),
        NumericFeature(source="same", missing="never"), CategoricalFeature(source="t", max_size=4),
    )  # fmt: skip
    schemas = []
    for order in (data, data[::-1]):
        frame = run_settings.createDataFrame(order, "uid string, label int, x double, t string, same double")
        rows = Rows(frame, "interactions", "label", "uid", (Entity(name="m", source="uid", side="member"),), features)
        schema, warnings = fitted(staged(rows, None).repartition(len(schemas) + 1), rows, "t", Checks(), 0)
        schemas.append(schema)
    assert schemas[0] == schemas[1]
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


def test_ids_read_alike_in_spark_and_in_arrow(run_settings: Any) -> None:
    from glmix_automl.features import as_texts
    from glmix_automl.prepare.events import id_column

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
    from glmix_automl.prepare.events import LabelRule, label_column

    frame = run_settings.createDataFrame([(v,) for v in values], f"y {kind}")
    found = frame.select(label_column(frame, LabelRule(column="y", **rule), "here")).collect()
    assert [row[0] for row in found] == labels


def test_tables_are_read_in_every_format(run_settings: Any, tmp_path: Path) -> None:
    from glmix_automl.prepare.recipe import Table
    from glmix_automl.prepare.tables import read

    (tmp_path / "latin.txt").write_bytes("1|Amélie|x\n2|NA|y\n".encode("latin-1"))
    table = Table(
        path="latin.txt", separator="|", columns=("id", "na.me"), encoding="latin-1", nulls=("NA",),
        rename={"na.me": "title"}, types={"id": "int"}, derive={"twice": "id * 2"},
    )  # fmt: skip
    frame = read(run_settings, table, str(tmp_path), "films")
    assert [tuple(r) for r in frame.collect()] == [(1, "Amélie", 2), (2, None, 4)]
    frame.write.parquet(str(tmp_path / "films.parquet"))
    frame.write.json(str(tmp_path / "films.json"), compression="gzip")
    for kind in ("parquet", "json"):
        again = read(run_settings, Table(path=f"films.{kind}"), str(tmp_path), "films")
        assert sorted(tuple(r) for r in again.select("id", "title").collect()) == [(1, "Amélie"), (2, None)]
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"films table .*broken.parquet: .*(magic number|not a Parquet)"):
        read(run_settings, Table(path="broken.parquet"), str(tmp_path), "films")


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


def test_errors_on_executors_say_what_is_wrong(run_settings: Any) -> None:
    from glmix_automl.prepare.rows import Rows
    from glmix_automl.prepare.stage import staged
    from glmix_automl.spark import translated

    frame = run_settings.createDataFrame([("u", 1, [1.0])], "uid string, label int, x array<double>")
    bad = (NumericFeature(source="x"), BagFeature(source="uid", name="b"))
    rows = Rows(frame, "interactions", "label", "uid", (Entity(name="m", source="uid", side="member"),), bad)
    with (
        pytest.raises(DataError, match=r"^reading: column 'x': expected numbers, got list<.*double>$"),
        translated("reading"),
    ):
        staged(rows, None).collect()


def test_spark_reads_plain_columns_as_features_do(spark: Any) -> None:
    import pyarrow as pa
    from pyspark.sql import functions as F

    from glmix_automl.prepare.stage import Staged, _plain, _read

    inf, nan, largest = float("inf"), float("nan"), 1.7e308
    columns = {
        "numeric": {
            "double": [0.1, -0.0, None, nan, inf, -inf, largest, -largest, 3e38],
            "float": [0.5, None, nan, inf, -inf, 3e38],
            "bigint": [2**63 - 1, -5, None],
            "tinyint": [1, None],
        },
        "categorical": {"string": ["a", "", None, " b ", "3.0"], "bigint": [2**53 + 1, -1, None], "smallint": [7]},
        "bag": {"array<string>": [["b", None, "", "a", "b"], [], None, [None], [" x"]]},
    }
    for kind, typed in columns.items():
        for type_, values in typed.items():
            frame = spark.createDataFrame([(v,) for v in values], f"x {type_}").coalesce(1)
            place = Staged("f0", "x", kind)
            expression = _plain(F.col("x"), frame.schema["x"].dataType, place)
            assert "read(" not in str(expression), (kind, type_)
            read = _read(place, frame.toArrow().column("x").combine_chunks())
            found = frame.select(expression.alias("f0")).toArrow().column("f0").combine_chunks()
            assert found.cast(read.type).equals(read), (kind, type_)
            assert pa.types.is_list(read.type) == (kind == "bag")


def test_stability_and_area_by_hand() -> None:
    from glmix_automl.prepare.checks import area, stability

    assert area(np.array([1, 1, 0]), np.array([0, 1, 2])) == pytest.approx((0.5 + 1 + 2 + 2) / 6)
    assert stability(np.array([50, 50]), np.array([500, 500])) == 0
    assert stability(np.array([50, 50]), np.array([75, 25])) == pytest.approx(0.25 * np.log(1.5) - 0.25 * np.log(0.5))
