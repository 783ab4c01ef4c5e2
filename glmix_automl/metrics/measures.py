"""What the models of a study are compared by: a measure of ranking with its standard error, and two models paired.

The AUC is over all rows (DeLong); the others are means over members, each of whom has a value of its own, so that their
spread over members is the standard error, whatever hangs together within a member.
"""

import math
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import StringConstraints

from glmix_automl.metrics.delong import auc_interval, delong_test
from glmix_automl.metrics.interval import Comparison, Interval
from glmix_automl.metrics.ranking import member_aucs, ndcgs, precisions

AUC = "auc"
MeasureName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^(auc|member_auc|(ndcg|precision)@[1-9][0-9]{0,5})$")
]
"""`auc`, `member_auc`, `ndcg@k` or `precision@k`; the more the better."""


@dataclass(frozen=True)
class Measure:
    """A measure by its name.

    Attributes:
        name: a `MeasureName`.
    """

    name: str = AUC

    @property
    def needs_members(self) -> bool:
        """Whether it is a mean over members."""
        return self.name != AUC

    @property
    def words(self) -> str:
        """Its name as people write it: `AUC`, `member AUC`, `NDCG@10`, `precision@10`."""
        return self.name.replace("_", " ").replace("auc", "AUC").replace("ndcg", "NDCG")

    def interval(
        self, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None, members: np.ndarray | None
    ) -> Interval:
        """The value with its 95 % interval, members as clusters; NaN where it is not defined.

        Args:
            labels: [rows] 0 or 1.
            scores: [rows].
            weights: [rows] above 0, or None; they do not count in positions.
            members: [rows] codes, or None where there are none: a mean over members is NaN then.
        """
        if not self.needs_members:
            return auc_interval(labels, scores, weights, members)
        return Interval.normal(*_mean(self._of_members(labels, scores, weights, members)), 0.95, 0.0, 1.0)

    def compare(
        self,
        labels: np.ndarray,
        first: np.ndarray,
        second: np.ndarray,
        weights: np.ndarray | None,
        members: np.ndarray | None,
    ) -> Comparison:
        """`second` less `first` on the same rows, paired row by row or member by member; arguments as `interval`."""
        if not self.needs_members:
            return delong_test(labels, first, second, weights, members)
        before, after = (self._of_members(labels, scores, weights, members) for scores in (first, second))
        return Comparison.normal(*_mean(after - before), 0.95)

    def _of_members(
        self, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None, members: np.ndarray | None
    ) -> np.ndarray:
        """The value of each member that has one: which these are is decided by the labels alone."""
        if members is None or np.isnan(scores).any():
            return np.full(1, math.nan)
        kind, _, k = self.name.partition("@")
        if kind == "member_auc":
            return member_aucs(labels, scores, members, weights)
        return {"ndcg": ndcgs, "precision": precisions}[kind](labels, scores, members, int(k))


def _mean(values: np.ndarray) -> tuple[float, float]:
    """The mean and its standard error; NaN of too few values."""
    count = len(values)
    error = float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    return float(values.mean()) if count else math.nan, error
