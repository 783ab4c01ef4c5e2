"""Where the winner gains on the baseline: AUC and calibration of both by feature value and by entity activity."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from glmix_automl.dataset import Dataset
from glmix_automl.features.encode import invert_numbers
from glmix_automl.metrics import SliceGain, activity_groups, quantile_groups, slice_gains
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.schema import Categorical, Numeric

FEWEST_ROWS = 100  # of a slice that is shown: below, every interval is wider than any gain
MOST_VALUES = 30  # of a categorical feature: the most frequent ones
BINS = 5  # of a numeric feature


@dataclass(frozen=True)
class Slice:
    """A slice by name.

    Attributes:
        subject: the feature, or the entity whose activity it is.
        value: of the feature, or the range of activity.
        gain: what the two models are worth in it.
    """

    subject: str
    value: str
    gain: SliceGain

    @property
    def sign(self) -> str:
        """`gain` or `loss`; empty where the interval of the difference holds 0."""
        return "gain" if self.gain.gain.low > 0 else "loss" if self.gain.gain.high < 0 else ""


def slices(evaluation: Evaluation, baseline: int, winner: int) -> list[Slice]:
    """Every slice with enough rows of both classes, the largest gain of the winner first, the largest loss last."""
    first, second = evaluation.scores(baseline), evaluation.scores(winner)
    found = []
    for subject, groups, names in _groupings(evaluation.dataset, evaluation.split):
        gains = slice_gains(evaluation.labels, first, second, groups, evaluation.weights, evaluation.members)
        found += [Slice(subject, _name(names, gain.group), gain) for gain in gains if _worth(gain)]
    return sorted(found, key=lambda one: -one.gain.gain.difference)


def _worth(gain: SliceGain) -> bool:
    return gain.rows >= FEWEST_ROWS and bool(np.isfinite(gain.gain.difference))


def _name(names: dict[object, str], group: object) -> str:
    return names.get(group, str(group))


def _groupings(dataset: Dataset, split: str) -> Iterator[tuple[str, np.ndarray, dict[object, str]]]:
    """(subject, group of each row, name of each group); rows that are in no group worth a look share one."""
    for entity in dataset.schema.entities:
        groups = activity_groups(dataset.entity_codes(split, entity.name), dataset.entity_codes("train", entity.name))
        yield f"{entity.name}: rows in train", groups, {int(g): _activity(int(g)) for g in np.unique(groups)}
    for feature in dataset.schema.features:
        if isinstance(feature, Categorical):
            yield feature.name, *_by_value(dataset, feature, dataset.column(split, feature.name))
        elif isinstance(feature, Numeric):
            groups = quantile_groups(dataset.column(split, feature.name), BINS)
            yield feature.name, groups, _ranges(feature, np.unique(groups))


def _ranges(feature: Numeric, edges: np.ndarray) -> dict[object, str]:
    """Where each bin begins, as the number was before it was encoded."""
    raw = invert_numbers(feature, edges.astype(np.float64))
    if feature.transform == "missing":
        return {edge.item(): "missing" if number > 0.5 else "given" for edge, number in zip(edges, raw, strict=True)}
    return {edge.item(): f"from {number:.4g}" for edge, number in zip(edges, raw, strict=True)}


def _activity(group: int) -> str:
    return "none" if group == 0 else "1" if group == 1 else f"{group} to {2 * group - 1}"


def _by_value(dataset: Dataset, feature: Categorical, ids: np.ndarray) -> tuple[np.ndarray, dict[object, str]]:
    counts = np.bincount(ids, minlength=dataset.schema.size(feature))
    frequent = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    groups = np.where(np.isin(ids, frequent), ids, -1)
    terms = dataset.schema.vocabularies[feature.vocabulary].terms
    names: dict[object, str] = {-1: "other", 0: "unseen"}
    for number in frequent:
        if number > 0:
            names[int(number)] = terms[number - 1] if terms is not None else f"bucket {number}"
    return groups, names
