"""What the README and the docs say is there."""

import importlib
import re
from pathlib import Path

import pytest

from glmix_automl.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in t]
    missing = [target for target in targets if target and not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_ours_named_in_code_is_there(page: Path) -> None:
    named = re.findall(
        r"`?((?:conf|jobs|benchmarks|scripts|tests|docs)/[\w./-]*\w\.(?:py|yaml|sh|md))", page.read_text()
    )
    missing = [name for name in named if not (ROOT / name).is_file()]
    assert not missing


def test_every_make_target_it_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+(?:-[a-z]+)*)", README.replace("gcc, g++ and make", ""))) <= targets


def test_every_subcommand_is_in_the_table_and_can_be_imported() -> None:
    for name in COMMANDS:
        assert re.search(rf"`(?:\w+ \w+`, `)?[^|]*\b{name}\b", README), name
        command = importlib.import_module(f"glmix_automl.cli.{name}")
        assert callable(command.arguments)
        assert callable(command.run)


def test_the_python_it_shows_runs_as_far_as_it_can_without_data() -> None:
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert block is not None
    imports = [line for line in block.group(1).splitlines() if line.startswith(("from ", "import "))]
    assert imports
    for line in imports:
        exec(line, {})


def test_the_package_has_the_nouns_a_user_needs_and_a_study_what_a_user_calls(tmp_path: Path) -> None:
    from glmix_automl import Dataset, Result, Schema, Space, Study, Trial

    nouns = ["Dataset", "Result", "Schema", "Space", "Trial"]
    assert [noun.__name__ for noun in (Dataset, Result, Schema, Space, Trial)] == nouns
    race = {"grid": {"strategy": "grid", "family": "logistic", "space": {"l2": [0.1]}}}
    study = Study({"dataset": "nowhere", "study": str(tmp_path), "race": race})
    assert dir(study) == ["champion", "leaderboard", "report", "run"]
    assert all(callable(getattr(study, name)) for name in dir(study))
