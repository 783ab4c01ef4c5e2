"""Dataset: a published folder of Parquet, opened with every check, read into resident blocks or streamed in small ones.

Rows are always counted in dataset order: the shards as the manifest lists them, the rows as the files have them. Cached
scores are arrays in that order.

There is no decoded copy on disk for the workers of a machine to share: a million rows of 38 columns are read in a
quarter of a second on two cores (`benchmarks/streaming.py`), and TensorFlow would copy a shared page anyway.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from glmix_automl import config
from glmix_automl import schema as names
from glmix_automl.config import ConfigType
from glmix_automl.dataset.block import Block
from glmix_automl.dataset.builder import BlockBuilder, block_columns, dense
from glmix_automl.dataset.entities import EntityCoding
from glmix_automl.dataset.shard import ShardFile, column_kinds, in_threads
from glmix_automl.dataset.share import Share, count_rows, member_draws, pick_rows
from glmix_automl.dataset.stream import BLOCKS_HELD, DECODING_BYTES, stream_blocks
from glmix_automl.errors import ConfigError, DataError
from glmix_automl.layout import MANIFEST, SCHEMA, SUCCESS, Folder
from glmix_automl.manifest import Manifest
from glmix_automl.schema import SCHEMA_VERSION, Schema


class Dataset:
    """A prepared dataset. Cheap to open; small columns, once read, are kept.

    Attributes:
        folder: where it lies.
        schema: what its columns are.
        manifest: what its splits hold.
    """

    def __init__(self, folder: Folder, schema: Schema, manifest: Manifest) -> None:
        self.folder = folder
        self.schema = schema
        self.manifest = manifest
        self._shards: dict[str, list[ShardFile]] = {}
        self._codes: dict[str, EntityCoding] = {}
        self._draws: dict[tuple[str, int], np.ndarray] = {}
        self._fixed: dict[tuple[str, str], np.ndarray] = {}

    @classmethod
    def open(cls, uri: str) -> "Dataset":
        """Opens the dataset at a URI or local path; reads its descriptions and lists its shards, no rows.

        Raises:
            DataError: there is no folder, it is not finished, of another version, or a shard of its manifest is gone.
        """
        folder = Folder(str(uri))
        if not folder.exists():
            raise DataError(f"{uri}: there is no such folder; a dataset is made by `glmix-automl prepare`")
        if not folder.exists(SUCCESS):
            raise DataError(f"{uri}: has no {SUCCESS}, so it is no finished dataset; prepare it (again)")
        dataset = cls(folder, _read_json(folder, SCHEMA, Schema), _read_json(folder, MANIFEST, Manifest))
        for split in dataset.manifest.splits:
            there = set(folder.files(split))
            for shard in dataset.shards(split):
                if shard.path.rpartition("/")[2] not in there:
                    raise DataError(
                        f"{shard.path}: the manifest names this shard, but it is not there; prepare it again"
                    )
        return dataset

    def with_validation_in_train(self) -> "Dataset":
        """The same with the rows of validation behind those of train too: to train again what has been chosen."""
        merged = Dataset(self.folder, self.schema, self.manifest)
        rows = self.rows("train")
        behind = (replace(shard, first=rows + shard.first) for shard in self.shards("validation"))
        merged._shards["train"] = [*self.shards("train"), *behind]
        return merged

    @property
    def digest(self) -> str:
        """Identity of the content: equal digests, equal rows in every split."""
        return self.manifest.digest

    def rows(self, split: str) -> int:
        """Number of rows of a split."""
        return sum(shard.rows for shard in self.shards(split))

    def shards(self, split: str) -> list[ShardFile]:
        """The files of a split in dataset order.

        Raises:
            DataError: the dataset has no such split.
        """
        if split not in self._shards:
            entry = self.manifest.splits.get(split)  # type: ignore[call-overload]
            if entry is None:
                raise DataError(f"{self.folder.uri}: has no split {split!r}, only {', '.join(self.manifest.splits)}")
            first, files, kinds = 0, [], column_kinds(self.schema)
            for shard in entry.shards:
                path = self.folder.path(f"{split}/{shard.name}")
                files.append(ShardFile(self.folder.filesystem, path, shard.rows, first, kinds))
                first += shard.rows
            self._shards[split] = files
        return self._shards[split]

    def check_classes(self) -> None:
        """Checks that there is what to learn from and to judge by: rows of both classes in every split.

        Raises:
            DataError: a split is not there, is empty, or has one class: which.
        """
        for split in names.SPLITS:
            if not self.rows(split):
                raise DataError(f"{self.folder.uri}: {split} has no rows; prepare it with splits that have some")
            label = self.labels(split)
            if label.min() == label.max():
                raise DataError(
                    f"{self.folder.uri}: every row of {split} has label {label[0]:g}; expected rows of both classes"
                )

    def read(
        self,
        split: str,
        rank: int = 0,
        size: int = 1,
        fraction: float = 1.0,
        seed: int = 0,
        entities: bool = False,
    ) -> Block:
        """The share of one rank as a resident block, in dataset order.

        Args:
            split: train, validation or test.
            rank, size: rank `rank` of `size` gets a contiguous even share; the shares cover every row once.
            fraction: share of the members whose rows are read, whole; subsamples of one seed are nested.
            seed: of the subsample; has no effect at fraction 1.
            entities: whether the block carries entity codes.

        Raises:
            DataError: a shard is missing, damaged, or not what schema and manifest say: which one.
        """
        share = self._share(split, rank, size, fraction, seed)
        builder = BlockBuilder(self.schema, len(share))
        columns = block_columns(self.schema)

        def fill(shard: ShardFile, group: int, at: int, rows: np.ndarray | slice) -> None:
            builder.fill(at, pick_rows(shard.read(columns, group), rows), shard.path)

        tasks = []
        for shard in self.shards(split):
            for group, (first, count) in enumerate(shard.groups):
                at, rows = share.cut(first, count)
                if count_rows(rows):
                    tasks.append(partial(fill, shard, group, at, rows))
        in_threads(tasks)
        places = share.places
        block = builder.build(places, self._entities_of(split, places) if entities else {})
        return replace(block, entity_ids={name: self.entity_ids(name) for name in block.entities})

    def places(self, split: str, rank: int = 0, size: int = 1, fraction: float = 1.0, seed: int = 0) -> np.ndarray:
        """Which rows of the split `read` gives with the same arguments: int64 [rows], ascending."""
        return self._share(split, rank, size, fraction, seed).places

    def stream(
        self,
        split: str,
        rows_per_block: int,
        rank: int = 0,
        size: int = 1,
        fraction: float = 1.0,
        seed: int = 0,
        entities: bool = False,
        order: int | None = None,
    ) -> Iterator[Block]:
        """The share of one rank once through, in blocks of even size, the next one read while this one is used.

        At most two blocks are in memory (three while one is shuffled), whatever the size of dataset or row groups, as
        long as the caller keeps none; `block_rows` says how large they may be.
        Every rank gets the same number of blocks (sizes differ by a row), so ranks may meet after each.

        Args:
            split, rank, size, fraction, seed, entities: as in `read`; codes are kept resident, 4 bytes a row.
            rows_per_block: at most this many rows in a block.
            order: None gives dataset order; a seed permutes the row groups, and the rows within each block. Use
                another one for each epoch. Members share a shard, so the larger a block, the better it is mixed.

        Raises:
            DataError: as `read`, when the block is reached.
        """
        if rows_per_block < 1:
            raise ValueError(f"rows_per_block must be at least 1, got {rows_per_block}")
        total = len(self._share(split, 0, 1, fraction, seed))
        largest_share = math.ceil(total / size)
        blocks = math.ceil(largest_share / rows_per_block)
        share = self._share(split, rank, size, fraction, seed)
        codes = {e.name: self.entity_codes(split, e.name) for e in self.schema.entities} if entities else {}
        ids = {name: self.entity_ids(name) for name in codes}
        made = stream_blocks(self.schema, self.shards(split), share, blocks, order, codes)
        return (replace(block, entity_ids=ids) for block in made)

    def row_bytes(self, split: str) -> float:
        """Mean bytes of a row in a block, from the footers alone; what decides whether a split is read or streamed.

        A block of r rows takes `r * row_bytes`.
        """
        dense_columns = 3 + len(self.schema.numerics) + len(self.schema.categoricals)
        # A bag's list without ids still counts one value in the footer: a little too much, never too little.
        values = sum(
            shard.values(bag.name) * (8 if bag.weighted else 4)
            for bag in self.schema.bags
            for shard in self.shards(split)
        )
        return 4.0 * dense_columns + 8 + 8 * len(self.schema.bags) + values / max(self.rows(split), 1)

    def block_rows(self, split: str, memory_bytes: float) -> int:
        """How many rows per block a shuffled stream of the split may have to stay within some memory.

        Raises:
            DataError: the memory is too little for the pages of the columns alone: how much would do.
        """
        fixed = DECODING_BYTES * len(block_columns(self.schema))
        rows = int((memory_bytes - fixed) / BLOCKS_HELD / self.row_bytes(split))
        if rows < 1:
            least = math.ceil((fixed + BLOCKS_HELD * self.row_bytes(split)) / 1e6)
            raise DataError(
                f"{self.folder.uri}: {memory_bytes / 1e6:.0f} MB are too little to stream {len(self.schema.features)} "
                f"features; give at least {least} MB"
            )
        return rows

    def column(self, split: str, name: str) -> np.ndarray:
        """One column of a split in dataset order: an array of its numbers, or of text objects; bags are not columns.

        Raises:
            DataError: there is no such column, or a shard cannot be read.
        """
        kind = column_kinds(self.schema).get(name)
        if kind is None or kind.startswith("list"):
            raise DataError(f"{self.folder.uri}: has no column {name!r} of numbers or text")
        parts = in_threads([partial(shard.read, [name]) for shard in self.shards(split)])
        columns = [part.column(name) for part in parts]
        if kind == "string":
            return np.concatenate([column.to_numpy() for column in columns])
        return np.concatenate([dense(column) for column in columns])

    def labels(self, split: str) -> np.ndarray:
        """float32 [rows] 0 or 1, in dataset order; kept."""
        return self._kept(split, names.LABEL)

    def weights(self, split: str) -> np.ndarray:
        """float32 [rows] above 0, in dataset order; kept."""
        return self._kept(split, names.WEIGHT)

    def offsets(self, split: str) -> np.ndarray:
        """float32 [rows] log-odds, in dataset order; kept."""
        return self._kept(split, names.OFFSET)

    def entity_codes(self, split: str, entity: str) -> np.ndarray:
        """int32 [rows]: a number for the entity of each row; kept.

        The splits share one coding, train's ids first: a code not below `1 + entity_codes("train", entity).max()` is an
        entity that train has not seen. Reads the entity's column of every split once.
        """
        return self._coded(entity).codes[split]

    def unseen(self, split: str) -> np.ndarray:
        """Bool [rows]: whether train has no row of one of the row's entities; a cold start."""
        found = np.zeros(self.rows(split), bool)
        for entity in self.schema.entities:
            train = self.entity_codes("train", entity.name)
            found |= self.entity_codes(split, entity.name) > train.max(initial=-1)
        return found

    def entity_ids(self, entity: str) -> pa.Array:
        """The entity's id for each code, as an Arrow array of strings."""
        return self._coded(entity).ids

    def _kept(self, split: str, name: str) -> np.ndarray:
        if (split, name) not in self._fixed:
            self._fixed[split, name] = self.column(split, name)
        return self._fixed[split, name]

    def _entities_of(self, split: str, places: np.ndarray) -> dict[str, np.ndarray]:
        return {entity.name: self.entity_codes(split, entity.name)[places] for entity in self.schema.entities}

    def _coded(self, entity: str) -> EntityCoding:
        if entity not in {e.name for e in self.schema.entities}:
            known = ", ".join(e.name for e in self.schema.entities)
            raise DataError(f"{self.folder.uri}: has no entity {entity!r}, only {known}")
        if entity not in self._codes:
            self._codes[entity] = EntityCoding.read(
                entity, {split: self.shards(split) for split in self.manifest.splits}
            )
        return self._codes[entity]

    def _share(self, split: str, rank: int, size: int, fraction: float, seed: int) -> Share:
        if not 0 <= rank < size:
            raise ValueError(f"rank must be in [0, {size}), got {rank}")
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction must be in (0, 1], got {fraction}")
        picked = None if fraction == 1 else self._members_below(split, fraction, seed)
        total = self.rows(split) if picked is None else len(picked)
        if total < size:
            part = "" if fraction == 1 else f"fraction {fraction} of "
            raise DataError(
                f"{self.folder.uri}: {part}{split} has {total} rows, fewer than the {size} ranks that share it"
            )
        return Share.of(self.rows(split), picked, rank, size)

    def _members_below(self, split: str, fraction: float, seed: int) -> np.ndarray:
        """Places of the rows whose members are in the subsample."""
        member = self.schema.entities[0].name
        codes = self.entity_codes(split, member)
        if (split, seed) not in self._draws:
            rows = np.bincount(codes)
            present = np.flatnonzero(rows)
            draws = np.empty(len(rows))
            draws[present] = member_draws(self.entity_ids(member).take(pa.array(present)), rows[present], seed)
            self._draws[split, seed] = draws[codes]
        return np.flatnonzero(self._draws[split, seed] < fraction)


def _read_json(folder: Folder, name: str, kind: type[ConfigType]) -> ConfigType:
    """One of the dataset's JSON files as `kind`."""
    path = folder.path(name)
    try:
        content = json.loads(folder.read(name))
        version = content["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is not the JSON description of a dataset: {error!r}") from error
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path}: is of version {version!r}, this program reads version {SCHEMA_VERSION}; prepare the dataset again"
        )
    try:
        return config.parse(content, kind, path)
    except ConfigError as error:
        raise DataError(str(error)) from error
