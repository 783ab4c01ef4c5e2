"""What `workers` of a search file accepts, and that it reaches the workers."""

import itertools
import os
import time
from pathlib import Path
from typing import Any

import pytest

from glmix_automl.config import parse
from glmix_automl.errors import ConfigError
from glmix_automl.study.executors import executor
from glmix_automl.study.settings import Workers
from glmix_automl.trial import State, Trial
from glmix_automl.workers.submission import TrialPolicy
from glmix_automl.workers.task_spec import TaskSpec

LIGHT = TaskSpec("tests.workers.tasks.Light")


def test_attempts_have_one_default() -> None:
    assert Workers().attempts == TrialPolicy().attempts


def test_in_process_is_one_trial_after_the_other(tmp_path: Path) -> None:
    workers = parse({"place": "in_process"}, Workers, "workers")
    assert parse(workers.model_dump(), Workers, "workers") == workers
    with executor(workers, LIGHT, tmp_path, lambda progress: None) as pool:  # type: ignore[attr-defined]
        assert pool.slots == 1
        results = [pool.submit(Trial(n, "t", "f")).result(10) for n in range(3)]
        assert [(r.metrics["pid"], r.metrics["calls"]) for r in results] == [(os.getpid(), n) for n in (1, 2, 3)]


def test_a_full_disk_is_waited_out_in_process_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glmix_automl.workers.in_process.DISK_SECONDS", 0.05)
    full = tmp_path / "full"
    full.touch()
    with executor(parse({"place": "in_process"}, Workers, "workers"), LIGHT, tmp_path, lambda progress: None) as pool:  # type: ignore[attr-defined]
        future = pool.submit(Trial(1, "t", "f", {"do": "write", "full": str(full)}))
        time.sleep(0.3)
        assert not future.done()
        full.unlink()
        assert future.result(10).state is State.FINISHED
        assert future.result().attempts > 1


def test_a_clock_that_jumps_by_a_year_costs_no_trial_a_year(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true, calls = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: true() + (365 * 86_400 if next(calls) % 2 else -86_400))
    workers = parse({"place": "in_process", "trial_seconds": 60}, Workers, "workers")
    with executor(workers, LIGHT, tmp_path, lambda progress: None) as pool:
        before = pool.now()
        results = [pool.submit(Trial(n, "t", "f")).result(10) for n in range(5)]
        assert 0 <= pool.now() - before < 60
    assert all(0 <= r.costs.worker_seconds < 60 and (r.ended or 0) >= (r.started or 0) for r in results)
    assert {r.state for r in results} == {State.FINISHED}


@pytest.mark.parametrize("told", [{"slots": 2}, {"ranks": 2}, {"memory_limit_mb": 100}])
def test_in_process_takes_nothing_that_needs_processes(told: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="one trial after the other"):
        parse({"place": "in_process", **told}, Workers, "workers")


def test_a_limit_of_memory_reaches_the_workers(tmp_path: Path) -> None:
    workers = Workers(slots=1, memory_limit_mb=300, attempts=1)
    with executor(workers, LIGHT, tmp_path, lambda progress: None) as pool:  # type: ignore[attr-defined]
        result = pool.submit(Trial(1, "t", "f", {"do": "fill"})).result(60)
    assert result.state is State.FAILED
    assert "more than its limit" in (result.error or "")
