"""The positives of a partition of members where negatives are drawn: which are examples, and what was taken when."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from glmix_automl.prepare.as_of import Ints
from glmix_automl.prepare.blocks import PartBlock, cuts_of, in_blocks
from glmix_automl.prepare.events import NegativeSampling
from glmix_automl.prepare.exchange import Spread, read_part
from glmix_automl.prepare.known import mixed
from glmix_automl.prepare.stage import TIME, Staging


@dataclass(frozen=True)
class Positives:
    """The positives of a partition of members, and what tells which of them are examples.

    Attributes:
        work: what is prepared.
        rows: files of the positives.
        unreachable: files of `file` and `place` of rows of items that nobody had taken before.
        part: the partition.
    """

    work: Staging
    rows: tuple[Spread, ...]
    unreachable: tuple[Spread, ...]
    part: int

    @cached_property
    def cuts(self) -> Ints:
        """Where a large partition is cut: there are several draws for each row."""
        work = self.work
        draws = draws_of(work.sampling) if work.sampling is not None else 1
        return cuts_of(work.folder, self.rows, self.part, work.cut_by, max(1, work.held_rows // draws))

    @cached_property
    def takes(self) -> tuple[Ints, Ints]:
        """Members with items that they have taken, ascending, and the first time."""
        pair, first = np.empty(0, np.int64), np.empty(0, np.int64)
        for block in self.blocks():
            if block is not None:
                table = block.rows
                pairs = np.concatenate([pair, mixed(table["key"].to_numpy(), table["other"].to_numpy())])
                times = np.concatenate([first, times_of(self.work, table)])
                order = np.lexsort((times, pairs))
                pair, at = np.unique(pairs[order], return_index=True)
                first = times[order][at]
        return pair, first

    def blocks(self) -> Iterator[PartBlock | None]:
        """Their blocks."""
        return in_blocks(self.work.folder, self.rows, self.part, self.work.cut_by, self.cuts)

    @cached_property
    def _unreachable(self) -> pa.Table | None:
        return read_part(self.work.folder, self.unreachable, self.part)[0]

    def are_examples(self, block: PartBlock) -> npt.NDArray[np.bool_]:
        """Which positives of a block are examples, as they could have been drawn: [rows]."""
        found = np.ones(block.rows.num_rows, bool)
        if (sent := self._unreachable) is not None:
            found[block.are(sent["file"].to_numpy(), sent["place"].to_numpy())] = False
        if self.work.sampling is not None and not self.work.sampling.repeats:
            pair, first = self.takes
            own = mixed(block.rows["key"].to_numpy(), block.rows["other"].to_numpy())
            found[first[np.searchsorted(pair, own)] < times_of(self.work, block.rows)] = False
        return found


def times_of(work: Staging, table: pa.Table) -> Ints:
    """[rows]; one for all of rows without times, whatever order they were put in."""
    return table[TIME].to_numpy() if work.timed else np.zeros(table.num_rows, np.int64)


def draws_of(sampling: NegativeSampling) -> int:
    """Draws per positive: some are of what the member has taken, or of one item twice."""
    return 2 * sampling.per_positive + 2
