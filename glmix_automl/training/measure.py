"""What the scores of a split are worth: exact AUC and its variance, log loss, calibration, AUC within members."""

import math
from dataclasses import dataclass, field

import numpy as np

from glmix_automl import metrics
from glmix_automl.metrics import Measure
from glmix_automl.trial import QUALITY, QUALITY_VARIANCE


@dataclass(frozen=True)
class Point:
    """A validation.

    Attributes:
        auc, loss: AUC and log loss.
        scores: the offset not included, float32 [rows of validation]; None where they were not kept.
    """

    auc: float
    loss: float
    scores: np.ndarray | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, eq=False)
class Held:
    """What scores of a split are compared with; all [rows] in dataset order.

    Attributes:
        label: 0 or 1.
        weight: above 0.
        member: code of each row's member, or None where the dataset has no entities.
        by: the study's measure.
    """

    label: np.ndarray
    weight: np.ndarray
    member: np.ndarray | None = None
    by: Measure = field(default_factory=Measure)

    def point(self, logits: np.ndarray) -> Point:
        """AUC and log loss of log-odds, float32 [rows]; NaN where they are not finite."""
        if not np.isfinite(logits).all():
            return Point(math.nan, math.nan)
        return Point(metrics.auc(self.label, logits, self.weight), metrics.log_loss(self.label, logits, self.weight))

    def measure(self, logits: np.ndarray) -> dict[str, float]:
        """Every metric of finite log-odds by name; those that are not defined on the split are left out."""
        interval = metrics.auc_interval(self.label, logits, self.weight)
        found = {
            "auc": interval.estimate,
            "auc_variance": interval.standard_error**2,
            "loss": metrics.log_loss(self.label, logits, self.weight),
            "calibration": metrics.calibration(self.label, logits, self.weight),
        }
        if self.member is not None:
            found["member_auc"] = metrics.member_auc(self.label, logits, self.member, self.weight)
        if self.by.needs_members:
            wanted = self.by.interval(self.label, logits, self.weight, self.member)
            found |= {QUALITY: wanted.estimate, QUALITY_VARIANCE: wanted.standard_error**2}
        return {name: value for name, value in found.items() if math.isfinite(value)}
