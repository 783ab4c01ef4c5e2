"""Reading: every row once, in order, the same as pyarrow reads the files."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glmix_automl.dataset import Block, Dataset
from glmix_automl.errors import DataError
from tests.dataset_maker import make_dataset


def table(dataset: Dataset, split: str) -> pa.Table:
    """The split as plain pyarrow reads it, in the order of the manifest."""
    place = Path(dataset.folder.path(split))
    return pa.concat_tables([pq.read_table(place / s.name) for s in dataset.manifest.splits[split].shards])


def same(left: Block, right: Block) -> bool:
    """Whether two blocks are equal in every array."""
    pairs = [
        (getattr(left, n), getattr(right, n)) for n in ("numerics", "categoricals", "label", "weight", "offset", "rows")
    ]
    for mine, yours in zip(left.bags, right.bags, strict=True):
        pairs += [(mine.splits, yours.splits), (mine.ids, yours.ids)]
        assert (mine.values is None) == (yours.values is None)
        if mine.values is not None:
            pairs.append((mine.values, yours.values))
    assert left.entities.keys() == right.entities.keys()
    pairs += [(left.entities[n], right.entities[n]) for n in left.entities]
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_block_holds_what_the_files_hold(dataset: Dataset, split: str) -> None:
    block, files, schema = dataset.read(split), table(dataset, split), dataset.schema
    assert len(block) == dataset.rows(split) == files.num_rows
    for place, feature in enumerate(schema.numerics):
        assert np.array_equal(block.numerics[:, place], files.column(feature.name))
    for place, feature in enumerate(schema.categoricals):
        assert np.array_equal(block.categoricals[:, place], files.column(feature.name))
    for bag, feature in zip(block.bags, schema.bags, strict=True):
        lists = files.column(feature.name).to_pylist()
        assert [bag.ids[a:b].tolist() for a, b in zip(bag.splits[:-1], bag.splits[1:], strict=True)] == lists
        assert (bag.values is not None) == feature.weighted
        if bag.values is not None:
            assert bag.values.tolist() == files.column(feature.values).combine_chunks().flatten().to_pylist()
    for name in ("label", "weight", "offset"):
        assert np.array_equal(getattr(block, name), files.column(name))
    assert np.array_equal(block.rows, np.arange(len(block)))
    assert block.entities == {}


def test_types_and_layout_are_those_promised(dataset: Dataset) -> None:
    block = dataset.read("train", entities=True)
    assert block.numerics.dtype == np.float32
    assert block.numerics.flags.c_contiguous
    assert block.categoricals.dtype == np.int32
    assert block.categoricals.flags.c_contiguous
    assert block.rows.dtype == np.int64
    assert {a.dtype for a in (block.label, block.weight, block.offset)} == {np.dtype(np.float32)}
    assert all(bag.splits.dtype == np.int64 and bag.ids.dtype == np.int32 for bag in block.bags)
    assert all(codes.dtype == np.int32 for codes in block.entities.values())


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_ranks_share_the_rows_evenly_and_once(dataset: Dataset, size: int) -> None:
    whole = dataset.read("train", entities=True)
    shares = [dataset.read("train", rank, size, entities=True) for rank in range(size)]
    start = 0
    for share in shares:
        assert same(share, whole.slice(start, start + len(share)))
        start += len(share)
    assert start == len(whole)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_bytes_of_rows_are_foretold(dataset: Dataset) -> None:
    block = dataset.read("train")
    empty = sum(int((np.diff(bag.splits) == 0).sum()) * (8 if bag.values is not None else 4) for bag in block.bags)
    one_split_more = 8 * len(block.bags)
    assert dataset.row_bytes("train") * len(block) == pytest.approx(block.nbytes + empty - one_split_more)


def test_more_ranks_than_rows_are_refused(dataset: Dataset) -> None:
    with pytest.raises(DataError, match="test has 250 rows, fewer than the 251 ranks"):
        dataset.read("test", 0, 251)


def test_shares_out_of_range_are_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match=r"rank must be in \[0, 2\), got 2"):
        dataset.read("train", 2, 2)
    with pytest.raises(ValueError, match=r"fraction must be in \(0, 1\], got 0"):
        dataset.read("train", fraction=0)


def test_columns_are_in_dataset_order(dataset: Dataset) -> None:
    files = table(dataset, "validation")
    assert np.array_equal(dataset.labels("validation"), files.column("label"))
    assert np.array_equal(dataset.weights("validation"), files.column("weight"))
    assert np.array_equal(dataset.offsets("validation"), files.column("offset"))
    assert np.array_equal(dataset.column("validation", "timestamp"), files.column("timestamp"))
    assert np.array_equal(dataset.column("validation", "c1"), files.column("c1"))
    assert dataset.column("validation", "uid").tolist() == files.column("uid").to_pylist()


def test_unknown_splits_columns_and_entities_are_refused(dataset: Dataset) -> None:
    with pytest.raises(DataError, match="has no split 'valid', only train, validation, test"):
        dataset.read("valid")
    with pytest.raises(DataError, match="has no column 'b0' of numbers or text"):
        dataset.column("train", "b0")
    with pytest.raises(DataError, match="has no entity 'user', only member, item"):
        dataset.entity_codes("train", "user")


def test_entity_codes_stand_for_the_same_id_in_every_split(dataset: Dataset) -> None:
    ids = dataset.entity_ids("member")
    for split in ("train", "validation", "test"):
        codes = dataset.entity_codes(split, "member")
        assert ids.take(pa.array(codes)).to_pylist() == table(dataset, split).column("member").to_pylist()
    assert len(ids) == len(set(ids.to_pylist()))


def test_ids_that_train_has_come_first(tmp_path: Path) -> None:
    make_dataset(tmp_path, rows=60, held_out=500, members=80, seed=2)
    dataset = Dataset.open(str(tmp_path))
    train = set(table(dataset, "train").column("member").to_pylist())
    ids = dataset.entity_ids("member").to_pylist()
    assert set(ids[: len(train)]) == train
    assert dataset.entity_codes("train", "member").max() == len(train) - 1
    assert len(ids) > len(train)
    items = set(table(dataset, "train").column("item").to_pylist())
    rows = table(dataset, "test").select(["member", "item"]).to_pylist()
    new = [row["member"] not in train or row["item"] not in items for row in rows]
    assert dataset.unseen("test").tolist() == new
    assert 0 < sum(new) < len(new)
    assert not dataset.unseen("train").any()


def test_a_dataset_opens_by_uri_too(made: Path) -> None:
    assert same(Dataset.open(made.as_uri()).read("test"), Dataset.open(str(made)).read("test"))


def test_a_shard_without_rows_is_read(tmp_path: Path) -> None:
    make_dataset(tmp_path, rows=20, members=2, shards=4)
    dataset = Dataset.open(str(tmp_path))
    assert 0 in [s.rows for s in dataset.manifest.splits["train"].shards]
    assert len(dataset.read("train", entities=True)) == 20
    assert sum(map(len, dataset.stream("train", 7))) == 20


def test_a_dataset_without_numerics_or_categoricals_is_read(tmp_path: Path) -> None:
    make_dataset(tmp_path, rows=50, numerics=0, categoricals=0, bags=1, weighted_bags=0)
    block = Dataset.open(str(tmp_path)).read("train")
    assert block.numerics.shape == (50, 0)
    assert block.categoricals.shape == (50, 0)


def test_the_maker_repeats_itself(made: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path, rows=1003, seed=1, bags=2, weighted_bags=1, row_weights=True, shards=3, row_group=100)
    names = sorted(p.relative_to(made) for p in made.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert all((made / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)
