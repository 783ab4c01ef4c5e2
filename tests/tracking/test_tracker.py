"""The journal in MLflow, on SQLite and on a real server that comes and goes."""

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from mlflow.tracking import MlflowClient

from glmix_automl.api import Study
from glmix_automl.errors import ConfigError
from glmix_automl.study.controller import Controller
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.journal import Journal
from glmix_automl.study.race import Entry
from glmix_automl.study.settings import Tracking
from glmix_automl.tracking.names import fit
from glmix_automl.tracking.store import make_whole
from glmix_automl.tracking.tracker import CURSOR, SILENT_SECONDS, Tracker, default_uri, logged
from glmix_automl.tracking.view import BEST, STUDY_TAG, TRIAL_TAG
from glmix_automl.trial import Result, Trial
from glmix_automl.workers.executor import Reporter
from tests.dataset_maker import make_dataset
from tests.study.places import Hill, Threads, Work, peak
from tests.study.records import begun


def work(folder: StudyFolder, trials: int, work: Work = peak) -> Controller:
    with Journal(folder.journal, sync=False) as file:
        controller = Controller(file, {"hill": Entry("hill", Hill(trials))})
        executor = Threads(work, 2, controller.progress)
        controller.run(executor)
        executor.shutdown()
    return controller


def runs(uri: str, parent: str | None) -> dict[int, Any]:
    """Every child run by its trial, refusing two of one trial."""
    client = MlflowClient(tracking_uri=uri)
    found: dict[int, Any] = {}
    for run in client.search_runs(["1"], f"tags.`mlflow.parentRunId` = '{parent}'"):
        number = int(run.data.tags["glmix.trial"])
        assert number not in found
        found[number] = run
    return found


def breaks(trial: Trial, report: Reporter) -> Result:
    if trial.number == 3:
        raise RuntimeError("out of luck")
    return peak(trial, report)


