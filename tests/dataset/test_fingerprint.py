"""A dataset that is not what it was is seen, and one that only lies elsewhere is not mistaken for another."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from glmix_automl.dataset import Dataset
from glmix_automl.dataset.fingerprint import confirm, fingerprints
from glmix_automl.errors import DataError

SHARD = "test/part-00000.parquet"


def reorder(folder: Path) -> None:
    path = folder / SHARD
    table = pq.read_table(path)
    pq.write_table(table.take(list(reversed(range(table.num_rows)))), path, write_page_checksum=True)


def swap(folder: Path) -> None:
    """Two shards change places, and the manifest with them."""
    manifest = json.loads((folder / "manifest.json").read_text())
    shards = manifest["splits"]["test"]["shards"]
    shards[0], shards[1] = shards[1], shards[0]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def edit_schema(folder: Path) -> None:
    text = (folder / "schema.json").read_text()
    assert '"b0_1"' in text
    (folder / "schema.json").write_text(text.replace('"b0_1"', '"b0_one"'))


def edit_feature(folder: Path) -> None:
    path = folder / SHARD
    table = pq.read_table(path)
    place = table.column_names.index("n0")
    pq.write_table(table.set_column(place, "n0", table.column("n1")), path, write_page_checksum=True)


@pytest.mark.parametrize("change", [reorder, swap, edit_schema, edit_feature])
def test_a_change_is_seen_where_it_is(copied: Path, change: Callable[[Path], None]) -> None:
    before = Dataset.open(str(copied))
    known, digest = fingerprints(before), before.digest
    change(copied)
    now = Dataset.open(str(copied))
    assert now.digest == digest, "or nothing but the digest would be needed"
    with pytest.raises(DataError, match=r"split (train|test) is not what it was when the study began"):
        confirm(now, digest, known)
    if change is not edit_schema:
        confirm(now, digest, known, ["train"])


def test_a_copy_is_the_same_dataset_and_another_is_not(copied: Path, tmp_path: Path) -> None:
    dataset = Dataset.open(str(copied))
    shutil.copytree(copied, tmp_path / "elsewhere")
    confirm(Dataset.open(str(tmp_path / "elsewhere")), dataset.digest, fingerprints(dataset))
    with pytest.raises(DataError, match="this is another dataset"):
        confirm(dataset, "0" * 32, {})
