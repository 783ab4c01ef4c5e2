"""One partition of rows: whole members with their history, split, drawn, counted, and laid down for the shards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.prepare.as_of import group_by_key
from glmix_automl.prepare.blocks import cuts_of, in_blocks
from glmix_automl.prepare.exchange import Ints, Spread, read_batch, read_part, spread, write_batches
from glmix_automl.prepare.followed import signals_of
from glmix_automl.prepare.partition_past import Described, LookingBack
from glmix_automl.prepare.priors import Priors
from glmix_automl.prepare.row_hash import BUCKETS, buckets_of, share
from glmix_automl.prepare.split import Borders, split_of
from glmix_automl.prepare.stage import LABEL, SPLIT, TIME, UID, WEIGHT, Staging, everything, parts_of_ids
from glmix_automl.prepare.tally import ColumnRange, Tally, add_tallies, sums, tally, vocabularies
from glmix_automl.prepare.together.describe import FittedItems
from glmix_automl.schema import SPLITS
from glmix_automl.seeds import derive

KNOT_ROWS = 100_000  # rows that quantile knots are computed from; their standard error in rank is below 0.16 %
EDGE_ROWS = 20_000  # rows that the bins of histograms are computed from
GROUP_COUNTS = tuple(f"c{i}" for i in range(2 * len(SPLITS)))
"""Columns of counts per id: written rows by split and label."""
SEEN = tuple(f"w{i}" for i in range(len(SPLITS)))
"""Columns of counts per id: rows by split, before any are sampled away."""


@dataclass(frozen=True)
class PartitionInputs:
    """What the steps before wrote for every partition, and what is the same for all of them."""

    rows: tuple[Spread, ...]
    items: tuple[Spread, ...]
    attributes: tuple[Spread, ...]
    priors: Priors
    borders: Borders
    train_rows: int
    """Rows of train, or an estimate of them: what is drawn is drawn from so many."""
    dropped: tuple[Spread, ...] = ()
    """By member: `file` and `place` of rows that repeat another's uid, and of positives that are in history only."""
    described: Mapping[int, Described] = field(default_factory=dict)
    """Of each partition."""
    fitted: FittedItems | None = None
    """Models of items."""


@dataclass(frozen=True)
class Laid:
    """What became of a partition.

    Attributes:
        paths: a file for each block: three batches, the rows of each split in order of their member's bucket.
        first: the partition's first bucket.
        buckets: [splits, buckets], rows to be written.
        labels: [splits, 2], rows before sampling.
        left_out: rows in no split.
        tally: of the rows' own columns.
        ids: per entity, counts per id, by partition of the id; a file for each block.
        edges: drawn rows of train, for the bins of histograms.
    """

    paths: tuple[str, ...]
    first: int
    buckets: Ints
    labels: Ints
    left_out: int
    tally: Tally
    ids: tuple[tuple[Spread, ...], ...]
    edges: pa.Table | None

    @classmethod
    def together(cls, blocks: "Sequence[Laid]") -> "Laid":
        """The blocks of a partition as one."""
        edges = [b.edges for b in blocks if b.edges is not None]
        return cls(
            paths=tuple(p for b in blocks for p in b.paths),
            first=blocks[0].first,
            buckets=np.sum([b.buckets for b in blocks], axis=0),
            labels=np.sum([b.labels for b in blocks], axis=0),
            left_out=sum(b.left_out for b in blocks),
            tally=add_tallies([b.tally for b in blocks]),
            ids=tuple(
                tuple(s for spreads in each for s in spreads) for each in zip(*(b.ids for b in blocks), strict=True)
            ),
            edges=pa.concat_tables(edges) if edges else None,
        )


