"""How good a model is: exact, tie-aware, weighted, fast enough to be a small part of training; with its uncertainty.

| question | function |
|---|---|
| does it order pairs rightly, over all rows | `auc` |
| within each member's rows | `member_auc`, `ndcg`, `precision` |
| are its probabilities right | `log_loss`, `calibration`, `reliability` |
| how sure is the AUC; do two models differ | `auc_interval`, `delong_test`, `bootstrap_test` |
| where do two models differ | `slice_gains` |
| all of it over shards and ranks | `Tally` |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from glmix_automl.metrics.auc import auc, group_aucs
from glmix_automl.metrics.bootstrap import bootstrap_test
from glmix_automl.metrics.delong import auc_influence, auc_interval, delong_test
from glmix_automl.metrics.interval import Comparison, Interval
from glmix_automl.metrics.loss import LossSums, ReliabilityBin, calibration, log_loss, reliability
from glmix_automl.metrics.ranking import member_auc, ndcg, precision
from glmix_automl.metrics.runs import GroupAucs, Runs
from glmix_automl.metrics.slices import SliceGain, activity_groups, calibration_interval, quantile_groups, slice_gains
from glmix_automl.metrics.tally import Tally

__all__ = [
    "METRICS",
    "Comparison",
    "GroupAucs",
    "Interval",
    "LossSums",
    "Metric",
    "ReliabilityBin",
    "Runs",
    "SliceGain",
    "Tally",
    "activity_groups",
    "auc",
    "auc_influence",
    "auc_interval",
    "bootstrap_test",
    "calibration",
    "calibration_interval",
    "delong_test",
    "group_aucs",
    "log_loss",
    "member_auc",
    "ndcg",
    "precision",
    "quantile_groups",
    "reliability",
    "slice_gains",
]


@dataclass(frozen=True)
class Metric:
    """A number for a model's quality on a split.

    Attributes:
        name: as in results, leaderboard and MLflow.
        best: the value of a perfect model.
        function: (labels, logits, weights or None, members) -> value; NaN where it is not defined.
    """

    name: str
    best: float
    function: Callable[[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray], float]

    def error(self, value: float) -> float:
        """How far a value is from perfect: smaller is better, whatever the metric."""
        return abs(value - self.best)


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("auc", 1.0, lambda y, x, w, _: auc(y, x, w)),
        Metric("log_loss", 0.0, lambda y, x, w, _: log_loss(y, x, w)),
        Metric("calibration", 1.0, lambda y, x, w, _: calibration(y, x, w)),
        Metric("member_auc", 1.0, lambda y, x, w, m: member_auc(y, x, m, w)),
        Metric("member_auc_by_rows", 1.0, lambda y, x, w, m: member_auc(y, x, m, w, by_rows=True)),
        Metric("ndcg_at_10", 1.0, lambda y, x, _, m: ndcg(y, x, m, 10)),
        Metric("precision_at_10", 1.0, lambda y, x, _, m: precision(y, x, m, 10)),
    )
}
"""The metrics of a split, by name (`ndcg_at_10`, as MLflow takes no @ in a name)."""
