"""Manifest: what a published dataset holds, shard by shard; written last but for the done mark, JSON both ways."""

from typing import Literal

import pydantic

from glmix_automl.config import Config


class Shard(Config):
    """One Parquet file of a split."""

    name: str
    """File name within `<split>/`; shards are read in the order of the manifest, rows in the order of the file."""
    rows: int = pydantic.Field(ge=0)


class Split(Config):
    """One of train, validation, test."""

    rows: int = pydantic.Field(ge=1)
    base_rate: float
    """Weighted share of positive labels, 0 to 1."""
    entities: dict[str, int] = {}
    """Entity name -> number of distinct ids."""
    digest: str
    """Of the rows' content: independent of file layout, machine and parallelism."""
    shards: tuple[Shard, ...]


class Manifest(Config):
    """Counts, base rates and digests of a dataset. Holds no date or host, so equal preparations are equal bytes."""

    version: Literal[1] = 1
    name: str
    digest: str
    """Of the schema and every split: the identity of the dataset."""
    splits: dict[Literal["train", "validation", "test"], Split]
