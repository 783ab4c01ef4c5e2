"""Whether a new model becomes the champion: only if it is better on the same raw rows, beyond noise, and safe.

The rule: the paired difference of the study's measure on the hold-out rows (of AUCs DeLong's, rows of a member kept
together) is at least
`smallest_gain`, and above 0 at `level` (one-sided); and no guard rail is broken. Without a champion the first model
becomes it.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from glmix_automl.config import Config
from glmix_automl.metrics import Comparison, Measure, MeasureName
from glmix_automl.metrics.measures import AUC

if TYPE_CHECKING:  # loads TensorFlow, which a rule in a configuration needs not
    from glmix_automl.serving.holdout import Holdout, Measures


class PromotionRule(Config):
    """When the alias moves."""

    measure: MeasureName | None = None
    """What is compared: `auc`, `member_auc`, `ndcg@k` or `precision@k`; null: what the study was decided by."""
    level: float = pydantic.Field(default=0.05, gt=0, lt=1)
    """Chance, at most, that a model no better than the champion is promoted by noise."""
    smallest_gain: float = pydantic.Field(default=0.0, ge=0)
    """In the measure: what a change must bring at least."""
    calibration: float | None = pydantic.Field(default=0.25, gt=0)
    """Largest |log(expected / observed positives)|, unless the champion's is larger; null for no bound."""
    member_auc: float | None = pydantic.Field(default=0.005, ge=0)
    """How much AUC within members may fall; null for no bound."""
    cold_start_auc: float | None = pydantic.Field(default=0.02, ge=0)
    """How much AUC on rows of members or items that train has not seen may fall; null for no bound."""
    scoring_time: float | None = pydantic.Field(default=5.0, gt=0)
    """How many times the champion's scoring time, measured in the same call, is allowed; null for no bound."""
    scoring_seconds: float = pydantic.Field(default=1.0, ge=0)
    """Hold-out rows that are scored in less are fast enough, however many times the champion's time it is."""


@dataclass(frozen=True)
class Decision:
    """What was decided, and every number behind it.

    Attributes:
        action: whether the alias moves.
        reason: in one line.
        candidate, champion: measures by name; the champion's are empty where there was none.
        comparison: the measure of the candidate less the champion's; None without a champion.
    """

    action: Literal["promoted", "kept"]
    reason: str
    candidate: dict[str, float]
    champion: dict[str, float]
    comparison: Comparison | None = None

    def numbers(self) -> dict[str, Any]:
        """A flat record of plain numbers and text."""
        flat: dict[str, Any] = {"action": self.action, "reason": self.reason}
        flat |= {f"candidate.{name}": value for name, value in self.candidate.items()}
        flat |= {f"champion.{name}": value for name, value in self.champion.items()}
        if self.comparison is not None:
            found = self.comparison
            flat |= {"gain": found.difference, "gain.low": found.low, "gain.high": found.high, "p_value": found.p_value}
        return flat


def decide(rule: PromotionRule, holdout: "Holdout", candidate: "Measures", champion: "Measures | None") -> Decision:
    """Applies the rule to two models measured on the same rows."""
    if not math.isfinite(candidate.auc):
        reason = "its AUC is not defined on the hold-out rows, which have one class only"
        return Decision("kept", reason, candidate.numbers(), {} if champion is None else champion.numbers())
    if champion is None:
        return Decision("promoted", "there was no champion", candidate.numbers(), {})
    measure = Measure(rule.measure or AUC)
    found = measure.compare(holdout.label, champion.scores, candidate.scores, holdout.weight, holdout.member)
    action, reason = _verdict(rule, candidate, champion, found, measure)
    return Decision(action, reason, candidate.numbers(), champion.numbers(), found)


def _verdict(
    rule: PromotionRule, candidate: "Measures", champion: "Measures", found: Comparison, measure: Measure
) -> tuple[Literal["promoted", "kept"], str]:
    gain = f"{found.difference:+.5f} {measure.words} [{found.low:+.5f}, {found.high:+.5f}]"
    one_sided = found.p_value / 2 if found.difference > 0 else 1 - found.p_value / 2
    if found.difference <= 0 or found.difference < rule.smallest_gain:
        return "kept", f"no better than the champion: {gain}, at least {rule.smallest_gain:g} is asked"
    if not one_sided < rule.level:
        return "kept", f"not better beyond noise: {gain}, p {one_sided:.3g} is not below {rule.level:g}"
    broken = _broken_rail(rule, candidate, champion)
    return ("kept", f"better by {gain}, but {broken}") if broken else ("promoted", f"better by {gain}")


def _broken_rail(rule: PromotionRule, candidate: "Measures", champion: "Measures") -> str | None:
    if rule.calibration is not None:
        off, before = abs(_log(candidate.calibration)), abs(_log(champion.calibration))
        if off > max(rule.calibration, before):
            return f"its calibration is {candidate.calibration:.3f}, the champion's {champion.calibration:.3f}"
    for name, most in (("member_auc", rule.member_auc), ("cold_start_auc", rule.cold_start_auc)):
        now, then = getattr(candidate, name), getattr(champion, name)
        if most is not None and then - now > most:
            return f"{name.replace('_', ' ')} falls from {then:.4f} to {now:.4f}, by more than {most:g}"
    times = candidate.scoring_seconds / max(champion.scoring_seconds, 1e-9)
    if rule.scoring_time is not None and times > rule.scoring_time and candidate.scoring_seconds > rule.scoring_seconds:
        return f"scoring takes {times:.1f} times as long, more than {rule.scoring_time:g}"
    return None


def _log(calibration: float) -> float:
    return math.log(calibration) if calibration > 0 else math.inf
