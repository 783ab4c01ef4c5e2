"""What models are worth on the test rows, from their cached scores alone: nothing is trained or scored anew."""

import math
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from glmix_automl import metrics
from glmix_automl.dataset import Dataset
from glmix_automl.ensemble import Ensemble, flatten, read_scores
from glmix_automl.layout import HELD_OUT, SCORES, TRIALS, Folder
from glmix_automl.metrics import Comparison, Interval, Measure
from glmix_automl.metrics.measures import AUC
from glmix_automl.study.history import History

SCORES_KEPT = 8  # score vectors kept in memory


class Evaluation:
    """The models of a study on one split. Rows of a member are not independent, so every interval and test
    takes members as clusters where the dataset has them.
    """

    def __init__(
        self, dataset: Dataset, study: Folder, history: History, split: str = "test", measure: str = AUC
    ) -> None:
        self.dataset, self.split, self.measure = dataset, split, Measure(measure)
        self.labels, self.weights = dataset.labels(split), dataset.weights(split)
        entities = dataset.schema.entities
        self.members = dataset.entity_codes(split, entities[0].name) if entities else None
        self._study, self._trials = study, study.within(TRIALS)
        self._history = history
        self.scores = lru_cache(SCORES_KEPT)(self._scores)
        """Log-odds of a trial's model, float32 [rows]; on validation those that its AUC is of: of a mixture fitted
        there by weights that have not seen the row's label."""

    def on(self, split: str) -> "Evaluation":
        """The same models on another split."""
        if split == self.split:
            return self
        return Evaluation(self.dataset, self._study, self._history, split, self.measure.name)

    def model(self, number: int) -> Ensemble:
        """The model behind a trial, over trained coordinates."""
        found = {n: result.ensemble for n, result in self._history.results.items() if result.ensemble is not None}
        return flatten(self._history.trials[number].model, found)

    def _scores(self, number: int) -> NDArray[np.float32]:
        offset = self.dataset.offsets(self.split)
        held_out = f"{number}/{SCORES.format(split=HELD_OUT)}"
        if self.split == "validation" and self._trials.exists(held_out):
            return offset + read_scores(self._trials, number, HELD_OUT, len(offset))
        return offset + self.part(self.model(number))

    def part(self, model: Ensemble) -> NDArray[np.float32]:
        """Log-odds of an ensemble of trained coordinates, without the rows' offsets: float32 [rows]."""
        rows = len(self.labels)
        return model.score(lambda member: read_scores(self._trials, member, self.split, rows), rows)

    def auc(self, number: int) -> Interval:
        """AUC with its 95 % interval (DeLong)."""
        return metrics.auc_interval(self.labels, self.scores(number), self.weights, self.members)

    def quality(self, number: int) -> Interval:
        """The study's measure with its 95 % interval."""
        return self.measure.interval(self.labels, self.scores(number), self.weights, self.members)

    def cold_start(self, number: int) -> float:
        """AUC on the rows of an entity that train has not seen; NaN where there are none, or of one class only."""
        new = self.unseen
        return metrics.auc(self.labels[new], self.scores(number)[new], self.weights[new])

    @cached_property
    def unseen(self) -> NDArray[np.bool_]:
        """See `Dataset.unseen`."""
        return self.dataset.unseen(self.split)

    def within_members(self, number: int) -> dict[str, float]:
        """AUC, NDCG@10 and precision@10 within each member's rows; all NaN where the dataset has no entities."""
        if self.members is None:
            return dict.fromkeys(("member_auc", "ndcg_at_10", "precision_at_10"), math.nan)
        labels, scores, members = self.labels, self.scores(number), self.members
        return {
            "member_auc": metrics.member_auc(labels, scores, members, self.weights),
            "ndcg_at_10": metrics.ndcg(labels, scores, members, 10),  # MLflow takes no @ in a name
            "precision_at_10": metrics.precision(labels, scores, members, 10),
        }

    def compare(self, first: int, second: int) -> Comparison:
        """The measure of `second` less that of `first`, paired."""
        return self.compare_scores(first, self.scores(second))

    def compare_scores(self, first: int, scores: NDArray[np.float32]) -> Comparison:
        """The measure of log-odds, float32 [rows], less that of `first`, paired."""
        return self.measure.compare(self.labels, self.scores(first), scores, self.weights, self.members)
