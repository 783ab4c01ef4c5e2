"""What is known of a pair of nodes: from the remaining network, and from what both have as attributes.

Sums of fractions are sums of integers in units of 2**-32, so they do not depend on the order Spark adds them in.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

_UNIT = 2.0**32
STRUCTURE = (
    "common_neighbours",
    "jaccard",
    "adamic_adar",
    "resource_allocation",
    "preferential_attachment",
    "left_degree",
    "right_degree",
)
DIRECTED = ("reciprocal", "paths", "followed_by_both", "followers_of_both", "left_followed", "right_followers")
"""Only of directed networks: whether right follows left; how many are followed by left and follow right; are followed
by both; follow both; how many left follows; how many follow right."""


def with_structure(pairs: DataFrame, adjacency: DataFrame, directed: bool) -> DataFrame:
    """The pairs with `STRUCTURE` (and, of a directed network, `DIRECTED`), exact whatever the candidates were found by.

    With N(x) the neighbours of x and d their number: common neighbours |N(left) & N(right)|; Jaccard |&| / |or|;
    Adamic-Adar, sum over common z of 1 / log d(z) (Adamic and Adar, 2003); resource allocation, sum of 1 / d(z) (Zhou
    et al., 2009); preferential attachment d(left) d(right). 0 for nodes without neighbours.

    Common neighbours are looked for from the end with fewer of them, so a hub costs no more than the other end.

    Args:
        pairs: columns `left`, `right`, each pair once; others are kept.
        adjacency: of the remaining network: `node`, `other`, `out`, `back`.
        directed: whether directions mean something.
    """
    degrees = adjacency.groupBy("node").agg(
        F.count(F.lit(1)).alias("degree"), F.sum("out").alias("followed"), F.sum("back").alias("followers")
    )
    for end in ("left", "right"):
        of_end = degrees.select(F.col("node").alias(end), *(F.col(c).alias(f"{end}_{c}") for c in degrees.columns[1:]))
        pairs = pairs.join(of_end, end, "left").fillna(0, [c for c in of_end.columns if c != end])
    found = _through_common(pairs, adjacency, degrees.select(F.col("node").alias("common"), F.col("degree").alias("d")))
    counted = pairs.join(found, ["left", "right"], "left").fillna(0, found.columns[2:])
    union = F.col("left_degree") + F.col("right_degree") - F.col("common_neighbours")
    features = {
        "jaccard": F.when(union > 0, F.col("common_neighbours") / union).otherwise(0.0),
        "adamic_adar": F.col("adamic_adar") / _UNIT,
        "resource_allocation": F.col("resource_allocation") / _UNIT,
        "preferential_attachment": F.col("left_degree").cast("double") * F.col("right_degree"),
    }
    unused = ["left_followers", "right_followed"]
    if not directed:
        return counted.withColumns(features).drop(*unused, *DIRECTED)
    reverse = adjacency.where("out = 1").select(
        F.col("other").alias("left"), F.col("node").alias("right"), F.lit(1).alias("reciprocal")
    )
    return (
        counted.withColumns(features).join(reverse, ["left", "right"], "left").fillna(0, ["reciprocal"]).drop(*unused)
    )


def _through_common(pairs: DataFrame, adjacency: DataFrame, degree: DataFrame) -> DataFrame:
    """Counts and fixed-point sums over the common neighbours of each pair that has any."""
    from_left = F.col("left_degree") <= F.col("right_degree")
    small = pairs.select(
        "left",
        "right",
        from_left.alias("from_left"),
        F.when(from_left, F.col("left")).otherwise(F.col("right")).alias("near"),
        F.when(from_left, F.col("right")).otherwise(F.col("left")).alias("far"),
    )
    ends = {
        end: adjacency.select(
            F.col("node").alias(end),
            F.col("other").alias("common"),
            F.col("out").alias(f"{end}_out"),
            F.col("back").alias(f"{end}_back"),
        )
        for end in ("near", "far")
    }
    met = small.join(ends["near"], "near").join(ends["far"], ["far", "common"]).join(degree, "common")
    side = {
        f"{end}_{way}": F.when(F.col("from_left") == (end == "left"), F.col(f"near_{way}")).otherwise(
            F.col(f"far_{way}")
        )
        for end in ("left", "right")
        for way in ("out", "back")
    }
    whole = {"adamic_adar": 1.0 / F.log(F.col("d").cast("double")), "resource_allocation": 1.0 / F.col("d")}
    return met.groupBy("left", "right").agg(
        F.count(F.lit(1)).alias("common_neighbours"),
        *(F.sum(F.rint(term * _UNIT).cast("bigint")).alias(name) for name, term in whole.items()),
        F.sum(side["left_out"] * side["right_back"]).alias("paths"),
        F.sum(side["left_out"] * side["right_out"]).alias("followed_by_both"),
        F.sum(side["left_back"] * side["right_back"]).alias("followers_of_both"),
    )


def rarities(nodes: DataFrame, bag: str) -> DataFrame:
    """How rare each term of a bag is among the nodes: `term`, `rarity` = log(nodes / nodes that have it) in 2**-32.

    Args:
        nodes: one row per node; `bag` is an array of distinct strings.
        bag: the column.
    """
    total = nodes.select(F.count(F.lit(1)).alias("total"))
    counted = nodes.select(F.explode(bag).alias("term")).groupBy("term").count()
    rarity = F.rint(F.log(F.col("total") / F.col("count")) * _UNIT).cast("bigint")
    return counted.crossJoin(F.broadcast(total)).select("term", rarity.alias("rarity"))


def with_shared_terms(pairs: DataFrame, ends: DataFrame, bag: str, name: str, rarity: DataFrame) -> DataFrame:
    """The pairs with bags `shared_<name>`, `differing_<name>` (terms that only one end has) and numbers
    `shared_<name>_count`, `_jaccard` and `_rarity` (the sum over shared terms of log(nodes / nodes that have it)).

    Args:
        pairs: columns `left`, `right`, and arrays `left_<bag>`, `right_<bag>` of distinct strings, or null.
        ends: the same pairs and arrays, at hand already: sums are made from these, so that plans do not double.
        bag: column of the nodes.
        name: of the feature.
        rarity: as `rarities` gives it.
    """
    left, right = (F.coalesce(F.col(f"`{end}_{bag}`"), F.array().cast("array<string>")) for end in ("left", "right"))
    shared = f"shared_{name}"
    pairs = pairs.withColumn(shared, F.array_sort(F.array_intersect(left, right)))
    pairs = pairs.withColumn(
        f"differing_{name}", F.array_sort(F.array_union(F.array_except(left, right), F.array_except(right, left)))
    )
    both, either = F.size(f"`{shared}`"), F.size(left) + F.size(right)
    sums = (
        ends.select("left", "right", F.explode(F.array_intersect(left, right)).alias("term"))
        .join(rarity, "term")
        .groupBy("left", "right")
        .agg(F.sum("rarity").alias(f"{shared}_rarity"))
    )
    return (
        pairs.withColumns(
            {
                f"{shared}_count": both,
                f"{shared}_jaccard": F.when(either > 0, both / (either - both)).otherwise(0.0),
            }
        )
        .join(sums.select("left", "right", _scaled(f"{shared}_rarity")), ["left", "right"], "left")
        .fillna(0.0, [f"{shared}_rarity"])
    )


def _scaled(name: str) -> Column:
    return (F.col(f"`{name}`") / _UNIT).alias(name)
