"""What is known of a model's quality so far, shard by shard; tallies of ranks and shards merge to that of all rows."""

from dataclasses import dataclass, field

import numpy as np

from glmix_automl.metrics.loss import LossSums
from glmix_automl.metrics.ranking import lists_ndcg, lists_precision
from glmix_automl.metrics.runs import Runs


def _no_rows() -> Runs:
    return Runs.of(np.empty(0), np.empty(0, np.float32))


@dataclass
class Tally:
    """Exact metrics over rows that come in parts; the order of parts and merges does not matter.

    Holds 28 bytes per distinct score (twice that where members are given, as their lists are kept too).
    """

    sums: LossSums = field(default_factory=LossSums)
    runs: Runs = field(default_factory=_no_rows)
    lists: Runs = field(default_factory=_no_rows)

    def add(
        self,
        labels: np.ndarray,
        logits: np.ndarray,
        weights: np.ndarray | None = None,
        members: np.ndarray | None = None,
    ) -> None:
        """Takes in rows: labels 0 or 1, log-odds float32 and not NaN, weights above 0, codes of members."""
        merged = self.merge(Tally.of(labels, logits, weights, members))
        self.sums, self.runs, self.lists = merged.sums, merged.runs, merged.lists

    @classmethod
    def of(
        cls,
        labels: np.ndarray,
        logits: np.ndarray,
        weights: np.ndarray | None = None,
        members: np.ndarray | None = None,
    ) -> "Tally":
        """The tally of some rows."""
        logits = np.asarray(logits, np.float32)  # keys of one kind, whatever the part
        lists = _no_rows() if members is None else Runs.of(labels, logits, None, members)
        return cls(LossSums.of(labels, logits, weights), Runs.of(labels, logits, weights), lists)

    def merge(self, other: "Tally") -> "Tally":
        """The tally of the rows of both."""
        return Tally(self.sums + other.sums, self.runs.merge(other.runs), self.lists.merge(other.lists))

    @property
    def auc(self) -> float:
        """Exact AUC; NaN without both classes."""
        return self.runs.auc()

    @property
    def log_loss(self) -> float:
        """Mean negative log likelihood, nats; NaN without rows."""
        return self.sums.log_loss

    @property
    def calibration(self) -> float:
        """Expected over observed positives; NaN without positives."""
        return self.sums.calibration

    def member_auc(self, by_rows: bool = False) -> float:
        """Mean AUC over members with both classes, rows unweighted; NaN without such members."""
        return self.lists.group_aucs().mean(by_rows)

    def ndcg(self, k: int) -> float:
        """Mean NDCG@k over members with a positive; NaN without such members."""
        return lists_ndcg(self.lists, k)

    def precision(self, k: int) -> float:
        """Mean precision@k over members; NaN without members."""
        return lists_precision(self.lists, k)
