import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from glmix_automl.errors import StudyError
from glmix_automl.study import history, journal
from glmix_automl.study.journal import Journal
from glmix_automl.trial import Result, State, Trial


def event(number: int) -> journal.Event:
    return {"event": "end", "at": float(number), "reason": "x" * number}


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as file:
        for number in range(5):
            file.append(event(number))
            if number % 2:
                file.sync()
    assert list(journal.read_events(tmp_path / "j")) == [event(number) for number in range(5)]


@pytest.mark.parametrize("torn", [b"{", b'{"event":"end"', b'{"event":"end","at":1.0}', b"\x00\x00\x00"])
def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "j"
    with Journal(path) as file:
        file.append(event(1))
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert list(journal.read_events(path)) == [event(1)]
    with Journal(path) as file:
        file.append(event(2))
    assert list(journal.read_events(path)) == [event(1), event(2)]


def test_every_cut_of_a_journal_is_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as file:
        for number in range(3):
            file.append(event(number))
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        assert len(list(journal.read_events(path))) == whole[:length].count(b"\n")


@pytest.mark.parametrize(
    "damaged",
    [
        b'{"eve\n',
        b"[1]\n",
        b"\x00\xff\n",
        b'{"event":"end","at":"noon","reason":""}\n',
        b'{"event":"ask","at":1.0,"entry":"a","n":1,"trials":[{"number":0}]}\n',
        b'{"event":"result","at":1.0,"result":{"number":0,"state":"finished","auc":null,"curve":[],"costs":{}}}\n',
        b'{"event":"end","at":1.0,"reason":"x","crc":"00000000"}\n',
    ],
)
def test_a_damaged_line_is_refused_with_its_number(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"event":"end","at":1,"reason":""}\n' + damaged + json.dumps(event(1)).encode() + b"\n")
    with pytest.raises(StudyError, match=r"j: line 2 is damaged"):
        list(journal.read_events(path))
    with pytest.raises(StudyError, match=r"j: line 2 is damaged"):
        Journal(path)


def told(path: Path) -> list[journal.Event]:
    """All events, as a study takes them in."""
    events = list(journal.read_events(path))
    history.replay(events)
    return events


def test_a_bit_that_turned_is_refused_or_harmless(tmp_path: Path) -> None:
    """Harmless: everything is told as it was, or all but the last line, whose end looks torn."""
    path = tmp_path / "j"
    with Journal(path, sync=False) as file:
        file.append({"event": "session", "at": 1.0, "pid": 1, "host": "here"})
        for number in range(6):
            trial = Trial(number, "hill", "toy", {"x": 0.125 * number})
            file.append({"event": "ask", "at": 1.0, "entry": "hill", "n": 1, "trials": [trial.to_json()]})
            result = Result(number, State.FINISHED, 0.75 + number / 64, 0.5)
            file.append({"event": "result", "at": 2.0, "result": result.to_json()})
    whole, events = path.read_bytes(), told(path)
    draw = np.random.default_rng(4)
    refused = 0
    for bit in [int(each) for each in draw.choice(8 * len(whole), 300, replace=False)] + [8 * len(whole) - 8]:
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        try:
            assert told(path) in (events, events[:-1])
        except StudyError as error:
            assert f"{path}: line" in str(error)  # noqa: PT017
            refused += 1
    assert refused > 250


def test_a_journal_of_before_there_were_checksums_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_text("".join(json.dumps(event(number)) + "\n" for number in range(3)))
    with Journal(path) as file:
        file.append(event(3))
    assert list(journal.read_events(path)) == [event(number) for number in range(4)]
    path.write_bytes(path.read_bytes() + json.dumps(event(4)).encode() + b"\n")
    with pytest.raises(StudyError, match=r"line 5 is damaged .*no checksum"):
        list(journal.read_events(path))


def test_reading_may_begin_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as file:
        file.append(event(1))
        read = sum(length for _, length in journal.lines(path))
        file.append(event(2))
        assert list(journal.read_events(path, read)) == [event(2)]


FILL = """
import resource, signal, sys
from pathlib import Path
from glmix_automl.errors import StudyError
from glmix_automl.study.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
file = Journal(Path(sys.argv[1]))
try:
    while True:
        file.append({"event": "end", "at": 1.0, "reason": "x" * 100})
except StudyError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_leaves_no_part_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "j"
    run = subprocess.run([sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=True)
    assert f"{path}: the journal cannot be written: File too large" in run.stdout
    whole = list(journal.read_events(path))
    assert len(whole) == 1000 // len(path.read_bytes().splitlines(keepends=True)[0])
    assert path.read_bytes().endswith(b"\n")


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is this a study"):
        list(journal.read_events(tmp_path / "none"))
