"""Job suggestions shown to members, and whether they applied: a JYMBII-like data set with a known truth.

The log-odds of an application are a sum of what a linear model finds (same region, skills in common), what it does not
(an interaction of experience and level with a threshold, products of two numbers, a taste that drifts), a random effect
per member, per member and industry, and per item, and the position on the page. Members, items and industries are
visited by power laws; items are posted over time, so the last days show items that were never seen before.
"""

from dataclasses import dataclass

import numpy as np
import pydantic
import scipy.special

from glmix_automl.config import Config
from glmix_automl.generate.attributes import INDUSTRIES, in_common, skills
from glmix_automl.generate.draws import Array, Draws, Shuffle, Zipf

REGIONS = ["north", "south", "east", "west", "centre", "coast", "islands", "abroad"]
REGION_WEIGHTS: list[float] = [8, 7, 6, 5, 4, 3, 2, 1]
EDUCATIONS = ["none", "school", "bachelor", "master", "doctorate"]
DEVICES = ["desktop", "phone", "tablet"]
COMPANY_SIZES = ["1-10", "11-50", "51-200", "201-1000", "1001+"]
POSITIONS = 10


class Jymbii(Config):
    """What to generate."""

    rows: int = pydantic.Field(ge=100)
    """Suggestions shown."""
    seed: int = 0
    members: int = pydantic.Field(default=0, ge=0)
    """Members that may visit; 0: one per 25 rows, at least 20."""
    items: int = pydantic.Field(default=0, ge=0)
    """Items, rounded up to a multiple of the 20 industries; 0: one per 100 rows, at least 200."""
    days: int = pydantic.Field(default=60, ge=1)
    effects: float = pydantic.Field(default=1.0, ge=0, le=10)
    """How large random effects are, as a multiple of what they are by default; 0 plants none."""

    @property
    def draws(self) -> Draws:
        """Every draw of this data set."""
        return Draws(self.seed)

    @property
    def member_count(self) -> int:
        """`members`, the default worked out."""
        return self.members or max(20, self.rows // 25)

    @property
    def items_per_industry(self) -> int:
        """Item n is of industry n modulo 20, and the smaller n the more popular there."""
        return max(1, -(-(self.items or max(200, self.rows // 100)) // len(INDUSTRIES)))

    @property
    def item_count(self) -> int:
        """`items`, the default worked out."""
        return self.items_per_industry * len(INDUSTRIES)


@dataclass(frozen=True)
class Members:
    """True attributes of members, arrays [rows]; `skills` is [rows, 8], -1 where there are fewer."""

    industry: Array
    region: Array
    years: Array
    education: Array
    reach: Array
    ambition: Array
    skills: Array


@dataclass(frozen=True)
class Items:
    """True attributes of items, arrays [rows]; `skills` is [rows, 6]; `posted` is a share of the time, may be < 0."""

    industry: Array
    region: Array
    level: Array
    pay: Array
    remote: Array
    company_size: Array
    posted: Array
    skills: Array


@dataclass(frozen=True)
class Suggestions:
    """Suggestions as shown and their truth, arrays [rows]."""

    member: Array
    item: Array
    share: Array
    device: Array
    position: Array
    probability: Array
    fixed_probability: Array
    response: Array


def members(settings: Jymbii, member: Array) -> Members:
    """The attributes of the members of these numbers."""
    draws, industry = settings.draws, _industry(settings, member)
    return Members(
        industry=industry,
        region=draws.choose("region", REGION_WEIGHTS, member),
        years=35.0 * draws.uniform("years", member) ** 1.5,
        education=draws.choose("education", [1, 4, 8, 5, 1], member),
        reach=draws.normal("reach", member),
        ambition=draws.normal("ambition", member),
        skills=skills(draws, "member", member, industry, 8),
    )


def items(settings: Jymbii, item: Array) -> Items:
    """The attributes of the items of these numbers."""
    draws, industry = settings.draws, item % len(INDUSTRIES)
    level = draws.choose("level", [3, 4, 3, 2, 1], item) + 1
    return Items(
        industry=industry,
        region=draws.choose("item region", REGION_WEIGHTS, item),
        level=level,
        pay=0.55 * (level - 2.5) + 0.8 * draws.normal("pay", item),
        remote=draws.chance("remote", 0.3, item),
        company_size=draws.integer("size", len(COMPANY_SIZES), item),
        posted=_posting_times(settings, item),
        skills=skills(draws, "item", item, industry, 6),
    )


def interactions(settings: Jymbii, row: Array) -> Suggestions:
    """The suggestions of these row numbers, with their truth."""
    draws = settings.draws
    share = (row + draws.uniform("time", row)) / settings.rows
    member = _visitor(settings, row)
    item = _shown(settings, row, member, share)
    device = draws.choose("device", [50, 42, 8], row)
    position = draws.integer("position", POSITIONS, row) + 1
    fixed = _fixed_effects(members(settings, member), items(settings, item), share, device, position)
    probability = scipy.special.expit(fixed + _random_effects(settings, member, item))
    response = draws.uniform("response", row) < probability
    return Suggestions(
        member, item, share, device, position, probability, scipy.special.expit(fixed), response.astype(np.int32)
    )


def _fixed_effects(m: Members, i: Items, share: Array, device: Array, position: Array) -> Array:
    """The part of the log-odds that is the same function of the attributes for every member and item."""
    gap = i.level - (1.0 + m.years / 8.0)  # levels above what the years of experience stand for
    field = m.industry == i.industry
    common = np.minimum(in_common(m.skills, i.skills), 3)
    season = np.sin(2.0 * np.pi * (share + i.industry / len(INDUSTRIES)))
    return (
        -1.9
        + 0.7 * field
        + 0.6 * ((m.region == i.region) | i.remote)
        + 0.35 * common
        - 0.35 * np.abs(gap)
        - 1.2 * (gap > 1.5)  # out of reach: a threshold
        + 0.5 * (field & (gap > 0.0) & (gap <= 1.5))  # the next step up in one's own field
        + 0.45 * i.pay * m.ambition  # pay matters to those who search: a product
        - 0.8 * ((device == 1) & (i.level >= 4))  # long forms on a small screen
        + 0.3 * np.tanh(2.0 * m.reach)
        - 0.45 * np.log(position)
        + 0.9 * (share - 0.5) * i.remote  # remote work comes into fashion
        + 0.4 * season  # industries hire in turn
    )


def _random_effects(settings: Jymbii, member: Array, item: Array) -> Array:
    """Effects of the member, of the member's taste for the item's industry, and of the item; all of mean 0."""
    draws, (of_member, of_taste, of_item) = settings.draws, deviations(settings)
    return (
        of_member * draws.normal("effect/member", member)
        + of_taste * draws.normal("effect/taste", member, item % len(INDUSTRIES))
        + of_item * draws.normal("effect/item", item)
    )


def deviations(settings: Jymbii) -> tuple[float, float, float]:
    """Standard deviations of the effects of members, of members and industries, and of items."""
    return 0.8 * settings.effects, 0.7 * settings.effects, 0.6 * settings.effects


def _visitor(settings: Jymbii, row: Array) -> Array:
    """Who visits: a power law over the members, in an order that their numbers do not show."""
    count = settings.member_count
    rank = Zipf(count, 0.6).draw(settings.draws.uniform("member", row))
    # the shuffle is of slightly more numbers than there are members; those past the end fold back
    return Shuffle.of_at_least(settings.draws, count).number(rank, 0) % count


def _shown(settings: Jymbii, row: Array, member: Array, share: Array) -> Array:
    """The item shown: 60 % in the member's industry, popular ones first, only those posted by then."""
    draws = settings.draws
    aimed = draws.chance("aimed", 0.6, row)
    industry = np.where(aimed, _industry(settings, member), draws.integer("any industry", len(INDUSTRIES), row))
    popular = Zipf(settings.items_per_industry, 0.7)
    chosen = industry  # the most popular item of an industry is always there
    for attempt in range(4):
        item = popular.draw(draws.uniform(f"item/{attempt}", row)) * len(INDUSTRIES) + industry
        chosen = np.where(_posting_times(settings, item) <= share, item, chosen)
    return chosen


def _posting_times(settings: Jymbii, item: Array) -> Array:
    """When an item is posted as a share of the time: half of them, and each industry's first, before the beginning."""
    return np.where(item < len(INDUSTRIES), -1.0, 2.0 * settings.draws.uniform("posted", item) - 1.0)


def _industry(settings: Jymbii, member: Array) -> Array:
    return Zipf(len(INDUSTRIES), 0.5).draw(settings.draws.uniform("industry", member))
