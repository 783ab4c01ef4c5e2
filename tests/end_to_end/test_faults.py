"""A whole study under the faults of its machine ends as one that was never disturbed."""

import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

from glmix_automl import Study
from glmix_automl.cli import main
from glmix_automl.errors import ChangedDataError, GlmixError
from glmix_automl.study.folder import StudyFolder
from glmix_automl.trial import State
from tests.dataset.test_fingerprint import SHARD, reorder
from tests.dataset_maker import make_dataset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LBFGS = {"solver": "lbfgs"}
L2 = {"l2": {"type": "float", "low": 0.1, "high": 10.0, "scale": "log"}}
BASELINE = {"strategy": "fixed", "family": "logistic", "parameters": LBFGS | {"l2": 1.0}}
RANDOM = {"strategy": "random", "family": "logistic", "space": L2, "trials": 4, "parameters": LBFGS}
NETWORKS = {
    "strategy": "grid",
    "family": "subnetwork",
    "parameters": {"depth": 1, "width": 8},
    "space": {"learning_rate": {"choice": [0.01, 0.02]}},
}
RACE: dict[str, Any] = {"baseline": BASELINE, "random": RANDOM, "networks": NETWORKS}
TRIALS = 7
DISK = 4 << 20  # bytes


def study(dataset: Path, folder: Path, **more: Any) -> Study:
    settings = {"dataset": str(dataset), "study": str(folder), "seed": 3, "race": RACE, "baseline": "baseline"}
    return Study({**settings, "workers": {"place": "in_process"}, "tracking": {"enabled": False}, **more})


