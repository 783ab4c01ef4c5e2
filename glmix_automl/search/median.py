"""The median rule (Golovin et al. 2017, section 3.2.2): stops a trial whose best AUC so far is below what was usual."""

import bisect
import statistics
from collections.abc import Sequence

import pydantic

from glmix_automl.search.auc_noise import AucNoise
from glmix_automl.search.strategy import Strategy
from glmix_automl.trial import Progress, Result, State, Trial


class MedianRule(AucNoise):
    """When to stop early. The noise is that of DeLong's variance, as told by the latest results."""

    after_trials: int = pydantic.Field(default=5, ge=1)
    """Finished trials before any is stopped."""
    after_epochs: float = pydantic.Field(default=1.0, ge=0)
    """Passes that every trial gets."""


class MedianStopping:
    """Wraps a strategy: its trials are stopped when they are clearly below the median of the others at the same epoch.

    Compared are a trial's best AUC so far and the running means of finished trials' curves up to that epoch; a curve
    that ended before does not count. Only told results count, so what was watched need not be kept.
    """

    def __init__(self, inner: Strategy, rule: MedianRule) -> None:
        self._inner, self._rule = inner, rule
        self._curves: dict[int, tuple[list[float], list[float]]] = {}  # epochs, running means of the AUC
        self._variances: dict[int, float] = {}
        self._best: dict[int, float] = {}

    def ask(self, n: int) -> list[Trial]:
        """What the wrapped strategy asks."""
        return self._inner.ask(n)

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """Passed on."""
        self._inner.recall(trials, n)

    def tell(self, result: Result) -> None:
        """Keeps the curve of a finished trial and passes the result on."""
        self._best.pop(result.number, None)
        points = [point for point in result.curve if point.auc is not None]
        if result.state is State.FINISHED and points:
            totals, means = 0.0, []
            for count, point in enumerate(points, 1):
                totals += float(point.auc or 0.0)
                means.append(totals / count)
            self._curves[result.number] = ([point.epoch for point in points], means)
        if "auc_variance" in result.metrics:
            self._variances[result.number] = result.metrics["auc_variance"]
        self._inner.tell(result)

    def watch(self, progress: Progress) -> bool:
        """As `Watcher.watch`."""
        if progress.auc is None:
            return False
        best = max(progress.auc, self._best.get(progress.number, progress.auc))
        self._best[progress.number] = best
        usual = [
            means[position - 1]
            for epochs, means in self._curves.values()
            if epochs[-1] >= progress.epoch and (position := bisect.bisect_right(epochs, progress.epoch))
        ]
        if len(usual) < self._rule.after_trials or progress.epoch < self._rule.after_epochs:
            return False
        variance = statistics.median(self._variances.values()) if self._variances else 0.0
        return statistics.median(usual) - best > self._rule.margin(variance, variance)
