"""Recipe `graph` (people-you-may-know): links that will be made between nodes two steps apart.

Some links are hidden. All features are computed from the network that remains, which is the same for train, validation
and test; so no hidden link, of whatever split, is in any feature. The examples are pairs within two steps of the
remaining network: hidden links as positives, and for each of them some of its member's other candidates. Positives of
one split and negatives that go with them are exchangeable with those of another (split at random) or follow each other
in time; therefore validation estimates test honestly. Negatives of train are not hidden links of test: a pair is in
the dataset once.
"""

from typing import Annotated, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from glmix_automl.config import Config
from glmix_automl.errors import DataError
from glmix_automl.prepare import network
from glmix_automl.prepare.block_tables import spark_type
from glmix_automl.prepare.engine import Engine
from glmix_automl.prepare.intake import Roles
from glmix_automl.prepare.network import ID, NetworkChecks, NodesTable
from glmix_automl.prepare.pairs import candidates, two_steps, walks
from glmix_automl.prepare.pairs.adjacency import Adjacency
from glmix_automl.prepare.pairs.attributes import Attribute
from glmix_automl.prepare.pairs.candidates import Hands, Wanted
from glmix_automl.prepare.pairs.describe import Columns, Network, declared
from glmix_automl.prepare.pairs.example_rows import LABEL, SPLIT, TIME, UID, WEIGHT, ExampleRows, ExampleTables
from glmix_automl.prepare.pairs.links import Links, attributes_of, check_ends, hidden, links_of
from glmix_automl.prepare.recipe import ColumnSplit, Fractions, Recipe, Table, clashes, name_columns
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.rows import RawRows
from glmix_automl.schema import Entity

SAMPLED_PAIRS = 2000  # that the error of a sample of walks is measured on, at least


class Hidden(Config):
    """Which links are hidden, and which of them are of which split."""

    by: Literal["random", "time"] = "random"
    """`time`: the latest ones, the oldest of them in train; needs `edges.timestamp`."""
    share: Annotated[float, pydantic.Field(gt=0, lt=1)] = 0.1
    """Of all links."""
    fractions: Fractions = Fractions()
    """Of the hidden links."""


class Candidates(Config):
    """How examples are taken from the pairs within two steps."""

    negatives: int = pydantic.Field(default=4, ge=1)
    """Per positive; the base rate is 1 / (1 + negatives) where members have enough candidates."""
    per_member: int = pydantic.Field(default=200, ge=2)
    """Most examples of one member, so that hubs do not take over."""
    fan_out: int = pydantic.Field(default=100, ge=2)
    """Neighbours of a node that are seen through it from each of its neighbours, about. What it costs is reported as
    the hidden links that are out of reach for it; AUCs under different caps do not compare (see `candidates.Hands`)."""
    unreachable: Literal["drop", "keep"] = "drop"
    """Hidden links that are no candidates. `drop`: they would never be suggested, and since every negative has a common
    neighbour, having none would give them away."""
    weigh: bool = False
    """Weigh each negative by the candidates of its member that it stands for, so that probabilities are those of all
    candidates of members with positives."""


