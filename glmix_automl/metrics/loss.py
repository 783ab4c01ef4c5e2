"""Log loss and calibration of log-odds.

Empty input gives NaN. Rows count by their weight.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from glmix_automl.metrics.order import score_keys, sorted_rows

_TILE = 8192  # rows at a time: what lies between two steps stays in the cache, and fresh pages are not asked for


@dataclass(frozen=True)
class LossSums:
    """Sums over rows from which log loss and calibration follow; those of parts add up to those of the whole.

    Attributes:
        weight: of all rows.
        loss: negative log likelihood, nats.
        expected: positives the model expects, sum of weight * probability.
        observed: positives seen, sum of weight * label.
    """

    weight: float = 0.0
    loss: float = 0.0
    expected: float = 0.0
    observed: float = 0.0

    @classmethod
    def of(cls, labels: np.ndarray, logits: np.ndarray, weights: np.ndarray | None = None) -> "LossSums":
        """Sums over the given rows, in float64; stable at any log-odds."""
        if len(labels) != len(logits):
            raise ValueError(f"{len(labels)} labels and {len(logits)} logits")
        total = cls()
        for start in range(0, len(labels), _TILE):
            rows = slice(start, start + _TILE)
            total += cls._of_tile(labels[rows], logits[rows], None if weights is None else weights[rows])
        return total

    @classmethod
    def _of_tile(cls, labels: np.ndarray, logits: np.ndarray, weights: np.ndarray | None) -> "LossSums":
        label, logit = np.asarray(labels, np.float64), np.asarray(logits, np.float64)
        weight = np.ones(len(label)) if weights is None else np.asarray(weights, np.float64)
        small = np.exp(-np.abs(logit))
        against = np.where(label > 0, -logit, logit)
        loss = np.maximum(against, 0) + np.log1p(small)  # log(1 + e^against), without overflow
        probability = np.where(logit >= 0, 1, small) / (1 + small)
        return cls(float(weight.sum()), float(weight @ loss), float(weight @ probability), float(weight @ label))

    def __add__(self, other: "LossSums") -> "LossSums":
        return LossSums(
            self.weight + other.weight,
            self.loss + other.loss,
            self.expected + other.expected,
            self.observed + other.observed,
        )

    @property
    def log_loss(self) -> float:
        """Mean negative log likelihood, nats per unit of weight; NaN without rows."""
        return self.loss / self.weight if self.weight else math.nan

    @property
    def calibration(self) -> float:
        """Expected over observed positives: 1 is calibrated, above 1 predicts too many; NaN without positives."""
        return self.expected / self.observed if self.observed else math.nan


def log_loss(labels: np.ndarray, logits: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean negative log likelihood of 0/1 labels at the given log-odds, nats; NaN without rows."""
    return LossSums.of(labels, logits, weights).log_loss


def calibration(labels: np.ndarray, logits: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Expected over observed positives; NaN without positives."""
    return LossSums.of(labels, logits, weights).calibration


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows of like predictions.

    Attributes:
        low, high: least and greatest probability in the bin.
        rows: how many.
        weight: of the rows.
        predicted: their mean probability.
        observed: their share of positives.
        observed_low, observed_high: interval of that share (Wilson, 1927), at the effective number of rows
            (sum w)^2 / sum w^2 where rows have weights.
    """

    low: float
    high: float
    rows: int
    weight: float
    predicted: float
    observed: float
    observed_low: float
    observed_high: float


def reliability(
    labels: np.ndarray,
    logits: np.ndarray,
    weights: np.ndarray | None = None,
    bins: int = 10,
    confidence: float = 0.95,
) -> tuple[ReliabilityBin, ...]:
    """Predicted against observed shares in `bins` bins of equally many rows, by rising prediction.

    Rows of one prediction stay in one bin, so there are fewer bins where predictions repeat; none without rows.
    """
    keys = score_keys(np.asarray(logits, np.float32))
    order = sorted_rows(keys)
    ordered = keys[order]
    edges = np.arange(1, bins) * len(order) // bins
    edges = np.searchsorted(ordered, ordered[edges]) if len(order) else edges[:0]  # to the first of its equals
    edges = np.unique(np.concatenate([[0], edges, [len(order)]])).astype(int)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    label, logit = np.asarray(labels, np.float64), np.asarray(logits, np.float64)
    weight = np.ones(len(order)) if weights is None else np.asarray(weights, np.float64)
    parts = np.split(order, edges[1:-1])
    return tuple(_bin(label[rows], logit[rows], weight[rows], z) for rows in parts if len(rows))


def _bin(labels: np.ndarray, logits: np.ndarray, weights: np.ndarray, z: float) -> ReliabilityBin:
    probability = np.exp(-np.logaddexp(0, -logits))
    total = weights.sum()
    observed = float(weights @ labels / total)
    effective = total**2 / (weights @ weights)
    middle = (observed + z**2 / (2 * effective)) / (1 + z**2 / effective)
    reach = z * math.sqrt(observed * (1 - observed) / effective + (z / (2 * effective)) ** 2) / (1 + z**2 / effective)
    return ReliabilityBin(
        low=float(probability[0]),
        high=float(probability[-1]),
        rows=len(labels),
        weight=float(total),
        predicted=float(weights @ probability / total),
        observed=observed,
        observed_low=max(middle - reach, 0.0),
        observed_high=min(middle + reach, 1.0),
    )
