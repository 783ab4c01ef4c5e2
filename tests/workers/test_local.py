"""The local pool: faults of light workers, and what is left when the controller ends in any way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from glmix_automl.errors import PoolError
from glmix_automl.trial import State, Trial
from glmix_automl.workers.local import local_pool
from glmix_automl.workers.pool import WorkerPool
from glmix_automl.workers.submission import TrialPolicy
from glmix_automl.workers.task_spec import TaskSpec

LONG = 60.0
ROOT = Path(__file__).resolve().parents[2]
LIGHT = "tests.workers.tasks.Light"


def trial(number: int, **parameters: Any) -> Trial:
    return Trial(number, "local", "none", parameters)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerPool]:
    policy = TrialPolicy(time_limit=1.0, grace_seconds=0.3, attempts=2)
    with local_pool(TaskSpec(LIGHT), 2, policy=policy, logs=tmp_path_factory.mktemp("logs")) as pool:
        yield pool


def test_a_worker_keeps_its_task_from_trial_to_trial(pool: WorkerPool) -> None:
    results = [pool.submit(trial(n)).result(LONG) for n in range(6)]
    calls = {(r.metrics["pid"], r.metrics["calls"]) for r in results}
    assert len(calls) == 6
    assert len({pid for pid, _ in calls}) <= 2


def test_a_trial_that_hangs_is_ended_at_its_time_limit_and_says_where_it_was(pool: WorkerPool) -> None:
    result = pool.submit(trial(10, do="hang")).result(LONG)
    assert result.state is State.FAILED
    assert "hung" in (result.error or "")
    assert "in _hang" in (result.error or "")
    assert result.attempts == 1
    assert pool.submit(trial(11)).result(LONG).state is State.FINISHED


def test_a_trial_that_listens_is_stopped_at_its_time_limit_with_its_score(pool: WorkerPool) -> None:
    result = pool.submit(trial(20, do="patient")).result(LONG)
    assert (result.state, result.auc) == (State.STOPPED, 0.5)


def test_a_trial_whose_worker_is_killed_is_tried_again(pool: WorkerPool, tmp_path: Path) -> None:
    result = pool.submit(trial(30, do="die_once", mark=str(tmp_path / "mark"))).result(LONG)
    assert (result.state, result.attempts) == (State.FINISHED, 2)


def test_a_trial_that_kills_every_worker_fails_after_its_attempts(pool: WorkerPool) -> None:
    result = pool.submit(trial(40, do="die")).result(LONG)
    assert (result.state, result.attempts) == (State.FAILED, 2)
    assert "lost 2 times" in (result.error or "")
    assert "SIGKILL" in (result.error or "")


def test_a_process_that_ends_by_itself_is_told_apart_from_a_killed_one(pool: WorkerPool) -> None:
    assert "ended by itself with exit code 3" in (pool.submit(trial(50, do="exit")).result(LONG).error or "")


def test_a_refused_allocation_is_named_as_lack_of_memory(pool: WorkerPool) -> None:
    result = pool.submit(trial(60, do="memory_error")).result(LONG)
    assert (result.error or "").startswith("out of memory")
    assert result.attempts == 1


def test_what_is_no_result_is_a_failed_trial(pool: WorkerPool) -> None:
    assert "cannot be sent" in (pool.submit(trial(70, do="bad_result")).result(LONG).error or "")


def test_a_worker_above_its_memory_limit_ends_itself_and_the_trial_says_so(tmp_path: Path) -> None:
    policy = TrialPolicy(attempts=1)
    with local_pool(TaskSpec(LIGHT), 1, policy=policy, memory_bytes=300 << 20, logs=tmp_path) as pool:
        error = pool.submit(trial(1, do="fill")).result(LONG).error or ""
        assert "out of memory" in error
        assert "more than its limit" in error


def test_a_trial_at_its_limit_has_as_long_to_score_as_scoring_was_seen_to_take(pool: WorkerPool) -> None:
    def late(number: int, family: str, seconds: float) -> State:
        parameters = {"do": "score_for", "seconds": seconds}
        return pool.submit(Trial(number, "local", family, parameters)).result(LONG).state

    assert late(80, "slow", 0.6) is State.STOPPED, "of a family not seen before: as long again as the limit"
    assert late(81, "slow", 1.2) is State.STOPPED, "a family that was seen to need it"
    assert late(82, "quick", 0.0) is State.STOPPED
    assert late(83, "quick", 30.0) is State.FAILED, "a family that was seen not to need it"


def test_a_full_disk_is_waited_out_and_counts_against_no_trial(pool: WorkerPool, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glmix_automl.workers.dispatcher.DISK_SECONDS", 0.1)
        futures = [pool.submit(trial(n, do="write", full=str(full))) for n in (90, 91, 92)]
        end = time.monotonic() + LONG
        while max((submission.excused for submission in [*pool.dispatcher._queue]), default=0) < 3:
            assert time.monotonic() < end, "no trial is tried again"
            time.sleep(0.01)
        assert not any(future.done() for future in futures)
        full.unlink()
        results = [future.result(LONG) for future in futures]
    assert {result.state for result in results} == {State.FINISHED}
    assert max(result.attempts for result in results) > 2, "more than a trial may lose workers"
    assert max(result.costs.worker_seconds for result in results) > 0


def test_a_disk_that_stays_full_ends_the_pool_with_its_trials_open(tmp_path: Path) -> None:
    policy = TrialPolicy(outage_seconds=0.2)
    with pytest.MonkeyPatch.context() as patch, local_pool(TaskSpec(LIGHT), 1, policy=policy, logs=tmp_path) as pool:
        patch.setattr("glmix_automl.workers.dispatcher.DISK_SECONDS", 0.1)
        (tmp_path / "full").touch()
        futures = [pool.submit(trial(n, do="write", full=str(tmp_path / "full"))) for n in (1, 2)]
        for future in futures:
            with pytest.raises(PoolError, match="disk is full; make room"):
                future.result(LONG)


def test_another_dataset_ends_the_pool_with_its_trials_open(tmp_path: Path) -> None:
    with local_pool(TaskSpec(LIGHT), 1, logs=tmp_path) as pool:
        futures = [pool.submit(trial(1, do="find_another_dataset")), pool.submit(trial(2))]
        for future in futures:
            with pytest.raises(PoolError) as told:
                future.result(LONG)
            assert str(told.value) == "split test is not what it was"
    assert "find_another_dataset" in (tmp_path / "local-worker-0.log").read_text(), "where it was raised"


@pytest.mark.slow
def test_a_worker_that_cannot_start_is_tried_again_later_and_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glmix_automl.workers.supervisor.BACK_OFF_SECONDS", 0.05)
    failures = tmp_path / "failures"
    failures.mkdir()
    spec = TaskSpec(LIGHT, {"failures": str(failures)})
    with local_pool(spec, 1, logs=tmp_path / "logs", policy=TrialPolicy(attempts=9, outage_seconds=LONG)) as pool:
        assert pool.submit(trial(1)).result(LONG).state is State.FINISHED
        for n in range(4):
            (failures / str(n)).touch()
        result = pool.submit(trial(2, do="die_once", mark=str(tmp_path / "mark"))).result(LONG)
        assert (result.state, result.attempts) == (State.FINISHED, 2)
        assert not list(failures.iterdir())


def test_the_pool_ends_when_no_worker_could_start_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glmix_automl.workers.supervisor.BACK_OFF_SECONDS", 0.05)
    failures = tmp_path / "failures"
    failures.mkdir()
    spec = TaskSpec(LIGHT, {"failures": str(failures)})
    with local_pool(spec, 2, logs=tmp_path / "logs") as pool:
        assert pool.submit(trial(1)).result(LONG).state is State.FINISHED
        monkeypatch.setattr(pool.supervisor, "_patience", 0.5)
        for n in range(100):
            (failures / str(n)).touch()
        futures = [pool.submit(trial(n, do="die")) for n in (2, 3)]
        futures += [pool.submit(trial(n)) for n in (4, 5)]
        for future in futures[2:]:
            with pytest.raises(PoolError, match=r"no worker can start(.|\n)*not there at the moment"):
                future.result(LONG)


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        (TaskSpec(LIGHT, {"fail": "no dataset at /nowhere"}), "FileNotFoundError: no dataset at /nowhere"),
        (TaskSpec(LIGHT, {"unknown": 1}), "unexpected keyword argument 'unknown'"),
        (TaskSpec("tests.workers.tasks.Absent"), "no 'Absent' in tests.workers.tasks"),
        (TaskSpec("no_such_package.Task"), "no module 'no_such_package' on this worker"),
    ],
)
def test_a_task_that_cannot_be_made_fails_the_pool_with_the_cause(spec: TaskSpec, cause: str, tmp_path: Path) -> None:
    with local_pool(spec, 2, logs=tmp_path) as pool:
        futures = [pool.submit(trial(n)) for n in range(3)]
        for future in futures:
            with pytest.raises(PoolError, match="cannot start") as caught:
                future.result(LONG)
            assert cause in str(caught.value)
        with pytest.raises(PoolError):
            pool.submit(trial(4))


def test_threads_of_a_worker_hold_no_core_that_others_wait_for(tmp_path: Path) -> None:
    pool = local_pool(TaskSpec(LIGHT), 1, threads=2, logs=tmp_path)
    assert pool.submit(trial(1, do="spins")).result(LONG).metrics["spins"] <= 10_000
    pool.shutdown()


def test_a_worker_that_dies_at_its_start_brings_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; print('a broken installation', flush=True); os._exit(4)")
    pool = local_pool(TaskSpec(LIGHT), 1, environment={"PYTHONPATH": str(tmp_path)}, logs=tmp_path)
    with pytest.raises(PoolError, match=r"exit code 4(.|\n)*a broken installation"):
        pool.submit(trial(1)).result(LONG)
    pool.shutdown()


CONTROLLER = f"""
import sys, time
from glmix_automl.trial import Trial
from glmix_automl.workers.local import local_pool
from glmix_automl.workers.task_spec import TaskSpec
from pathlib import Path
pool = local_pool(TaskSpec("{LIGHT}", {{"marks": sys.argv[1]}}), 2, logs=Path(sys.argv[2]))
futures = [pool.submit(Trial(n, "t", "f", {{"do": "hang"}})) for n in range(2)]
futures[0].result()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_no_worker_outlives_the_controller(number: signal.Signals, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    command = [sys.executable, "-c", CONTROLLER, str(marks), str(tmp_path / "logs")]
    controller = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    workers = [psutil.Process(int(mark)) for mark in wait_for_marks(marks)]
    os.kill(controller.pid, number)
    assert controller.wait(LONG) != 0
    gone, alive = psutil.wait_procs(workers, 10)
    assert not alive
    assert len(gone) == 2


def wait_for_marks(folder: Path) -> list[str]:
    """Process ids of two workers, once they hold their task."""
    end = time.monotonic() + LONG
    while len(names := [path.name for path in folder.iterdir()]) < 2:
        assert time.monotonic() < end, "the workers did not start"
        time.sleep(0.02)
    return names
