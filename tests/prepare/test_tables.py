"""Tables as people have them: read alike by Spark and by Arrow, or refused with the remedy."""

import datetime
import decimal
import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glmix_automl.errors import DataError
from glmix_automl.features import as_bag, as_texts

pytestmark = pytest.mark.spark

NAMES = ["user", "film", "at"]
CSV = "user,film,at\n7,a,1\n8,b,2\n"


def read_by_both(spark: Any, root: Path, **table: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows and notes of a table, which must be the same by either engine."""
    from glmix_automl.prepare.local_tables import read_local
    from glmix_automl.prepare.recipe import Table
    from glmix_automl.prepare.remarks import Remarks
    from glmix_automl.prepare.tables import read_table

    one, other = Remarks(), Remarks()
    by_spark = read_table(spark, Table(**table), str(root), "test", one).toArrow()
    by_arrow = read_local(Table(**table), str(root), "test", other)
    assert by_spark.column_names == by_arrow.column_names
    # Times without a zone are UTC: whether a type says so makes no difference.
    utc = ", tzinfo=zoneinfo.ZoneInfo(key='UTC')"
    rows = [sorted(str(row).replace(utc, "") for row in t.to_pylist()) for t in (by_spark, by_arrow)]
    assert rows[0] == rows[1]
    assert one == other
    return sorted(by_arrow.to_pylist(), key=str), one.notes


def test_files_of_a_folder_are_read_by_the_names_of_their_columns(run_settings: Any, tmp_path: Path) -> None:
    folder = tmp_path / "events"
    (folder / "day=007").mkdir(parents=True)
    (folder / "a.csv").write_text(CSV)
    (folder / "b.csv").write_text("at,user,film\n3,9,c\n")
    (folder / "day=007" / "c.csv.gz").write_bytes(gzip.compress(b"film,device,user\nd,web,10\n"))
    rows, notes = read_by_both(run_settings, tmp_path, path="events")
    rows = sorted(rows, key=lambda r: int(r["user"]))
    assert [(r["user"], r["film"], r["at"], r["device"], r["day"]) for r in rows] == [
        ("7", "a", "1", None, None), ("8", "b", "2", None, None), ("9", "c", "3", None, None),
        ("10", "d", None, "web", "007"),
    ]  # fmt: skip
    assert notes == [
        f"test table {folder}: columns that are not in all of its 3 files, null there: 'at' in 1, 'device' in 2"
    ]
    (folder / "day=007" / "c.csv.gz").unlink()
    _, notes = read_by_both(run_settings, tmp_path, path="events/*.csv")
    assert notes == [
        f"test table {folder}/*.csv: its files have their columns in different orders; they were read by name"
    ]
    (folder / "b.csv").write_text("at,user,user\n3,9,c\n")
    with pytest.raises(DataError, match=r"b\.csv: two columns are named 'user'; name them by `columns`"):
        read_by_both(run_settings, tmp_path, path="events")


@pytest.mark.parametrize(
    ("name", "content", "table"),
    [
        ("_events.csv", CSV, {}),
        (".events.csv", CSV, {}),
        ("events[1].csv", CSV, {}),
        ("events {a,b}*.csv", CSV, {}),
        ("events 2024-01-01T10:00.csv", CSV, {}),
        ("events-gz.csv", gzip.compress(CSV.encode()), {}),
        ("plain.csv.gz", CSV, {}),
        ("bom.csv", b"\xef\xbb\xbf" + CSV.encode(), {}),
        ("edges.txt", "# SNAP\n# user\tfilm\n7\ta\t1\n8\tb\t2\n", {"separator": "\t", "columns": NAMES}),
        ("edges.txt", "7|a|1\n;8|c|2\n8|b|2\n", {"separator": "|", "columns": ["user", "film", "at"], "comment": ";"}),
        ("events", '{"user": "7", "film": "a", "at": "1"}\n{"user": "8", "film": "b", "at": "2"}\n', {}),
        ("events.json", json.dumps([{"user": u, "film": f, "at": a} for u, f, a in ("7a1", "8b2")], indent=1), {}),
        ("array.json", json.dumps([{"user": u, "film": f, "at": a} for u, f, a in ("7a1", "8b2")]), {}),
        ("named.json.gz", b'{"user": "7", "film": "a", "at": "1"}\n{"user": "8", "film": "b", "at": "2"}\n', {}),
    ],
)  # fmt: skip
def test_a_file_is_read_whatever_its_name_says(
    run_settings: Any, tmp_path: Path, name: str, content: str | bytes, table: dict[str, Any]
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "events2.csv").write_text("another,file\n")
    rows, notes = read_by_both(run_settings, tmp_path, path=name, **table)
    assert rows == [{"user": "7", "film": "a", "at": "1"}, {"user": "8", "film": "b", "at": "2"}]
    guessed = (
        ["lines that begin with '#' were taken for comments"] if name == "edges.txt" and "comment" not in table else []
    )
    assert [note.partition(": ")[2].partition(" (")[0] for note in notes] == guessed


def test_what_is_not_read_is_refused_with_the_remedy(run_settings: Any, tmp_path: Path) -> None:
    (tmp_path / "semicolons.csv").write_text("user;film\n7;a\n")
    (tmp_path / "book.csv").write_bytes(b"PK\x03\x04rest")
    (tmp_path / "events.parquet").write_text(CSV)
    (tmp_path / "latin.csv").write_bytes("user,film\n7,Amélie\n".encode("latin-1"))
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "a.csv").write_text(CSV)
    pq.write_table(pa.table({"user": [1]}), tmp_path / "mixed" / "b.parquet")
    pq.write_table(pa.table({"user": [1]}), tmp_path / "table.csv")
    (tmp_path / "types").mkdir()
    pq.write_table(pa.table({"user": [1]}), tmp_path / "types" / "a.parquet")
    pq.write_table(pa.table({"user": ["x"]}), tmp_path / "types" / "b.parquet")
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "_a.csv").write_text(CSV)
    for table, message in (
        ({"path": "semicolons.csv"}, r"one field only with separator ',': 'user;film'; set `separator: \";\"`"),
        (
            {"path": "book.csv"},
            "book.csv: is a zip archive or an Excel workbook; what is read is CSV, JSON and Parquet",
        ),
        ({"path": "events.parquet"}, "events.parquet: is not a Parquet file"),
        (
            {"path": "table.csv", "format": "csv"},
            "is a Parquet file, the recipe says `format: csv`; leave `format` out",
        ),
        ({"path": "latin.csv"}, "not text in utf-8 .*set `encoding`, latin-1 perhaps"),
        ({"path": "mixed"}, "files of different formats .*a.csv is csv, b.parquet is parquet"),
        ({"path": "types"}, "column 'user' is int64 in a.parquet and string in b.parquet"),
        ({"path": "hidden"}, r"no file .*left out, as their names begin with _ or \.: _a.csv"),
        ({"path": "semicolons.csv", "separator": ";", "types": {"usr": "int"}}, "no column 'usr'.*did you mean 'user'"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            read_by_both(run_settings, tmp_path, **table)
        assert str(caught.value).isprintable()


def test_parquet_as_pandas_writes_it(run_settings: Any, tmp_path: Path) -> None:
    times = pd.to_datetime(["2023-11-14T10:00:00.123456789", "1969-12-31T23:59:59.5", None])
    pd.DataFrame({"at": times, "here": times.tz_localize("UTC"), "n": [1, 2, 3]}).to_parquet(tmp_path / "a.parquet")
    assert pq.ParquetFile(tmp_path / "a.parquet").schema.column(0).logical_type.to_json().count("nanoseconds") == 1
    rows, _ = read_by_both(run_settings, tmp_path, path="a.parquet")
    moments = sorted((r["n"], r["at"], r["here"]) for r in rows if r["at"] is not None)
    assert [m.replace(tzinfo=None) for _, m, _ in moments] == [
        datetime.datetime(2023, 11, 14, 10, 0, 0, 123456),
        datetime.datetime(1969, 12, 31, 23, 59, 59, 500000),
    ]
    assert [m.replace(tzinfo=None) for _, _, m in moments] == [m.replace(tzinfo=None) for _, m, _ in moments]
    # A file of another day, with a column more and wider numbers.
    folder = tmp_path / "days"
    folder.mkdir()
    pq.write_table(pa.table({"n": pa.array([1], pa.int32())}), folder / "one")
    pq.write_table(pa.table({"m": ["x"], "n": pa.array([2**40], pa.int64())}), folder / "two")
    rows, notes = read_by_both(run_settings, tmp_path, path="days")
    assert sorted((r["n"], r["m"]) for r in rows) == [(1, None), (2**40, "x")]
    assert "not in all of its 2 files, null there: 'm' in 1" in notes[0]


def test_a_long_table_becomes_bags_and_two_tables_one(run_settings: Any, tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text("node,tag,n\n1.0,b,2\n2,a,\n1,a,1\n1,a,0.5\n,c,1\n2,,1\n")
    gather = {"by": "node", "term": "tag", "value": "n", "name": "tags"}
    rows, _ = read_by_both(run_settings, tmp_path, path="long.csv", gather=gather)
    assert {r["node"]: [(p["term"], p["value"]) for p in r["tags"]] for r in rows} == {
        "1": [("a", 0.5), ("a", 1.0), ("b", 2.0)],
        "2": [("a", None)],
    }
    rows, _ = read_by_both(run_settings, tmp_path, path="long.csv", gather={"by": "node", "term": "tag"})
    assert {r["node"]: r["tag"] for r in rows} == {"1": ["a", "a", "b"], "2": ["a"]}
    (tmp_path / "ratings.csv").write_text("user,film,stars\n1,a,5\n1,b,3\n2.0,a,1\n")
    (tmp_path / "times.csv").write_text("user,film,when,where\n1,a,100,x\n2,a,300,y\n3,a,400,z\n")
    join = {"table": {"path": "times.csv"}, "on": ["user", "film"], "columns": ["when"]}
    rows, notes = read_by_both(run_settings, tmp_path, path="ratings.csv", join=[join])
    assert [(r["user"], r["film"], r["when"]) for r in rows] == [
        ("1", "a", "100"),
        ("1", "b", None),
        ("2.0", "a", "300"),
    ]
    assert notes == [f"test table {tmp_path}/ratings.csv: 66.7% of its rows found one in times.csv by user, film"]
    with pytest.raises(DataError, match=r"times\.csv: 1 values of film have several rows, for example 'a'"):
        read_by_both(run_settings, tmp_path, path="ratings.csv", join=[join | {"on": ["film"]}])
    (tmp_path / "times.csv").write_text("user,film,when\nu1,a,100\n")
    with pytest.raises(
        DataError, match=r"0\.0% of its rows found one in times\.csv by user, film; are the columns written"
    ):
        read_by_both(run_settings, tmp_path, path="ratings.csv", join=[join])


def test_casts_are_those_of_spark(run_settings: Any, tmp_path: Path) -> None:
    texts = ["1", " 2 ", "+3", "4.7", "x", None, "9007199254740993", "99999999999999999999", "-5", "1e3"]
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{t or ''},{i}.9\n" for i, t in enumerate(texts)))
    rows, _ = read_by_both(run_settings, tmp_path, path="a.csv", types={"x": "bigint", "y": "double"}, nulls=["", "x"])
    assert sorted(r["x"] for r in rows if r["x"] is not None) == [-5, 1, 2, 3, 9007199254740993]
    read_by_both(run_settings, tmp_path, path="a.csv", types={"x": "double", "y": "int"})
    read_by_both(run_settings, tmp_path, path="a.csv", types={"x": "tinyint", "y": "float"})


def test_ids_are_the_same_text_from_every_type(run_settings: Any) -> None:
    from glmix_automl.prepare.spark_events import id_column

    big = 2**60 + 1
    values = {
        "decimal(20,0)": [decimal.Decimal(big), decimal.Decimal(-7), None],
        "decimal(38,6)": [decimal.Decimal(big), decimal.Decimal("2.500000"), decimal.Decimal("-7.000000")],
        "bigint": [big, -7, None],
        "string": [str(big), "12.0", "-7.00", f"{big}.0", "1.05", "a.0", "", None, "1.0.0"],
        "double": [12.0, 2.0**60, 0.5, None],
    }
    for kind, typed in values.items():
        frame = run_settings.createDataFrame([(v,) for v in typed], f"x {kind}").coalesce(1)
        texts = as_texts(frame.toArrow().column("x")).to_pylist()
        assert [r[0] for r in frame.select(id_column(frame, "x")).collect()] == texts, kind
    assert as_texts(pa.array(values["decimal(38,6)"])).to_pylist() == [str(big), "2.5", "-7"]
    assert as_texts(pa.array(values["string"])).to_pylist() == [
        str(big), "12", "-7", str(big), "1.05", "a.0", None, None, "1.0.0",
    ]  # fmt: skip


def test_vectors_of_spark_ml_are_weighted_bags(run_settings: Any, tmp_path: Path) -> None:
    from pyspark.ml.linalg import Vectors

    from glmix_automl.prepare.recipe import Table
    from glmix_automl.prepare.tables import read_table

    vectors = [
        Vectors.dense([0.0, 2.5]),
        Vectors.sparse(9, [1, 8], [1.0, 0.0]),
        None,
        Vectors.dense([float("nan"), -1.0]),
    ]
    frame = run_settings.createDataFrame(
        [(i, v) for i, v in enumerate(vectors)], "i int, v struct<a:int>" if 0 else ["i", "v"]
    )
    frame.write.parquet(str(tmp_path / "v.parquet"))
    found = read_table(run_settings, Table(path="v.parquet"), str(tmp_path), "test").orderBy("i").toArrow()
    bag = as_bag(found.column("v"), "v")
    assert list(zip(bag.rows.tolist(), bag.terms.to_pylist(), bag.values.tolist(), strict=True)) == [
        (0, "1", 2.5), (1, "1", 1.0), (3, "1", -1.0),
    ]  # fmt: skip
