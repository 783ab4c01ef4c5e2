"""Laws of the `Executor` role, checked on every place where trials run."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from glmix_automl.trial import Progress, Result, State, Trial
from glmix_automl.workers.executor import Executor
from glmix_automl.workers.in_process import InProcessExecutor
from glmix_automl.workers.local import local_pool
from glmix_automl.workers.simulated import SimulatedExecutor
from glmix_automl.workers.task_spec import TaskSpec
from tests.workers.tasks import Light

SLOTS = 2
SPEC = TaskSpec("tests.workers.tasks.Light")
LONG = 60.0  # seconds no law waits for in vain


def foresee(trial: Trial) -> tuple[Result, float]:
    """What `Light` would do, for the virtual clock."""
    what, done = trial.parameters.get("do"), Result(trial.number, State.FINISHED, auc=0.5)
    if what == "raise":
        raise ValueError(f"trial {trial.number} raises on purpose")
    if what == "patient":
        curve = tuple(Progress(trial.number, n, n, 0.02 * n, auc=0.5) for n in range(2000))
        return Result(trial.number, State.FINISHED, auc=0.5, curve=curve), 40.0
    return done, float(trial.parameters.get("seconds", 0.001))  # type: ignore[arg-type]


MAKERS: dict[str, Callable[..., Any]] = {
    "in_process": lambda told, _: InProcessExecutor(Light, SLOTS, on_progress=told),
    "simulated": lambda told, _: SimulatedExecutor(foresee, SLOTS, on_progress=told),
    "local": lambda told, _: local_pool(SPEC, SLOTS, on_progress=told),
    "spark": lambda told, request: spark_place(told, request),
}
PLACES = [pytest.param(name, marks=pytest.mark.spark) if name == "spark" else name for name in MAKERS]


def spark_place(told: Callable[[Progress], None], request: pytest.FixtureRequest) -> Executor:
    from glmix_automl.workers.spark import spark_pool

    return spark_pool(request.getfixturevalue("spark").sparkContext, SPEC, SLOTS, on_progress=told)


@dataclass
class Place:
    """A place under test: numbers its trials, and keeps what running ones report."""

    name: str
    executor: Any = None
    told: list[Progress] = field(default_factory=list)
    numbers: int = 0

    def submit(self, **parameters: Any) -> Any:
        self.numbers += 1
        return self.executor.submit(Trial(self.numbers, "laws", "none", parameters))

    def end(self, future: Any) -> Result:
        """The result, with the virtual clock moved on where there is one."""
        assert self.executor.wait({future}, LONG) == {future}
        result: Result = future.result()
        return result

    def run(self, **parameters: Any) -> Result:
        return self.end(self.submit(**parameters))

    def until(self, condition: Callable[[], bool]) -> None:
        """Lets time pass until something has happened."""
        end = time.monotonic() + LONG
        while not condition():
            assert time.monotonic() < end, "it never happened"
            self.executor.wait(set(), 0.01)
            time.sleep(0.001)


def make(name: str, request: pytest.FixtureRequest) -> Place:
    place = Place(name)
    place.executor = MAKERS[name](place.told.append, request)
    return place


def worker_processes() -> list[int]:
    """Living worker processes below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "glmix_automl.workers.worker" in process.cmdline():
                found.append(process.pid)
        except psutil.Error:
            pass  # Ended meanwhile
    return found


@pytest.fixture(params=PLACES)
def own(request: pytest.FixtureRequest) -> Iterator[Place]:
    """An executor for one law, which shuts it down. These laws come first: while the shared one of Spark lives it holds
    both cores of the session.
    """
    place = make(request.param, request)
    yield place
    place.executor.shutdown(wait=False)


def test_shutdown_carries_out_what_was_submitted_and_leaves_nothing(own: Place) -> None:
    futures = [own.submit(do="sleep", seconds=0.05) for _ in range(5)]
    own.executor.shutdown()
    assert [future.result(0).state for future in futures] == [State.FINISHED] * 5
    assert not worker_processes()
    with pytest.raises(RuntimeError, match="shut down"):
        own.submit()


