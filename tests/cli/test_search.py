"""The search command's edges: bad configuration, interruption."""

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from glmix_automl.cli import main
from glmix_automl.config import read_yaml
from glmix_automl.study import history
from tests.dataset_maker import make_dataset

RACE: dict[str, Any] = {
    "grid": {"strategy": "grid", "family": "logistic", "epochs": 2000, "space": {"l2": {"choice": [0, 1, 2]}}}
}


def written(folder: Path, **settings: object) -> str:
    content = {"dataset": str(folder / "dataset"), "study": str(folder / "study"), "race": RACE, **settings}
    (folder / "search.yaml").write_text(yaml.safe_dump(content))
    return str(folder / "search.yaml")


@pytest.mark.parametrize(
    ("settings", "words", "code"),
    [
        ({"sed": 1}, "unknown key 'sed'", 2),
        ({"race": {"a": {"strategy": "magic"}}}, "no strategy 'magic'; there are", 2),
        ({"race": {"a": {"strategy": "grid", "family": "logistic", "space": {}, "reso": 1}}}, "unknown key 'reso'", 2),
        ({"race": {"a": {"strategy": "grd"}}}, "no strategy 'grd'; did you mean 'grid'?", 2),
        ({"worker": {}}, "unknown key 'worker'; did you mean 'workers'?", 2),
        (
            {"workers": {"place": "locl"}},
            "workers.place: expected 'local', 'in_process' or 'spark', got 'locl'; did",
            2,
        ),
        ({"workers": {"slot": 2}}, "unknown key 'workers.slot'; did you mean 'slots'?", 2),
        ({"race": {"a": {"strategy": "fixed", "family": "logistik"}}}, "'logistik'; did you mean 'logistic'?", 2),
        ({"race": {"a": {"strategy": "fixed", "family": "logistic", "epochs": 1e-9}}}, "epochs", 2),
        ({"race": {"a": {"strategy": "fixed", "family": "logistic", "epochs": float("inf")}}}, "epochs", 2),
        ({"baseline": "none"}, "baseline 'none' is no entry of the race", 2),
        ({"limits": {"seconds": -1}}, "limits.seconds", 2),
        ({"dataset": "nowhere"}, "there is no such folder", 1),
    ],
)
def test_bad_configurations_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, object], words: str, code: int
) -> None:
    make_dataset(tmp_path / "dataset", rows=60)
    assert main(["search", written(tmp_path, **settings)]) == code
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told
    assert not (tmp_path / "study").exists()


