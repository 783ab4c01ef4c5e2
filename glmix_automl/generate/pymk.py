"""Members who know each other from somewhere: a PYMK-like network whose link probabilities are known for every pair.

Everyone belongs to nested groups in three layers (team and company, class, place), each a shuffle of the members cut
into blocks. A link is proposed by a member (active ones more often, by a power law) to someone of a shared group, and
made with a probability that depends on both members' attributes in ways a linear model cannot add up. Small groups
propose often, so two members with common neighbours are likely to share one: triangles close through shared groups
(focal closure, Feld 1981). They are not closed link by link; therefore links are independent given the groups, and the
probability of a pair is a formula (`link_rate`), whatever part of the network has been seen.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pydantic
import scipy.special

from glmix_automl.config import Config
from glmix_automl.errors import ConfigError
from glmix_automl.generate.attributes import INDUSTRIES, in_common, skills
from glmix_automl.generate.draws import Array, Draws, Shuffle, Zipf

COUNTRIES = ["ca", "de", "fr", "in", "jp", "nl", "us"]
WORK, SCHOOL, PLACE, ACTIVITY = 0, 1, 2, 3
"""Kinds of shuffle: one per layer of groups, and one that says who is active."""
PILOT = 20_000
"""Proposals that the number of proposals is worked out from."""


class Focus(NamedTuple):
    """Where members meet: blocks of `size` in a layer, with a share of the proposals at the first and last moment."""

    layer: int
    size: int
    first: float
    last: float


FOCI = (
    Focus(WORK, 16, 0.46, 0.36),  # a team
    Focus(WORK, 128, 0.12, 0.10),  # a company
    Focus(SCHOOL, 24, 0.32, 0.24),  # a class
    Focus(PLACE, 256, 0.07, 0.20),  # a place; meeting there comes into fashion
    Focus(PLACE, 1 << 62, 0.03, 0.10),  # anywhere
)


class Pymk(Config):
    """What to generate."""

    rows: int = pydantic.Field(ge=100)
    """Links wanted; within about 3 % of that many are made."""
    seed: int = 0
    members: int = pydantic.Field(default=0, ge=0)
    """Members, rounded up a little; 0: one per 8 links, at least 100."""
    days: int = pydantic.Field(default=365, ge=1)

    @property
    def draws(self) -> Draws:
        """Every draw of this data set."""
        return Draws(self.seed)

    @property
    def shuffle(self) -> Shuffle:
        """The members' places in every layer."""
        return Shuffle.of_at_least(self.draws, self.members or max(100, self.rows // 8))

    @property
    def member_count(self) -> int:
        """`members`, the default and the rounding worked out."""
        return self.shuffle.size

    @cached_property
    def proposals(self) -> int:
        """How many proposals give the wanted number of distinct links.

        Of N proposals, sum over pairs of 1 - exp(-rate) links come; written as a mean over proposals, it is estimated
        from a pilot of them for any N, since rates grow in proportion to N.

        Raises:
            ConfigError: so many links do not fit between so few members.
        """
        pilot = draw_proposals(self, np.arange(PILOT), PILOT)
        rate = link_rate(self, pilot.source, pilot.target, 1)

        def links(proposals: float) -> float:
            expected = rate[pilot.accepted] * proposals
            return float(proposals / PILOT * (-np.expm1(-expected) / expected).sum())

        low, high = float(self.rows), 2000.0 * self.rows
        if links(high) < self.rows:
            raise ConfigError(f"{self.rows} links do not fit between {self.member_count} members: ask for more members")
        for _ in range(60):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if links(middle) < self.rows else (low, middle)
        return round(high)


@dataclass(frozen=True)
class NetworkMembers:
    """True attributes of members, arrays [rows]; `skills` is [rows, 8]; `effect` is seen by nobody."""

    industry: Array
    country: Array
    age: Array
    seniority: Array
    sociability: Array
    effect: Array
    skills: Array


@dataclass(frozen=True)
class Proposals:
    """Proposed links, arrays [rows]; `share` is their place in time, 0 to 1."""

    source: Array
    target: Array
    share: Array
    accepted: Array


def network_members(settings: Pymk, member: Array) -> NetworkMembers:
    """The attributes of the members of these numbers: most follow from the groups they are in."""
    draws, shuffle = settings.draws, settings.shuffle
    company = shuffle.place(member, WORK) // 128
    own = Zipf(len(INDUSTRIES), 0.5).draw(draws.uniform("industry/own", member))
    industry = Zipf(len(INDUSTRIES), 0.5).draw(draws.uniform("industry/company", company))
    industry = np.where(draws.chance("industry/follows", 0.8, member), industry, own)
    place = shuffle.place(member, PLACE) // 256
    country = np.where(
        draws.chance("country/follows", 0.9, member),
        draws.choose("country/place", [2, 3, 3, 6, 2, 1, 8], place),
        draws.integer("country/own", len(COUNTRIES), member),
    )
    cohort = shuffle.place(member, SCHOOL) // 24
    age = 20.0 + 42.0 * draws.uniform("cohort", cohort) ** 1.4 + 1.5 * draws.normal("age", member)
    seniority = np.clip(np.round((age - 20.0) / 8.0 + draws.normal("seniority", member)), 1, 6).astype(np.int64)
    return NetworkMembers(
        industry=industry,
        country=country,
        age=age,
        seniority=seniority,
        sociability=draws.normal("sociability", member),
        effect=0.5 * draws.normal("effect", member),
        skills=skills(draws, "member", member, industry, 8),
    )


def draw_proposals(settings: Pymk, row: Array, total: int) -> Proposals:
    """The proposals of these numbers, out of `total` in order of time."""
    draws, shuffle = settings.draws, settings.shuffle
    share = (row + draws.uniform("time", row)) / total
    source = shuffle.number(_activity(settings).draw(draws.uniform("source", row)), ACTIVITY)
    reached = np.cumsum(_focus_shares(share), axis=1)
    focus = (draws.uniform("focus", row)[:, None] > reached[:, :-1]).sum(axis=1)
    layer = np.array([f.layer for f in FOCI])[focus]
    size = np.minimum(np.array([f.size for f in FOCI]), shuffle.size)[focus]
    first = shuffle.place(source, layer) // size * size
    target_place = first + draws.integer("target", size, row)
    there = target_place < shuffle.size  # the last group of a layer may be smaller than the others
    target = np.where(there, shuffle.number(np.where(there, target_place, 0), layer), source)
    probability = scipy.special.expit(_affinity(network_members(settings, source), network_members(settings, target)))
    accepted = (source != target) & draws.chance("accept", probability, row)
    return Proposals(source, target, share, accepted)


def link_rate(
    settings: Pymk,
    left: Array,
    right: Array,
    proposals: int,
    window: tuple[float, float] = (0.0, 1.0),
    effects: bool = True,
) -> Array:
    """Expected number of accepted proposals between two members: they are linked with probability 1 - exp(-rate).

    Args:
        settings: of the data set.
        left: members' numbers.
        right: other members' numbers; the rate is symmetric.
        proposals: out of how many, over all time.
        window: the part of time that counts, as shares; of links that are new in it, no others may have been before.
        effects: whether members' own effects count, or are at their mean.
    """
    shuffle, activity = settings.shuffle, _activity(settings)
    chance = activity.probability(shuffle.place(left, ACTIVITY)) + activity.probability(shuffle.place(right, ACTIVITY))
    # shares are linear in time, so their mean over the window is that of its middle
    shares = _focus_shares(np.array([(window[0] + window[1]) / 2.0]))[0]
    meeting = np.zeros(len(left))
    for layer in (WORK, SCHOOL, PLACE):
        here, there = shuffle.place(left, layer), shuffle.place(right, layer)
        for focus, share in zip(FOCI, shares, strict=True):
            if focus.layer == layer:
                size = min(focus.size, shuffle.size)
                meeting += np.where(here // size == there // size, share / size, 0.0)
    affinity = _affinity(network_members(settings, left), network_members(settings, right), effects)
    return proposals * (window[1] - window[0]) * chance * meeting * scipy.special.expit(affinity)


def _affinity(one: NetworkMembers, other: NetworkMembers, effects: bool = True) -> Array:
    """Log-odds that a proposal between two members is accepted; symmetric."""
    peers = (one.industry == other.industry) & (np.abs(one.seniority - other.seniority) <= 1)
    common = np.minimum(in_common(one.skills, other.skills), 3)
    return (
        -1.2
        + 1.4 * peers  # neither the industry nor the seniority alone
        + 0.5 * (one.country == other.country)
        - 1.1 * (np.abs(one.age - other.age) > 12.0)  # a threshold
        + 0.4 * common
        + 0.7 * np.clip(one.sociability * other.sociability, -3.0, 3.0)  # like goes with like: a product
        + (one.effect + other.effect if effects else 0.0)
    )


def _activity(settings: Pymk) -> Zipf:
    return Zipf(settings.member_count, 0.45)


def _focus_shares(share: Array) -> Array:
    first, last = np.array([f.first for f in FOCI]), np.array([f.last for f in FOCI])
    return first + (last - first) * share[:, None]
