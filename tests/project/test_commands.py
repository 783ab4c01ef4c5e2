"""Every command that README and docs show: it is one, takes the words it is shown with, and a test runs its kind."""

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from glmix_automl.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BEGIN = r"(?:\.venv/bin/)?(?:glmix-automl|spark-submit)|make|python|scripts/\w+\.sh|docker|mlflow|pip"
OTHERS = {"docker": "no daemon here", "pip": "one package", "mlflow": "tests/tracking/test_postgresql.py starts one"}
RUN_BY = {
    "generate": "tests/nightly/test_nightly.py",
    "init": "tests/cli/test_init.py",
    "prepare": "tests/cli/test_prepare.py",
    "search": "tests/end_to_end/conftest.py",
    "resume": "tests/cli/test_search.py",
    "status": "tests/end_to_end/test_study.py",
    "report": "tests/cli/test_outcome.py",
    "compare": "tests/end_to_end/test_study.py",
    "score": "tests/end_to_end/test_places.py",
    "promote": "tests/serving/test_promotion.py",
    "rollback": "tests/serving/test_promotion.py",
    "nightly": "tests/nightly/test_nightly.py",
    "prune": "tests/nightly/test_nightly.py",
    "ui": "tests/end_to_end/test_ui.py",
    "jobs/prepare.py": "tests/prepare/test_jobs.py",
    "jobs/search.py": "tests/end_to_end/test_places.py",
    "jobs/score.py": "tests/end_to_end/test_places.py",
    "scripts/airflow.sh": "tests/nightly/test_airflow.py",
    "scripts/cluster.sh": "tests/spark_cluster.py",
}
"""What is shown -> the file of the tests that runs it."""


def shown() -> Iterator[tuple[str, list[str]]]:
    """Page and words of every command, in blocks and within lines."""
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        inline = re.findall(rf"`((?:{BEGIN}) [^`\n]+)`", text)
        for line in [*re.findall(rf"^ {{4,}}((?:{BEGIN}) .+)$", text, re.MULTILINE), *inline]:
            plain = re.sub(r"\s#\s.*|\[[^]]*\]", "", re.sub(r"\$\([^)]*\)", "DATE", line))
            yield page.name, shlex.split(plain)


ALL = sorted({(page, *words) for page, words in shown()})


@pytest.mark.parametrize("told", ALL, ids=lambda told: " ".join(told)[:80])
def test_a_command_that_is_shown_is_one(told: tuple[str, ...]) -> None:
    program, *words = told[1:]
    kind = program.removeprefix(".venv/bin/")
    if kind == "glmix-automl":
        _parse(words[0], words[1:])
    elif kind == "spark-submit":
        _submitted(words)
    elif kind == "make":
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif kind == "python" and words[0] != "-m":
        text = (ROOT / words[0]).read_text()
        assert all(word in text for word in words if word.startswith("--"))
    elif kind.startswith("scripts/"):
        text = (ROOT / kind).read_text()
        assert re.search(rf"^ +(?:[\w |]*\b)?{words[0]}\b[\w |]*\)", text, re.MULTILINE), "a verb of the script"
        if words[0] == "submit":
            _submitted(words[1:])
        assert Path(kind).name in _test(kind)
    else:
        assert kind == "python" or kind in OTHERS


def _submitted(words: list[str]) -> None:
    place, job = next((place, word) for place, word in enumerate(words) if re.search(r"jobs/\w+\.py$", word))
    name = job[job.index("jobs/") :]
    assert (ROOT / name).is_file()
    assert Path(name).name in _test(name)
    _parse(Path(name).stem, words[place + 1 :])


def _parse(name: str, words: list[str]) -> None:
    """Ends the test where the subcommand does not take the words."""
    assert name in COMMANDS
    assert re.search(rf'"{name}(\.py)?"', _test(name))
    parser = argparse.ArgumentParser(prog=name)
    importlib.import_module(f"glmix_automl.cli.{name}").arguments(parser)
    if words:  # else it is named in a sentence
        parser.parse_args(words)


def _test(name: str) -> str:
    return (ROOT / RUN_BY[name]).read_text()


def test_every_subcommand_is_run_by_a_test() -> None:
    assert set(COMMANDS) <= set(RUN_BY)