def leaderboard(of: Study) -> pd.DataFrame:
    """What the study has come to, less what its work took and less numbers, which depend on that."""
    assert sorted(of.history.results) == list(range(TRIALS))
    assert {result.state for result in of.history.results.values()} == {State.FINISHED}
    board = of.leaderboard()
    return board[[name for name in board.columns if "seconds" not in name and name not in ("on_front", "trial")]]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults") / "dataset"
    make_dataset(folder, rows=400)
    return folder


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return leaderboard(study(dataset, tmp_path_factory.mktemp("undisturbed") / "study").run())


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[None]:
    """A file system in a folder, where one can be mounted."""
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a file system: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_dataset_that_cannot_be_written_is_all_a_study_needs(
    dataset: Path, undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    place = tmp_path / "dataset"
    with mounted(place, "--bind", str(dataset)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        with pytest.raises(OSError, match="Read-only"):
            (place / "new").touch()
        pd.testing.assert_frame_equal(leaderboard(study(place, tmp_path / "study").run()), undisturbed)


@pytest.mark.parametrize("free", [12_000, 160_000], ids=["at its begin", "in mid-study"])
def test_a_disk_that_fills_and_is_cleared_changes_nothing(
    dataset: Path, undisturbed: pd.DataFrame, tmp_path: Path, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glmix_automl.workers.in_process.DISK_SECONDS", 0.2)
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs"):
        ballast, ended = disk / "ballast", threading.Event()
        ballast.write_bytes(bytes(DISK - free))
        filled = threading.Event()

        def make_room() -> None:
            """A while after the disk has become full."""
            while shutil.disk_usage(disk).free > 4096 and not ended.wait(0.02):
                pass
            if not ended.wait(2.0):
                filled.set()
            ballast.unlink()

        helper = threading.Thread(target=make_room)
        helper.start()
        try:
            done, told = until_there_is_room(dataset, disk / "study")
        finally:
            ended.set()
            helper.join()
        assert filled.is_set(), "the disk was full while the study ran"
        assert all("full" in text or "No space left" in text for text in told)
        assert told or max(result.attempts for result in done.history.results.values()) > 1
        pd.testing.assert_frame_equal(leaderboard(done), undisturbed)
        assert not list((disk / "study").rglob(".*")), "what was half written is removed"
        print(f"the journal could not be written {len(told)} times")


def until_there_is_room(dataset: Path, folder: Path) -> tuple[Study, list[str]]:
    """The study, gone on with by the same call whenever it ended for a full disk, and what it told then."""
    told: list[str] = []
    for _ in range(100):
        try:
            return study(dataset, folder).run(resume=True), told
        except GlmixError as error:
            told.append(str(error))
            time.sleep(0.2)
    raise AssertionError(f"the study never ended: {told[-1]}")


def test_a_clock_that_jumps_ends_no_study_and_costs_no_trial(
    dataset: Path, undisturbed: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, calls = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: true() + (86_400 * 365 if next(calls) % 3 else -86_400))
    limits = {"seconds": 500.0, "worker_seconds": 500.0}
    done = study(dataset, tmp_path / "study", limits=limits).run()
    monkeypatch.undo()
    assert done.ended == "every entry of the race has ended"
    assert all(0 <= result.costs.worker_seconds < 500 for result in done.history.results.values())
    pd.testing.assert_frame_equal(leaderboard(done), undisturbed)


@contextmanager
def control_group(most: int) -> Iterator[Path]:
    """A group of processes that the kernel gives so many bytes of memory, where one can be made."""
    v1 = Path("/sys/fs/cgroup/memory")
    limit = "memory.limit_in_bytes" if v1.is_dir() else "memory.max"
    group = (v1 if v1.is_dir() else v1.parent) / f"glmix-automl-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"needs the right to make a control group: {error}")
    try:
        try:
            (group / limit).write_text(str(most))
        except OSError as error:
            pytest.skip(f"needs control groups that limit memory: {error}")
        yield group
    finally:
        for _ in range(100):  # the kernel lets go of the killed a little later
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)


@pytest.mark.horovod
@pytest.mark.parametrize("killer", ["kernel", "own limit"])
def test_a_trial_that_needs_more_memory_than_there_is_fails_alone(dataset: Path, tmp_path: Path, killer: str) -> None:
    huge = {"strategy": "fixed", "family": "subnetwork", "parameters": {"depth": 2, "width": 20_000}}
    settings = {
        "dataset": str(dataset),
        "study": str(tmp_path / "study"),
        "race": {"huge": huge, "random": RANDOM, "baseline": BASELINE},
        "workers": {"slots": 1, "attempts": 2, "memory_limit_mb": 1500 if killer == "own limit" else None},
        "tracking": {"enabled": False},
    }
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "glmix_automl.cli", "search", str(path)]
    with control_group(2_000_000_000) if killer == "kernel" else nullcontext() as group:
        joined = (
            command if group is None else ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command]
        )
        done = subprocess.run(joined, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = StudyFolder(tmp_path / "study").history()
    (failed,) = [result for result in found.results.values() if result.state is not State.FINISHED]
    assert found.trials[failed.number].strategy == "huge"
    assert (failed.state, failed.attempts) == (State.FAILED, 2)
    assert "lost 2 times" in str(failed.error)
    assert "out of memory" in str(failed.error)
    assert ("kernel" if killer == "kernel" else "more than its limit") in str(failed.error)
    assert len(found.results) == 6
    assert "huge" in done.stdout, "the entry without a model is named"
    print(failed.error)


@pytest.mark.horovod
def test_a_dataset_that_is_replaced_is_refused_by_all_who_open_it_until_it_is_back(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, folder = tmp_path / "dataset", tmp_path / "study"
    shutil.copytree(dataset, place)
    race = {"baseline": BASELINE, "networks": NETWORKS | {"epochs": 300}}
    settings = {"dataset": str(place), "study": str(folder), "race": race, "workers": {"slots": 1}}
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump(settings | {"tracking": {"enabled": False}}))
    command = [sys.executable, "-m", "glmix_automl.cli", "search", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(StudyFolder(folder).history().trials) > 1, process)  # a network is being trained
    reorder(place)
    (worker,) = psutil.Process(process.pid).children()
    worker.kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "split test is not what it was when the study began" in err
    assert "Traceback" not in err
    told = StudyFolder(folder).history()
    assert [told.trials[number].strategy for number in told.results] == ["baseline"], "none is trained on other rows"
    for words in (["report"], ["compare", str(folder)], ["resume"]):
        assert main([*words, str(folder)]) == 2
        assert "split test is not what it was when the study began" in capsys.readouterr().err
    with pytest.raises(ChangedDataError):
        Study.open(folder).champion()
    shutil.copy(dataset / SHARD, place / SHARD)
    assert main(["resume", str(folder)]) == 0
    told = StudyFolder(folder).history()
    assert [result.state for result in told.results.values()] == [State.FINISHED] * 3


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
