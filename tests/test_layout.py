"""Files are there whole or not at all."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from glmix_automl.errors import DataError
from glmix_automl.layout import Folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KB, where one can be made."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_write_to_a_full_disk_says_so_and_leaves_nothing(small_disk: Path) -> None:
    folder = Folder(str(small_disk))
    folder.write("a/kept.bin", b"old")
    with pytest.raises(DataError, match=r"kept.bin: cannot be written: the disk is full"):
        folder.write("a/kept.bin", bytes(1 << 20))
    assert [path.name for path in (small_disk / "a").iterdir()] == ["kept.bin"]
    assert folder.read("a/kept.bin") == b"old"
    folder.write("a/other.bin", bytes(128 << 10))


def test_what_processes_that_are_gone_left_half_written_is_removed(tmp_path: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    ours, theirs = os.getpid(), int(gone.stdout)
    kept = [f".a.json.{ours}.0123abcd", ".hidden", f"a.json.{theirs}.0123abcd", f".a.json.{theirs}.0123", "lock"]
    half = [f".a.json.{theirs}.0123abcd", f".scores.npy.{theirs}.ffffffff"]
    for folder in (tmp_path, tmp_path / "trials" / "7"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in kept + half:
            (folder / name).touch()
    Folder(str(tmp_path)).remove_unfinished()
    for folder in (tmp_path, tmp_path / "trials" / "7"):
        assert sorted(path.name for path in folder.iterdir() if path.is_file()) == sorted(kept)
    Folder(str(tmp_path / "nowhere")).remove_unfinished()
