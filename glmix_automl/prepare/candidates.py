"""Candidate pairs of a network: two steps apart in what is left of it, sampled per member, split without leaks.

All functions are of frames with nodes as bigint keys, and pure: a pair's fate is a function of hashes of its keys and
the seed, so that neither partitions nor order matter.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from glmix_automl.seeds import derive

FOLD, HIDDEN = "fold", "hidden"
_PARTS = 1 << 40


def draw(seed: int, name: str, *keys: "str | Column") -> Column:
    """A number from 0 to 1 per value of the keys, uniform, the same wherever it is computed."""
    return F.pmod(F.xxhash64(F.lit(derive(seed, name)), *keys), F.lit(_PARTS)) / F.lit(float(_PARTS))


def neighbours(edges: DataFrame) -> DataFrame:
    """Who is next to whom, whatever the direction: columns `node`, `other`, one row per ordered pair, and whether there
    is an edge out of the node to the other (`out`, 0 or 1) and one back (`back`).

    Args:
        edges: columns `source`, `target`, each pair once.
    """
    forth = edges.select(
        F.col("source").alias("node"), F.col("target").alias("other"), F.lit(1).alias("out"), F.lit(0).alias("back")
    )
    back = edges.select(
        F.col("target").alias("node"), F.col("source").alias("other"), F.lit(0).alias("out"), F.lit(1).alias("back")
    )
    return forth.unionAll(back).groupBy("node", "other").agg(F.max("out").alias("out"), F.max("back").alias("back"))


def two_steps(adjacency: DataFrame, fan_out: int, seed: int) -> DataFrame:
    """Pairs with a common neighbour: columns `one`, `other` with one < other, a row per common neighbour that shows it.

    A node with d > `fan_out` neighbours would show d * (d - 1) / 2 pairs. Its neighbours are dealt by hash into
    ceil(d / fan_out) hands instead, and only pairs within a hand are shown: at most about d * fan_out / 2. The join so
    grows with the edges and not with the squares of degrees, and no key of it has many more than `fan_out` rows.

    The cost is recall: a pair with common neighbours z is found with probability 1 - prod over z of
    (1 - min(1, fan_out / d_z)). Pairs that only hubs have in common are the ones that are missed, hidden links and
    other pairs alike, so labels stay unbiased; how many hidden links are still found is reported as their reach.

    Args:
        adjacency: of the remaining network, as `neighbours` gives it.
        fan_out: at least 2.
        seed: of the hands.
    """
    degree = adjacency.groupBy("node").agg(F.count(F.lit(1)).alias("degree"))
    hands = F.ceil(F.col("degree") / F.lit(fan_out))
    hand = F.when(
        F.col("degree") > fan_out, F.floor(draw(seed, "hand", "node", "other") * hands).cast("int")
    ).otherwise(F.lit(0))
    dealt = adjacency.join(degree, "node").select("node", hand.alias("hand"), "other")
    one = dealt.withColumnRenamed("other", "one")
    return one.join(dealt, ["node", "hand"]).where(F.col("one") < F.col("other")).select("one", "other")


def judged(pairs: DataFrame, edges: DataFrame, directed: bool) -> DataFrame:
    """Every candidate once with what became of it, and the hidden links that are no candidates.

    Columns: `left`, `right`, `reached` (whether a common neighbour shows the pair), `positive` (whether it is a hidden
    link), `fold` and `time` of hidden links. Pairs linked in the remaining network are left out.

    Args:
        pairs: as `two_steps` gives them.
        edges: all links: `source`, `target` (source < target unless directed), `hidden`, `fold`, `time`.
        directed: whether left to right is another candidate than right to left.
    """
    nothing = [
        F.lit(0).alias("known"),
        F.lit(None).cast("string").alias(FOLD),
        F.lit(None).cast("bigint").alias("time"),
    ]
    shown = pairs.select(F.col("one").alias("left"), F.col("other").alias("right"), F.lit(1).alias("reached"), *nothing)
    if directed:
        shown = shown.unionAll(
            shown.select(F.col("right").alias("left"), F.col("left").alias("right"), "reached", *nothing)
        )
    known = edges.select(
        F.col("source").alias("left"),
        F.col("target").alias("right"),
        F.lit(0).alias("reached"),
        F.when(F.col(HIDDEN), 2).otherwise(1).alias("known"),
        FOLD,
        F.col("time").cast("bigint"),
    )
    # one shuffle makes pairs distinct, finds those that are linked and those that are hidden
    together = (
        shown.unionAll(known)
        .groupBy("left", "right")
        .agg(
            F.max("reached").alias("reached"),
            F.max("known").alias("known"),
            F.max(FOLD).alias(FOLD),
            F.max("time").alias("time"),
        )
    )
    return together.where(F.col("known") != 1).select(
        "left", "right", (F.col("reached") == 1).alias("reached"), (F.col("known") == 2).alias("positive"), FOLD, "time"
    )


def turned(pairs: DataFrame, seed: int) -> DataFrame:
    """Pairs of an undirected network seen from one of their ends, by a hash of the pair: `left` is the member to whom
    `right` is suggested.

    The hash is of the pair and not of the node, so every member is on the left in half of its pairs. A pair is in the
    dataset once, from one side: its other view would have the same label, and could lie in another split.
    """
    swap = draw(seed, "turn", "left", "right") < 0.5
    left, right = (
        F.when(swap, F.col("right")).otherwise(F.col("left")),
        F.when(swap, F.col("left")).otherwise(F.col("right")),
    )
    return pairs.withColumns({"left": left, "right": right})


def sampled(pairs: DataFrame, negatives: int, per_member: int, seed: int) -> DataFrame:
    """The examples: each member's hidden links and `negatives` times as many of its other candidates.

    A member without hidden links has no examples, so how many a member has tells nothing about a label. Each negative
    goes with one of its member's positives and takes over its fold and time; so both classes are split alike, and a
    negative is never older or newer than what it is compared with. Where a member has too few candidates, all are
    taken, spread evenly over its positives.

    Args:
        pairs: candidates, as `judged` gives them; all hidden links among them are taken.
        negatives: per positive.
        per_member: most examples of a member; positives beyond per_member // (1 + negatives) are left out by hash.
        seed: of the choice.

    Returns:
        Columns `left`, `right`, `label`, `fold`, `time`, and `negative_weight`: for a negative, how many candidates of
        its member it stands for, else 1.
    """
    most = max(1, per_member // (1 + negatives))
    by_hash = Window.partitionBy("left").orderBy(draw(seed, "choice", "left", "right"), "right")
    of_member = Window.partitionBy("left")
    ranked = pairs.where("positive").withColumn("place", F.row_number().over(by_hash) - 1).where(F.col("place") < most)
    positives = ranked.withColumn("count", F.count(F.lit(1)).over(of_member))
    counts = positives.where(F.col("place") == 0).select("left", "count")
    drawn = (
        pairs.where(~F.col("positive"))
        .select("left", "right")
        .join(counts, "left")
        .withColumn("candidates", F.count(F.lit(1)).over(of_member))
        .withColumn("rank", F.row_number().over(by_hash) - 1)
        .where(F.col("rank") < F.col("count") * negatives)
        .withColumn("kept", F.least(F.col("candidates"), F.col("count") * negatives))
        .select(
            "left",
            "right",
            (F.col("rank") % F.col("count")).alias("place"),
            (F.col("candidates") / F.col("kept")).alias("negative_weight"),
        )
    )
    chosen = drawn.join(positives.select("left", "place", FOLD, "time"), ["left", "place"])
    columns = ["left", "right", "label", FOLD, "time", "negative_weight"]
    return (
        positives.withColumns({"label": F.lit(1), "negative_weight": F.lit(1.0)})
        .select(*columns)
        .unionAll(chosen.withColumn("label", F.lit(0)).select(*columns))
    )
