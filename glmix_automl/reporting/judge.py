"""What models are worth on the test rows, from their cached scores alone: nothing is trained or scored anew."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from glmix_automl import metrics
from glmix_automl.dataset import Dataset
from glmix_automl.layout import TRIALS, Folder
from glmix_automl.metrics import Comparison, Interval
from glmix_automl.study.history import History
from glmix_automl.study.terms import Terms, scores
from glmix_automl.trial import Mixture

KEPT = 8  # score vectors kept in memory


class Judge:
    """Judges the models of a study on one split. Rows of a member are not independent, so every interval and test
    takes members as clusters where the dataset has them.
    """

    def __init__(self, dataset: Dataset, study: Folder, history: History, split: str = "test") -> None:
        self.dataset, self.split = dataset, split
        self.labels, self.weights = dataset.labels(split), dataset.weights(split)
        entities = dataset.schema.entities
        self.members = dataset.entity_codes(split, entities[0].name) if entities else None
        self._trials = study.within(TRIALS)
        self._terms = Terms(history.trials, history.results)
        self.scores = lru_cache(KEPT)(self._scores)
        """Log-odds of a trial's model, float32 [rows]."""

    def model(self, number: int) -> Mixture:
        """The model behind a trial."""
        return self._terms.model(number)

    def _scores(self, number: int) -> NDArray[np.float32]:
        return scores(self._trials, self.model(number), self.split, self.dataset.offsets(self.split))

    def auc(self, number: int) -> Interval:
        """AUC with its 95 % interval (DeLong)."""
        return metrics.auc_interval(self.labels, self.scores(number), self.weights, self.members)

    def metric(self, name: str, number: int) -> float:
        """One of `metrics.METRICS`; NaN where it is about members and the dataset has no entities."""
        if self.members is None and name not in ("auc", "log_loss", "calibration"):
            return math.nan
        members = np.zeros(len(self.labels), np.int64) if self.members is None else self.members
        return metrics.METRICS[name].function(self.labels, self.scores(number), self.weights, members)

    def compare(self, first: int, second: int) -> Comparison:
        """AUC of `second` less AUC of `first`, paired (DeLong)."""
        return metrics.delong_test(self.labels, self.scores(first), self.scores(second), self.weights, self.members)
