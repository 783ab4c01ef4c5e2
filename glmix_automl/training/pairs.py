"""Pairs of rows of one member, one with label 1 and one with 0: what a loss within members is a sum over."""

import numpy as np

from glmix_automl.errors import TrialError


def pair_rows(label: np.ndarray, members: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many pairs as there are rows, in random order: int64 [2 * rows], at even places rows with label 1, behind each
    one of the same member with label 0.

    Every row of a member with rows of both labels is in a pair, beside one that is drawn; the pairs are repeated until
    there are enough.

    Args:
        label: float [rows], 0 or 1.
        members: int [rows], a number for the member of each row.
        rng: draws.

    Raises:
        TrialError: no member has rows of both labels.
    """
    is_positive = label > 0.5
    order = np.lexsort((is_positive, members))  # of each member the rows with label 0 first
    _, at, rows = np.unique(members[order], return_index=True, return_counts=True)
    positives = np.add.reduceat(is_positive[order], at)
    own = np.empty(len(order), np.int64)
    own[order] = np.repeat(np.arange(len(at)), rows)
    anchors = np.flatnonzero((positives * (rows - positives) > 0)[own])
    if not len(anchors):
        raise TrialError("loss pairwise: no member has training rows of both labels, so there are no pairs")
    anchors = rng.permutation(anchors)
    first, negatives = at[own[anchors]], (rows - positives)[own[anchors]]
    begin = np.where(is_positive[anchors], first, first + negatives)
    count = np.where(is_positive[anchors], negatives, positives[own[anchors]])
    others = order[begin + (rng.random(len(anchors)) * count).astype(np.int64)]
    pairs = np.where(is_positive[anchors][:, None], np.stack([anchors, others], 1), np.stack([others, anchors], 1))
    return np.resize(pairs, (len(label), 2)).reshape(-1)
