"""What schedulers read of any command: its exit code and the last line of `--json`."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from glmix_automl.cli import COMMANDS, main
from glmix_automl.cli.outcome import REFUSED, RETRY
from tests.cli.test_search import written
from tests.dataset_maker import make_dataset


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The last line of a command's output; its exit code is the process's."""
    code = main([*words, "--json"])
    line: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["exit_code"], line["command"]) == (code, words[0])
    return line


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_knows_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert "--json" in capsys.readouterr().out or command == "generate"


def test_a_search_that_leaves_no_model_is_not_worth_a_retry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_dataset(tmp_path / "dataset", rows=60)
    race = {"a": {"strategy": "fixed", "family": "mixture"}}
    workers, tracking = {"place": "in_process", "slots": 1}, {"enabled": False}
    path = written(tmp_path, race=race, workers=workers, tracking=tracking)
    found = told(capsys, "search", path)
    assert found["exit_code"] == REFUSED
    assert "no trial left a model, of 1 that ended" in found["error"]
    status = told(capsys, "status", str(tmp_path / "study"))
    assert (status["state"], status["results"], status["validation_auc"]) == ("ended", 1, None)
    make_dataset(tmp_path / "dataset", rows=60, seed=1)
    found = told(capsys, "report", str(tmp_path / "study"))
    assert found["exit_code"] == REFUSED
    found = told(capsys, "search", path, "--resume")
    assert found["exit_code"] == REFUSED
    assert "another dataset" in found["error"]


def test_a_search_that_found_a_model_says_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_dataset(tmp_path / "dataset", rows=600)
    race = {"a": {"strategy": "fixed", "family": "logistic"}}
    path = written(tmp_path, race=race, workers={"place": "in_process"}, tracking={"enabled": False})
    found = told(capsys, "search", path)
    assert found["exit_code"] == 0
    assert (found["entry"], found["trial"], found["run"]) == ("a", 0, None)
    assert 0.5 < found["validation_auc"] <= 1
    assert told(capsys, "prepare", written_recipe(tmp_path), "--if-missing")["digest"] == found["digest"]


def written_recipe(folder: Path) -> str:
    """A recipe whose dataset is there, of tables that are not."""
    edges = {"table": {"path": "no.csv"}, "source": "a", "target": "b"}
    recipe = {"recipe": "graph", "name": "x", "output": str(folder / "dataset"), "edges": edges}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return str(folder / "recipe.yaml")


def test_what_is_asked_wrongly_and_what_may_come_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "search")["exit_code"] == REFUSED
    assert told(capsys, "search", "--dataset", "d", "--study", "s", "--check")["entries"][0] == "logistic regression"
    assert told(capsys, "prune", str(tmp_path), "--keep", "0")["exit_code"] == REFUSED
    assert told(capsys, "prune", str(tmp_path))["removed"] == []
    study = str(tmp_path / "study")
    found = told(capsys, "search", "--dataset", str(tmp_path / "later"), "--study", study)
    assert found["exit_code"] == RETRY
