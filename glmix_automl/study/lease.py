"""One controller per study where no kernel keeps a lock: a lease in the store, renewed while its owner lives.

A lease that was not renewed for `EXPIRED_SECONDS` is nobody's: its owner is dead or cut off. Two who take it over at
once are told apart by reading it again, and at last by the journal, in which a segment can be written once only.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from glmix_automl.errors import GlmixError, StudyError
from glmix_automl.layout import LOCK, Folder
from glmix_automl.study.lock import describe_owner

RENEW_SECONDS = 10.0
EXPIRED_SECONDS = 60.0
SETTLE_SECONDS = 1.0  # between taking over and believing it


@contextlib.contextmanager
def hold(files: Folder) -> Iterator[None]:
    """Holds the lease for the length of the block.

    Raises:
        StudyError: another controller holds it: which process, on which host, since when.
    """
    ours: dict[str, Any] = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
    ours["token"] = uuid.uuid4().hex
    found = owner(files)
    if is_alive(found):
        raise StudyError(f"{files.uri}: another controller runs this study: {describe_owner(found)}")
    _renew(files, ours)
    if found:
        time.sleep(SETTLE_SECONDS)
        if (now := owner(files)).get("token") != ours["token"]:
            raise StudyError(f"{files.uri}: another controller took this study over: {describe_owner(now)}")
    over = threading.Event()
    thread = threading.Thread(target=_keep, args=(files, ours, over), name="glmix-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        files.remove(LOCK)


def owner(files: Folder) -> dict[str, Any]:
    """Who took the lease last and did not give it back: pid, host, since, renewed; empty if nobody."""
    if not files.exists(LOCK):
        return {}
    try:
        record = json.loads(files.read(LOCK))
    except (GlmixError, ValueError):  # given back in this moment
        return {}
    return record if isinstance(record, dict) else {}


def is_alive(found: dict[str, Any]) -> bool:
    """Whether an owner renewed it lately; a process of this machine that is gone is known to be dead at once."""
    if not found or time.time() - found["renewed"] > EXPIRED_SECONDS:
        return False
    if found["host"] != socket.gethostname():
        return True
    try:
        os.kill(found["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _renew(files: Folder, ours: dict[str, Any]) -> None:
    files.write(LOCK, json.dumps({**ours, "renewed": time.time()}))


def _keep(files: Folder, ours: dict[str, Any], over: threading.Event) -> None:
    while not over.wait(RENEW_SECONDS):
        with contextlib.suppress(GlmixError):  # the journal will tell, if the store stays away
            _renew(files, ours)