def test_every_trial_is_a_child_run_with_what_it_cost_and_gave(tmp_path: Path) -> None:
    folder = begun(tmp_path / "study")
    history = work(folder, 5, breaks).history
    tracker = Tracker(folder, default_uri(folder), "made")
    tracker.start()
    assert tracker.close(120), tracker.problem
    found = runs(default_uri(folder), tracker.parent)
    assert sorted(found) == list(range(5))
    run = found[1]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["validation_auc"] == pytest.approx(history.results[1].auc)
    assert run.data.metrics["worker_seconds"] == 1.0
    assert float(run.data.params["x"]) == pytest.approx(float(history.trials[1].parameters["x"] or 0))
    assert run.data.tags["strategy"] == "hill"
    assert found[3].info.status == "FAILED"
    artefact = next((tmp_path / "mlartifacts").rglob("traceback.txt"))
    assert "out of luck" in artefact.read_text()
    assert found[3].info.run_id in str(artefact)

    client = MlflowClient(tracking_uri=default_uri(folder))
    assert found[1].inputs.dataset_inputs[0].dataset.name == "made"
    study = client.get_run(str(tracker.parent))
    assert re.fullmatch(r"made \d{4}-\d\d-\d\d \d\d:\d\d", study.info.run_name)
    curve = client.get_metric_history(str(tracker.parent), BEST)
    best = history.best
    assert best is not None
    assert max(curve, key=lambda point: point.step).value == best.auc
    assert [point.value for point in sorted(curve, key=lambda point: point.step)] == sorted(p.value for p in curve)
    assert study.data.metrics[f"{BEST} by entry/hill"] == best.auc
    experiment = client.get_experiment(study.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"

    # Logging it all again, as after the loss of the cursor, changes nothing.
    (folder.path / CURSOR).unlink()
    again = Tracker(folder, default_uri(folder), "made")
    again.start()
    assert again.close(120), again.problem
    assert again.parent == tracker.parent
    same = runs(default_uri(folder), tracker.parent)
    assert {n: r.info.run_id for n, r in same.items()} == {n: r.info.run_id for n, r in found.items()}
    assert same[1].data.metrics == run.data.metrics
    assert len(same[1].inputs.dataset_inputs) == 1
    assert len(client.get_metric_history(str(again.parent), BEST)) == len(curve)


def test_a_store_that_was_moved_or_copied_with_its_study_is_logged_to_where_it_lies(tmp_path: Path) -> None:
    folder = begun(tmp_path / "mon [a]" / "study")
    work(folder, 4, breaks)
    tracker = Tracker(folder, default_uri(folder), "made")
    tracker.start()
    assert tracker.close(120), tracker.problem
    assert logged(folder) is not None
    shutil.copytree(tmp_path / "mon [a]", tmp_path / "copy")
    before = sorted((tmp_path / "mon [a]").rglob("*"))
    copied = StudyFolder(tmp_path / "copy" / "study")
    assert logged(copied) is None, "its cursor is about the store that it was copied from"
    again = Tracker(copied, default_uri(copied), "made")
    again.start()
    assert again.close(120), again.problem
    assert logged(copied) is not None
    client = MlflowClient(tracking_uri=default_uri(copied))
    found = runs(default_uri(copied), again.parent)
    assert found[3].info.artifact_uri.startswith((tmp_path / "copy" / "mlartifacts").as_uri())
    assert [file.path for file in client.list_artifacts(found[3].info.run_id)] == ["traceback.txt"]
    client.log_text(str(again.parent), "new", "new.txt")
    assert len(list((tmp_path / "copy" / "mlartifacts").rglob("new.txt"))) == 1
    assert sorted((tmp_path / "mon [a]").rglob("*")) == before


def test_what_failed_between_the_run_and_its_parameters_is_logged_by_the_next_try(tmp_path: Path) -> None:
    folder = begun(tmp_path / "study", "net (l2=1), MAP@k [a/b]", "net (l2=1), MAP@k [a|b]")
    work(folder, 2)
    client = MlflowClient(tracking_uri=default_uri(folder))
    experiment = client.create_experiment("made")
    # What a server that went away right after it had made the run leaves behind.
    made = client.create_run(experiment, tags={STUDY_TAG: folder.record.id, TRIAL_TAG: "none"})
    tracker = Tracker(folder, default_uri(folder), "made")
    tracker.start()
    assert tracker.close(120), tracker.problem
    assert tracker.parent == made.info.run_id
    given = client.get_run(made.info.run_id).data.params
    assert sum(name.startswith("race.net") and "strategy" in name for name in given) == 2
    assert given["dataset"] == "nowhere"
    assert sorted(runs(default_uri(folder), tracker.parent)) == [0, 1]


@hypothesis.given(st.text(alphabet=st.one_of(st.sampled_from("a./: _-=(é"), st.characters()), max_size=300))
def test_every_name_is_made_fit_for_mlflow(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    _validate_param_name(fit(name))
    _validate_metric_name(fit(name))
    assert fit(name) == fit(name)
    assert len(fit(name)) <= 250


def test_fit_names_stay_and_unfit_ones_stay_apart() -> None:
    assert fit("race.logistic regression.family") == "race.logistic regression.family"
    assert fit("a(b") != fit("a)b")


@contextmanager
def server(folder: Path, port: int) -> Iterator[str]:
    """A real tracking server, stopped when the block ends."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--artifacts-destination", str(folder)]
    with (folder / "server.log").open("ab") as log:
        # Its scheduler of jobs is nothing the test needs, and doubles the time it takes to start.
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=environment)
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "server.log").read_text()
            try:
                with urllib.request.urlopen(f"{uri}/health", timeout=1):
                    break
            except OSError:
                time.sleep(0.1)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.mark.slow
def test_with_the_server_away_in_the_middle_nothing_is_lost_and_nothing_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow.tracking import MlflowClient  # noqa: F401  imported before the clock runs

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = begun(tmp_path / "study")
    uri = f"http://127.0.0.1:{port}"
    tracker = Tracker(folder, uri, "made")

    def slowly(trial: Trial, report: Reporter) -> Result:
        time.sleep(0.02)
        return peak(trial, report)

    with Journal(folder.journal, sync=False) as file:
        controller = Controller(file, {"hill": Entry("hill", Hill(60))}, trials=20)
        executor = Threads(slowly, 2, controller.progress)
        with server(tmp_path, port):
            tracker.start()
            controller.run(executor)  # 20 trials with the server there
            _until(lambda: len(runs(uri, tracker.parent)) == 20 if tracker.parent else False)
        controller._most = 40
        started = time.monotonic()
        controller.run(executor)  # 20 more with the server gone
        assert time.monotonic() - started < 10
        _until(lambda: tracker.problem is not None)
        with server(tmp_path, port):
            controller._most = 60
            controller.run(executor)  # 20 with the server back
            assert tracker.close(120), tracker.problem
            found = runs(uri, tracker.parent)
        executor.shutdown()
    assert capsys.readouterr().out == "", "the terminal is the study's"
    assert sorted(found) == list(range(60))
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    for number, run in found.items():
        assert run.data.metrics["validation_auc"] == pytest.approx(controller.history.results[number].auc)


@pytest.mark.slow
def test_a_database_is_made_when_there_is_room_again(tmp_path: Path) -> None:
    folder = begun(tmp_path / "study")
    work(folder, 3)
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    tracker = Tracker(folder, default_uri(folder), "made")
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, usual[1]))  # no file grows beyond, as if the disk were full
    try:
        tracker.start()
        _until(lambda: tracker.problem is not None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert not (tmp_path / "mlflow.db").exists()
    _until(lambda: tracker.problem is None)
    assert tracker.close(120), tracker.problem
    assert sorted(runs(tracker.uri, tracker.parent)) == [0, 1, 2]


@pytest.mark.slow
def test_a_database_is_not_left_half_made_by_who_is_killed_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is made once: later ones are copies of the one that is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first, later = tmp_path / "first", tmp_path / "later"
    uri = f"sqlite:///{first / 'mlflow.db'}"
    code = f"from glmix_automl.tracking.store import make_whole; make_whole({uri!r})"
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    _until(lambda: any(made.stat().st_size > 50_000 for made in first.glob(".mlflow.db.*/mlflow.db")))
    killed.kill()
    killed.wait()
    assert not (first / "mlflow.db").exists()
    assert not (tmp_path / "cache").exists()
    make_whole(uri)
    assert [path.name for path in first.iterdir()] == ["mlflow.db"]
    assert [each.name for each in MlflowClient(uri).search_experiments()] == ["Default"]
    monkeypatch.setattr("mlflow.MlflowClient", None)
    make_whole(f"sqlite:///{later / 'mlflow.db'}")
    assert [each.name for each in MlflowClient(f"sqlite:///{later / 'mlflow.db'}").search_experiments()] == ["Default"]


def test_a_database_half_made_by_others_is_named(tmp_path: Path) -> None:
    folder, database = begun(tmp_path / "study"), tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(database)) as store, store:
        store.execute("CREATE TABLE runs (run_uuid TEXT)")
    tracker = Tracker(folder, default_uri(folder), "made")
    tracker.start()
    assert not tracker.close(120)
    assert tracker.problem is not None
    assert f"{database}: is no whole database" in tracker.problem
    assert f"remove that file, then: glmix-automl report {folder.path}" in tracker.problem


@contextmanager
def silent() -> Iterator[str]:
    """A server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def quick(tmp_path: Path, tracking: dict[str, Any]) -> Study:
    """A study of one short trial."""
    one = {"strategy": "fixed", "family": "logistic", "parameters": {"solver": "lbfgs", "l2": 1.0}}
    place = {"place": "in_process", "slots": 1}
    there = {"dataset": str(tmp_path / "dataset"), "study": str(tmp_path / "study")}
    return Study({**there, "workers": place, "tracking": tracking, "race": {"one": one}})


def test_a_server_that_hangs_costs_seconds_at_the_end_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(tmp_path / "dataset", rows=200, bags=0, weighted_bags=0)
    waits: list[float] = []
    close = Tracker.close

    def timed(self: Tracker, seconds: float) -> bool:
        began = time.monotonic()
        done = close(self, seconds)
        waits.append(time.monotonic() - began)
        return done

    monkeypatch.setattr(Tracker, "close", timed)
    with silent() as uri:
        study = quick(tmp_path, {"uri": uri}).run()
    assert study.ended == "every entry of the race has ended"
    assert len(study.leaderboard()) == 1
    assert study.problem is not None
    assert uri in study.problem
    (waited,) = waits  # not again to publish
    assert waited < SILENT_SECONDS + 5, "from when it was asked, not from the end"
    print(f"waited {waited:.1f} s")
    assert not [record for record in caplog.records if record.levelname == "WARNING"], "the one line is `problem`"


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("htpp://tracking:5000", "knows no scheme 'htpp'; did you mean 'http'?"),
        ("http:///", "names no host"),
        ("s3://bucket/mlflow", "knows no scheme 's3'"),
    ],
)
def test_an_impossible_uri_is_refused_before_anything_starts(tmp_path: Path, uri: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        quick(tmp_path, {"uri": uri}).run()
    with pytest.raises(ConfigError, match=re.escape(told)):
        Tracking(uri=uri).check()
    assert not (tmp_path / "study").exists()
    for possible in (None, "mlruns", "sqlite:///a.db", "mysql+pymysql://host/db", "https://host", "databricks"):
        Tracking(uri=possible).check()


def _until(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
