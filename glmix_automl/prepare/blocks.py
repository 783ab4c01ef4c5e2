"""A partition's rows in blocks of bounded size, whatever lies in it: a member or an item may have most rows.

What fits is read at once. A larger partition is written once more, by spans of a column, so that no more than a block
of it is in memory; rows of one value (of one moment) are never parted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.prepare.as_of import Ints
from glmix_automl.prepare.exchange import Spread, read_batch, read_part, spread

_SAMPLE = 1_000  # rows per batch that the borders of blocks are chosen from
_FILE, _PLACE = "_file", "_place"


@dataclass(frozen=True)
class PartBlock:
    """Rows, and where each came from.

    Attributes:
        rows: those of the first file first.
        counts: rows of each file, if all of them are here; then a row is found by adding.
        addresses: ascending, of the rows: file and place in one number; None where there are counts.
    """

    rows: pa.Table
    counts: Ints | None
    addresses: Ints | None = None

    @property
    def file(self) -> npt.NDArray[np.int32]:
        """[rows], the number of each one's file."""
        if self.counts is not None:
            return np.repeat(np.arange(len(self.counts), dtype=np.int32), self.counts)
        return np.right_shift(self.addresses, 32).astype(np.int32)  # type: ignore[arg-type]

    def at(self, file: Ints, place: Ints) -> Ints:
        """The rows that addresses are of, which are in this block."""
        if self.counts is not None:
            return (np.cumsum(self.counts) - self.counts)[file] + place
        return np.searchsorted(self.addresses, address(file, place))  # type: ignore[arg-type]

    def are(self, file: Ints, place: Ints) -> npt.NDArray[np.bool_]:
        """[rows], which are of some addresses, of which others may be of other blocks."""
        if self.counts is None:
            return np.isin(self.addresses, address(file, place))  # type: ignore[arg-type]
        found = np.zeros(self.rows.num_rows, bool)
        found[self.at(file, place)] = True
        return found

    @property
    def place(self) -> Ints:
        """[rows], the place of each in its file."""
        if self.counts is None:
            return np.bitwise_and(self.addresses, 2**32 - 1)  # type: ignore[arg-type]
        return np.arange(self.rows.num_rows) - np.repeat(np.cumsum(self.counts) - self.counts, self.counts)


def address(file: Ints, place: Ints) -> Ints:
    """A file's number and a place in it as one number."""
    return file.astype(np.int64) << 32 | place.astype(np.int64)


def cuts_of(folder: str, files: Sequence[Spread], number: int, by: str, limit: int) -> Ints:
    """Values of a column at which all blocks of a partition but the first begin; none where its rows fit into one.

    Args:
        folder: URI of intermediate files.
        files: of the exchange.
        number: the partition.
        by: the column.
        limit: rows of a block, about.
    """
    blocks = -(-sum(f.rows[number] for f in files) // limit)
    if blocks < 2:
        return np.empty(0, np.int64)
    values = (read_batch(folder, f.path, number).column(by).to_numpy() for f in files if f.rows[number])
    sample = np.concatenate([v[:: max(1, len(v) // _SAMPLE)] for v in values])
    return np.unique(np.quantile(sample, np.linspace(0, 1, blocks + 1)[1:-1], method="lower"))


def in_blocks(folder: str, files: Sequence[Spread], number: int, by: str, cuts: Ints) -> Iterator[PartBlock | None]:
    """The rows of a partition, a block before each cut and one after the last; None for blocks without rows."""
    if not len(cuts):
        table, _ = read_part(folder, list(files), number)
        yield None if table is None else PartBlock(table, np.array([f.rows[number] for f in files], np.int64))
        return
    again = []
    for place, source in enumerate(files):
        if source.rows[number]:
            table = pa.Table.from_batches([read_batch(folder, source.path, number)])
            block = np.searchsorted(cuts, table[by].to_numpy(), side="right")
            table = table.append_column(_FILE, pa.array(np.full(table.num_rows, place)))
            table = table.append_column(_PLACE, pa.array(np.arange(table.num_rows)))
            again.append(spread(folder, table, block, len(cuts) + 1)[0])
    for block in range(len(cuts) + 1):
        table, _ = read_part(folder, again, block)
        if table is None:
            yield None
        else:
            addresses = address(table[_FILE].to_numpy(), table[_PLACE].to_numpy())
            yield PartBlock(table.drop_columns([_FILE, _PLACE]), None, addresses)


def sorted_blocks(
    folder: str, tables: Callable[[], Iterable[pa.Table]], rows: int, by: Sequence[str], limit: int
) -> Iterator[pa.Table]:
    """Rows in order of some columns, in blocks of about `limit` rows.

    Args:
        folder: URI of intermediate files.
        tables: gives the rows, table by table; called twice where they do not fit into a block.
        rows: how many there are.
        by: the columns; together they tell rows apart.
        limit: rows of a block.
    """
    keys = [(name, "ascending") for name in by]
    blocks = -(-rows // limit)
    if blocks < 2:
        table = pa.concat_tables(tables()).combine_chunks()
        yield table.take(pc.sort_indices(table, sort_keys=keys)).combine_chunks()
        return
    steps = ((t.select(by), max(1, t.num_rows // _SAMPLE)) for t in tables())
    sample = pa.concat_tables(t.take(pa.array(np.arange(0, t.num_rows, step))) for t, step in steps).sort_by(keys)
    borders = sample.take(pa.array(np.arange(1, blocks) * sample.num_rows // blocks))
    again = [spread(folder, t, _blocks_of(t.select(by), borders), blocks)[0] for t in tables()]
    for block in range(blocks):
        table, _ = read_part(folder, again, block)
        if table is not None:
            yield table.take(pc.sort_indices(table, sort_keys=keys)).combine_chunks()


def _blocks_of(rows: pa.Table, borders: pa.Table) -> Ints:
    """How many of the borders are not after each row: [rows]."""
    both = pa.concat_tables([borders, rows])
    order = pc.sort_indices(
        both.append_column(_PLACE, pa.array(np.arange(both.num_rows))),  # a border comes before the row it was
        sort_keys=[(name, "ascending") for name in [*rows.column_names, _PLACE]],
    ).to_numpy()
    is_border = order < borders.num_rows
    result = np.empty(both.num_rows, np.int64)
    result[order] = np.cumsum(is_border)
    return result[borders.num_rows :]
