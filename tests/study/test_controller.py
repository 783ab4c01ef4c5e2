import dataclasses
import itertools
import json
import math
import threading
import time
from pathlib import Path

import pytest

from glmix_automl.conclusion import say_taken_over
from glmix_automl.errors import StudyError
from glmix_automl.search.all_trials import AllTrials, AllTrialsOptions
from glmix_automl.search.asha import Asha, AshaOptions
from glmix_automl.search.ordered import Ordered
from glmix_automl.study import controller as control
from glmix_automl.study import history, journal, stopping
from glmix_automl.study.controller import Controller
from glmix_automl.study.journal import Journal
from glmix_automl.study.race import Entry
from glmix_automl.study.settings import EntryBudget, Limits
from glmix_automl.trial import TRAINED_BY, Costs, Progress, Result, State, Trial
from glmix_automl.workers.executor import Reporter
from tests.study.places import Hill, Rounds, Threads, Work, peak


def race(path: Path, entries: list[Entry], work: Work = peak, slots: int = 2, **settings: object) -> Controller:
    """Runs a race to its end in threads."""
    place = str(settings.pop("coordinates", ""))
    with Journal(path, sync=False) as file:
        limits = Limits.model_validate(settings)
        controller = Controller(
            file,
            {e.name: e for e in entries},
            stopping.rules(limits),
            limits.grace_seconds,
            limits.trials,
            coordinates=place,
        )
        controller.replay(list(journal.read_events(path)))
        executor = Threads(work, slots, controller.progress)
        try:
            controller.run(executor)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
    return controller


def test_every_trial_of_every_entry_ends_once(tmp_path: Path) -> None:
    done = race(tmp_path / "j", [Entry("hill", Hill(11)), Entry("rounds", Rounds(3, 4))]).history
    assert sorted(done.results) == list(range(23))
    assert history.load_history(tmp_path / "j").results == done.results
    assert done.ended == control.EXHAUSTED


def test_numbers_are_the_studys_outside_and_the_strategys_own_inside(tmp_path: Path) -> None:
    hill = Hill(10)
    done = race(tmp_path / "j", [Entry("rounds", Rounds(2, 3)), Entry("hill", hill)]).history
    told = [call[1] for call in hill.calls if isinstance(call, tuple) and call[0] == "tell"]
    assert sorted(told) == list(range(10))
    for trial in done.trials.values():
        if trial.parent is not None:
            assert done.trials[trial.parent].strategy == trial.strategy


@pytest.mark.parametrize("cut", [0.15, 0.4, 0.55, 0.8, 0.97])
def test_a_journal_cut_anywhere_resumes_with_no_finished_trial_repeated(tmp_path: Path, cut: float) -> None:
    entries = lambda: [Entry("hill", Hill(9)), Entry("rounds", Rounds(2, 4))]  # noqa: E731
    whole = race(tmp_path / "j", entries(), slots=1).history
    text = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(text[: int(len(text) * cut)])
    before = set(history.load_history(tmp_path / "j").results)
    ran: list[int] = []

    def counted(trial: Trial, report: Reporter) -> Result:
        ran.append(trial.number)
        return peak(trial, report)

    after = race(tmp_path / "j", entries(), counted, slots=1).history
    assert not before & set(ran)
    assert before | set(ran) == set(after.results)
    assert after.trials == whole.trials
    assert after.best is not None
    assert whole.best is not None
    assert after.best.number == whole.best.number


def test_replay_repeats_every_call_exactly(tmp_path: Path) -> None:
    first, again = Hill(12), Hill(12)
    race(tmp_path / "j", [Entry("hill", first), Entry("rounds", Rounds(2, 3))])
    race(tmp_path / "j", [Entry("hill", again), Entry("rounds", Rounds(2, 3))])
    assert again.calls[: len(first.calls)] == first.calls


def test_what_the_journal_asked_counts_where_a_strategy_would_ask_otherwise(tmp_path: Path) -> None:
    asked = race(tmp_path / "j", [Entry("hill", Hill(6, seed=1))], trials=4).history.trials
    after = race(tmp_path / "j", [Entry("hill", Hill(6, seed=2))]).history
    assert {number: after.trials[number] for number in asked} == asked
    assert sorted(after.results) == list(range(6))


