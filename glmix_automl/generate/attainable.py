"""The attainable ceiling: what is left of the true one when the effects have to be learned from the training rows.

The fixed effects are the true ones and so are the variances of the random effects, but each effect is the most likely
one given its rows. So no model of these effects can be expected above it, and a good one comes near.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import scipy.special

from glmix_automl.generate.columns import by_rows
from glmix_automl.generate.draws import Array
from glmix_automl.generate.jymbii import INDUSTRIES, Jymbii, deviations, interactions
from glmix_automl.metrics import auc

MOST_ROWS = 5_000_000
"""Rows, at most, of which it is worked out: it cannot be had from a sample, as effects are told by all their rows."""
MOST_SWEEPS = 50  # over the effects, at most
LEAST_STEP = 1e-3  # largest change of a score that ends them


def attainable(settings: Jymbii, until: float, latest: float) -> float | None:
    """AUC on the last rows by time with effects fitted on earlier ones; None of more than `MOST_ROWS` rows.

    Args:
        settings: of the data set.
        until: share of the time before which lie the rows that effects are fitted on.
        latest: share of the time at which the last rows begin.
    """
    if settings.rows > MOST_ROWS:
        return None
    drawn = [
        (shown.member, shown.item, shown.share, scipy.special.logit(shown.fixed_probability), shown.response)
        for shown in by_rows(partial(interactions, settings), settings.rows)
    ]
    member, item, share, fixed, response = (np.concatenate(part) for part in zip(*drawn, strict=True))
    keys = [member, member * len(INDUSTRIES) + item % len(INDUSTRIES), item]
    early, late = share < until, share >= latest
    kept = [(key, own) for key, own in zip(keys, deviations(settings), strict=True) if own > 0]
    learned = crossed_effects([key for key, _ in kept], [own for _, own in kept], response, fixed, early)
    score = fixed + sum((effect[key] for effect, (key, _) in zip(learned, kept, strict=True)), np.zeros(len(fixed)))
    return auc(response[late].astype(np.float32), score[late].astype(np.float32))


def crossed_effects(
    keys: Sequence[Array], deviations: Sequence[float], label: Array, offset: Array, train: Array
) -> list[Array]:
    """The most likely effects by key, float64 [largest key + 1] each, by Newton steps over one kind after the other.

    Args:
        keys: which effect of each kind a row has, int64 [rows].
        deviations: true standard deviation of each kind, above 0.
        label: 0 or 1, [rows].
        offset: true log-odds of all else, [rows].
        train: rows that effects are fitted on, bool [rows].
    """
    own = [key[train] for key in keys]
    effects = [np.zeros(int(key.max(initial=-1)) + 1) for key in keys]
    y, score = label[train].astype(np.float64), offset[train].astype(np.float64)
    for _ in range(MOST_SWEEPS):
        largest = 0.0
        for key, effect, deviation in zip(own, effects, deviations, strict=True):
            p = scipy.special.expit(score)
            slope = np.bincount(key, y - p, len(effect)) - effect / deviation**2
            step = slope / (np.bincount(key, p * (1 - p), len(effect)) + 1 / deviation**2)
            effect += step
            score += step[key]
            largest = max(largest, float(np.abs(step).max(initial=0.0)))
        if largest < LEAST_STEP:
            break
    return effects
