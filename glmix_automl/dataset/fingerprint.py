"""Whether the dataset at a path is still the one that a study began with: the same rows, in the same order.

The digest in a manifest is what preparation says of its rows, in whatever order; it is read, not computed again. Cached
scores, though, are arrays in dataset order, and a path may be given other files. So a study also keeps a fingerprint of
each split, taken from the files themselves: the schema, every shard's footer (sizes and statistics of every column) and
every row's uid, label and weight in order. It costs a read of three columns.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
import pyarrow as pa

from glmix_automl import schema as names
from glmix_automl.dataset.reader import Dataset
from glmix_automl.dataset.shard import ShardFile, in_threads, naming
from glmix_automl.errors import ChangedDataError
from glmix_automl.layout import SCHEMA

_BYTES = 16
_TAIL = 8  # a Parquet file ends with its footer, four bytes that say how long that is, and PAR1


def fingerprints(dataset: Dataset, splits: Iterable[str] | None = None) -> dict[str, str]:
    """Split -> its fingerprint, of all splits if not told which.

    Raises:
        DataError: a shard is missing or damaged: which one.
    """
    schema = dataset.folder.read(SCHEMA)
    found = {}
    for split in dataset.manifest.splits if splits is None else splits:
        whole = hashlib.blake2b(schema, digest_size=_BYTES)
        for part in in_threads([partial(_of_shard, shard) for shard in dataset.shards(split)]):
            whole.update(part)
        found[split] = whole.hexdigest()
    return found


def confirm(dataset: Dataset, digest: str, known: Mapping[str, str], splits: Iterable[str] | None = None) -> None:
    """Checks that a dataset is the one that is known.

    Args:
        dataset: just opened.
        digest: of the known one.
        known: its fingerprints; a split that has none is not looked at.
        splits: which to look at; all if None.

    Raises:
        ChangedDataError: it is another one, or has changed: which split, and what to do.
        DataError: as `fingerprints`.
    """
    if dataset.digest != digest:
        raise ChangedDataError(
            f"{dataset.folder.uri}: this is another dataset (digest {dataset.digest[:12]}) than the study began with "
            f"(digest {digest[:12]}); put that one back, or begin a new study"
        )
    wanted = [split for split in (known if splits is None else splits) if split in known]
    for split, found in fingerprints(dataset, wanted).items():
        if found != known[split]:
            raise ChangedDataError(
                f"{dataset.folder.uri}: split {split} is not what it was when the study began: its shards, the order "
                "of their rows or the schema have changed, so cached scores no longer fit; put the dataset back as it "
                "was, or begin a new study"
            )


def _of_shard(shard: ShardFile) -> bytes:
    content = hashlib.blake2b(digest_size=_BYTES)
    with naming(shard.path), shard.filesystem.open_input_file(shard.path) as file:
        size = file.size()
        tail = file.read_at(_TAIL, max(size - _TAIL, 0))
        length = int.from_bytes(tail[:4], "little") + _TAIL
        content.update(file.read_at(min(length, size), max(size - length, 0)))
    for group in range(len(shard.groups)):
        table = shard.read([names.UID, names.LABEL, names.WEIGHT], group).combine_chunks()
        for column in table.columns:
            for chunk in column.chunks:
                _add(content, chunk)
    return content.digest()


def _add(content: "hashlib.blake2b", values: pa.Array) -> None:
    """The values of a column without nulls, whatever the width of its offsets."""
    if not pa.types.is_large_string(values.type) and not pa.types.is_string(values.type):
        content.update(np.ascontiguousarray(values.to_numpy(zero_copy_only=False)).tobytes())
        return
    text = values.cast(pa.large_binary())
    edges = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
    content.update(np.diff(edges).tobytes())
    content.update(memoryview(text.buffers()[2] or b"")[edges[0] : edges[-1]])
