"""History: what a journal says has happened; stop rules, the leaderboard and the status are functions of it."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from glmix_automl.errors import StudyError
from glmix_automl.study import journal
from glmix_automl.study.journal import Event
from glmix_automl.trial import Result, Trial


@dataclass
class History:
    """Trials and results by number, kept up event by event; every question costs the same however long it is.

    Attributes:
        trials: every trial asked, by number.
        results: how they ended, by number; a trial without one is out, or was when the controller left.
        best: the scored result of the highest validation AUC, the earliest of equals; None if there is none.
        since_best: trials that ended after the best one without beating it.
        spent: worker-seconds of all results.
        ended: why the last controller left; None while one works, or after a controller was killed.
        sessions: pairs of the first and the last time of each controller's work.
    """

    trials: dict[int, Trial] = field(default_factory=dict)
    results: dict[int, Result] = field(default_factory=dict)
    best: Result | None = None
    since_best: int = 0
    spent: float = 0.0
    ended: str | None = None
    sessions: list[tuple[float, float]] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Takes in one event.

        Raises:
            StudyError: a trial is asked or ends twice.
        """
        kind, at = event["event"], float(event["at"])
        if kind == "session":
            self.sessions.append((at, at))
            self.ended = None
        elif self.sessions:
            start, last = self.sessions[-1]
            self.sessions[-1] = (start, max(at, last))
        if kind == "ask":
            for record in event["trials"]:
                self._ask(Trial.from_json(record))
        elif kind == "result":
            record = event["result"]
            self._end(Result.from_json(record, self.trials.get(record["number"])))
        elif kind == "end":
            self.ended = event["reason"]

    def _ask(self, trial: Trial) -> None:
        if trial.number in self.trials:
            raise StudyError(f"the journal asks trial {trial.number} twice")
        self.trials[trial.number] = trial

    def _end(self, result: Result) -> None:
        if result.number not in self.trials or result.number in self.results:
            raise StudyError(f"the journal ends trial {result.number}, which is not out")
        self.results[result.number] = result
        self.spent += result.costs.worker_seconds
        if result.quality is not None and result.quality > (
            -math.inf if self.best is None else self.best.quality or 0.0
        ):
            self.best, self.since_best = result, 0
        else:
            self.since_best += 1

    def seconds(self, now: float | None = None) -> float:
        """Seconds that controllers have worked on the study, up to `now` if one works still."""
        done = sum(last - start for start, last in self.sessions)
        return done if now is None or not self.sessions else done + max(0.0, now - self.sessions[-1][1])

    def out(self) -> list[Trial]:
        """The trials that were asked and have not ended, in order."""
        return [trial for number, trial in sorted(self.trials.items()) if number not in self.results]

    def scored(self, strategy: str | None = None) -> Iterator[tuple[Trial, Result]]:
        """The trials that can be used, of one entry of the race or of all, in order of their end."""
        for number, result in self.results.items():
            if result.state.scored and strategy in (None, self.trials[number].strategy):
                yield self.trials[number], result


def replay(events: Iterable[Event]) -> History:
    """The history after these events."""
    history = History()
    for event in events:
        history.add(event)
    return history


def load_history(path: Path) -> History:
    """The history that a journal file tells.

    Raises:
        StudyError: there is no journal there, or it is torn.
    """
    return replay(journal.read_events(path))