SPACE = "race: {a: {strategy: random, family: subnetwork, trials: 1, space: {width: {choice: %s}}}}"
GRID = "race: {a: {strategy: grid, family: logistic, space: {l1: &p {type: float, low: 0, high: 1}, l2: *p}, %s}}"
FIXED = "race: {a: {strategy: fixed, family: logistic}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SPACE % "[8, null]", "race.a: space.parameters.width.choice.choice: a choice is of numbers, texts, true"),
        (SPACE % "[8, [1]]", "true and false; [1] is none"),
        (SPACE % "[8, .nan]", "race.a: space.width.choice.1: expected a finite number, got nan"),
        ("race: {a: {strategy: adanet, improvement: .inf}}", "race.a: improvement: expected a finite number, got inf"),
        (SPACE % "[8, -1, 16]", "race.a: family subnetwork: width: Input should be greater than or equal to 1, got -1"),
        (SPACE % "[yes, 8]", "race.a: family subnetwork: width: Input should be a valid integer, got 'yes'"),
        ("race: {1: {strategy: fixed, family: logistic}}", "search.yaml: race: a key is text, got 1: write it in quot"),
        ("race: {true: {strategy: fixed, family: logistic}}", "race: a key is text, got true: write it in quotes"),
        ("1: 2\n" + FIXED, "search.yaml: a key is text, got 1: write it in quotes"),
        ("tracking: {experiment: 007}\n" + FIXED, "tracking.experiment: expected text, got 7: write it in quotes"),
        ("race: {a: {strategy: fixed, family: logistic, parameters: {l2: []}}}", "l2: expected a number, a text, true"),
        (FIXED + "\n" + FIXED, "has the key 'race' twice"),
        (FIXED + "\nlimits: {grace_seconds: .inf}", "limits.grace_seconds: Input should be a finite number, got inf"),
        (
            "race: {a: {strategy: fixed, family: logistic, share: .inf}}",
            "race.a.share: Input should be a finite number",
        ),
        ('race: {"a\\nb": {strategy: fixed, family: logistic}}', "race: an entry's name is a line that can be read"),
        ('race: {"": {strategy: fixed, family: logistic}}', "race: an entry's name is a line that can be read; '' is"),
        (GRID % "resolution: 1000000000", "race.a: resolution of all must be from 1 to 1000000, got 1000000000"),
        (GRID % "resolution: 1001", "race.a: the grid has 1002001 points, over 1000000; lower the resolution"),
        (FIXED + "\nseed: yes", "seed: Input should be a valid integer"),
        (FIXED + "\nlimits: [1", "not valid YAML"),
    ],
)
def test_what_yaml_makes_of_a_search_is_refused_where_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (tmp_path / "search.yaml").write_text(f"dataset: d\nstudy: s\n{text}\n")
    assert main(["search", str(tmp_path / "search.yaml"), "--check"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_yes_no_on_and_dates_are_text_and_exponents_are_numbers() -> None:
    text = "{on: [yes, no, off, 2026-01-01, 12:30, 1_000], b: [true, False, 1e-3, .5, -1.e2, 010, .inf, ~]}"
    assert read_yaml(text, "x") == {
        "on": ["yes", "no", "off", "2026-01-01", "12:30", "1_000"],
        "b": [True, False, 0.001, 0.5, -100.0, 10, float("inf"), None],
    }


def test_a_search_is_looked_through_without_dataset_or_workers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = {"width": {"type": "int", "low": -1, "high": 64}}
    race = {
        "a": {"strategy": "random", "family": "subnetwork", "trials": 1, "space": space},
        "b": {"strategy": "fixed", "family": "subnetwork", "parameters": {"widht": 8}},
        "b2": {"strategy": "fixed", "family": "logistic", "parameters": {"l3": 1, "solvr": "adam", "tolerance": 9}},
        "c": {"strategy": "adanet", "generator": {"kind": "pool", "candidates": [{"family": "tres"}]}},
        "d": {"strategy": "random", "family": "logistic", "trials": 5, "space": {"l2": {"choice": [0, 1]}}},
    }
    assert main(["search", written(tmp_path, race=race), "--check"]) == 2
    told = capsys.readouterr().err
    assert "race.a: " in told
    assert "width" in told
    assert "race.b: " in told
    assert "'widht'; did you mean 'width'?" in told
    assert "race.b2: family logistic: unknown parameter 'l3'; it takes batch_size, " in told
    assert "race.b2: family logistic: unknown parameter 'solvr'; did you mean 'solver'?" in told
    assert "race.b2: family logistic: tolerance: Input should be less than or equal to 1, got 9" in told
    assert "race.c: unknown family 'tres'; did you mean 'trees'?" in told
    assert "race.d" not in told
    assert main(["search", "--dataset", "2026", "--study", "a: 1", "--check"]) == 0, (
        "names are text, whatever is in them"
    )
    assert main(["search", written(tmp_path), "--check"]) == 0
    assert "nothing wrong in 1 entries" in capsys.readouterr().out
    assert not (tmp_path / "study").exists()


def test_resuming_another_race_or_what_is_no_study_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resume", str(tmp_path)]) == 1
    assert "no study here" in capsys.readouterr().err
    assert main(["status", str(tmp_path)]) == 1
    assert "no study here" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.horovod
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_is_resumed_to_its_end_on_a_terminal(tmp_path: Path, number: signal.Signals) -> None:
    make_dataset(tmp_path / "dataset", rows=3000)
    race = {"grid": RACE["grid"] | {"epochs": 200}}
    path = written(tmp_path, race=race, workers={"slots": 1}, tracking={"enabled": False})
    command = [sys.executable, "-m", "glmix_automl.cli"]
    process = subprocess.Popen([*command, "search", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "study" / "journal.jsonl"
    for _ in range(600):
        if journal.is_file() and '"event":"ask"' in journal.read_text():
            break
        time.sleep(0.1)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert f"go on with: glmix-automl resume {tmp_path / 'study'}" in out
    told = history.load_history(journal)
    assert told.ended == "interrupted"
    assert told.out()
    code, shown = on_a_terminal([*command, "resume", str(tmp_path / "study")])
    assert code == 0, shown
    assert "\x1b[2K" in shown, "lines are drawn anew in place"
    assert "local-0" in shown, "what the worker does"
    assert "test AUC [95 %]" in shown.split("ended: ")[1]
    told = history.load_history(journal)
    assert sorted(told.results) == sorted(told.trials) == [0, 1, 2]
    assert main(["status", str(tmp_path / "study")]) == 0


@pytest.mark.parametrize("place", ["file", "file/study", "dangling", "locked", "n" * 300])
def test_a_place_that_no_study_can_lie_at_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    make_dataset(tmp_path / "dataset", rows=60)
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "else")
    (tmp_path / "locked" / "lock").mkdir(parents=True)
    assert main(["search", written(tmp_path, study=str(tmp_path / place), tracking={"enabled": False})]) != 0
    told = capsys.readouterr().err
    assert f"{tmp_path / place}" in told
    assert "Traceback" not in told
    assert main(["status", str(tmp_path / place)]) != 0


@pytest.mark.slow
@pytest.mark.horovod
def test_an_interrupted_search_does_not_wait_for_a_tracking_server_that_hangs(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=3000)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:  # takes every connection, never answers
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        path = written(tmp_path, workers={"slots": 1}, tracking={"uri": uri})
        command = [sys.executable, "-m", "glmix_automl.cli", "search", path]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        silent.settimeout(60)
        asked, _ = silent.accept()  # the tracker waits for an answer
        journal = tmp_path / "study" / "journal.jsonl"
        for _ in range(600):
            if journal.is_file() and '"event":"ask"' in journal.read_text():
                break
            time.sleep(0.1)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        waited = time.monotonic() - began
        asked.close()
    assert process.returncode == 130, err
    assert f"go on with: glmix-automl resume {tmp_path / 'study'}" in out
    assert waited < 10, waited
    assert history.load_history(journal).ended == "interrupted"
    print(f"ended {waited:.1f} s after Ctrl-C")


def on_a_terminal(command: list[str]) -> tuple[int, str]:
    """Exit code and everything drawn."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "140", "LINES": "40"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    drawn = b""
    with contextlib.suppress(OSError):  # the other end was closed
        while part := os.read(ours, 65_536):
            drawn += part
    os.close(ours)
    return process.wait(timeout=60), drawn.decode()