def lay(work: Staging, inputs: PartitionInputs, part: int) -> Laid | None:
    """Reads a partition, puts its past beside it, and writes it for the shards; None where it has no rows."""
    cuts = cuts_of(work.folder, inputs.rows, part, work.cut_by, work.held_rows)
    dropped, _ = read_part(work.folder, inputs.dropped, part)
    look = None if work.history is None else LookingBack(work, inputs.described.get(part), inputs.fitted, part)
    found = []
    for number, block in enumerate(in_blocks(work.folder, inputs.rows, part, work.cut_by, cuts)):
        if block is None:
            continue
        if look is not None:
            past = look.columns(number, block.rows)
            for place in dict.fromkeys(p for f, p in work.places.items() if f.source in past):
                block = replace(block, rows=block.rows.append_column(place.name, past[place.source]))
        rows = block.rows
        if dropped is not None:
            rows = rows.filter(pa.array(~block.are(dropped["file"].to_numpy(), dropped["place"].to_numpy())))
        if work.sampling is not None:
            labels = np.maximum(rows[LABEL].to_numpy(), 0)  # what was drawn has only asked so far
            rows = rows.set_column(rows.schema.get_field_index(LABEL), LABEL, pa.array(labels))
        if work.uid is None:
            rows = rows.append_column(UID, made_uids(rows, work))
        if SPLIT in rows.column_names:
            split = rows[SPLIT].to_numpy().astype(np.int64)
        else:
            split = split_of(rows, work.split, inputs.borders, work.seed, [e.name for e in work.entities])
        left_out = int((split < 0).sum())
        if left_out:
            rows, split = rows.filter(pa.array(split >= 0)), split[split >= 0]
        found.append(_counted(work, inputs, rows, split, left_out, part))
    if look is not None and found:
        look.write()
    return Laid.together(found) if found else None


def sum_partition(
    work: Staging, ranges: Mapping[tuple[str, str], ColumnRange], path: str
) -> dict[tuple[str, str], tuple[int, int]]:
    """`sums` over the training rows of a partition."""
    table = pa.Table.from_batches([read_batch(work.folder, path, 0)])
    return sums(table, ranges, np.ones(table.num_rows, np.int64))


def made_uids(rows: pa.Table, work: Staging) -> pa.Array:
    """`member|item|time`, and `|1`, `|2`, ... added where that repeats, in the order of a hash of the row."""
    ids = [pc.replace_substring_regex(rows[c], r"([\\|])", r"\\\1") for c in ("e0", "e1")]
    named = [*ids, rows[TIME].cast(pa.string())] if work.timed else ids
    names = pc.binary_join_element_wise(*named, "|")
    encoded = names.combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    groups = group_by_key(encoded, everything(rows.drop_columns(["key", "other"])))
    number = np.empty(rows.num_rows, np.int64)
    number[groups.order] = np.arange(rows.num_rows) - groups.start
    again = pc.binary_join_element_wise(names, pa.array(number).cast(pa.string()), "|")
    return pc.if_else(pa.array(number > 0), again, names).combine_chunks()


