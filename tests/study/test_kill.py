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
from glmix_automl.trial import Result
from tests.dataset_maker import make_dataset

KILLS, STUDIES = 26, 18


def controller(dataset: Path, study: Path, seconds: float = 0.03) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.study.killed", str(dataset), str(study), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: "subprocess.Popen[str]") -> str:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return out


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_random_moments_a_study_ends_as_if_never_killed(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=60)
    finish(controller(tmp_path / "dataset", tmp_path / "whole"))
    whole = history.load_history(tmp_path / "whole" / "journal.jsonl")
    draw = np.random.default_rng(5)
    kills = seen = 0
    for number in range(STUDIES):
        study = tmp_path / f"killed-{number}"
        told: dict[int, Result] = {}
        for _ in range(1 + (number < KILLS - STUDIES)):
            process = controller(tmp_path / "dataset", study)
            assert process.stdout is not None
            if draw.uniform() < 0.7:
                process.stdout.readline()  # a trial of this session has ended; else it may not even have begun
                time.sleep(float(draw.uniform(0, 0.15)))
            else:
                time.sleep(float(draw.uniform(0, 3)))
            process.kill()
            kills += process.wait() == -9
            if (study / "journal.jsonl").is_file():
                told = history.load_history(study / "journal.jsonl").results
                seen += len(told)
        finish(controller(tmp_path / "dataset", study))
        killed = history.load_history(study / "journal.jsonl")
        assert told.items() <= killed.results.items(), "what had ended stays as it was"
        events = list(journal.read_events(study / "journal.jsonl"))
        asked = Counter(record["number"] for event in events for record in event.get("trials", ()))
        ended = Counter(event["result"]["number"] for event in events if event["event"] == "result")
        assert asked == ended == Counter(range(61)), "none lost, none twice"
        assert leaderboard(killed) == leaderboard(whole)
        assert not list(study.rglob(".*")), "what was half written is removed"
    assert kills >= KILLS - 6  # a slow machine may see some of them end by themselves
    assert seen
    print(f"{kills} kills in {STUDIES} studies, {seen} results seen before one")


def leaderboard(of: history.History) -> dict[tuple[str, int], tuple[object, float | None]]:
    """Entry and the how-manieth of its trials -> what was tried and what it gave; the study's numbers depend on who was
    owed a worker when.
    """
    counts: Counter[str] = Counter()
    found = {}
    for number, trial in sorted(of.trials.items()):
        tried = tuple(sorted(trial.parameters.items())), trial.seed
        found[trial.strategy, counts[trial.strategy]] = tried, of.results[number].auc
        counts[trial.strategy] += 1
    return found


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
