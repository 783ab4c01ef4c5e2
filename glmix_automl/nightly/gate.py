"""The data gate: what is wrong with today's dataset beside the last good night's, before anything is trained on it."""

from collections.abc import Iterator

from glmix_automl.nightly.settings import GateRule
from glmix_automl.prepare.checks import Report


def refusals(rule: GateRule, now: Report, before: Report | None) -> list[str]:
    """Why today's dataset must not be trained on, a line each; empty if it may.

    Args:
        rule: the bounds.
        now: today's data report.
        before: the last good night's, or None in the first night.
    """
    return [*_broken(now), *(() if before is None else _changes(rule, now, before))]


def _broken(now: Report) -> Iterator[str]:
    for split, (negative, positive) in now.rows.items():
        if not negative or not positive:
            yield f"{split} has {negative} negative and {positive} positive rows; both classes are needed"


def _changes(rule: GateRule, now: Report, before: Report) -> Iterator[str]:
    rows, rows_before = sum(now.rows["train"]), sum(before.rows["train"])
    if rule.rows is not None and not 1 - rule.rows <= rows / max(rows_before, 1) <= 1 / (1 - rule.rows):
        yield f"train has {rows:,} rows, the last good night {rows_before:,}; a share of {rule.rows:g} may differ"
    rate, rate_before = now.base_rates["train"], before.base_rates["train"]
    if rule.base_rate is not None and abs(rate - rate_before) > rule.base_rate * rate_before:
        yield f"the base rate is {rate:.4f}, it was {rate_before:.4f}; {rule.base_rate:.0%} of change is allowed"
    here = {feature.name: feature for feature in now.features}
    for old in before.features:
        new = here.get(old.name)
        if new is None:
            yield f"feature {old.name!r} of the last good night is missing"
            continue
        fall = old.fill["train"] - new.fill["train"]
        if rule.fill is not None and fall > rule.fill:
            yield (
                f"feature {old.name!r} is filled in {new.fill['train']:.1%} of the training rows, "
                f"it was in {old.fill['train']:.1%}"
            )
        if rule.unseen is not None and new.unseen and old.unseen:
            rise = new.unseen["validation"] - old.unseen["validation"]
            if rise > rule.unseen:
                yield (
                    f"{new.unseen['validation']:.0%} of the terms of {old.name!r} in validation are unseen in train, "
                    f"they were {old.unseen['validation']:.0%}"
                )
