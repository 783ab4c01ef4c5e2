"""How good a model is: exact, tie-aware, weighted, fast enough to be a small part of training; with its uncertainty.

| question | function |
|---|---|
| does it order pairs rightly, over all rows | `auc` |
| within each member's rows | `member_auc`, `ndcg`, `precision` |
| are its probabilities right | `log_loss`, `calibration`, `reliability` |
| how sure is the AUC; do two models differ | `auc_interval`, `delong_test` |
| where do two models differ | `slice_gains` |
| what is a study decided by | `Measure` |
"""

from glmix_automl.metrics.auc import auc, group_aucs
from glmix_automl.metrics.delong import auc_influence, auc_interval, delong_test
from glmix_automl.metrics.interval import Comparison, Interval
from glmix_automl.metrics.loss import LossSums, ReliabilityBin, calibration, log_loss, reliability
from glmix_automl.metrics.measures import Measure, MeasureName
from glmix_automl.metrics.ranking import member_auc, ndcg, precision
from glmix_automl.metrics.runs import GroupAucs, Runs
from glmix_automl.metrics.slices import SliceGain, activity_groups, calibration_interval, quantile_groups, slice_gains

__all__ = [
    "Comparison",
    "GroupAucs",
    "Interval",
    "LossSums",
    "Measure",
    "MeasureName",
    "ReliabilityBin",
    "Runs",
    "SliceGain",
    "activity_groups",
    "auc",
    "auc_influence",
    "auc_interval",
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
