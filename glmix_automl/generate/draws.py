"""Random draws as functions of (seed, name, keys): neither partitions, batches nor order matter.

Every draw is a 64-bit hash of what it is about, so a row computes all it needs on its own, its member's attributes
included: tables of any size are written without a join and come out the same on every cluster. Arrays in, arrays out.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.special

from glmix_automl import seeds

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def mix(words: Array) -> Array:
    """A bijection of uint64 words whose output bits look independent of the input (splitmix64, Steele et al. 2014)."""
    mixed = words >> np.uint64(30)
    mixed ^= words
    for shift, factor in ((27, _FIRST), (31, _SECOND)):  # in place: this is where the time goes
        mixed *= factor
        mixed ^= mixed >> np.uint64(shift)
    return mixed


@dataclass(frozen=True)
class Draws:
    """The draws of one seed: `name` tells uses apart, `keys` (arrays of integers, broadcast) whom a draw is about."""

    seed: int

    def words(self, name: str, *keys: Array) -> Array:
        """Random uint64 words, one per row of the keys."""
        reached = np.full(1, seeds.derive(self.seed, name), np.uint64)
        for key in keys:
            # at least one axis: arrays wrap around in silence, scalars warn
            reached = mix(reached + np.atleast_1d(np.asarray(key, np.int64)).view(np.uint64) * _GOLDEN)
        return reached

    def uniform(self, name: str, *keys: Array) -> Array:
        """Doubles in (0, 1), never at the ends."""
        return ((self.words(name, *keys) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52

    def normal(self, name: str, *keys: Array) -> Array:
        """Standard normal doubles."""
        return scipy.special.ndtri(self.uniform(name, *keys))

    def integer(self, name: str, size: "int | Array", *keys: Array) -> Array:
        """Integers in [0, size), all equally likely."""
        return np.floor(self.uniform(name, *keys) * size).astype(np.int64)

    def chance(self, name: str, probability: "float | Array", *keys: Array) -> Array:
        """True with the given probability."""
        return self.uniform(name, *keys) < probability

    def choose(self, name: str, weights: list[float], *keys: Array) -> Array:
        """Places in `weights`, each drawn by its share."""
        edges = np.cumsum(weights)[:-1] / np.sum(weights)
        return np.searchsorted(edges, self.uniform(name, *keys), side="right")


@dataclass(frozen=True)
class Zipf:
    """Ranks 0 .. size - 1 with P(rank) close to (rank + 1) ** -exponent, by inverting the continuous power law.

    exponent: in (0, 1); the larger, the more the first ranks take.
    """

    size: int
    exponent: float

    def draw(self, uniform: Array) -> Array:
        """The ranks of uniform draws."""
        reached = (self._total * uniform + 1.0) ** (1.0 / self._power)
        return np.clip(np.floor(reached).astype(np.int64) - 1, 0, self.size - 1)

    def probability(self, rank: Array) -> Array:
        """P(rank) of `draw`, exactly."""
        return ((rank + 2.0) ** self._power - (rank + 1.0) ** self._power) / self._total

    @property
    def _power(self) -> float:
        return 1.0 - self.exponent

    @property
    def _total(self) -> float:
        return (self.size + 1.0) ** self._power - 1.0


@dataclass(frozen=True)
class Shuffle:
    """Bijections of 0 .. size - 1 without a table: an additive Feistel network on (number // side, number % side).

    `size` is `rows * side`. `kind`, an integer or an array of them, says which of many bijections.
    """

    draws: Draws
    rows: int
    side: int

    ROUNDS = 3

    @classmethod
    def of_at_least(cls, draws: Draws, size: int) -> "Shuffle":
        """Bijections of the smallest product of two near-equal factors that is at least `size`."""
        side = max(1, int(size**0.5))
        return cls(draws, -(-size // side), side)

    @property
    def size(self) -> int:
        """How many numbers are shuffled."""
        return self.rows * self.side

    def place(self, number: Array, kind: "Array | int") -> Array:
        """Where `number` is put."""
        high, low = np.divmod(number, self.side)
        for turn in range(self.ROUNDS):
            high = (high + self._shift("high", turn, low, kind, self.rows)) % self.rows
            low = (low + self._shift("low", turn, high, kind, self.side)) % self.side
        return high * self.side + low

    def number(self, place: Array, kind: "Array | int") -> Array:
        """What was put at `place`: the inverse of `place`."""
        high, low = np.divmod(place, self.side)
        for turn in reversed(range(self.ROUNDS)):
            low = (low - self._shift("low", turn, high, kind, self.side)) % self.side
            high = (high - self._shift("high", turn, low, kind, self.rows)) % self.rows
        return high * self.side + low

    def _shift(self, half: str, turn: int, other: Array, kind: "Array | int", modulus: int) -> Array:
        return self.draws.integer(f"shuffle/{half}/{turn}", modulus, other + (np.asarray(kind, np.int64) << 48))
