"""A missing tool is one clear line that says what to install; a complete set-up does nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = [
    "bash",
    "cat",
    "sha256sum",
    "cut",
    "sed",
    "tail",
    "dirname",
    "env",
    "rm",
    "make",
    "gcc",
    "g++",
    "java",
    "python3",
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the set-up reads, without a virtual environment."""
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / "checkout" / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "checkout")
    return tmp_path / "checkout"


def set_up(checkout: Path, without: str = "", **fakes: str) -> subprocess.CompletedProcess[str]:
    """Runs the set-up with a PATH that has only `TOOLS`, less one, with some replaced by a script."""
    tools = checkout.parent / "bin"
    tools.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        if found and tool != without:
            (tools / tool).symlink_to(found)
    for name, script in fakes.items():
        (tools / name).unlink(missing_ok=True)
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    return subprocess.run(
        ["bash", "scripts/setup.sh"],
        cwd=checkout,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("tool", "package"), [("java", "openjdk-17-jre-headless"), ("g++", "g++"), ("gcc", "gcc"), ("make", "make")]
)
def test_a_missing_tool_is_one_line_that_names_the_package(checkout: Path, tool: str, package: str) -> None:
    ran = set_up(checkout, without=tool)
    assert ran.returncode == 1
    assert ran.stderr.startswith("setup: no ")
    assert ran.stderr.count("\n") == 1
    assert f"apt-get install {package}" in ran.stderr


def test_an_old_java_is_named(checkout: Path) -> None:
    ran = set_up(checkout, java="""echo 'openjdk version "11.0.2" 2019-01-15' >&2""")
    assert ran.returncode == 1
    assert "Java 11 found" in ran.stderr
    assert "openjdk-17" in ran.stderr


def test_a_python_too_new_is_named(checkout: Path) -> None:
    ran = set_up(checkout, python3='[ "$1" = --version ] && echo "Python 3.14.0"; exit 1')
    assert ran.returncode == 1
    assert "no Python 3.10 to 3.12 found (python3 is Python 3.14.0)" in ran.stderr


def test_a_complete_set_up_does_nothing(checkout: Path) -> None:
    inputs = subprocess.run(
        "cat requirements/*.txt pyproject.toml scripts/spark_submit.sh scripts/setup.sh | sha256sum | cut -d' ' -f1",
        shell=True,
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / ".complete").write_text(inputs)
    ran = set_up(checkout, without="java")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_locks_hash_everything_and_name_no_address() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "://" not in text
        pinned = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert pinned
        for line in pinned:
            assert "==" in line, f"{lock.name}: {line}"
            assert line.endswith("\\"), f"{lock.name}: no hash for {line}"
    assert os.access(ROOT / "scripts" / "setup.sh", os.X_OK)
