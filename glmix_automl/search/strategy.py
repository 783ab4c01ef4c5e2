"""The role of a strategy: what to try next."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from glmix_automl.config import Config
from glmix_automl.trial import Progress, Result, Trial


class Strategy(Protocol):
    """Decides what to try; no I/O, no Spark, no TensorFlow; randomness only from (seed, call number).

    Laws, checked by one suite over every strategy:
    - The same seed and the same calls give the same asks.
    - `recall` of what an ask gave leaves it as that ask did, so a journal restores the state without a proposal made
      again. What was recorded is the truth, also where this program or machine would propose something else.
    - `ask(n)` returns at most n trials, all inside the space. None while trials are out: wait; none with nothing out:
      the strategy has ended.
    - Every asked trial is told once, failed ones too; the order of tells between two asks does not matter.
    - It ends.
    """

    def ask(self, n: int) -> list[Trial]:
        """At most n new trials. Numbers (also in `parent` and `offset`) count the strategy's own trials from 0: the
        study translates them to its own and back, and fills `strategy`.
        """
        ...

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """Takes in what an earlier session's `ask(n)` gave, in this strategy's own numbers, instead of asking."""
        ...

    def tell(self, result: Result) -> None:
        """How an asked trial ended."""
        ...


class Watcher(Protocol):
    """A strategy that also stops trials early (median rule, successive halving): the study shows it every progress."""

    def watch(self, progress: Progress) -> bool:
        """Whether the running trial should stop now; its best weights so far count."""
        ...


class Closer(Protocol):
    """A strategy that has its say when the others of the race have ended; until then it asks nothing."""

    def gather(self, trials: Mapping[int, Trial], results: Mapping[int, Result], number: int) -> list[Trial]:
        """What it makes of the others' trials, at most one; all numbers are the study's, `number` is the new one's."""
        ...


class StrategyKind(NamedTuple):
    """A way of choosing: the options it is configured by, and `make(options, seed)`, which gives the strategy."""

    options: type[Config]
    make: Callable[[Any, int], Strategy]
