"""The raw rows of a network's examples: hidden links, other candidates of their members, and what is known of both."""

import itertools
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glmix_automl.prepare.engine import Engine, Shared
from glmix_automl.prepare.exchange import Spread
from glmix_automl.prepare.intake import Roles, rows_of
from glmix_automl.prepare.pairs.adjacency import Adjacency, Keys
from glmix_automl.prepare.pairs.candidates import Hands, Wanted, examples
from glmix_automl.prepare.pairs.describe import Network, pair_columns
from glmix_automl.prepare.stage import Staging, Taken, take_in
from glmix_automl.schema import SPLITS

LABEL, UID, TIME, WEIGHT, SPLIT = "_glmix_label", "_glmix_uid", "_glmix_time", "_glmix_weight", "_glmix_split"
SPAN = 10_000
"""Most positives of a span, about: what is made of them is in memory at once."""


@dataclass(frozen=True, eq=False)
class ExampleRows:
    """Makes the raw rows of any span of whole members; the same rows, whatever the spans and where they are made.

    Attributes:
        network: the remaining one.
        hands: of its nodes.
        ids: strings [nodes].
        keys: [nodes] their hashes.
        hidden: all hidden links.
        positives: those that become examples, as `candidates.most_wanted` gives them.
        negatives: per positive.
        weigh: whether negatives are weighed by the candidates they stand for.
        seed: of the choices.
    """

    network: Network
    hands: Hands
    ids: pa.Array
    keys: Keys
    hidden: Adjacency
    positives: Wanted
    negatives: int
    weigh: bool
    seed: int

    def spans(self, at_least: int) -> list[tuple[int, int]]:
        """Spans of positives, by place, that begin and end with a member; `at_least` so many where there are enough."""
        heads = np.append(np.flatnonzero(np.diff(self.positives.left, prepend=-1)), len(self.positives))
        size = max(1, min(SPAN, -(-len(self.positives) // at_least)))
        cuts = heads[np.searchsorted(heads, np.arange(0, len(self.positives), size))]
        cuts = np.unique(np.append(cuts, len(self.positives)))
        return [(int(a), int(b)) for a, b in itertools.pairwise(cuts)]

    def rows(self, begin: int, end: int) -> pa.Table:
        """The examples of a span: ids of both ends, label, uid, time, weight, split, and what `pair_columns` gives."""
        places = np.arange(begin, end)
        directed, seed = self.network.directed, self.seed
        of_links = (self.network.links, self.hands, self.keys, self.hidden)
        made = examples(*of_links, self.positives.take(places), self.negatives, directed, seed)
        pairs = made.pairs
        described = pair_columns(self.network, pairs.left, pairs.right)
        ends = [self.ids.take(pa.array(end)) for end in (pairs.left, pairs.right)]
        columns = {
            "left": ends[0],
            "right": ends[1],
            LABEL: pa.array(made.label.astype(np.int32)),
            UID: _joined(*ends),
            TIME: pa.array(pairs.time),
            WEIGHT: pa.array(made.weight if self.weigh else np.ones(len(made.label))),
            SPLIT: pa.array(SPLITS, pa.string()).take(pa.array(pairs.fold)),
        }
        return pa.table({**columns, **dict(zip(described.column_names, described.columns, strict=True))})


def _joined(left: pa.Array, right: pa.Array) -> pa.Array:
    escaped = [pc.replace_substring_regex(end, r"([\\|])", r"\\\1") for end in (left, right)]
    return pc.binary_join_element_wise(*escaped, "|")


class ExampleTables:
    """The examples of a network as `intake.Tables`: made where they are taken in, by tasks that share the network."""

    def __init__(self, engine: Engine, made: ExampleRows, roles: Roles, rows: int) -> None:
        self.rows = rows
        self._engine = engine
        self._made = made
        self._roles = roles

    def take_in(self, work: Staging) -> list[Taken]:
        """See `intake.Tables`."""
        shared = self._engine.share(self._made)
        spans = self._made.spans(4 * self._engine.width)
        return self._engine.each("reading", partial(_take_in, work, self._roles, shared), spans)

    def take_in_side(self, work: Staging, side: int) -> list[Spread]:
        """See `intake.Tables`: both ends are described in the rows."""
        return []


def _take_in(work: Staging, roles: Roles, shared: Shared[ExampleRows], span: tuple[int, int]) -> Taken:
    rows = shared.value.rows(*span)
    raw = dict(zip(rows.column_names, rows.columns, strict=True))
    return take_in(work, rows_of(work, roles, raw, rows.num_rows))
