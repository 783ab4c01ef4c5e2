"""The controller: asks, submits, waits for the first, records, tells; stops by rule; resumes by replaying.

Every step is in the journal before it has an effect outside: asks before they are submitted, results before they are
told. All state but the futures is therefore a function of the journal, and a controller that takes over after another
was killed is in the state of the first, with the trials that were out submitted again under their numbers.
"""

import dataclasses
import math
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future

from glmix_automl.errors import PoolError, StudyError
from glmix_automl.study.history import History
from glmix_automl.study.journal import Event, Journal
from glmix_automl.study.race import Entry, fairest
from glmix_automl.study.stopping import Rule
from glmix_automl.trial import Progress, Result, Trial, find_twin
from glmix_automl.workers.executor import Executor

POLL_SECONDS = 0.5

INTERRUPTED = "interrupted"
EXHAUSTED = "every entry of the race has ended"


class Controller:
    """Runs one race on one executor, under the study's lock.

    `progress` is to be given to the executor, which calls it from threads of its own; every other method belongs to
    the thread that runs the study, but for `interrupt`, which may be called from anywhere.
    """

    def __init__(
        self,
        journal: Journal,
        entries: Mapping[str, Entry],
        rules: Sequence[Rule] = (),
        grace_seconds: float = 15.0,
        trials: int | None = None,
        observe: Callable[["Controller"], None] | None = None,
        poll_seconds: float = POLL_SECONDS,
        coordinates: str = "",
    ) -> None:
        """A controller of a study with nothing in it yet; `replay` brings it to where another left.

        Args:
            journal: open for appending.
            entries: the race, by name.
            rules: when to stop.
            grace_seconds: how long stopped trials may take to hand in their best weights.
            trials: how many to ask for at most; a rule that counts ended trials would find more of them running.
            observe: called after every step of the loop: live displays, status files.
            poll_seconds: how late a limit or an interruption may be noticed, by the executor's clock.
            coordinates: folder where trials leave theirs, each in one of its number; for trials that take one over.
        """
        self.history = History()
        self.entries = dict(entries)
        self.latest: dict[int, Progress] = {}
        """The last progress of each trial that is out."""
        self.replayed = 0
        """Results that earlier controllers took in."""
        self._journal, self._rules, self._grace = journal, list(rules), grace_seconds
        self._poll = poll_seconds
        self._most = math.inf if trials is None else trials
        self._observe = observe or (lambda controller: None)
        self._coordinates = coordinates
        self._futures: dict[Future[Result], Trial] = {}
        self._held: dict[int, list[Trial]] = {}  # by the running trial whose coordinate they will take over
        self._turn = threading.RLock()
        self._interrupted = False

    # --- before: the journal so far

    def replay(self, events: Iterable[Event]) -> None:
        """Takes in what happened under earlier controllers, which leaves strategies in the state in which they were.

        Raises:
            StudyError: an entry is not in this race, or can make nothing of what the journal says it asked.
        """
        for event in events:
            if event["event"] == "ask":
                self._recall(event)
            elif event["event"] == "progress":
                progress = Progress(**event["progress"])
                self._entry(progress.number).watch(progress)
            self.history.add(event)
            if event["event"] == "result":
                number = event["result"]["number"]
                self._entry(number).tell(self.history.results[number])
        self.replayed = len(self.history.results)

    def _recall(self, event: Event) -> None:
        entry = self.entries.get(event["entry"])
        if entry is None:
            raise StudyError(f"the journal asks {event['entry']!r}, which is no entry of this race")
        entry.recall([Trial.from_json(record) for record in event["trials"]], event["n"], event["at"])

    # --- the loop

    def run(self, executor: Executor) -> str:
        """Works until a rule holds, every entry has ended, or `interrupt` is called; returns which.

        The executor is left running: whoever made it shuts it down.

        Raises:
            PoolError: no worker can start or go on. What was out is submitted again if the study is resumed.
            StudyError: the journal cannot be written.
        """
        now = executor.now()
        self._record({"event": "session", "at": now, "pid": os.getpid(), "host": socket.gethostname()})
        for trial in self.history.out():
            self._submit(executor, trial, now)
        reason = self._loop(executor)
        if reason != INTERRUPTED:
            self._close(executor)
        self._record({"event": "end", "at": executor.now(), "reason": reason})
        self._journal.sync()
        self._observe(self)
        return reason

    def _loop(self, executor: Executor) -> str:
        while True:
            reason = INTERRUPTED if self._interrupted else self._rule_that_holds(executor)
            if reason is not None:
                if reason != INTERRUPTED:
                    self._drain(executor)
                return reason
            self._fill(executor)
            if not self._futures and all(not e.wants(executor.now(), executor.ranks) for e in self.entries.values()):
                return EXHAUSTED
            if not self._futures and len(self.history.trials) >= self._most:
                return f"the limit of {self._most:g} trials is reached"
            self._stop_over_budget(executor)
            self._take(executor.wait(list(self._futures), self._poll), executor)
            self._observe(self)

    def _rule_that_holds(self, executor: Executor) -> str | None:
        now = executor.now()
        running = sum(entry.running(now, executor.ranks) for entry in self.entries.values())
        return next((why for rule in self._rules if (why := rule(self.history, now, running)) is not None), None)

    def _fill(self, executor: Executor) -> None:
        """Asks for one trial at a time until no slot is free: who is owed most may change with each."""
        asked: list[Trial] = []
        while len(self._futures) + len(asked) < executor.slots and len(self.history.trials) < self._most:
            with self._turn:
                now = executor.now()
                entry = fairest(self.entries, now, executor.ranks)
                if entry is None:
                    break
                trials = entry.ask(1, len(self.history.trials), now)
                event = {"event": "ask", "at": now, "entry": entry.name, "n": 1}
                self._record({**event, "trials": [trial.to_json() for trial in trials]})
                asked += trials
        self._journal.sync()
        for trial in asked:
            self._submit(executor, trial, executor.now())

    def _submit(self, executor: Executor, trial: Trial, now: float) -> None:
        twin = find_twin(trial, self.history.trials)
        if twin is not None and twin not in self.history.results:
            self._entry(trial.number).out[trial.number] = math.inf  # it holds no worker
            self._held.setdefault(twin, []).append(trial)
            return
        self._entry(trial.number).out[trial.number] = now
        work = trial
        if twin is not None and self.history.results[twin].state.scored:
            work = dataclasses.replace(trial, checkpoint=f"{self._coordinates}/{twin}", locked=True)
        self._futures[executor.submit(work)] = trial

    def _take(self, done: Iterable["Future[Result]"], executor: Executor) -> None:
        for future in sorted(done, key=lambda future: self._futures[future].number):
            trial = self._futures.pop(future)
            self._end(trial, _outcome(trial, future, executor.now()), executor.now())
            for held in self._held.pop(trial.number, ()):
                self._submit(executor, held, executor.now())

    def _end(self, trial: Trial, result: Result, now: float) -> None:
        with self._turn:
            self.latest.pop(trial.number, None)
            self._record({"event": "result", "at": now, "result": result.to_json()})
            self._entry(trial.number).tell(result)

    # --- the end

    def _stop_over_budget(self, executor: Executor) -> None:
        for entry in self.entries.values():
            if entry.out and entry.over_budget(executor.now(), executor.ranks):
                for number in list(entry.out):
                    executor.stop(number)

    def _drain(self, executor: Executor) -> None:
        """Stops what runs and takes what it has; what was only queued, or does not stop in time, stays asked in the
        journal and is submitted again if the study is resumed.
        """
        self._held.clear()
        for future, trial in list(self._futures.items()):
            if future.cancel():
                del self._futures[future]
            else:
                executor.stop(trial.number)
        deadline = executor.now() + self._grace
        while self._futures and not self._interrupted and executor.now() < deadline:
            self._take(executor.wait(list(self._futures), min(self._poll, deadline - executor.now())), executor)
            self._observe(self)

    def _close(self, executor: Executor) -> None:
        """Entries that weigh what the others found have their say, whatever limit has ended the race."""
        for entry in (entry for entry in self.entries.values() if entry.closes and not entry.out):
            now = executor.now()
            with self._turn:
                trials = entry.close(self.history.trials, self.history.results, now)
                event = {"event": "ask", "at": now, "entry": entry.name, "n": 1}
                self._record({**event, "trials": [trial.to_json() for trial in trials]})
            self._journal.sync()
            for trial in trials:
                self._submit(executor, trial, executor.now())
        while not self._interrupted and any(self.entries[t.strategy].closes for t in self._futures.values()):
            self._take(executor.wait(list(self._futures), self._poll), executor)
            self._observe(self)

    def interrupt(self) -> None:
        """Makes `run` return soon, with running trials left out: resuming submits them again."""
        self._interrupted = True

    # --- watching

    def progress(self, progress: Progress) -> bool:
        """Takes in a point of a running trial's curve; returns whether the trial should stop."""
        progress = _finite_point(progress)
        with self._turn:
            if progress.number not in self.history.trials or progress.number in self.history.results:
                return False  # a late word of a trial that is over
            self.latest[progress.number] = progress
            entry = self._entry(progress.number)
            if not entry.watches:
                return False
            self._record({"event": "progress", "at": self._last, "progress": dataclasses.asdict(progress)})
            return entry.watch(progress)

    # ---

    _last = 0.0  # time of the last event; progress comes without a clock

    def _record(self, event: Event) -> None:
        with self._turn:
            self._last = event["at"] = max(self._last, event["at"])
            self._journal.append(event)
            self.history.add(event)

    def _entry(self, number: int) -> Entry:
        return self.entries[self.history.trials[number].strategy]


def _outcome(trial: Trial, future: "Future[Result]", now: float) -> Result:
    """The result of a future that is done, whatever became of it."""
    try:
        result = future.result()
    except PoolError:  # no trial can run any more: the study ends here and is resumed when that is mended
        raise
    except (Exception, CancelledError) as error:  # the executor broke its law; the study need not end for it
        return Result.failure(trial.number, f"{type(error).__name__}: {error}", ended=now)
    if result.number != trial.number:
        return Result.failure(trial.number, f"the worker answered for trial {result.number}", ended=now)
    return _finite(result)


def _finite(result: Result) -> Result:
    """JSON knows no NaN: metrics, losses and points of the curve that are none lose their value."""
    metrics = {name: float(value) for name, value in result.metrics.items() if math.isfinite(value)}
    curve = tuple(map(_finite_point, result.curve))
    auc, loss = _number(result.auc), _number(result.loss)
    return dataclasses.replace(result, auc=auc, loss=loss, metrics=metrics, curve=curve)


def _finite_point(point: Progress) -> Progress:
    return dataclasses.replace(point, auc=_number(point.auc), loss=_number(point.loss))


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
