"""One controller per study: an advisory lock whose owner is shown to whoever comes second.

The kernel gives the lock back when its owner dies, however it dies, so a stale lock is only a file with an old name in
it: there is nothing to break, and no race in taking it over.
"""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glmix_automl.errors import StudyError


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Holds the lock for the length of the block, in a folder that is made if it is not there.

    Raises:
        StudyError: another controller holds it: which process, on which host, since when; or the folder cannot be made
            or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StudyError(
            f"{path.parent}: no study can lie here: {error.strerror or error}; name another place"
        ) from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StudyError(
                f"{path.parent}: another controller runs this study: {describe_owner(owner(path))}"
            ) from error
        _let_children_go(file)
        record = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(record).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(file, 0)
    finally:
        os.close(file)


def is_held(path: Path) -> bool:
    """Whether a controller holds the lock now."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def owner(path: Path) -> dict[str, Any]:
    """Who took the lock last and did not give it back: pid, host, since; empty if nobody."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def describe_owner(record: dict[str, Any]) -> str:
    """An owner in words."""
    if not record:
        return "owner unknown"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record["since"]))
    return f"process {record['pid']} on {record['host']} since {since}"


def _let_children_go(file: int) -> None:
    """A forked child must not keep its dead parent's lock: the lock belongs to the open file, which forks share."""
    number = os.fstat(file).st_ino

    def close_in_child() -> None:
        with contextlib.suppress(OSError):
            if os.fstat(file).st_ino == number:
                os.close(file)

    os.register_at_fork(after_in_child=close_in_child)
