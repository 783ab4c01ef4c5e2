import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glmix_automl.errors import StudyError
from glmix_automl.study import lock

HOLD = """
import os, sys, time
from pathlib import Path
from glmix_automl.study.lock import hold
with hold(Path(sys.argv[1])):
    if len(sys.argv) > 2 and os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    print("held", flush=True)
    time.sleep(20)
"""


def hold(path: Path, *more: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), *more], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_controller_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    process = hold(tmp_path / "lock")
    try:
        assert lock.is_held(tmp_path / "lock")
        with pytest.raises(StudyError, match=f"process {process.pid} on .* since 20"), lock.hold(tmp_path / "lock"):
            pass
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("more", [(), ("fork",)], ids=["alone", "with a forked child alive"])
def test_the_lock_of_a_killed_controller_is_taken_over(tmp_path: Path, more: tuple[str, ...]) -> None:
    process = hold(tmp_path / "lock", *more)
    process.kill()
    process.wait()
    try:
        assert lock.owner(tmp_path / "lock")["pid"] == process.pid
        time.sleep(0.1)
        with lock.hold(tmp_path / "lock"):
            assert lock.owner(tmp_path / "lock")["pid"] == os.getpid()
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            assert not more


def test_a_lock_given_back_has_no_owner(tmp_path: Path) -> None:
    with lock.hold(tmp_path / "lock"):
        assert lock.is_held(tmp_path / "lock")
    assert not lock.is_held(tmp_path / "lock")
    assert lock.owner(tmp_path / "lock") == {}