class Graph(Recipe):
    """Settings of the recipe."""

    recipe: Literal["graph"]
    edges: network.LinksTable
    nodes: tuple[NodesTable, ...] = ()
    hidden: Hidden = Hidden()
    candidates: Candidates = Candidates()
    columns: Columns = Columns()
    checks: NetworkChecks = NetworkChecks()
    split: ColumnSplit = ColumnSplit(by="column", column=SPLIT)
    """Not to be set: `hidden` says what is in which split."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> "Graph":
        if self.hidden.by == "time" and self.edges.timestamp is None:
            raise ValueError("links can be hidden by time only with `edges.timestamp`; or use `hidden: {by: random}`")
        if self.split.column != SPLIT:
            raise ValueError("a graph recipe splits its hidden links: set `hidden.by` and `hidden.fractions` instead")
        of_nodes = tuple(feature for table in self.nodes for feature in table.features)
        made = declared(of_nodes, self.columns, self.edges.directed)
        if found := clashes([("edges", "left"), ("edges", "right")], name_columns("features", made)):
            raise ValueError("\n".join(found))
        return self

    @property
    def tables(self) -> tuple[Table, ...]:
        """See `Recipe`."""
        return (self.edges.table, *(nodes.table for nodes in self.nodes))


def graph_rows(engine: Engine, recipe: Graph) -> RawRows:
    """The raw rows of the recipe's tables.

    Raises:
        DataError: a file or column is missing, node ids are not unique, too many links have an end without attributes,
            too few links to hide some, no pairs within two steps, no hidden link among them.
        ConfigError: features contradict each other.
    """
    counts: dict[str, int] = {}
    remarks = Remarks()
    links, attributes = read_network(engine, recipe, counts, remarks)
    made = example_rows(links, attributes, recipe, counts, remarks)
    of_nodes = tuple(f for table in recipe.nodes for f in table.features)
    time = TIME if recipe.edges.timestamp else None
    weight = WEIGHT if recipe.candidates.weigh else None
    size = counts["positives chosen"] * (1 + recipe.candidates.negatives)
    return RawRows(
        given=ExampleTables(engine, made, Roles(LABEL, ("left", "right"), UID, time, weight, SPLIT), size),
        raw_types={f.name: spark_type(f.type) for f in made.rows(0, 0).schema},
        recipe="graph",
        label=LABEL,
        uid=UID,
        time=time,
        weight=weight,
        entities=(Entity(name="left", source="left", side="left"), Entity(name="right", source="right", side="right")),
        features=declared(of_nodes, recipe.columns, recipe.edges.directed),
        counts=counts,
        remarks=remarks,
        size=size,
    )


def read_network(
    engine: Engine, recipe: Graph, counts: dict[str, int], remarks: Remarks
) -> tuple[Links, tuple[Attribute, ...]]:
    """The recipe's links and the attributes of their nodes, in memory.

    Raises:
        DataError, ConfigError: as `graph_rows`.
    """
    where = f"edge table {recipe.edges.table.path}"
    tables = network.read_nodes(engine, recipe.nodes, recipe.root, remarks)
    ids = [table[ID].combine_chunks() for table in tables]
    table = network.read_links(engine, recipe.edges, recipe.root, remarks)
    links = links_of(table, ids, recipe.edges.directed, recipe.checks, where, counts)
    of_tables = [(table, ID, node.features) for table, node in zip(tables, recipe.nodes, strict=True)]
    attributes, known = attributes_of(links, of_tables)
    if tables:
        check_ends(links, known, recipe.checks.max_unknown_share, where, counts)
    return links, attributes


def example_rows(
    links: Links, attributes: tuple[Attribute, ...], recipe: Graph, counts: dict[str, int], remarks: Remarks
) -> ExampleRows:
    """What makes the rows: the remaining network with all that its columns need, and the hidden links.

    Raises:
        DataError: too few links to hide some, no pairs within two steps, no hidden link among them.
    """
    directed, chosen, seed, keys = recipe.edges.directed, recipe.candidates, recipe.seed, links.keys
    fold = hidden(links, recipe.hidden.share, recipe.hidden.fractions, recipe.hidden.by == "time", seed)
    hide = fold >= 0
    _check_hidden(hide, recipe, counts)
    remaining = links.adjacency(~hide)
    if remaining.degrees.max() < 2:
        raise DataError(
            f"edge table {recipe.edges.table.path}: no two nodes are two steps apart in what remains of the network: "
            "there are no candidates; hide a smaller share"
        )
    left, right = links.sources[hide], links.targets[hide]
    if not directed:
        left, right = candidates.turn(left, right, keys, seed)
    hands = Hands.of(remaining, keys, chosen.fan_out, seed)
    wanted = Wanted(left, right, fold[hide], links.times[hide])
    reached = hands.show(left, right)
    _count_reach(two_steps.within_two_steps(remaining, left, right), reached, chosen.fan_out, counts, remarks)
    if not reached.any():
        raise DataError(
            f"edge table {recipe.edges.table.path}: none of {len(wanted)} hidden links is within two steps of the "
            "remaining network; hide a smaller share, or raise candidates.fan_out"
        )
    kept = wanted.take(np.flatnonzero(reached)) if chosen.unreachable == "drop" else wanted
    positives = candidates.most_wanted(kept, keys, chosen.per_member, chosen.negatives, seed)
    positives = positives.take(np.argsort(remaining.place[positives.left], kind="stable"))
    counts |= {"members with examples": len(np.unique(positives.left)), "positives chosen": len(positives)}
    if recipe.columns.walks and recipe.columns.walk_cap:
        _say_cap(remaining, recipe.columns.walk_cap, remarks)
    if recipe.columns.walks and recipe.columns.walk_sample:
        _say_sample(remaining, positives, recipe.columns, remarks)
    known = Network.of(remaining, keys, attributes, recipe.columns, directed, seed)
    of_hidden = links.adjacency(hide)
    choice = (chosen.negatives, chosen.weigh, seed)
    return ExampleRows(known, hands, links.ids, keys, of_hidden, positives, *choice)


def _check_hidden(hide: NDArray[np.bool_], recipe: Graph, counts: dict[str, int]) -> None:
    total, count = len(hide), int(hide.sum())
    counts["links hidden"] = count
    if count in (0, total):
        left = "none are hidden" if not count else "none remain"
        raise DataError(
            f"edge table {recipe.edges.table.path}: of {total} links {left}; change `hidden.share`, or bring more links"
        )


def _say_cap(remaining: Adjacency, cap: int, remarks: Remarks) -> None:
    """What `columns.walk_cap` costs."""
    nodes, share = walks.paths_left_out(remaining, cap)
    remarks.notes.append(
        f"`columns.walk_cap: {cap}` leaves out {share:.1%} of the paths of three steps: those through {nodes:,} nodes "
        "of more neighbours"
    )


def _say_sample(remaining: Adjacency, positives: Wanted, columns: Columns, remarks: Remarks) -> None:
    """How far off the sums over three steps are, on some of the pairs."""
    assert columns.walk_sample is not None
    some = slice(0, None, max(len(positives) // SAMPLED_PAIRS, 1))
    pairs = positives.left[some], positives.right[some]
    error = walks.sampling_error(remaining, *pairs, columns.walk_cap, columns.walk_sample)
    remarks.notes.append(
        f"`columns.walk_sample: {columns.walk_sample}` estimates the sums over paths of three steps: on "
        f"{len(pairs[0]):,} pairs `allocation_3` is off by {error:.1%} of its standard deviation (root mean square)"
    )


def _count_reach(
    near: NDArray[np.bool_], reached: NDArray[np.bool_], fan_out: int, counts: dict[str, int], remarks: Remarks
) -> None:
    """How many hidden links candidates can suggest, and how many `fan_out` costs."""
    counts |= {
        "hidden links among candidates": int(reached.sum()),
        "hidden links two steps apart that candidates.fan_out leaves out": int((near & ~reached).sum()),
        "hidden links out of reach": int((~near).sum()),
    }
    remarks.notes.append(
        f"candidates reach {reached.mean():.1%} of the hidden links ({near.mean():.1%} are two steps apart, of which "
        f"`candidates.fan_out: {fan_out}` leaves out {(near & ~reached).sum() / max(near.sum(), 1):.1%}); what a team "
        "gets is reach times quality: AUCs under other caps do not compare"
    )
