"""The race: several strategies share one pool of workers fairly, counted in worker-seconds, each within its budget."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from glmix_automl.errors import StudyError
from glmix_automl.search.strategy import Strategy
from glmix_automl.study.settings import EntryBudget
from glmix_automl.trial import Progress, Result, Trial


class Entry:
    """One strategy in the race: translates between its own numbers and the study's, and counts what it used.

    A strategy counts its trials from 0; the study counts those of all. Both orders are the order of asking, so one
    list holds the whole translation.
    """

    def __init__(self, name: str, strategy: Strategy, budget: EntryBudget | None = None, share: float = 1.0) -> None:
        """An entry that has used nothing yet."""
        self.name, self.strategy, self.budget, self.share = name, strategy, budget or EntryBudget(), share
        self.spent = 0.0
        self.out: dict[int, float] = {}
        """Trials that are out: the study's number -> when a worker was asked for; infinite while none is."""
        self.waiting = False
        """Whether the strategy had nothing to ask and must be told something first."""
        self.ended = False
        self._numbers: list[int] = []
        self._own: dict[int, int] = {}

    def ask(self, n: int, first: int, now: float) -> list[Trial]:
        """At most `n` trials, numbered by the study from `first` on.

        Raises:
            StudyError: the strategy broke the law that it numbers its trials from 0.
        """
        asked = self.strategy.ask(n)
        for place, trial in enumerate(asked):
            if trial.number != len(self._numbers):
                raise StudyError(
                    f"race entry {self.name}: its trial {len(self._numbers)} came with number {trial.number}"
                )
            self._count(first + place)
        trials = [dataclasses.replace(t.renumbered(self._numbers.__getitem__), strategy=self.name) for t in asked]
        self._take_out(trials, now)
        return trials

    @property
    def closes(self) -> bool:
        """Whether it has its say when the others have ended."""
        return hasattr(self.strategy, "gather")

    def close(self, trials: Mapping[int, Trial], results: Mapping[int, Result], now: float) -> list[Trial]:
        """What it makes of the trials of the others, all in the study's numbers; none if that is made already."""
        others = {n: result for n, result in results.items() if trials[n].strategy != self.name}
        gathered: list[Trial] = self.strategy.gather(trials, others, len(trials))  # type: ignore[attr-defined]
        asked = [dataclasses.replace(trial, strategy=self.name) for trial in gathered]
        for trial in asked:
            self._count(trial.number)
        self._take_out(asked, now)
        return asked

    def _to_own(self, number: int) -> int:
        """Of one that closes, trials of others keep the study's number."""
        return self._own.get(number, number) if self.closes else self._own[number]

    def recall(self, trials: Sequence[Trial], n: int, at: float) -> None:
        """Takes in what an earlier session's `ask(n)` gave at that time, in the study's numbers.

        Raises:
            StudyError: the strategy can make nothing of it.
        """
        for trial in trials:
            self._count(trial.number)
        own = [dataclasses.replace(t.renumbered(self._to_own), strategy="") for t in trials]
        try:
            self.strategy.recall(own, n)
        except (LookupError, TypeError, ValueError) as error:
            numbers = ", ".join(str(trial.number) for trial in trials) or "no trial"
            raise StudyError(
                f"race entry {self.name}: its strategy cannot take in what the journal says it asked ({numbers}): "
                f"{type(error).__name__}: {error}; go on with the version that began the study, or begin a new one"
            ) from error
        self._take_out(trials, at)

    def _count(self, number: int) -> None:
        self._own[number] = len(self._numbers)
        self._numbers.append(number)

    def _take_out(self, trials: Sequence[Trial], now: float) -> None:
        self.out.update((trial.number, now) for trial in trials)
        if not trials:
            self.waiting, self.ended = bool(self.out), not self.out

    def tell(self, result: Result) -> None:
        """Tells the strategy how one of its trials ended."""
        del self.out[result.number]
        self.spent += result.costs.worker_seconds
        self.waiting = False
        self.strategy.tell(result.renumbered(self._to_own))

    @property
    def watches(self) -> bool:
        """Whether the strategy wants to see progress."""
        return hasattr(self.strategy, "watch")

    def watch(self, progress: Progress) -> bool:
        """Shows the strategy a point of a curve; whether the trial should stop."""
        own = self._own[progress.number]
        return bool(self.strategy.watch(dataclasses.replace(progress, number=own)))  # type: ignore[attr-defined]

    @property
    def trials(self) -> int:
        """How many it asked for."""
        return len(self._numbers)

    def running(self, now: float, ranks: int) -> float:
        """Worker-seconds of its trials that are out, so far."""
        return sum(max(now - since, 0.0) for since in self.out.values()) * ranks

    def over_budget(self, now: float, ranks: int) -> bool:
        """Whether it has used its worker-seconds, those of running trials included."""
        limit = self.budget.worker_seconds
        return limit is not None and self.spent + self.running(now, ranks) >= limit

    def wants(self, now: float, ranks: int) -> bool:
        """Whether it may be asked now."""
        full = self.budget.trials is not None and self.trials >= self.budget.trials
        return not (self.closes or self.ended or self.waiting or full or self.over_budget(now, ranks))

    def charge(self, now: float, ranks: int) -> float:
        """Worker-seconds used per share. A running trial counts at least what the entry's mean trial costs, so that
        one with many trials just begun is not taken for one that uses nothing.
        """
        ended = self.trials - len(self.out)
        mean = self.spent / ended if ended else 0.0
        running = sum(max((now - since) * ranks, mean) for since in self.out.values())
        return (self.spent + running) / self.share


def fairest(entries: Mapping[str, Entry], now: float, ranks: int) -> Entry | None:
    """The entry to ask next: of those that want a worker the one charged least; of equals the one with fewer trials
    out, then fewer asked, then the first named. None if none wants one.
    """
    wanting = [entry for entry in entries.values() if entry.wants(now, ranks)]
    return min(wanting, key=_order(now, ranks), default=None)


def _order(now: float, ranks: int) -> Callable[[Entry], tuple[float, int, int]]:
    return lambda entry: (entry.charge(now, ranks), len(entry.out), entry.trials)
