"""The raw tables of the PYMK-like network, as a team would have them, and the truth behind any pair of members."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glmix_automl.generate import columns
from glmix_automl.generate.attributes import INDUSTRIES
from glmix_automl.generate.draws import Array
from glmix_automl.generate.pymk import COUNTRIES, FOCI, Pymk, draw_proposals, link_rate, network_members

_LOGS = (-45.0, 10.0)  # range of the logarithm of a rate, far beyond what occurs


def pymk_tables(spark: SparkSession, settings: Pymk) -> dict[str, DataFrame]:
    """The raw tables a team would have, by name: undirected `edges` with the time of linking, and `nodes`."""
    node_schema = (
        "node_id string, industry string, country string, age double, seniority int, posts_per_month bigint, "
        "skills array<string>"
    )
    accepted = columns.compute_table(
        spark,
        settings.proposals,
        partial(_edge_columns, settings, settings.proposals),
        "one bigint, other bigint, time bigint",
    )
    # a pair is linked by the first proposal that is accepted
    edges = accepted.groupBy("one", "other").agg(F.min("time").alias("time"))
    return {
        "edges": edges.select(
            F.format_string("n%d", "one").alias("source"), F.format_string("n%d", "other").alias("target"), "time"
        ),
        "nodes": columns.compute_table(spark, settings.member_count, partial(_node_columns, settings), node_schema),
    }


def pymk_truth(spark: SparkSession, settings: Pymk, pairs: int, near: bool) -> DataFrame:
    """Pairs of members drawn at random, and how likely they are linked.

    Columns: `probability`, and two scores from 0 to 1 that rank pairs as the true probability does (`score`) and as it
    does with every member's own effect at its mean (`fixed_score`).

    Args:
        spark: the session.
        settings: of the data set.
        pairs: how many.
        near: only pairs who share a group of the smallest size (a team), or any two members.
    """
    schema = "probability double, score double, fixed_score double"
    return columns.compute_table(spark, pairs, partial(_pair_columns, settings, settings.proposals, near), schema)


def score_pairs(
    pairs: DataFrame, settings: Pymk, left: str, right: str, window: tuple[float, float] = (0.0, 1.0)
) -> DataFrame:
    """Pairs given by node ids, with `score` and `fixed_score` as in `pymk_truth` for the columns named in front.

    Args:
        pairs: any frame; its other columns are kept.
        settings: of the data set.
        left: column of node ids.
        right: another.
        window: the part of time in which the hidden links were made, as shares; all of it where hidden at random.
    """
    fields = ", ".join(f"`{f.name}` {f.dataType.simpleString()}" for f in pairs.schema)
    proposals = settings.proposals

    def score(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        for batch in batches:
            ends = [_number(batch.column(name)) for name in (left, right)]
            for name, effects in (("score", True), ("fixed_score", False)):
                rate = link_rate(settings, ends[0], ends[1], proposals, window, effects)
                batch = batch.append_column(name, pa.array(_score(rate)))
            yield batch

    return pairs.mapInArrow(score, f"{fields}, score double, fixed_score double")


def _edge_columns(settings: Pymk, total: int, row: Array) -> dict[str, pa.Array]:
    made = draw_proposals(settings, row, total)
    source, target = made.source[made.accepted], made.target[made.accepted]
    # which end is named first must not tell who proposed, nor must two proposals of a pair differ
    turned = settings.draws.chance("turned", 0.5, np.minimum(source, target), np.maximum(source, target))
    low, high = np.minimum(source, target), np.maximum(source, target)
    seconds = columns.START + np.floor(made.share[made.accepted] * settings.days * columns.DAY).astype(np.int64)
    return {
        "one": pa.array(np.where(turned, high, low)),
        "other": pa.array(np.where(turned, low, high)),
        "time": pa.array(seconds),
    }


def _node_columns(settings: Pymk, member: Array) -> dict[str, pa.Array]:
    m, missing = network_members(settings, member), partial(columns.missing, settings.draws)
    return {
        "node_id": columns.identifiers("n", member),
        "industry": missing("industry", 0.03, member, columns.terms(INDUSTRIES, m.industry)),
        "country": columns.terms(COUNTRIES, m.country),
        "age": missing("age", 0.08, member, m.age.round()),
        "seniority": pa.array(m.seniority.astype(np.int32)),
        "posts_per_month": missing(
            "sociability", 0.04, member, np.exp(2.5 + 0.9 * m.sociability).round().astype(np.int64)
        ),
        "skills": missing("skills", 0.05, member, columns.lists("skill_", m.skills)),
    }


def _pair_columns(settings: Pymk, total: int, near: bool, row: Array) -> dict[str, pa.Array]:
    draws, shuffle = settings.draws, settings.shuffle
    left = draws.integer("pair/left", shuffle.size, row)
    right = draws.integer("pair/right", shuffle.size, row)
    if near:
        team = FOCI[0]
        first = shuffle.place(left, team.layer) // team.size * team.size
        right = shuffle.number(
            np.minimum(first + draws.integer("pair/near", team.size, row), shuffle.size - 1), team.layer
        )
    two = left != right
    rate, fixed = (link_rate(settings, left[two], right[two], total, effects=effects) for effects in (True, False))
    return {
        "probability": pa.array(-np.expm1(-rate)),
        "score": pa.array(_score(rate)),
        "fixed_score": pa.array(_score(fixed)),
    }


def _score(rate: Array) -> Array:
    """A number from 0 to 1 that ranks as the rate does, with rates of every size told apart."""
    return (np.log(rate) - _LOGS[0]) / (_LOGS[1] - _LOGS[0])


def _number(ids: pa.Array) -> Array:
    return pc.utf8_slice_codeunits(ids, 1).cast(pa.int64()).to_numpy(zero_copy_only=False)
