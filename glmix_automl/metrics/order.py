"""Sorting by score, fast: float32 scores become integers of the same order, which numpy sorts in a third of the time
it needs to sort positions (`argsort`), with the label or the row carried in the low bits.
"""

import numpy as np

_SIGN = np.uint32(0x80000000)


def score_keys(scores: np.ndarray) -> np.ndarray:
    """uint32 [rows] in the order of the scores; equal scores, and only they, have equal keys.

    Args:
        scores: [rows] numbers, none of them NaN. float32 is the fast case; other types whose values float32 does not
            hold exactly are ranked first.
    """
    scores = np.asarray(scores)
    if scores.dtype != np.float32:
        single = scores.astype(np.float32)
        if not np.array_equal(single, scores):
            return np.unique(scores, return_inverse=True)[1].astype(np.uint32)
        scores = single
    bits = (scores + np.float32(0)).view(np.uint32)  # the sum makes -0.0 the 0.0 it is equal to
    # Negative numbers: all bits turned, so that larger magnitudes come first. Others: the sign alone, to come after.
    turned = (bits.view(np.int32) >> np.int32(31)).view(np.uint32)
    turned |= _SIGN
    bits ^= turned
    return np.asarray(bits)


def grouped_keys(groups: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """uint64 [rows] ordered by group (codes from 0 to 2^31 - 1), then by key; the highest bit is free."""
    groups = np.asarray(groups)
    if len(groups) and (groups.min() < 0 or groups.max() >= 2**31):
        raise ValueError(f"group codes must be in [0, 2^31), got {groups.min()} to {groups.max()}")
    packed = groups.astype(np.uint64)
    packed <<= np.uint64(32)
    packed |= keys
    return packed


def sorted_rows(keys: np.ndarray) -> np.ndarray:
    """int64 [rows]: the rows in ascending order of their uint32 keys, first come first among equals."""
    packed = keys.astype(np.uint64)
    packed <<= np.uint64(32)
    packed |= np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    packed &= np.uint64(0xFFFFFFFF)
    return packed.view(np.int64)


def heads(ordered: np.ndarray) -> np.ndarray:
    """int64 [distinct]: where each run of equal values begins in a sorted array."""
    if not len(ordered):
        return np.empty(0, np.int64)
    starts = np.empty(len(ordered), bool)
    starts[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
    return np.flatnonzero(starts)
