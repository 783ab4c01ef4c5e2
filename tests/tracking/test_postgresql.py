"""A study in MLflow on PostgreSQL: straight into the database, and through a tracking server on it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from glmix_automl.tracking.registry import Registry
from glmix_automl.tracking.tracker import Tracker
from tests.study.records import begun
from tests.tracking.test_tracker import runs, work

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def programs() -> Path | None:
    """Where Debian, or the path, has PostgreSQL's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """URI of an empty database of a server of its own, which ends with the test."""
    pytest.importorskip("psycopg", reason="no driver of PostgreSQL: make setup")
    there = programs()
    if there is None:
        pytest.skip("no PostgreSQL on this machine: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="glmix-postgresql-", dir="/tmp") as place:
        who = None
        if os.geteuid() == 0:  # which it refuses to run as
            account = pwd.getpwnam("postgres")
            os.chown(place, account.pw_uid, account.pw_gid)
            who = account.pw_uid
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        data = f"{place}/data"

        def run(*words: str) -> None:
            subprocess.run([str(there / words[0]), *words[1:]], user=who, cwd=place, check=True, capture_output=True)

        run("initdb", "-D", data, "-U", "glmix", "--auth=trust", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {place}"
        run("pg_ctl", "-D", data, "-o", options, "-l", f"{place}/log", "-w", "start")
        try:
            yield f"postgresql://glmix@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")


def test_a_study_is_logged_and_read_back(database: str, tmp_path: Path) -> None:
    folder = begun(tmp_path / "study")
    history = work(folder, 6).history
    tracker = Tracker(folder, database, "made")
    tracker.start()
    assert tracker.close(200), tracker.problem
    found = runs(database, tracker.parent)
    assert sorted(found) == list(range(6))
    assert found[2].data.metrics["validation_auc"] == pytest.approx(history.results[2].auc)
    assert Registry(database, "made").champion() is None
