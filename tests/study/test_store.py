"""A study at a store that cannot append: begun, killed, resumed and read from elsewhere, on an S3-compatible server."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs

from glmix_automl.api import Study
from glmix_automl.cli import main
from glmix_automl.errors import ConfigError, StudyError
from glmix_automl.layout import Folder
from glmix_automl.study import lease
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.segments import Segments
from glmix_automl.study.session import Session
from tests.dataset_maker import make_dataset
from tests.study.killed import place, settings

ROOT = Path(__file__).resolve().parent.parent.parent
BUCKET = "studies"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a folder in a bucket with a dataset in it; replicas go to a folder of the test's own."""
    moto = pytest.importorskip("moto.server", reason="no moto: make setup")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "{}:{}".format(*server.get_host_and_port())
    known = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**known, "TMPDIR": str(folder)}.items():
            patch.setenv(name, value)
        patch.setattr("tempfile.tempdir", str(folder))
        options = f"?endpoint_override={address}&scheme=http&region=us-east-1"
        files, _ = fs.FileSystem.from_uri(f"s3://{BUCKET}{options}&allow_bucket_creation=true")
        files.create_dir(BUCKET)
        make_dataset(folder / "dataset", rows=400)
        uri = Folder(f"s3://{BUCKET}/team{options}")
        fs.copy_files(str(folder / "dataset"), uri.path("dataset"), destination_filesystem=uri.filesystem)
        try:
            yield uri.uri
        finally:
            server.stop()


@pytest.mark.slow
def test_a_study_killed_at_a_store_is_resumed_and_read_from_another_machine(
    store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset, study = Folder(store).within("dataset").uri, Folder(store).within("killed").uri
    command = [sys.executable, "-m", "tests.study.killed", dataset, study, "0.02"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "20":
            break
    process.kill()
    process.wait()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "another"))  # which has no replica
    elsewhere = StudyFolder(study)
    seen = elsewhere.history()
    assert len(seen.results) >= 15
    assert seen.ended is None
    with Session(settings(dataset, study), resume=True) as session:
        assert elsewhere.running
        with pytest.raises(StudyError, match="another controller"), Session(settings(dataset, study), resume=True):
            pass
        session.run(make=place)
    told = StudyFolder(study).history()
    assert sorted(told.results) == list(range(61))
    assert all(told.results[number] == result for number, result in seen.results.items()), "none was trained again"
    assert not StudyFolder(study).running
    assert json.loads(elsewhere.files.read("status.json"))["workers"] == []


RACE = {
    "linear": {"strategy": "fixed", "family": "logistic"},
    "growth": {
        "strategy": "adanet",
        "candidates": 2,
        "generator": {
            "kind": "pool",
            "candidates": [
                {"family": "logistic", "parameters": {"solver": "lbfgs"}, "until": 1, "alone": True},
                {"family": "trees", "parameters": {"trees": 20, "leaves": 8}},
            ],
        },
    },
}


@pytest.mark.slow
@pytest.mark.horovod
@pytest.mark.timeout(400)
def test_a_search_at_a_store_by_workers_leaves_a_model_there(
    store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Growth builds on scores that another worker put there; report and champion are read on another machine."""
    study = Folder(store).within("whole").uri
    words = ["--dataset", Folder(store).within("dataset").uri, "--study", study, "--set", f"race={json.dumps(RACE)}"]
    assert main(["search", *words]) == 2
    assert "name a server or database in tracking.uri" in capsys.readouterr().err
    words += ["--set", "tracking.enabled=false", "--set", "workers={place: local, slots: 2}"]
    assert main(["search", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["study"] == study
    results = Study.open(study).history.results.values()
    assert len(results) >= 5
    assert {result.state.value for result in results} == {"finished"}
    assert len({result.worker for result in results}) == 2
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "another"))  # which has no replica
    opened = Study.open(study)
    opened.folder.files.remove("model")
    assert main(["report", study]) == 0
    assert main(["status", study]) == 0
    assert opened.champion().schema.features
    assert opened.leaderboard().validation_auc[0] == found["validation_auc"]
    assert opened.report().is_file()
    assert opened.folder.files.exists("model/model.json")
    assert len(opened.folder.files.files("journal", ".jsonl")) >= 2


def test_two_controllers_cannot_write_one_journal(tmp_path: Path) -> None:
    files = Folder(str(tmp_path / "study"))
    first, second = Segments(files), Segments(files)
    first.fetch(tmp_path / "a")
    second.fetch(tmp_path / "b")
    first.put(b"1\n")
    with pytest.raises(StudyError, match="another controller wrote journal/00000000"):
        second.put(b"2\n")
    second.fetch(tmp_path / "b")
    second.put(b"2\n")
    (tmp_path / "a").write_bytes(b"1\n2\n3\n")
    first.fetch(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"1\n2\n3\n", "what could not be put any more is put next"
    assert first.stored == 4
    (tmp_path / "a").write_bytes(b"1\n4\n")
    first.fetch(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"1\n2\n", "the store has the truth"


def test_a_lease_is_one_owners_until_it_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Folder(str(tmp_path))
    with lease.hold(files):
        assert lease.is_alive(lease.owner(files))
        with pytest.raises(StudyError, match=f"controller runs this study: process {os.getpid()}"), lease.hold(files):
            pass
    assert lease.owner(files) == {}
    away = {"pid": 1, "host": "elsewhere", "since": 0.0, "token": "x", "renewed": time.time()}
    assert lease.is_alive(away)
    assert not lease.is_alive({**away, "renewed": time.time() - 2 * lease.EXPIRED_SECONDS})
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.0)
    files.write("lock", json.dumps({**away, "renewed": 0.0}))
    with lease.hold(files):
        assert lease.owner(files)["pid"] == os.getpid()


def test_a_study_by_file_uri_is_one_on_disk(tmp_path: Path) -> None:
    folder = StudyFolder((tmp_path / "study").as_uri())
    assert (folder.uri, folder.path, folder.segments) == (str(tmp_path / "study"), tmp_path / "study", None)
    with pytest.raises(ConfigError, match="name a server or database"):
        Study({"dataset": "d", "study": "s3://b/s", "race": {"a": {"strategy": "fixed", "family": "logistic"}}})
