"""What is followed of each kind of key, as accumulators of `as_of`: what history's groups of columns are made of.

Signals are the label (0 or 1), graded ones (`s0`, ...) and effects, each response less the mean of its item as of then
(`effect` of the label, `s0_effect`, ...); all but the label are in whole 65,536ths.
"""

from glmix_automl.prepare.as_of import Accumulator, Count, Last, Total
from glmix_automl.prepare.history_features import HistoryFeatures
from glmix_automl.prepare.past_columns import RECENT
from glmix_automl.prepare.recent import Recent

ACCUMULATORS = (Count(), Total("label"), Last())
EFFECT = "effect"


def signals_of(wanted: HistoryFeatures) -> tuple[str, ...]:
    """The graded signals, as accumulators name them."""
    return tuple(f"s{i}" for i in range(len(wanted.signals)))


def effects_of(wanted: HistoryFeatures) -> tuple[str, ...]:
    """The effects, that of the label first."""
    return (EFFECT, *(f"{s}_{EFFECT}" for s in signals_of(wanted)))


def of_items(wanted: HistoryFeatures) -> tuple[Accumulator, ...]:
    """Of an item."""
    recent = _recent(("label",)) if wanted.recent else ()
    return (*ACCUMULATORS, *map(Total, signals_of(wanted)), *recent)


def of_members(wanted: HistoryFeatures) -> tuple[Accumulator, ...]:
    """Of a member."""
    effects = effects_of(wanted)
    totals = (*signals_of(wanted), *(effects if wanted.effects else ()))
    recent = _recent(("label", *effects)) if wanted.recent else ()
    return (*ACCUMULATORS, *map(Total, totals), *recent)


def of_tastes(wanted: HistoryFeatures) -> tuple[Accumulator, ...]:
    """Of a member with a value of an attribute."""
    return (*ACCUMULATORS, *map(Total, effects_of(wanted) if wanted.tastes else ()))


def recent_name(signal: str, half_life: int) -> str:
    """The accumulator of a signal, of `rows` for their number."""
    return f"{signal}_{half_life}"


def _recent(signals: tuple[str, ...]) -> tuple[Accumulator, ...]:
    counted = [Recent(recent_name("rows", h), h) for h in RECENT]
    return (*counted, *(Recent(recent_name(s, h), h, s) for s in signals for h in RECENT))
