"""The columns of a dataset as its peers read them: dense, sparse, and arrays for embeddings.

Dense are numerics, ids of categoricals and counts of the bags' frequent terms; sparse are numerics, every id and every
term, for linear models.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from glmix_automl.dataset import BagColumn, Block
from glmix_automl.schema import Schema

TERMS = 100  # of a bag that are dense columns


def write_columns(blocks: Mapping[str, Block], schema: Schema, folder: Path) -> None:
    """The splits as peers read them."""
    frequent: list[np.ndarray] = []
    levels = 1 + np.max([block.categoricals.max(axis=0, initial=0) for block in blocks.values()], axis=0)
    for split, block in blocks.items():
        if not frequent:
            sizes = [schema.size(bag) for bag in schema.bags]
            counts = [np.bincount(bag.ids, minlength=size) for bag, size in zip(block.bags, sizes, strict=True)]
            frequent = [np.argsort(-count, kind="stable")[:TERMS] for count in counts]
        whole, bags = sparse_columns(schema, block, levels)
        columns = {f"n{k}": block.numerics[:, k] for k in range(block.numerics.shape[1])}
        columns |= {f"c{k}": block.categoricals[:, k] for k in range(block.categoricals.shape[1])}
        for place, (bag, terms) in enumerate(zip(bags, frequent, strict=True)):
            chosen = bag[:, terms].toarray()
            columns |= {f"b{place}_{term}": chosen[:, k] for k, term in enumerate(terms)}
        pd.DataFrame(columns).to_parquet(folder / f"{split}.parquet")
        sp.save_npz(folder / f"{split}.npz", whole)
    write_arrays(blocks, schema, folder)


def write_arrays(blocks: Mapping[str, Block], schema: Schema, folder: Path) -> None:
    """The splits as arrays of their own, and `features.json`, the sizes of embeddings: see
    `peers/adanet_estimator.py`.
    """
    for split, block in blocks.items():
        arrays = {name: getattr(block, name) for name in ("label", "weight", "numerics", "categoricals")}
        for k, bag in enumerate(block.bags):
            arrays |= {f"splits_{k}": bag.splits, f"ids_{k}": bag.ids, f"values_{k}": fill(bag)}
        for name, array in arrays.items():
            np.save(folder / f"{split}_{name}.npy", array)
    tables = {
        kind: [{"table": f.vocabulary, "size": schema.size(f)} for f in features]
        for kind, features in (("categoricals", schema.categoricals), ("bags", schema.bags))
    }
    ids = np.max([block.categoricals.max(axis=0, initial=0) for block in blocks.values()], axis=0)
    known = len(schema.categoricals)  # the others are ids of entities, without a feature
    tables["categoricals"] += [{"table": f"id {k}", "size": int(most) + 1} for k, most in enumerate(ids[known:])]
    (folder / "features.json").write_text(json.dumps(tables))


def sparse_columns(schema: Schema, block: Block, levels: np.ndarray) -> tuple[sp.csr_matrix, list[sp.csc_matrix]]:
    """Numerics, every id of `levels` [categoricals] and every term; and the bags one by one."""
    rows, parts = len(block), [sp.csr_matrix(block.numerics)]
    for place, size in enumerate(levels):
        ids = (np.arange(rows), block.categoricals[:, place])
        parts.append(sp.csr_matrix((np.ones(rows, np.float32), ids), (rows, size)))
    bags = []
    for bag, feature in zip(block.bags, schema.bags, strict=True):
        bags.append(sp.csr_matrix((fill(bag), bag.ids, bag.splits), (rows, schema.size(feature))))
    return sp.hstack([*parts, *bags], format="csr"), [bag.tocsc() for bag in bags]


def fill(bag: BagColumn) -> np.ndarray:
    """The value of each term, float32 [terms]: 1 where the bag has none."""
    return np.ones(len(bag.ids), np.float32) if bag.values is None else bag.values
