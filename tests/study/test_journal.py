import json
import subprocess
import sys
from pathlib import Path

import pytest

from glmix_automl.errors import StudyError
from glmix_automl.study import journal
from glmix_automl.study.journal import Journal


def event(number: int) -> journal.Event:
    return {"event": "end", "at": float(number), "reason": "x" * number}


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as file:
        for number in range(5):
            file.append(event(number))
            if number % 2:
                file.sync()
    assert list(journal.read(tmp_path / "j")) == [event(number) for number in range(5)]


@pytest.mark.parametrize("torn", [b"{", b'{"event":"end"', b'{"event":"end","at":1.0}', b"\x00\x00\x00\n", b"[1]\n"])
def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "j"
    with Journal(path) as file:
        file.append(event(1))
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert list(journal.read(path)) == [event(1)]
    with Journal(path) as file:
        file.append(event(2))
    assert list(journal.read(path)) == [event(1), event(2)]


def test_every_cut_of_a_journal_is_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as file:
        for number in range(3):
            file.append(event(number))
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        assert len(list(journal.read(path))) == whole[:length].count(b"\n")


def test_a_line_torn_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_text('{"event":"end","at":1}\n{"eve\n' + json.dumps(event(1)) + "\n")
    with pytest.raises(StudyError, match="a line before the last"):
        list(journal.read(path))
    with pytest.raises(StudyError, match="a line before the last"):
        Journal(path)


def test_reading_may_begin_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as file:
        file.append(event(1))
        read = sum(length for _, length in journal.lines(path))
        file.append(event(2))
        assert list(journal.read(path, read)) == [event(2)]


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
    whole = list(journal.read(path))
    assert len(whole) == 1000 // len(path.read_bytes().splitlines(keepends=True)[0])
    assert path.read_bytes().endswith(b"\n")


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is this a study"):
        list(journal.read(tmp_path / "none"))