def test_shutdown_without_waiting_ends_every_future_and_leaves_nothing(own: Place) -> None:
    running = [own.submit(do="patient") for _ in range(SLOTS)]
    queued = [own.submit() for _ in range(3)]
    own.until(lambda: all(future.running() for future in running))
    own.executor.shutdown(wait=False)
    assert all(future.result(0).state in (State.FAILED, State.STOPPED) for future in running)
    assert all(future.cancelled() for future in queued)
    assert not worker_processes()


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """One executor per place for all laws that leave it usable."""
    place = make(request.param, request)
    yield place
    place.executor.shutdown(wait=False, cancel_futures=True)
    assert not worker_processes()


def test_every_result_comes_through_its_own_future(place: Place) -> None:
    futures = [place.submit() for _ in range(20)]
    results = [place.end(future) for future in futures]
    assert [r.number for r in results] == list(range(place.numbers - 19, place.numbers + 1))
    assert {r.state for r in results} == {State.FINISHED}


def test_the_executor_fills_in_who_when_and_at_what_cost(place: Place) -> None:
    before = place.executor.now()
    result = place.run(do="sleep", seconds=0.1)
    assert before <= result.started < result.ended <= place.executor.now()
    assert result.ended - result.started >= 0.0999
    assert result.costs.worker_seconds == pytest.approx((result.ended - result.started) * place.executor.ranks)
    assert result.attempts == 1
    assert result.worker


def test_a_trial_that_raises_is_a_failed_result_and_the_worker_lives_on(place: Place) -> None:
    for _ in range(SLOTS + 1):
        failed = place.run(do="raise")
        assert failed.state is State.FAILED
        assert "Traceback" in (failed.error or "")
        assert f"trial {failed.number} raises on purpose" in (failed.error or "")
    assert place.run().state is State.FINISHED


def test_all_slots_are_used_and_never_more(place: Place) -> None:
    place.until(lambda: place.executor.slots == SLOTS)
    futures = [place.submit(do="sleep", seconds=0.2) for _ in range(7)]
    results = [place.end(future) for future in futures]
    at_once = [sum(r.started <= moment.started < r.ended for r in results) for moment in results]
    assert max(at_once) == SLOTS
    assert len({r.worker for r in results}) == SLOTS


def test_a_queued_trial_can_be_cancelled_and_never_runs(place: Place) -> None:
    blocking = [place.submit(do="patient") for _ in range(SLOTS)]
    place.until(lambda: all(future.running() for future in blocking))
    queued = place.submit()
    assert queued.cancel()
    for future in blocking:
        assert not future.cancel()
    numbers = range(place.numbers - SLOTS, place.numbers)
    place.until(lambda: {p.number for p in place.told} >= set(numbers))
    for number in numbers:
        place.executor.stop(number)
    assert {place.end(future).state for future in blocking} == {State.STOPPED}
    assert queued.cancelled()
    assert queued in place.executor.wait({queued}, 1.0)


def test_a_running_trial_stops_when_asked_and_keeps_its_score(place: Place) -> None:
    future = place.submit(do="patient")
    number = place.numbers
    place.until(lambda: any(p.number == number for p in place.told))
    place.executor.stop(number)
    result = place.end(future)
    assert result.state is State.STOPPED
    assert result.auc == 0.5


def test_stopping_what_does_not_run_changes_nothing(place: Place) -> None:
    place.executor.stop(10_000)
    assert place.run().state is State.FINISHED


def test_progress_is_told_in_order_while_the_trial_runs(place: Place) -> None:
    future = place.submit(do="patient")
    number = place.numbers
    place.until(lambda: sum(p.number == number for p in place.told) >= 3)
    assert not future.done()
    place.executor.stop(number)
    place.end(future)
    steps = [p.steps for p in place.told if p.number == number]
    assert steps == list(range(len(steps)))


def test_wait_returns_what_is_done_as_soon_as_something_is(place: Place) -> None:
    slow, fast = place.submit(do="sleep", seconds=0.5), place.submit()
    assert place.executor.wait({slow, fast}, LONG) == {fast}
    assert place.executor.wait({slow}, 0.01) == set()
    assert place.executor.wait({slow, fast}, LONG) >= {fast}
    place.end(slow)


def test_status_names_what_runs_on_every_slot(place: Place) -> None:
    place.until(lambda: [s.state for s in place.executor.status()] == ["idle"] * SLOTS)
    future = place.submit(do="patient")
    number = place.numbers
    place.until(lambda: [s.trial for s in place.executor.status()].count(number) == 1)
    assert sorted(s.state for s in place.executor.status()) == ["busy", "idle"]
    place.executor.stop(number)
    place.end(future)
