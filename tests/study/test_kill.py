"""`kill -9` of the controller at any moment: every trial once, the same winner."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from glmix_automl.study import history, journal
from tests.dataset_maker import make_dataset

KILLS = 10


def controller(dataset: Path, study: Path, seconds: float = 0.03) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.study.killed", str(dataset), str(study), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: "subprocess.Popen[str]") -> str:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return out


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_as_if_never_killed(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=60)
    draw = np.random.default_rng(5)  # each moment is a time after the first trial of a session was seen to end
    kills = 0
    for _ in range(KILLS):
        process = controller(tmp_path / "dataset", tmp_path / "killed")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(draw.uniform(0, 0.15)))
        process.kill()
        kills += process.wait() == -9
    assert kills >= 5  # the study has trials for all ten; a slow machine may see some of them end by themselves
    finish(controller(tmp_path / "dataset", tmp_path / "killed"))
    finish(controller(tmp_path / "dataset", tmp_path / "whole"))
    killed, whole = (history.load_history(tmp_path / name / "journal.jsonl") for name in ("killed", "whole"))
    asked = Counter(
        record["number"]
        for event in journal.read_events(tmp_path / "killed" / "journal.jsonl")
        for record in event.get("trials", ())
    )
    assert asked == Counter(range(61))
    assert sorted(killed.results) == list(range(61))
    assert len(killed.sessions) == KILLS + 1
    assert killed.best is not None
    assert whole.best is not None
    best, same = killed.trials[killed.best.number], whole.trials[whole.best.number]
    assert (best.strategy, best.parameters, best.seed) == (same.strategy, same.parameters, same.seed)
    assert killed.best.auc == whole.best.auc


def test_a_second_controller_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=60)
    first = controller(tmp_path / "dataset", tmp_path / "study", seconds=5)
    try:
        assert first.stdout is not None
        first.stdout.readline()
        second = controller(tmp_path / "dataset", tmp_path / "study")
        out, _ = second.communicate(timeout=60)
        assert second.returncode != 0
        assert f"another controller runs this study: process {first.pid} on" in out
        assert json.loads((tmp_path / "study" / "lock").read_text())["pid"] == first.pid
    finally:
        first.kill()
        first.communicate()
