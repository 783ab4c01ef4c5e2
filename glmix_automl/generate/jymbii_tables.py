"""The raw tables of the JYMBII-like data set, as a team would have them."""

from functools import partial

import numpy as np
import pyarrow as pa

from glmix_automl.generate import columns
from glmix_automl.generate.attributes import INDUSTRIES
from glmix_automl.generate.draws import Array
from glmix_automl.generate.jymbii import (
    COMPANY_SIZES,
    DEVICES,
    EDUCATIONS,
    REGIONS,
    Jymbii,
    interactions,
    items,
    members,
)


def jymbii_tables(settings: Jymbii) -> dict[str, list[columns.TablePart]]:
    """The raw tables a team would have, by name."""
    return {
        "interactions": columns.parts(settings.rows, partial(interaction_columns, settings)),
        "members": columns.parts(settings.member_count, partial(member_columns, settings)),
        "items": columns.parts(settings.item_count, partial(item_columns, settings)),
    }


def interaction_columns(settings: Jymbii, row: Array) -> dict[str, pa.Array]:
    """The raw table of suggestions, at these row numbers."""
    shown = interactions(settings, row)
    return {
        "impression_id": pa.array(row),
        "member_id": columns.identifiers("m", shown.member),
        "item_id": columns.identifiers("j", shown.item),
        "response": pa.array(shown.response),
        "timestamp": pa.array(_seconds(settings, shown.share)),
        "device": columns.terms(DEVICES, shown.device),
        "position": pa.array(shown.position.astype(np.int32)),
    }


def member_columns(settings: Jymbii, member: Array) -> dict[str, pa.Array]:
    """The raw table of members, at these numbers."""
    m, missing = members(settings, member), partial(columns.missing, settings.draws)
    return {
        "member_id": columns.identifiers("m", member),
        "region": missing("region", 0.02, member, columns.terms(REGIONS, m.region)),
        "industry": columns.terms(INDUSTRIES, m.industry),
        "years_of_experience": missing("years", 0.05, member, m.years.round(1)),
        "education": missing("education", 0.1, member, columns.terms(EDUCATIONS, m.education)),
        "connections": pa.array(np.exp(4.5 + 1.1 * m.reach).round().astype(np.int64)),
        "search_intensity": missing("ambition", 0.08, member, m.ambition.round(3)),
        "skills": missing("skills", 0.03, member, columns.lists("skill_", m.skills)),
    }


def item_columns(settings: Jymbii, item: Array) -> dict[str, pa.Array]:
    """The raw table of items, at these numbers."""
    i, missing = items(settings, item), partial(columns.missing, settings.draws)
    return {
        "item_id": columns.identifiers("j", item),
        "region": columns.terms(REGIONS, i.region),
        "industry": columns.terms(INDUSTRIES, i.industry),
        "level": pa.array(i.level.astype(np.int32)),
        "salary": missing("salary", 0.15, item, (30_000.0 * np.exp(0.45 * i.pay)).round()),
        "remote": columns.terms(["no", "yes"], i.remote.astype(np.int64)),
        "company_size": missing("size", 0.05, item, columns.terms(COMPANY_SIZES, i.company_size)),
        "posted_at": pa.array(_seconds(settings, i.posted)),
        "skills": columns.lists("skill_", i.skills),
    }


def _seconds(settings: Jymbii, share: Array) -> Array:
    return columns.START + np.floor(share * settings.days * columns.DAY).astype(np.int64)
