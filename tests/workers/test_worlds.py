"""Real Horovod worlds: what their ranks do together, and what is left of them after a fault."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from glmix_automl.trial import Progress, Result, State, Trial
from glmix_automl.workers.local import local_pool
from glmix_automl.workers.pool import WorkerPool
from glmix_automl.workers.submission import TrialPolicy
from glmix_automl.workers.task_spec import TaskSpec
from tests.workers.tasks import flat, rank_values

pytestmark = pytest.mark.horovod
LONG = 120.0
SPEC = TaskSpec("tests.workers.tasks.Ranked")


class Site:
    """A pool with the trials' progress and numbers."""

    def __init__(self, slots: int, ranks: int, logs: Path) -> None:
        self.told: list[Progress] = []
        policy = TrialPolicy(time_limit=LONG / 2, attempts=2)
        self.pool: WorkerPool = local_pool(SPEC, slots, ranks, on_progress=self.told.append, policy=policy, logs=logs)
        self.numbers = 0

    def submit(self, **parameters: Any) -> Any:
        self.numbers += 1
        return self.pool.submit(Trial(self.numbers, "worlds", "none", parameters))

    def run(self, **parameters: Any) -> Result:
        result: Result = self.submit(**parameters).result(LONG)
        return result

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(int(LONG / 0.02)):
            if condition():
                return
            time.sleep(0.02)
        pytest.fail("it never happened")

    def whole(self) -> bool:
        return [s.state for s in self.pool.status()].count("idle") == len(self.pool.status())

    def pids(self) -> list[int]:
        return [worker.launcher._process.pid for worker in self.pool.supervisor.workers.values()]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two worlds of two ranks."""
    site = Site(2, 2, tmp_path_factory.mktemp("pairs"))
    yield site
    site.pool.shutdown(wait=False)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One world of four ranks."""
    site = Site(1, 4, tmp_path_factory.mktemp("four"))
    yield site
    site.pool.shutdown(wait=False)


@pytest.fixture(params=["pairs", pytest.param("four", marks=pytest.mark.slow)])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found


def test_ranks_average_what_they_have_by_weight(site: Site) -> None:
    metrics, size = site.run(do="average").metrics, site.pool.ranks
    mine = [rank_values(rank) for rank in range(size)]
    total = size * (size + 1) / 2
    expected = flat([sum((r + 1) * mine[r][i] for r in range(size)) / total for i in range(3)])  # type: ignore[misc]
    assert metrics["array"] == pytest.approx(expected, rel=1e-5)
    assert metrics["tensor"] == pytest.approx(expected, rel=1e-5)
    assert metrics["weight"] == total
    assert (metrics["votes"], metrics["ranks"]) == (1, size)
    assert metrics["unweighted"] == pytest.approx(flat(mine[0]), rel=1e-5)
    assert metrics["nothing"] == 0
    assert metrics["gathered"] == flat([np.repeat(np.arange(size), np.arange(1, size + 1))[:, None] * np.ones(2)])
    assert metrics["broadcast"] == 6.0
    assert metrics["mean"] == (size - 1) / 2


def test_a_rank_that_raises_fails_the_trial_and_frees_the_one_that_waits_for_it(site: Site) -> None:
    site.until(site.whole)
    before = site.pids()
    for rank in (1, 0):
        result = site.run(do="raise_on", rank=rank)
        assert result.state is State.FAILED
        assert f"ValueError: rank {rank} raises on purpose" in (result.error or "")
        assert result.attempts == 1
        assert site.run(do="sum").metrics["sum"] == sum(range(1, site.pool.ranks + 1))
    assert site.pids() == before, "a raise costs no process"


def test_a_killed_rank_costs_one_attempt_and_no_other_process(pairs: Site, tmp_path: Path) -> None:
    pairs.until(pairs.whole)
    before = pairs.pids()
    neighbour = pairs.submit(do="sum_for", seconds=3.0)
    result = pairs.run(do="die_once_on", rank=1, mark=str(tmp_path / "mark"))
    assert (result.state, result.attempts, result.metrics["sum"]) == (State.FINISHED, 2, 2.0)
    undisturbed = neighbour.result(LONG)
    assert (undisturbed.state, undisturbed.attempts) == (State.FINISHED, 1)
    pairs.until(pairs.whole)
    assert len(set(before) & set(pairs.pids())) == 3, "only the killed rank has a new process"
    assert pairs.run(do="sum").metrics["sum"] == 3.0


@pytest.mark.slow
def test_a_whole_world_killed_from_outside_is_formed_anew(pairs: Site) -> None:
    pairs.until(pairs.whole)
    before = len(pairs.told)
    trial, neighbour = (pairs.submit(do="sum_for", seconds=2.0) for _ in range(2))
    pairs.until(lambda: {p.number for p in pairs.told[before:]} >= {pairs.numbers - 1, pairs.numbers})
    running = pairs.pool.dispatcher.running.items()
    world = next(w for w, submission in running if submission.trial.number == pairs.numbers - 1)
    for worker in list(world.workers):
        os.kill(worker.launcher._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    result, undisturbed = trial.result(LONG), neighbour.result(LONG)
    assert (result.state, result.attempts) == (State.FINISHED, 2)
    assert (undisturbed.state, undisturbed.attempts) == (State.FINISHED, 1)
    assert result.costs.worker_seconds > (result.ended - result.started) * 2, "the lost attempt is paid for too"
    pairs.until(lambda: pairs.pool.slots == 2 and pairs.whole())


def test_a_local_world_listens_on_loopback_only(pairs: Site) -> None:
    pairs.until(pairs.whole)
    future = pairs.submit(do="sum_for", seconds=1.0)
    pairs.until(lambda: "busy" in [s.state for s in pairs.pool.status()])
    sockets = [c for pid in (os.getpid(), *pairs.pids()) for c in psutil.Process(pid).net_connections("inet")]
    assert {c.laddr.ip for c in sockets if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}

    assert future.result(LONG).state is State.FINISHED
