"""Damaged datasets: each fault is an error that names the file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmix_automl.dataset import Dataset
from glmix_automl.dataset.shard import ShardFile
from glmix_automl.errors import DataError

SHARD = "train/part-00001.parquet"


def rewrite(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(folder / SHARD)), folder / SHARD)


def put(name: str, values: object, kind: pa.DataType | None = None) -> Callable[[pa.Table], pa.Table]:
    """Replaces a column."""

    def change(table: pa.Table) -> pa.Table:
        column = values(table.column(name).to_pylist()) if callable(values) else values
        return table.set_column(table.column_names.index(name), name, pa.array(column, kind))

    return change


def first(value: object) -> Callable[[list[object]], list[object]]:
    """Replaces the first value of a column."""
    return lambda column: [value, *column[1:]]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="nowhere: there is no such folder; a dataset is made by `glmix-automl prepare`"
    ):
        Dataset.open(str(tmp_path / "nowhere"))


def test_not_finished(copied: Path) -> None:
    (copied / "_SUCCESS").unlink()
    with pytest.raises(DataError, match="has no _SUCCESS, so it is no finished dataset"):
        Dataset.open(str(copied))


@pytest.mark.parametrize("name", ["schema.json", "manifest.json"])
class TestDescriptions:
    def test_missing(self, copied: Path, name: str) -> None:
        (copied / name).unlink()
        with pytest.raises(DataError, match=f"{name}: cannot be read"):
            Dataset.open(str(copied))

    def test_of_another_version(self, copied: Path, name: str) -> None:
        content = json.loads((copied / name).read_text())
        (copied / name).write_text(json.dumps(content | {"version": 2}))
        with pytest.raises(DataError, match=f"{name}: is of version 2, this program reads version 1"):
            Dataset.open(str(copied))

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"version": 1, "name": "', "\xff\x00"])
    def test_torn(self, copied: Path, name: str, text: str) -> None:
        (copied / name).write_bytes(text.encode("latin-1"))
        with pytest.raises(DataError, match=f"{name}: is not the JSON description of a dataset"):
            Dataset.open(str(copied))

    def test_with_an_unknown_key(self, copied: Path, name: str) -> None:
        content = json.loads((copied / name).read_text())
        (copied / name).write_text(json.dumps(content | {"colour": "red"}))
        with pytest.raises(DataError, match=f"{name}: unknown key 'colour'"):
            Dataset.open(str(copied))


def test_a_shard_missing_when_opened(copied: Path) -> None:
    (copied / SHARD).unlink()
    with pytest.raises(DataError, match=f"{SHARD}: the manifest names this shard, but it is not there"):
        Dataset.open(str(copied))


def test_a_shard_that_goes_missing_later(copied: Path) -> None:
    dataset = Dataset.open(str(copied))
    (copied / SHARD).unlink()
    with pytest.raises(DataError, match=f"{SHARD}: the manifest names this shard, but it is not there"):
        dataset.read("train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.slice(1), "has 3.. rows, 3.. expected by the manifest"),
        (lambda t: t.drop_columns(["n1"]), "column 'n1' of the schema is missing; it has b0, "),
        (lambda t: t.drop_columns(["w0.values"]), "column 'w0.values' of the schema is missing"),
        (put("n1", lambda c: c, pa.float64()), "column 'n1' is double, expected float32"),
        (put("c0", lambda c: c, pa.int64()), "column 'c0' is int64, expected int32"),
        (put("b0", lambda c: c, pa.list_(pa.int64())), "expected list<int32>"),
        (put("member", lambda c: [int(x[1:]) for x in c]), "column 'member' is int64, expected string"),
        (put("n0", first(None), pa.float32()), "column 'n0' has nulls"),
        (put("b1", first(None), pa.list_(pa.int32())), "column 'b1' has nulls"),
        (put("b1", first([1, None]), pa.list_(pa.int32())), "column 'b1' has nulls"),
        (put("n0", first(float("nan")), pa.float32()), "column 'n0' has 1 values that are not finite"),
        (put("offset", first(float("inf")), pa.float32()), "column 'offset' has 1 values that are not finite"),
        (put("w0.values", first([]), pa.list_(pa.float32())), "'w0' and 'w0.values' have lists of different lengths"),
        (put("label", first(2.0), pa.float32()), "column 'label' must be 0 or 1, got 2 in 1 rows"),
        (put("weight", first(0.0), pa.float32()), "column 'weight' must be above 0, got 0"),
        (put("c1", first(13), pa.int32()), "column 'c1' has ids from 0 to 13, its vocabulary 0 to 12"),
        (put("c1", first(-1), pa.int32()), "column 'c1' has ids from -1 to 12, its vocabulary 0 to 12"),
        (put("b0", first([0]), pa.list_(pa.int32())), "column 'b0' has ids from 0 to 12, its vocabulary 1 to 12"),
    ],
)
def test_a_shard_that_is_not_as_described(copied: Path, change: Callable[[pa.Table], pa.Table], message: str) -> None:
    if "different lengths" in message:  # the first list must not be empty already
        rewrite(copied, put("w0", lambda c: [[1], *c[1:]], pa.list_(pa.int32())))
    rewrite(copied, change)
    for use in (lambda d: d.read("train"), lambda d: list(d.stream("train", 100))):
        with pytest.raises(DataError, match=f"{SHARD}: .*{message}"):
            use(Dataset.open(str(copied)))


def test_a_text_column_is_checked_when_it_is_used(copied: Path) -> None:
    rewrite(copied, put("member", first(None), pa.string()))
    dataset = Dataset.open(str(copied))
    assert len(dataset.read("train")) == dataset.rows("train")
    with pytest.raises(DataError, match=f"{SHARD}: column 'member' has nulls"):
        dataset.read("train", entities=True)


def test_columns_more_than_the_schema_names_are_let_be(copied: Path) -> None:
    rewrite(copied, lambda t: t.append_column("note", pa.array(["x"] * t.num_rows)))
    assert len(Dataset.open(str(copied)).read("train")) == 1003


def test_one_bit_that_turned_is_found(copied: Path) -> None:
    shard = copied / SHARD
    column = pq.ParquetFile(shard).metadata.row_group(0).column(1)
    assert column.path_in_schema == "label"
    content = bytearray(shard.read_bytes())
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=f"{SHARD}: cannot be read as Parquet, it may be cut off or damaged"):
        Dataset.open(str(copied)).read("train")


def test_a_hundred_and_twenty_bits_that_turned_are_refused_or_change_nothing(copied: Path) -> None:
    shard = copied / SHARD
    whole, content = Dataset.open(str(copied)).read("train"), shard.read_bytes()
    draw, refused = np.random.default_rng(7), list[str]()
    for place, bit in zip(draw.integers(0, len(content), 120), draw.integers(0, 8, 120), strict=True):
        turned = bytearray(content)
        turned[place] ^= 1 << bit
        shard.write_bytes(turned)
        try:
            found = Dataset.open(str(copied)).read("train")
        except DataError as error:
            refused.append(str(error))
            continue
        for name in ("numerics", "categoricals", "label", "weight", "offset"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name), err_msg=f"bit {bit} of {place}")
        for one, other in zip(found.bags, whole.bags, strict=True):
            np.testing.assert_array_equal(one.splits, other.splits)
            np.testing.assert_array_equal(one.ids, other.ids)
    assert all(SHARD in text for text in refused)
    assert len(refused) > 60, "the others lie in columns that training does not read, or in statistics"
    print(f"{len(refused)} of 120 refused, the others change nothing")


@given(st.data())
def test_bytes_cut_off_or_changed_anywhere_never_end_in_another_error(
    tmp_path_factory: pytest.TempPathFactory, made: Path, data: st.DataObject
) -> None:
    """A reader of damaged bytes gives an error that names the file, or rows that pass every check; never a crash."""
    shard = tmp_path_factory.mktemp("damage") / "shard"
    content = bytearray((made / SHARD).read_bytes())
    if data.draw(st.booleans(), "cut off"):
        content = content[: data.draw(st.integers(0, len(content) - 1), "length")]
    else:
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8), "places"):
            content[place] ^= data.draw(st.integers(1, 255), "change")
    shard.write_bytes(content)
    whole = Dataset.open(str(made)).shards("train")[1]
    damaged = ShardFile(whole.filesystem, str(shard), whole.rows, whole.first, whole.kinds)
    error = f"{shard}: "
    try:
        rows = sum(damaged.read(["n0", "b0", "member"], group).num_rows for group in range(len(damaged.groups)))
    except DataError as raised:
        error = str(raised)
    else:
        assert rows == whole.rows
    assert str(shard) in error
