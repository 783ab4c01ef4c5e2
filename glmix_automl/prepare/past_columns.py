"""Which columns history makes, group by group, and how the numbers of a key become them."""

from collections.abc import Sequence

import numpy as np

from glmix_automl.prepare.as_of import Ints, Reals
from glmix_automl.prepare.history_features import HistoryFeatures
from glmix_automl.prepare.recipe import NumericFeature
from glmix_automl.schema import Side

FIXED_ONE = 2**16
"""Signals and effects are added up in whole numbers of so many to one: sums are the same in any order."""
MOST = 10**6
"""Signals beyond it, on either side, count as it."""
RECENT = (1, 5, 20)
"""Half-lives of recent rates and effects, in rows of the key."""
OF_LABEL = "label"
SIMILAR = ("similar", "similar_mean", "together", "together_mean")
FACTORS = ("factors",)


def names(key: str) -> tuple[str, str, str]:
    """The feature columns of a key: rows before, smoothed response rate, seconds since the last."""
    return f"past_{key}_count", f"past_{key}_rate", f"past_{key}_seconds"


def share_name(key: str) -> str:
    """The column of the log of a key's share of all rows before; of a member with a value, of the member's."""
    return f"past_{key}_share"


def mean_name(key: str, signal: str) -> str:
    """The column of a graded signal's smoothed mean, of `member` or `item`."""
    return f"past_{key}_{signal}_mean"


def effect_name(key: str, signal: str) -> str:
    """The column of the mean of signal less the item's mean."""
    return f"past_{key}_{of(signal)}effect"


def taste_names(attribute: str, signal: str) -> tuple[str, str, str]:
    """The columns of a member's effect over the item's values of an attribute: mean, greatest, least."""
    stem = f"past_member_{attribute}_{of(signal)}effect"
    return f"{stem}_mean", f"{stem}_most", f"{stem}_least"


def recent_rate(key: str, half_life: int) -> str:
    """The column of the recent response rate."""
    return f"past_{key}_recent_{half_life}"


def recent_effect(signal: str, half_life: int) -> str:
    """The column of the member's recent effect."""
    return f"past_member_recent_{of(signal)}effect_{half_life}"


def of(signal: str) -> str:
    """A signal in names, nothing of the label."""
    return "" if signal == OF_LABEL else f"{signal}_"


def past_features(wanted: HistoryFeatures) -> tuple[NumericFeature, ...]:
    """The columns of history as features."""
    signals = (OF_LABEL, *wanted.signals)
    found = [feature for key in wanted.keys for feature in _counted(key, wanted)]
    found += [_number(mean_name(k, s), k) for s in wanted.signals for k in ("member", "item")]
    if wanted.effects:
        found += [_number(effect_name("member", s), "member") for s in signals]
    if wanted.recent:
        found += [_number(recent_rate(k, h), k) for k in ("member", "item") for h in RECENT]
        found += [_number(recent_effect(s, h), "member") for s in signals for h in RECENT]
    if wanted.tastes:
        found += [_number(n, "pair") for a in wanted.attributes for s in signals for n in taste_names(a.key, s)]
    found += [_number(n, "pair") for s in signals for n in together_names(wanted, s)]
    return tuple(found)


def together_names(wanted: HistoryFeatures, signal: str) -> tuple[str, ...]:
    """The columns of a signal's effect from models of items."""
    return tuple(f"past_{of(signal)}{kind}" for kind in together_kinds(wanted))


def together_kinds(wanted: HistoryFeatures) -> tuple[str, ...]:
    """Kinds of columns from models of items (`together.look_back`)."""
    return (*(SIMILAR if wanted.similar else ()), *(FACTORS if wanted.factors else ()))


def fixed(numbers: Reals) -> Ints:
    """Reals in whole `FIXED_ONE`ths; 0 for those that are missing."""
    return np.rint(np.clip(np.nan_to_num(numbers), -MOST, MOST) * FIXED_ONE).astype(np.int64)


def smoothed(
    total: Reals,
    count: Reals,
    smoothing: float,
    prior: Reals | float = 0.0,
) -> Reals:
    """Means of `total` over `count` as if there were `smoothing` more rows of the prior; plain ones where that is NaN,
    and NaN where there are no rows either.
    """
    weight = np.where(np.isnan(prior), 0.0, smoothing)
    with np.errstate(invalid="ignore"):
        return np.asarray((total + weight * np.nan_to_num(prior)) / (count + weight), np.float64)


def over_values(effects: Reals, row: Ints, rows: int) -> Sequence[Reals]:
    """Mean, greatest and least of the values of each row: [rows] each, NaN for rows without any.

    Args:
        effects: [values].
        row: [values], which row each is of.
        rows: how many there are.
    """
    order = np.argsort(row, kind="stable")
    starts = np.flatnonzero(np.diff(row[order], prepend=-1))
    found = [np.full(rows, np.nan) for _ in range(3)]
    if len(starts):
        sorted_effects, here = effects[order], row[order][starts]
        found[0][here] = np.add.reduceat(sorted_effects, starts) / np.diff(starts, append=len(order))
        found[1][here] = np.maximum.reduceat(sorted_effects, starts)
        found[2][here] = np.minimum.reduceat(sorted_effects, starts)
    return found


def _counted(key: str, wanted: HistoryFeatures) -> list[NumericFeature]:
    side: Side = "member" if key == "member" else "pair" if key.startswith("member_") else "item"
    count, rate, seconds = names(key)
    middle = [share_name(key)] if wanted.takes and key != "member" else [] if wanted.takes else [rate]
    return [
        NumericFeature(source=count, transform="log", side=side),
        *(NumericFeature(source=name, side=side) for name in middle),
        *([NumericFeature(source=seconds, transform="log", side=side)] if wanted.timed else []),
    ]


def _number(name: str, side: Side) -> NumericFeature:
    return NumericFeature(source=name, side=side)