def _counted(work: Staging, inputs: PartitionInputs, rows: pa.Table, split: Ints, left_out: int, part: int) -> Laid:
    label = rows[LABEL].to_numpy().astype(np.int64)
    group = split * 2 + label
    train = split == 0
    kept = np.ones(len(split), bool)
    if work.negatives < 1:
        negative = train & (label == 0)
        kept = ~negative | (share(rows[UID], derive(work.seed, "negatives")) < work.negatives)
        weight = rows[WEIGHT].to_numpy()
        place = rows.schema.get_field_index(WEIGHT)
        rows = rows.set_column(place, WEIGHT, pa.array(np.where(negative, weight / work.negatives, weight)))
    drawn = train & _drawn(rows, derive(work.seed, "knots"), KNOT_ROWS, inputs.train_rows)
    edge = train & kept & _drawn(rows, 0, EDGE_ROWS, inputs.train_rows)
    own = [f for f in work.features if work.side_of(f.source) is None]
    weights = np.zeros((len(split), len(SPLITS)), np.int64)
    weights[np.arange(len(split)), split] = 1
    keys = list(vocabularies(work.features))
    found = tally(work.folder, work.parts, rows, own, work.places, keys, weights, drawn.astype(np.int64))
    per_id = tuple(
        (_per_id(work, number, rows, split, np.where(kept, group, -1), drawn, edge),)
        for number in range(len(work.entities))
    )
    bucket = buckets_of(rows["key"].to_numpy())
    first, last = (-(-p * BUCKETS // work.parts) for p in (part, part + 1))
    grid = (len(SPLITS), last - first)
    counts = np.bincount(split[kept] * grid[1] + bucket[kept] - first, minlength=grid[0] * grid[1]).reshape(grid)
    numeric = list(dict.fromkeys(work.places[f].name for f in own if f.kind == "numeric"))
    edges = rows.select(numeric).filter(pa.array(edge)) if numeric else None
    return Laid(
        paths=(_laid(work, rows, split, kept, bucket),),
        first=first,
        buckets=counts,
        labels=np.bincount(group, minlength=2 * len(SPLITS)).reshape(-1, 2),
        left_out=left_out,
        tally=found,
        ids=per_id,
        edges=edges,
    )


def _laid(work: Staging, rows: pa.Table, split: Ints, kept: npt.NDArray[np.bool_], bucket: Ints) -> str:
    """Writes the rows, by split and bucket. Negatives that are not kept stay, marked, since train is fitted on them."""
    signals = signals_of(work.history) if work.history is not None else ()
    table = rows.drop_columns([c for c in ("key", "other", "fold", SPLIT, *signals) if c in rows.column_names])
    for name, column in (("bucket", bucket.astype(np.int32)), ("kept", kept)):
        table = table.append_column(name, pa.array(column))
    order = np.lexsort((bucket, split))
    ends = np.cumsum(np.bincount(split, minlength=len(SPLITS)))
    table = table.take(pa.array(order)).combine_chunks()
    begins = np.concatenate([[0], ends[:-1]])
    return write_batches(
        work.folder, [table.slice(b, e - b) for b, e in zip(begins.tolist(), ends.tolist(), strict=True)]
    )


def _per_id(
    work: Staging,
    number: int,
    rows: pa.Table,
    split: Ints,
    group: Ints,
    drawn: npt.NDArray[np.bool_],
    edge: npt.NDArray[np.bool_],
) -> Spread:
    """Counts per id of an entity: `key`, rows by split (`SEEN`), written rows by group (`GROUP_COUNTS`), drawn rows."""
    key = rows[("key", "other")[number]].to_numpy()
    keys, first, at = np.unique(key, return_index=True, return_inverse=True)
    size = len(keys)
    seen = np.bincount(at * len(SPLITS) + split, minlength=size * len(SPLITS)).reshape(size, -1)
    here = group >= 0
    written = np.bincount(at[here] * len(GROUP_COUNTS) + group[here], minlength=size * len(GROUP_COUNTS)).reshape(
        size, -1
    )
    columns = {
        "key": keys,
        **{n: seen[:, i] for i, n in enumerate(SEEN)},
        **{n: written[:, i] for i, n in enumerate(GROUP_COUNTS)},
    }
    columns["id"] = rows[f"e{number}"].take(pa.array(first))
    columns["drawn"] = np.bincount(at, weights=drawn, minlength=size).astype(np.int64)
    columns["edge"] = np.bincount(at, weights=edge, minlength=size).astype(np.int64)
    return spread(work.folder, pa.table(columns), parts_of_ids(keys, number, work.parts), work.parts)[0]


def _drawn(rows: pa.Table, seed: int, wanted: int, train_rows: int) -> npt.NDArray[np.bool_]:
    if train_rows <= wanted:
        return np.ones(rows.num_rows, bool)
    return share(rows[UID], seed) < wanted / train_rows
