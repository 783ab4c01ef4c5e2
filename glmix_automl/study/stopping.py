"""When a study ends: rules are plain functions of its history."""

from collections.abc import Callable
from typing import TypeAlias

from glmix_automl.study.history import History
from glmix_automl.study.settings import Limits

Rule: TypeAlias = Callable[[History, float, float], str | None]
"""(history, now, worker-seconds of the trials that are out so far) -> why the study should stop, or None."""


def worker_seconds(limit: float) -> Rule:
    """Stops when trials, those still out included, have held their slots for `limit` seconds times ranks in all."""
    return lambda history, now, running: _limit_reason(history.spent + running, limit, "worker-seconds")


def seconds(limit: float) -> Rule:
    """Stops after `limit` seconds of a controller's work, earlier sessions included."""
    return lambda history, now, running: _limit_reason(history.seconds(now), limit, "seconds")


def trials(limit: int) -> Rule:
    """Stops when `limit` trials have ended, failed ones included."""
    return lambda history, now, running: _limit_reason(len(history.results), limit, "trials")


def target_auc(limit: float) -> Rule:
    """Stops when a trial has reached a validation AUC of `limit`."""

    def rule(history: History, now: float, running: float) -> str | None:
        best = history.best
        if best is None or best.auc is None or best.auc < limit:
            return None
        return f"trial {best.number} reached the target: validation AUC {best.auc:.5f} of {limit:g}"

    return rule


def patience(limit: int) -> Rule:
    """Stops when `limit` trials in a row ended without a better validation AUC."""

    def rule(history: History, now: float, running: float) -> str | None:
        return f"no improvement in {limit} trials" if history.best and history.since_best >= limit else None

    return rule


def rules(limits: Limits) -> list[Rule]:
    """The rules of a configuration, in the order in which they are named as the reason."""
    makers: dict[str, Callable[..., Rule]] = {
        "target_auc": target_auc,
        "trials": trials,
        "patience": patience,
        "worker_seconds": worker_seconds,
        "seconds": seconds,
    }
    given = ((maker, getattr(limits, name)) for name, maker in makers.items())
    return [maker(limit) for maker, limit in given if limit is not None]


def _limit_reason(spent: float, limit: float, unit: str) -> str | None:
    return f"the limit of {limit:g} {unit} is reached" if spent >= limit else None
