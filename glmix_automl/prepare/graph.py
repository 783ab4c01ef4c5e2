"""Recipe `graph` (people-you-may-know): links that will be made between nodes two steps apart.

Some links are hidden. All features are computed from the network that remains, which is the same for train, validation
and test; so no hidden link, of whatever split, is in any feature. The examples are pairs within two steps of the
remaining network: hidden links as positives, and for each of them some of its member's other candidates. Positives of
one split and negatives that go with them are exchangeable with those of another (split at random) or follow each other
in time; therefore validation estimates test honestly. Negatives of train are not hidden links of test: a pair is in
the dataset once.
"""

from typing import Annotated, Literal

import pydantic
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glmix_automl.config import Config
from glmix_automl.errors import DataError
from glmix_automl.prepare import candidates, network, pair_features
from glmix_automl.prepare.candidates import FOLD, HIDDEN
from glmix_automl.prepare.network import KEY, Links, NetworkChecks, Nodes
from glmix_automl.prepare.recipe import (
    BagFeature,
    CategoricalFeature,
    ColumnSplit,
    Declared,
    Fractions,
    NumericFeature,
    Recipe,
)
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.prepare.rows import Rows
from glmix_automl.prepare.split import moments
from glmix_automl.prepare.tables import column
from glmix_automl.schema import SPLITS, Entity

LABEL, UID, TIME, WEIGHT, SPLIT = "_glmix_label", "_glmix_uid", "_glmix_time", "_glmix_weight", "_glmix_split"
_COUNTS = {
    "common_neighbours",
    "adamic_adar",
    "resource_allocation",
    "preferential_attachment",
    "left_degree",
    "right_degree",
}


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
    """Neighbours of a node that are seen through it from each of its neighbours, about; see `candidates.two_steps` for
    what a cap costs."""
    unreachable: Literal["drop", "keep"] = "drop"
    """Hidden links that are no candidates. `drop`: they would never be suggested, and since every negative has a common
    neighbour, having none would give them away."""
    weigh: bool = False
    """Weigh each negative by the candidates of its member that it stands for, so that probabilities are those of all
    candidates of members with positives."""


class Graph(Recipe):
    """Settings of the recipe."""

    recipe: Literal["graph"]
    edges: Links
    nodes: tuple[Nodes, ...] = ()
    hidden: Hidden = Hidden()
    candidates: Candidates = Candidates()
    checks: NetworkChecks = NetworkChecks()
    split: ColumnSplit = ColumnSplit(by="column", column=SPLIT)
    """Not to be set: `hidden` says what is in which split."""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> "Graph":
        if self.hidden.by == "time" and self.edges.timestamp is None:
            raise ValueError("links can be hidden by time only with `edges.timestamp`; or use `hidden: {by: random}`")
        if self.split.column != SPLIT:
            raise ValueError("a graph recipe splits its hidden links: set `hidden.by` and `hidden.fractions` instead")
        return self


def rows(spark: SparkSession, recipe: Graph) -> Rows:
    """The raw rows of the recipe's tables.

    Raises:
        DataError: a file or column is missing, node ids are not unique, too many links have an end without attributes,
            too few links to hide some, no pairs within two steps, no hidden link among them.
        ConfigError: features contradict each other.
    """
    counts: dict[str, int] = {}
    remarks = Remarks()
    where = f"edge table {recipe.edges.table.path}"
    nodes = network.read_nodes(spark, recipe.nodes, recipe.root, recipe.seed, remarks)
    nodes = settled(nodes) if nodes is not None else None
    named = network.read_links(spark, recipe.edges, recipe.root, recipe.seed, recipe.checks, counts, remarks)
    named = settled(named)
    network.check_links(named, nodes, recipe.checks, where, counts)
    links = settled(with_hidden(named, recipe.hidden, recipe.seed))
    _count_hidden(links, where, counts)
    adjacency = settled(candidates.neighbours(links.where(~F.col(HIDDEN))))
    chosen = settled(examples(links, adjacency, recipe, counts))
    _check_examples(chosen, counts, where)
    described = pair_features.with_structure(chosen, adjacency, recipe.edges.directed)
    declared = tuple(f for table in recipe.nodes for f in table.features)
    if nodes is not None:
        described = with_attributes(settled(with_ends(described, nodes, declared)), nodes, declared)
    return Rows(
        frame=_with_roles(described, links, recipe),
        recipe="graph",
        label=LABEL,
        uid=UID,
        time=TIME if recipe.edges.timestamp else None,
        weight=WEIGHT if recipe.candidates.weigh else None,
        entities=(Entity(name="left", source="left", side="left"), Entity(name="right", source="right", side="right")),
        features=_structural(recipe.edges.directed) + tuple(f for d in declared for f in _paired(d)),
        counts=counts,
        remarks=remarks,
    )