def test_an_ask_that_a_strategy_can_make_nothing_of_is_named(tmp_path: Path) -> None:
    entry = lambda: Entry("climb", Asha(AshaOptions.model_validate({"family": "toy", "space": {}}), 1))  # noqa: E731
    race(tmp_path / "j", [Entry("climb", Hill(4))])
    with pytest.raises(StudyError, match=r"race entry climb: its strategy cannot take in .*\(0\): KeyError: 'rung'"):
        race(tmp_path / "j", [entry()])


@pytest.mark.parametrize("cut", [1.0, 0.9, 0.5])
def test_what_closes_the_race_weighs_what_the_others_found_once(tmp_path: Path, cut: float) -> None:
    def entries() -> list[Entry]:
        return [Entry("all", AllTrials(AllTrialsOptions(), 1)), Entry("hill", Hill(5))]

    whole = race(tmp_path / "j", entries(), slots=1, trials=4).history
    (closing,) = (trial for trial in whole.trials.values() if trial.strategy == "all")
    assert closing.fit is not None
    assert closing.fit.begin.members == (0, 1, 2, 3)
    assert closing.number == 4, "after the others, and beyond the limit"
    text = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(text[: int(len(text) * cut)])
    assert race(tmp_path / "j", entries(), slots=1, trials=4).history.trials == whole.trials
    more = race(tmp_path / "j", entries(), slots=1).history
    last = max(more.trials.values(), key=lambda trial: trial.number)
    assert len(more.trials) == 7
    assert last.fit is not None
    assert len(last.fit.begin.members) == 5, "what was found since is weighed too"


class Given:
    """Asks for these trials."""

    def __init__(self, *trials: Trial) -> None:
        self._left = list(trials)

    def ask(self, n: int) -> list[Trial]:
        asked, self._left = self._left[:n], self._left[n:]
        return asked

    def recall(self, trials: list[Trial], n: int) -> None:
        self._left = self._left[len(trials) :]

    def tell(self, result: Result) -> None:
        pass


TAKEN = Trial(0, "", "toy", {"x": 1.0}, seed=7, tags={TRAINED_BY: "first"})


@pytest.mark.parametrize("fails", [False, True])
def test_what_another_entry_trains_is_taken_over_when_it_has_ended(tmp_path: Path, fails: bool) -> None:
    """Asked while the other runs it waits without a worker; where the other failed it is trained after all."""
    took: dict[int, tuple[str | None, bool]] = {}

    def work(trial: Trial, report: Reporter) -> Result:
        took[trial.number] = trial.checkpoint, trial.locked
        if trial.strategy == "first":
            while "later" not in names:
                time.sleep(0.01)
            if fails:
                raise RuntimeError("lost")
        names.append(trial.strategy)
        return peak(trial, report)

    names: list[str] = []
    plain = Trial(0, "", "toy", {"x": 1.0})
    other = dataclasses.replace(TAKEN, number=1, parameters={"x": 2.0})
    entries = [Entry("first", Given(plain)), Entry("growth", Given(TAKEN, other)), Entry("later", Given(plain))]
    done = race(tmp_path / "j", entries, work, coordinates="s3://there/trials").history
    numbers = {(t.strategy, t.parameters["x"]): n for n, t in done.trials.items()}
    twin = numbers["growth", 1.0]
    assert took[twin] == ((None, False) if fails else (f"s3://there/trials/{numbers['first', 1.0]}", True))
    assert took[numbers["growth", 2.0]] == (None, False), "other work"
    assert done.trials[twin].checkpoint is None, "the journal says how it is trained"
    assert all(result.state.scored for n, result in done.results.items() if n != numbers["first", 1.0] or not fails)
    members = AllTrials(AllTrialsOptions(), 1)._members(done.trials, done.results)
    assert (twin in members) == fails, "what is there twice is weighed once"


@pytest.mark.parametrize("ended", [0, 1])
def test_a_controller_that_was_killed_takes_over_what_the_first_would_have(tmp_path: Path, ended: int) -> None:
    """Killed while the other trains, or after: the trial that takes it over is never trained itself."""
    took: dict[int, list[bool]] = {}

    def work(trial: Trial, report: Reporter) -> Result:
        took.setdefault(trial.number, []).append(trial.locked)
        return peak(trial, report)

    plain = Trial(0, "", "toy", {"x": 1.0})
    with Journal(tmp_path / "j", sync=False) as file:
        for number, (name, trial) in enumerate((("first", plain), ("growth", TAKEN))):
            asked = dataclasses.replace(trial, number=number, strategy=name).to_json()
            file.append({"event": "ask", "at": 1.0, "entry": name, "n": 1, "trials": [asked]})
        if ended:
            file.append({"event": "result", "at": 2.0, "result": peak(plain, lambda progress: False).to_json()})
    entries = [Entry("first", Given(plain)), Entry("growth", Given(TAKEN))]
    done = race(tmp_path / "j", entries, work, coordinates="there").history
    assert sorted(done.results) == [0, 1]
    assert took == ({1: [True]} if ended else {0: [False], 1: [True]})
    assert say_taken_over(done) == ("growth took over what first trained, whose row has its steps and seconds",)


