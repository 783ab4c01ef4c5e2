"""What members and jobs have in both data sets: an industry, and skills that mostly go with it."""

import numpy as np

from glmix_automl.generate.draws import Array, Draws

INDUSTRIES = [f"industry_{n:02d}" for n in range(20)]
SKILLS_PER_INDUSTRY = 25


def skills(draws: Draws, whose: str, key: Array, industry: Array, most: int) -> Array:
    """3 to `most` skills, three quarters of them of the industry, each named once; [rows, most], -1 for none."""
    row, place = key[:, None], np.arange(most)[None, :]
    word = draws.words(f"{whose}/skill", row, place)  # three draws from one word: this is half of all draws
    own, anywhere, within = (word >> np.uint64(52)), (word >> np.uint64(36)) & np.uint64(0xFFFF), word << np.uint64(28)
    other = (anywhere * np.uint64(len(INDUSTRIES)) >> np.uint64(16)).astype(np.int64)
    field = np.where(own < 3 << 10, industry[:, None], other)  # 3 << 10 of 1 << 12
    popular = SKILLS_PER_INDUSTRY * ((within >> np.uint64(12)) * 2.0**-52) ** 1.6
    wanted = draws.integer(f"{whose}/skills", most - 2, key) + 3
    numbers = field * SKILLS_PER_INDUSTRY + popular.astype(np.int64)
    return distinct(np.where(place < wanted[:, None], numbers, -1))


def distinct(numbers: Array) -> Array:
    """Each row sorted, numbers named again and those below 0 replaced by -1; [rows, most]."""
    ordered = np.sort(numbers, axis=1)
    again = np.zeros(ordered.shape, bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return np.where(again, -1, ordered)


def in_common(one: Array, other: Array) -> Array:
    """How many numbers two rows share; [rows, a] and [rows, b], distinct within a row but for -1, never counted."""
    same = (one[:, :, None] == other[:, None, :]) & (one[:, :, None] >= 0)
    return same.sum(axis=(1, 2))
