"""Numbers for entity ids, one coding for all splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from glmix_automl.dataset.shard import ShardFile, in_threads
from glmix_automl.schema import SPLITS


@dataclass(frozen=True, eq=False)
class EntityCoding:
    """What number each row's entity has.

    Attributes:
        codes: split -> int32 [rows]; the ids of train come first, in the order they are met.
        ids: code -> id, an Arrow array of strings.
    """

    codes: Mapping[str, np.ndarray]
    ids: pa.Array

    @classmethod
    def read(cls, entity: str, shards_by_split: Mapping[str, Sequence[ShardFile]]) -> "EntityCoding":
        """Reads the entity's column of every split, as dictionary codes: the text of an id is held once per shard.

        Raises:
            DataError: a shard cannot be read.
        """
        splits = sorted(shards_by_split, key=SPLITS.index)
        shards = [shard for split in splits for shard in shards_by_split[split]]
        parts = in_threads([partial(shard.read, [entity], dictionaries=[entity]) for shard in shards])
        chunks = [chunk for part in parts for chunk in part.column(entity).chunks]
        united = pa.chunked_array(chunks).unify_dictionaries()
        codes = np.concatenate([chunk.indices.to_numpy() for chunk in united.chunks]).astype(np.int32, copy=False)
        rows = [sum(shard.rows for shard in shards_by_split[split]) for split in splits]
        edges = np.cumsum([0, *rows])
        by_split = {split: codes[edges[i] : edges[i + 1]] for i, split in enumerate(splits)}
        return cls(by_split, united.chunk(0).dictionary)


def dictionary(ids: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, pa.Array]:
    """int32 [rows] codes, -1 for null, and the distinct ids by code."""
    whole = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    coded = whole.dictionary_encode()
    return coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32), coded.dictionary
