"""The only source of randomness: every generator is derived from the study's seed and the names of its use."""

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """A seed of 63 bits for one use, the same in every process, on every machine and in every run."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator for one use of `seed`."""
    return np.random.default_rng(derive(seed, *names))