def settled(frame: DataFrame) -> DataFrame:
    """The frame computed once, kept on the executors' disks until it is no longer referred to, its plan forgotten.

    Each step joins the ones before it with themselves. Where a step were only cached, its plan would hold theirs
    several times over, and describing plans (which Spark does after every stage) would cost more than the work.
    """
    return frame.localCheckpoint(eager=True, storageLevel=StorageLevel.DISK_ONLY)


def with_hidden(links: DataFrame, rule: Hidden, seed: int) -> DataFrame:
    """The links with `hidden`, and for hidden ones `fold`, one of train, validation, test.

    At random, both are by hashes: of the link, and of its ends without their order, so that the two directions of a
    directed network are in one split when both are hidden (each is hidden by itself: were they hidden together, a link
    back would tell that this one is not hidden).
    """
    begin, end = rule.fractions.borders
    if rule.by == "random":
        hidden = links.withColumn(HIDDEN, candidates.draw(seed, "hide", "source", "target") < rule.share)
        drawn = candidates.draw(seed, "fold", F.least("source", "target"), F.greatest("source", "target"))
        fold = F.when(drawn < begin, SPLITS[0]).when(drawn < end, SPLITS[1]).otherwise(SPLITS[2])
    else:
        # `moments` finds two borders by rank: only the first is wanted here
        cut, _ = moments(links, Fractions(train=1 - rule.share, validation=rule.share / 2, test=rule.share / 2))
        hidden = links.withColumn(HIDDEN, F.col("time") >= cut)
        validation, test = moments(hidden.where(HIDDEN), rule.fractions)
        fold = F.when(F.col("time") < validation, SPLITS[0]).when(F.col("time") < test, SPLITS[1]).otherwise(SPLITS[2])
    return hidden.withColumn(FOLD, F.when(F.col(HIDDEN), fold))


def examples(links: DataFrame, adjacency: DataFrame, recipe: Graph, counts: dict[str, int]) -> DataFrame:
    """The chosen pairs: `left`, `right`, `label`, `fold`, `time`, `negative_weight`.

    Raises:
        DataError: no two nodes are two steps apart in the remaining network.
    """
    shown = candidates.two_steps(adjacency, recipe.candidates.fan_out, recipe.seed)
    pairs = settled(candidates.judged(shown, links, recipe.edges.directed))
    reached, positive, missed = pairs.agg(
        F.count_if("reached"),
        F.count_if(F.col("reached") & F.col("positive")),
        F.count_if(~F.col("reached") & F.col("positive")),
    ).first()  # type: ignore[misc]
    counts |= {"candidates": reached, "hidden links among candidates": positive, "hidden links out of reach": missed}
    if not reached:
        raise DataError(
            f"edge table {recipe.edges.table.path}: no two nodes are two steps apart in what remains of the network: "
            "there are no candidates; hide a smaller share, or raise candidates.fan_out"
        )
    if not recipe.edges.directed:
        pairs = candidates.turned(pairs, recipe.seed)
    kept = pairs.where("reached") if recipe.candidates.unreachable == "drop" else pairs
    return candidates.sampled(kept, recipe.candidates.negatives, recipe.candidates.per_member, recipe.seed)


def with_ends(pairs: DataFrame, nodes: DataFrame, features: tuple[Declared, ...]) -> DataFrame:
    """The pairs with the attributes of both ends: `left_x`, `right_x`."""
    for end in ("left", "right"):
        renamed = [column(f.source).alias(f"{end}_{f.source}") for f in features]
        pairs = pairs.join(nodes.select(F.col(KEY).alias(end), *renamed), end, "left")
    return pairs


