"""What is wrong in a recipe is told at once, before a table is read."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from glmix_automl.cli import main

RECIPE: dict[str, Any] = {
    "recipe": "interactions",
    "name": "x",
    "output": "out",
    "interactions": {
        "table": {"path": "events.csv"},
        "member": "uid",
        "item": "label",
        "label": {"column": "clicked"},
        "timestamp": {"column": "at"},
    },
    "members": {
        "table": {"path": "members.csv"},
        "key": "uid",
        "features": [
            {"kind": "categorical", "source": "weight"},
            {"kind": "numeric", "source": "age"},
            {"kind": "numeric", "source": "pay", "name": "age"},
        ],
    },
    "items": {
        "table": {"path": "items.csv"},
        "key": "label",
        "features": [{"kind": "categorical", "source": "pay"}, {"kind": "bag", "source": "skills", "name": "offset"}],
    },
}


def told(tmp_path: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> list[str]:
    """The lines that a check of the recipe writes, less where they are about."""
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    words = [word for override in overrides for word in ("--set", override)]
    assert main(["prepare", str(path), "--check", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return [line.removeprefix("glmix-automl prepare: ").removeprefix(f"{path}: ") for line in err.splitlines()]


def test_all_clashes_of_columns_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keeps = "the dataset keeps the name"
    assert told(tmp_path, capsys) == [
        f"interactions.member: {keeps} 'uid' for itself; rename the column in its table: `rename: {{uid: uid_id}}`",
        f"interactions.item: {keeps} 'label' for itself; rename the column in its table: `rename: {{label: label_id}}`",
        f"members.features.0: {keeps} 'weight' for itself: give the feature another `name`",
        f"items.features.1: {keeps} 'offset' for itself: give the feature another `name`",
        "two columns of the dataset are named 'age' (members.features.1, members.features.2): give one of them another "
        "`name`",
        "members and items both have a column 'pay': rename one of them in its table, for example "
        "`rename: {pay: items_pay}`",
    ]


def test_unknown_kinds_and_keys_are_told_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(tmp_path, capsys, "recipe=interaction")[0].startswith(
        "unknown recipe 'interaction'; did you mean 'interactions'?"
    )
    lines = told(tmp_path, capsys, "items.features.0.kind=categoric", "spilt={by: time}", "members.kye=uid")
    assert lines == [
        "unknown key 'members.kye'; did you mean 'key'?",
        "items.features.0: no kind 'categoric'; did you mean 'categorical'?; there are numeric, categorical, bag",
        "unknown key 'spilt'; did you mean 'split'?",
    ]