@pytest.mark.parametrize("lag", [0, 2])
def test_an_older_journal_told_in_order_is_finished_or_refused_with_one_line(tmp_path: Path, lag: int) -> None:
    """Its trials do not say how many results they knew. Without lag that was all; with one a strategy that waits for
    the end of a round may have known more than it had to.
    """
    entry = lambda: Entry("rounds", Ordered(Rounds(3, 4), lag))  # noqa: E731
    whole = race(tmp_path / "j", [entry()]).history.trials
    assert [trial.tags["told"] for trial in whole.values()] != [str(max(0, n - lag)) for n in whole] or lag == 0
    events = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    with Journal(tmp_path / "old", sync=False) as older:
        for event in events[: len(events) * 2 // 3]:
            for trial in event.get("trials", []):
                del trial["tags"]["told"]
            older.append(event)
    if lag:
        line = (
            r"race entry rounds: .*\(\d\): .*trial \d does not say how many results it knew \(tag `told`\); go on with"
        )
        with pytest.raises(StudyError, match=line) as refused:
            race(tmp_path / "old", [entry()])
        assert "\n" not in str(refused.value)
    else:
        after = race(tmp_path / "old", [entry()]).history.trials
        assert {n: dataclasses.replace(trial, tags={}) for n, trial in after.items()} == {
            n: dataclasses.replace(trial, tags={}) for n, trial in whole.items()
        }


def bad(trial: Trial, report: Reporter) -> Result:
    if trial.number == 1:
        raise RuntimeError("out of luck")
    if trial.number == 2:
        return dataclasses.replace(peak(trial, report), loss=math.nan, metrics={"member_auc": math.nan, "n": 1.0})
    return peak(trial, report)


def test_a_trial_that_fails_and_one_with_nan_do_not_end_the_study(tmp_path: Path) -> None:
    done = race(tmp_path / "j", [Entry("hill", Hill(6))], bad).history
    assert done.results[1].state is State.FAILED
    assert "out of luck" in str(done.results[1].error)
    assert done.results[2].loss is None
    assert done.results[2].metrics == {"n": 1.0}
    assert len(done.results) == 6


def slow(trial: Trial, report: Reporter) -> Result:
    """Runs until it is told to stop."""
    for step in itertools.count(1):
        time.sleep(0.01)
        point = Progress(trial.number, step / 100, step, step / 100, 0.6 + step / 1e5)
        if report(point):
            return Result(trial.number, State.STOPPED, point.auc, 0.5, curve=(point,))
    raise AssertionError


def test_at_the_deadline_running_trials_stop_and_count(tmp_path: Path) -> None:
    started = time.monotonic()
    done = race(tmp_path / "j", [Entry("hill", Hill(100))], slow, seconds=0.4).history
    assert time.monotonic() - started < 5
    assert [result.state for result in done.results.values()] == [State.STOPPED] * 2
    assert done.best is not None
    assert done.ended == "the limit of 0.4 seconds is reached"


def test_a_trial_that_does_not_stop_is_left_for_a_resume(tmp_path: Path) -> None:
    release = threading.Event()

    def hangs(trial: Trial, report: Reporter) -> Result:
        release.wait(20)
        return peak(trial, report)

    controller = race(tmp_path / "j", [Entry("hill", Hill(3))], hangs, seconds=0.1, grace_seconds=0.2)
    release.set()
    assert [trial.number for trial in controller.history.out()] == [0, 1]
    done = race(tmp_path / "j", [Entry("hill", Hill(3))], peak).history
    assert sorted(done.results) == [0, 1, 2]


@pytest.mark.parametrize(
    ("limits", "reason", "trials"),
    [
        ({"trials": 5}, "the limit of 5 trials is reached", 5),
        ({"worker_seconds": 4}, "the limit of 4 worker-seconds is reached", 4),
        ({"target_auc": 0.5}, "trial 0 reached the target", 1),
        ({"patience": 3}, "no improvement in 3 trials", None),
    ],
)
def test_limits_end_the_study(tmp_path: Path, limits: dict[str, float], reason: str, trials: int | None) -> None:
    done = race(tmp_path / "j", [Entry("hill", Hill(50))], slots=1, **limits).history
    assert str(done.ended).startswith(reason)
    assert trials in (None, len(done.results))
    assert len(done.results) < 50


def test_the_race_is_shared_by_worker_seconds_not_trials(tmp_path: Path) -> None:
    """One entry's trials cost five times the other's; both are to have used the same when the time is up."""

    def unequal(trial: Trial, report: Reporter) -> Result:
        cost = 5.0 if trial.strategy == "dear" else 1.0
        return dataclasses.replace(peak(trial, report), costs=Costs(worker_seconds=cost))

    entries = [Entry("dear", Hill(500)), Entry("cheap", Hill(500)), Entry("double", Hill(500), share=2.0)]
    race(tmp_path / "j", entries, unequal, worker_seconds=400)
    dear, cheap, double = (entry.spent for entry in entries)
    assert abs(dear - cheap) <= 10
    assert abs(double - 2 * cheap) <= 10


def test_an_entry_keeps_to_its_own_budget(tmp_path: Path) -> None:
    small, few, free = (
        Entry("small", Hill(90), EntryBudget(worker_seconds=7)),
        Entry("few", Hill(90), EntryBudget(trials=4)),
        None,
    )
    free = Entry("free", Hill(20))
    done = race(tmp_path / "j", [small, few, free]).history
    assert 7 <= small.spent <= 8
    assert few.trials == 4
    assert free.trials == 20
    assert len(done.results) == small.trials + 24


class Median(Rounds):
    """Stops every second trial at its first report."""

    def __init__(self, rounds: int, width: int) -> None:
        super().__init__(rounds, width)
        self.seen: list[tuple[int, int]] = []

    def watch(self, progress: Progress) -> bool:
        self.seen.append((progress.number, progress.steps))
        return progress.number % 2 == 1


def short(trial: Trial, report: Reporter) -> Result:
    for step in range(1, 4):
        point = Progress(trial.number, step / 3, step, step / 100, 0.7)
        if report(point):
            return Result(trial.number, State.STOPPED, 0.7, curve=(point,))
    return Result(trial.number, State.FINISHED, 0.7, curve=(point,))


def test_a_watcher_stops_trials_and_sees_the_same_again_on_replay(tmp_path: Path) -> None:
    watcher, again = Median(2, 3), Median(2, 3)
    done = race(tmp_path / "j", [Entry("hill", Hill(5)), Entry("median", watcher)], short).history
    own = [number for number, trial in sorted(done.trials.items()) if trial.strategy == "median"]
    states = [done.results[number].state for number in own]
    assert states == [State.FINISHED, State.STOPPED] * 3
    race(tmp_path / "j", [Entry("hill", Hill(5)), Entry("median", again)], short)
    assert again.seen == watcher.seen


def unsure(trial: Trial, report: Reporter) -> Result:
    """Reports no number; its watcher is told so, and the journal holds none."""
    stopped = report(Progress(trial.number, 1.0, 1, 0.01, float("nan"), float("inf")))
    return Result(trial.number, State.STOPPED if stopped else State.FINISHED, 0.7)


def test_progress_that_is_no_number_ends_no_trial_and_is_replayed(tmp_path: Path) -> None:
    watcher, again = Median(1, 2), Median(1, 2)
    done = race(tmp_path / "j", [Entry("median", watcher)], unsure).history
    assert [result.state for _, result in sorted(done.results.items())] == [State.FINISHED, State.STOPPED]
    race(tmp_path / "j", [Entry("median", again)], unsure)
    assert again.seen == watcher.seen == [(0, 1), (1, 1)]


def test_an_interrupted_study_returns_soon_and_keeps_its_trials_out(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", sync=False) as file:
        controller = Controller(file, {"hill": Entry("hill", Hill(9))})
        executor = Threads(slow, 2, controller.progress)
        threading.Timer(0.2, controller.interrupt).start()
        assert controller.run(executor) == control.INTERRUPTED
        for trial in executor.submitted:
            executor.stop(trial.number)
        executor.shutdown()
    told = history.load_history(tmp_path / "j")
    assert len(told.out()) == 2
    assert told.ended == control.INTERRUPTED