def with_attributes(pairs: DataFrame, nodes: DataFrame, features: tuple[Declared, ...]) -> DataFrame:
    """Pairs as `with_ends` gives them, with what the two ends say together (`_paired`)."""
    ends = pairs
    for feature in features:
        left, right = (column(f"{end}_{feature.source}") for end in ("left", "right"))
        if isinstance(feature, NumericFeature):
            pairs = pairs.withColumn(
                f"difference_{feature.column}", F.abs(left.try_cast("double") - right.try_cast("double"))
            )
        elif isinstance(feature, CategoricalFeature):
            pairs = pairs.withColumn(
                f"same_{feature.column}", (left.cast("string") == right.cast("string")).cast("int")
            )
        else:
            rarity = pair_features.rarities(nodes, feature.source)
            pairs = pair_features.with_shared_terms(pairs, ends, feature.source, feature.column, rarity)
    return pairs


def _with_roles(pairs: DataFrame, links: DataFrame, recipe: Graph) -> DataFrame:
    """The pairs with ids for keys, and label, uid, time, weight and split under our names."""
    known = links.select(F.col("source").alias(KEY), F.col("source_id").alias("id")).unionAll(
        links.select(F.col("target").alias(KEY), F.col("target_id").alias("id"))
    )
    ids = known.distinct()
    for end in ("left", "right"):
        pairs = pairs.withColumnRenamed(end, KEY).join(ids, KEY).drop(KEY).withColumnRenamed("id", end)
    escaped = [F.regexp_replace(end, r"([\\|])", r"\\$1") for end in ("left", "right")]
    weight = F.col("negative_weight") if recipe.candidates.weigh else F.lit(1.0)
    return pairs.withColumns(
        {
            LABEL: F.col("label"),
            UID: F.concat_ws("|", *escaped),
            TIME: F.col("time"),
            WEIGHT: weight,
            SPLIT: F.col(FOLD),
        }
    ).drop("label", FOLD, "time", "negative_weight")


def _count_hidden(links: DataFrame, where: str, counts: dict[str, int]) -> None:
    total, hidden = links.agg(F.count(F.lit(1)), F.count_if(HIDDEN)).first()  # type: ignore[misc]
    counts["links hidden"] = hidden
    if not hidden or hidden == total:
        left = "none are hidden" if not hidden else "none remain"
        raise DataError(f"{where}: of {total} links {left}; change `hidden.share`, or bring more links")


def _check_examples(chosen: DataFrame, counts: dict[str, int], where: str) -> None:
    members, positives, total = chosen.agg(F.count_distinct("left"), F.sum("label"), F.count(F.lit(1))).first()  # type: ignore[misc]
    if not positives:
        raise DataError(
            f"{where}: none of {counts['links hidden']} hidden links is within two steps of the remaining network; "
            "hide a smaller share, or raise candidates.fan_out"
        )
    counts |= {"members with examples": members, "positives chosen": positives, "negatives chosen": total - positives}


def _structural(directed: bool) -> tuple[NumericFeature, ...]:
    names = pair_features.STRUCTURE + (pair_features.DIRECTED if directed else ())
    sides = {"left_degree": "left", "left_followed": "left", "right_degree": "right", "right_followers": "right"}
    return tuple(
        NumericFeature(
            source=name,
            side=sides.get(name, "pair"),  # type: ignore[arg-type]
            transform="standardise" if name in ("jaccard", "reciprocal") else "log",
        )
        for name in names
    )


def _paired(feature: Declared) -> list[Declared]:
    """What becomes of an attribute of nodes: one feature per end, with one vocabulary, and those of the pair."""
    name = feature.column
    ends: list[Declared] = []
    for end in ("left", "right"):
        update: dict[str, str | None] = {"source": f"{end}_{feature.source}", "name": f"{end}_{name}", "side": end}
        if not isinstance(feature, NumericFeature):
            update["vocabulary"] = feature.key
        if isinstance(feature, BagFeature):
            update["separator"] = None  # split when it was read
        ends.append(feature.model_copy(update=update))
    if isinstance(feature, NumericFeature):
        return [
            *ends,
            feature.model_copy(update={"source": f"difference_{name}", "name": f"difference_{name}", "side": "pair"}),
        ]
    if isinstance(feature, CategoricalFeature):
        return [*ends, NumericFeature(source=f"same_{name}", side="pair")]
    bags = [
        ends[0].model_copy(update={"source": f"{kind}_{name}", "name": f"{kind}_{name}", "side": "pair"})
        for kind in ("shared", "differing")
    ]
    numbers = [
        NumericFeature(source=f"shared_{name}_count", side="pair", transform="log"),
        NumericFeature(source=f"shared_{name}_jaccard", side="pair"),
        NumericFeature(source=f"shared_{name}_rarity", side="pair", transform="log"),
    ]
    return [*ends, *bags, *numbers]
