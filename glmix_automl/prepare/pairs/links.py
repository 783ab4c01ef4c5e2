"""Links between numbered nodes, each named once, and which of them are hidden."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from glmix_automl.errors import DataError
from glmix_automl.features.hashing import hash_texts
from glmix_automl.prepare.pairs.adjacency import Adjacency, Keys, Nodes, draws
from glmix_automl.prepare.pairs.attributes import Attribute, attribute
from glmix_automl.prepare.recipe import Checks, Declared, Fractions
from glmix_automl.seeds import derive

Times = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Links:
    """Links of a network.

    Attributes:
        ids: strings [nodes], ascending; a node's number is its place.
        sources: int32 [links]; of an undirected network below `targets`.
        targets: int32 [links].
        times: int64 [links], microseconds; 0 without times.
    """

    ids: pa.Array
    sources: Nodes
    targets: Nodes
    times: Times

    @property
    def keys(self) -> Keys:
        """[nodes] hashes of the ids, by which everything random is drawn."""
        return hash_texts(self.ids)

    def adjacency(self, kept: NDArray[np.bool_] | None = None) -> Adjacency:
        """Of all links, or of those that are kept."""
        every = slice(None) if kept is None else kept
        return Adjacency.of(self.sources[every], self.targets[every], len(self.ids))


def links_of(
    table: pa.Table, nodes: Sequence[pa.Array], directed: bool, checks: Checks, where: str, counts: dict[str, int]
) -> Links:
    """Numbers the nodes, and names each link once (the first time counts).

    Counts and drops rows without ids or time, self-loops, and links that are named again.

    Args:
        table: `source`, `target` (strings), `time` (int64), null where they are missing.
        nodes: ids of each node table.
        directed: whether source to target is another link than target to source.
        checks: the share of rows that may be dropped.
        where: the table, for messages.
        counts: what was dropped is added.

    Raises:
        DataError: no links are left, too many rows are incomplete.
    """
    whole = table.drop_null()
    if not len(table):
        raise DataError(f"{where}: has no rows")
    dropped = len(table) - len(whole)
    if dropped > checks.max_dropped_share * len(table):
        raise DataError(
            f"{where}: {dropped} of {len(table)} rows lack an id or a time; mend them, "
            "or raise checks.max_dropped_share"
        )
    ends = [whole[end].combine_chunks() for end in ("source", "target")]
    named = pa.concat_arrays([*ends, *nodes]).dictionary_encode()
    order = pc.sort_indices(named.dictionary)
    ids = named.dictionary.take(order)
    number = np.empty(len(ids), np.int32)
    number[order.to_numpy()] = np.arange(len(ids), dtype=np.int32)
    source, target = np.split(number[named.indices[: 2 * len(whole)].to_numpy()], 2)
    times = whole["time"].to_numpy()
    straight = source != target
    if not directed:
        source, target = np.minimum(source, target), np.maximum(source, target)
    order = np.lexsort((times, target, source))
    order = order[straight[order]]
    pair = source[order].astype(np.int64) * len(ids) + target[order]
    first = order[np.diff(pair, prepend=-1) > 0]
    if not len(first):
        raise DataError(f"{where}: no link between two different nodes is left")
    counts |= {
        "links read": len(table),
        "links dropped that lack an id or a time": dropped,
        "self-loops dropped": int((~straight).sum()),
        "links dropped that were named before": len(order) - len(first),
        "links": len(first),
        "nodes with links": len(np.unique([source[first], target[first]])),
    }
    return Links(ids, source[first], target[first], times[first])


def attributes_of(
    of: Links, tables: Sequence[tuple[pa.Table, str, tuple[Declared, ...]]]
) -> tuple[tuple[Attribute, ...], NDArray[np.bool_]]:
    """(the declared features of the nodes, [nodes] whether a node has a row in some table).

    Args:
        of: numbers the nodes.
        tables: (rows, column of ids, features of it), ids once each.
    """
    found: list[Attribute] = []
    known = np.zeros(len(of.ids), np.bool_)
    for table, key, features in tables:
        place = pc.index_in(of.ids, value_set=table[key].combine_chunks())
        there = place.is_valid().to_numpy(zero_copy_only=False)
        known |= there
        for feature in features:
            column = table[feature.source].combine_chunks()
            found.append(attribute(feature, column.take(place), int(there.sum())))
    return tuple(found), known


def check_ends(of: Links, known: NDArray[np.bool_], most: float, where: str, counts: dict[str, int]) -> None:
    """Counts the links with an end that has no row in a node table.

    Args:
        of: the links.
        known: [nodes], as `attributes` gives them.
        most: the share of them that is allowed.
        where: the edge table, for messages.
        counts: the number is added.

    Raises:
        DataError: there are too many.
    """
    lacking = np.flatnonzero(~(known[of.sources] & known[of.targets]))
    counts["links with an end that has no row in a node table"] = len(lacking)
    total = len(of.sources)
    if len(lacking) > most * total:
        ends = np.concatenate([of.sources[lacking], of.targets[lacking]])
        example = of.ids[int(ends[~known[ends]].min())].as_py()
        raise DataError(
            f"{where}: {len(lacking)} of {total} links ({len(lacking) / total:.1%}) have an end without a row "
            f"in the node tables, for example {example!r}; at most {most:.1%} are allowed: mend the tables, or raise "
            "checks.max_unknown_share"
        )


def hidden(of: Links, share: float, fractions: Fractions, by_time: bool, seed: int) -> NDArray[np.int8]:
    """[links] -1 for links that remain, else the place of the split in `schema.SPLITS`.

    At random, both are by hashes: of the link, and of its ends without their order, so that the two directions of a
    directed network are in one split when both are hidden (each is hidden by itself: were they hidden together, a link
    back would tell that this one is not hidden). By time, the latest links are hidden, the oldest of them in train;
    links of one moment are never parted.

    Raises:
        DataError: by time, where all links are of one moment.
    """
    begin, end = fractions.borders
    if by_time:
        if of.times.min() == of.times.max():
            raise DataError("links are to be hidden by time, but all have the same; use `hidden: {by: random}`")
        hide = of.times >= _moment(of.times, 1 - share)
        late = of.times[hide]
        drawn, begin, end = of.times, _moment(late, begin), _moment(late, end)
    else:
        keys = of.keys
        low, high = np.minimum(of.sources, of.targets), np.maximum(of.sources, of.targets)
        hide = draws(np.uint64(derive(seed, "hide")), keys[of.sources], keys[of.targets]) < share
        drawn = draws(np.uint64(derive(seed, "fold")), keys[low], keys[high])
    fold = (drawn >= begin).astype(np.int8) + (drawn >= end)
    return np.where(hide, fold, -1).astype(np.int8)


def _moment(times: Times, share: float) -> int:
    """The time of the row that stands at `share` of the rows in order of time."""
    return int(np.partition(times, int(share * len(times)))[int(share * len(times))])
