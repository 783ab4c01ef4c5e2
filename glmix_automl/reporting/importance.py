"""How much each parameter matters: the share of the AUC's variation that a forest explains by it.

Mean decrease of impurity in extremely randomised trees (Geurts et al. 2006; Hutter et al. 2014 use the same forests for
fANOVA). A parameter that no trial varied explains nothing, and shares say nothing about values that were not tried.
"""

import math
from collections.abc import Sequence

import numpy as np

from glmix_automl.trial import Result, Trial, Value

FEWEST_TRIALS = 10
IMPORTANCE_TREES = 200


def varying(trials: Sequence[Trial]) -> list[str]:
    """Parameters that differ between trials, in the order in which they first appear."""
    names = dict.fromkeys(name for trial in trials for name in trial.parameters)
    return [name for name in names if len({str(trial.parameters.get(name)) for trial in trials}) > 1]


def importance(pairs: Sequence[tuple[Trial, Result]]) -> dict[str, float]:
    """Share of each varied parameter, the largest first; they sum to 1. Empty with fewer than ten scored trials."""
    names = varying([trial for trial, _ in pairs])
    aucs = np.array([result.auc for _, result in pairs], float)
    if len(pairs) < FEWEST_TRIALS or not names or np.ptp(aucs) == 0:
        return {}
    from sklearn.ensemble import ExtraTreesRegressor

    columns = [_encode([trial.parameters.get(name) for trial, _ in pairs]) for name in names]
    forest = ExtraTreesRegressor(IMPORTANCE_TREES, min_samples_leaf=2, random_state=0).fit(
        np.column_stack(columns), aucs
    )
    shares = dict(zip(names, map(float, forest.feature_importances_), strict=True))
    return dict(sorted(shares.items(), key=lambda one: -one[1]))


def _encode(values: Sequence[Value]) -> np.ndarray:
    """Numbers as they are (their logarithm if they span it), others by the place of their name; -1 where not given."""
    there = [value for value in values if value is not None]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in there)
    if not numeric:
        order = {name: place for place, name in enumerate(sorted(set(map(str, there))))}
        return np.array([-1.0 if value is None else order[str(value)] for value in values])
    numbers = [float(value) for value in there if value is not None]
    log = min(numbers) > 0 and max(numbers) / min(numbers) >= 8
    low = math.log(min(numbers)) if log else min(numbers)
    return np.array([low - 1 if v is None else math.log(float(v)) if log else float(v) for v in values])
