"""The raw tables of the PYMK-like network, as a team would have them, and the truth behind any pair of members."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from glmix_automl.generate import columns
from glmix_automl.generate.attributes import INDUSTRIES
from glmix_automl.generate.draws import Array
from glmix_automl.generate.pymk import COUNTRIES, FOCI, Pymk, draw_proposals, link_rate, network_members

_LOGS = (-45.0, 10.0)  # range of the logarithm of a rate, far beyond what occurs


def pymk_tables(settings: Pymk) -> dict[str, list[columns.TablePart]]:
    """The raw tables a team would have, by name: undirected `edges` with the time of linking, and `nodes`.

    Links are held in memory, three numbers each: a pair is linked by the first of its proposals that is accepted.
    """
    proposed = pa.concat_tables(columns.by_rows(partial(_accepted, settings, settings.proposals), settings.proposals))
    first = proposed.group_by(["one", "other"]).aggregate([("time", "min")])
    first = first.sort_by([("time_min", "ascending"), ("one", "ascending"), ("other", "ascending")])
    one, other, time = (first[name].to_numpy() for name in ("one", "other", "time_min"))

    def edges(row: Array) -> dict[str, pa.Array]:
        source, target = (columns.identifiers("n", end[row]) for end in (one, other))
        return {"source": source, "target": target, "time": pa.array(time[row])}

    return {
        "edges": columns.parts(len(time), edges),
        "nodes": columns.parts(settings.member_count, partial(_node_columns, settings)),
    }


class PairTruth(NamedTuple):
    """Pairs of members, arrays [rows]: how likely they are linked, and two scores from 0 to 1 that rank pairs as the
    true probability does (`score`) and as it does with every member's own effect at its mean (`fixed_score`).
    """

    probability: Array
    score: Array
    fixed_score: Array


def draw_pairs(settings: Pymk, near: bool, row: Array) -> PairTruth:
    """Pairs of members drawn at random, those of one member with itself left out.

    Args:
        settings: of the data set.
        near: only pairs who share a group of the smallest size (a team), or any two members.
        row: which of the pairs, [rows].
    """
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
    return pair_truth(settings, left[two], right[two])


def pair_truth(settings: Pymk, left: Array, right: Array, window: tuple[float, float] = (0.0, 1.0)) -> PairTruth:
    """The truth of given pairs.

    Args:
        settings: of the data set.
        left, right: members' numbers, [rows].
        window: the part of time in which the hidden links were made, as shares; all of it where hidden at random.
    """
    rate, fixed = (
        link_rate(settings, left, right, settings.proposals, window, effects=effects) for effects in (True, False)
    )
    return PairTruth(-np.expm1(-rate), _score(rate), _score(fixed))


def _accepted(settings: Pymk, total: int, row: Array) -> pa.Table:
    made = draw_proposals(settings, row, total)
    source, target = made.source[made.accepted], made.target[made.accepted]
    # which end is named first must not tell who proposed, nor must two proposals of a pair differ
    turned = settings.draws.chance("turned", 0.5, np.minimum(source, target), np.maximum(source, target))
    low, high = np.minimum(source, target), np.maximum(source, target)
    seconds = columns.START + np.floor(made.share[made.accepted] * settings.days * columns.DAY).astype(np.int64)
    return pa.table({"one": np.where(turned, high, low), "other": np.where(turned, low, high), "time": seconds})


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


def _score(rate: Array) -> Array:
    """A number from 0 to 1 that ranks as the rate does, with rates of every size told apart."""
    return (np.log(rate) - _LOGS[0]) / (_LOGS[1] - _LOGS[0])
