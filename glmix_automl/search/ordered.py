"""A strategy told in the order of its asks, a fixed number of trials behind: it repeats itself.

What an asynchronous strategy proposes depends on which results have arrived, so on the speed of the workers. Here trial
i is proposed when the results of exactly the trials before i - lag have been told: the same seed gives the same trials
whatever took how long. The price is idle slots: at most `lag + 1` trials are out, and one that takes long holds the
others up once they are `lag` ahead of it. A lag of the number of slots, or a little more, hardly idles. How long
a trial took is kept from the strategy, as no second run takes as long.
"""

from collections.abc import Sequence
from dataclasses import replace

from glmix_automl.search.strategy import Strategy
from glmix_automl.trial import Result, Trial

TOLD = "told"
"""Tag: how many results a proposal knew."""


class Ordered:
    """Lays an order of tells over a strategy; ends when that does."""

    def __init__(self, strategy: Strategy, lag: int) -> None:
        """Takes the strategy as it is now, not asked yet.

        Raises:
            ValueError: the strategy also stops running trials, which no order of results makes repeatable.
        """
        if hasattr(strategy, "watch"):
            raise ValueError("a strategy that stops running trials cannot repeat itself: leave out `lag` or its rule")
        self._strategy, self._lag = strategy, lag
        self._asked = self._told = 0
        self._waiting: dict[int, Result] = {}

    def ask(self, n: int) -> list[Trial]:
        """See `Strategy`; one by one, each after the tells that are due before it, which its tag `told` counts."""
        asked: list[Trial] = []
        while len(asked) < n and (self._asked - self._told <= self._lag or self._pass_on()):
            trials = self._strategy.ask(1)
            asked += [replace(trial, tags={**trial.tags, TOLD: str(self._told)}) for trial in trials]
            self._asked += len(trials)
            if not trials and not self._pass_on():
                break
        return asked

    def recall(self, trials: Sequence[Trial], n: int) -> None:
        """See `Strategy`: passes on what had been passed on before each trial, and before there was none.

        Raises:
            ValueError: a trial has no tag `told`, as in journals of before there was one, and may have known more or
                fewer results.
        """
        for trial in trials:
            due = self._due(trial)
            while self._asked - self._told > self._lag and self._pass_on():
                pass
            while self._told < due:
                self._strategy.recall([], 1)
                if not self._pass_on():
                    break
            own = {name: value for name, value in trial.tags.items() if name != TOLD}
            self._strategy.recall([replace(trial, tags=own)], 1)
            self._asked += 1
        while len(trials) < n and (self._asked - self._told <= self._lag or self._pass_on()):
            self._strategy.recall([], 1)
            if not self._pass_on():
                break

    def _due(self, trial: Trial) -> int:
        """How many results a recorded trial knew."""
        if TOLD in trial.tags:
            return int(trial.tags[TOLD])
        least = most = max(self._asked - self._lag, self._told)
        while most in self._waiting:
            most += 1
        if least < most:
            raise ValueError(f"trial {trial.number} does not say how many results it knew (tag `{TOLD}`)")
        return least

    def tell(self, result: Result) -> None:
        """Kept until it is due."""
        self._waiting[result.number] = result

    def _pass_on(self) -> bool:
        """Tells the strategy its next result, if that has arrived."""
        result = self._waiting.pop(self._told, None)
        if result is None:
            return False
        self._strategy.tell(replace(result, costs=replace(result.costs, worker_seconds=0.0)))
        self._told += 1
        return True
