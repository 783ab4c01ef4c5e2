"""A model of higher AUC is refused for what it would do to some: real trials, prepared rows, a real MLflow server."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glmix_automl.api import Study
from glmix_automl.cli import main
from glmix_automl.prepare import pipeline
from glmix_automl.tracking.registry import Registry

NAME, ROWS, MEMBERS, NEWCOMERS = "railed", 10_000, 300, 100
LINEAR: dict[str, Any] = {"solver": "lbfgs", "l2": 1.0}
ENTRIES: dict[str, dict[str, Any]] = {
    "of rows": {"family": "logistic", "parameters": LINEAR | {"features": "x"}},
    "of members": {"family": "logistic", "parameters": LINEAR | {"features": "z"}},
    "of those seen": {"family": "random_effect", "parameters": {"features": "x"}},
    "slow": {"family": "subnetwork", "epochs": 3, "parameters": {"depth": 3, "width": 512}},
}
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*Any type hint")]


def write_tables(folder: Path) -> dict[str, Any]:
    """Rows whose answers come of the row (x), of what is known of the member (z) and of who the member is; a part of
    the last ones are of newcomers. Gives the recipe.
    """
    draw = np.random.default_rng(0)
    time = np.arange(ROWS)
    member = draw.integers(0, MEMBERS, ROWS)
    is_new = (time >= 0.8 * ROWS) & (draw.random(ROWS) < 0.2)
    member[is_new] = MEMBERS + draw.integers(0, NEWCOMERS, is_new.sum())
    z, own = draw.normal(size=(2, MEMBERS + NEWCOMERS))
    x = draw.normal(size=ROWS)
    log_odds = 1.2 * z[member] + own[member] + 0.8 * x
    label = (draw.random(ROWS) < 1 / (1 + np.exp(-log_odds))).astype(int)
    columns = {"uid": time, "member": member, "item": draw.integers(0, 20, ROWS), "label": label, "time": time, "x": x}
    pd.DataFrame(columns).to_csv(folder / "rows.csv", index=False)
    pd.DataFrame({"member": np.arange(len(z)), "z": z}).to_csv(folder / "members.csv", index=False)
    events = {
        "member": "member",
        "item": "item",
        "uid": "uid",
        "label": {"column": "label"},
        "table": {"path": "rows.csv"},
    }
    events |= {"timestamp": {"column": "time"}, "features": [{"kind": "numeric", "source": "x"}]}
    members = {"table": {"path": "members.csv"}, "key": "member", "features": [{"kind": "numeric", "source": "z"}]}
    recipe = {"recipe": "interactions", "name": "rails", "root": str(folder), "output": str(folder / "dataset")}
    recipe |= {"interactions": events, "members": members, "history": None, "engine": "local"}
    return recipe | {"split": {"by": "time", "fractions": {"train": 0.7, "validation": 0.1, "test": 0.2}}}


@pytest.fixture(scope="module")
def studies(server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of a study of each entry."""
    folder = tmp_path_factory.mktemp("rails")
    pipeline.prepare_dataset(None, pipeline.load_recipe(write_tables(folder)))
    made = {}
    for name, entry in ENTRIES.items():
        content = {"dataset": str(folder / "dataset"), "study": str(folder / name), "tracking": {"uri": server}}
        content |= {"workers": {"place": "in_process"}, "race": {"one": {"strategy": "fixed", **entry}}}
        study = Study(content).run()
        assert study.problem is None
        made[name] = study.folder.path
    return made


def test_each_rail_refuses_and_may_be_let_down(
    studies: dict[str, Path], server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry(server, NAME)

    def promoted(study: str, *rules: str) -> tuple[int, dict[str, Any]]:
        words = [word for rule in rules for word in ("--rule", rule)]
        code = main(["promote", str(studies[study]), "--name", NAME, "--json", *words])
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    def refused(study: str, reason: str, *rules: str) -> dict[str, Any]:
        code, found = promoted(study, *rules)
        assert (code, found["action"]) == (3, "kept"), found["reason"]
        assert reason in found["reason"]
        champion, version = registry.champion(), registry.find(found["version"])
        assert champion is not None
        assert champion.number == 1
        assert version is not None
        assert version.tags["glmix.reason"] == found["reason"]
        return found

    assert promoted("of rows")[0] == 0
    found = refused("of members", "member auc falls from")
    assert found["gain.low"] > 0, "it is the better one over all rows"
    assert found["candidate.member_auc"] == pytest.approx(0.5, abs=0.01)
    found = refused("of those seen", "cold start auc falls from", "member_auc=null")
    assert found["gain.low"] > 0
    assert found["candidate.cold_start_auc"] < found["champion.cold_start_auc"] - 0.02
    found = refused("slow", "times as long, more than 2", "scoring_time=2", "scoring_seconds=0")
    assert found["candidate.scoring_seconds"] > 2 * found["champion.scoring_seconds"]
    refused("slow", "at least 0.4 is asked", "smallest_gain=0.4")
    refused("slow", "is not below 1e-300", "level=1e-300")

    # Each is promoted where its rail is let down.
    let_down = {
        "of members": ("member_auc=null",),
        "of those seen": ("member_auc=null", "cold_start_auc=null"),
        "slow": ("scoring_time=null", "scoring_seconds=0"),
    }
    for study, rules in let_down.items():
        code, found = promoted(study, *rules)
        assert (code, found["action"], found["champion_before"]) == (0, "promoted", 1), found["reason"]
        registry.roll_back()
    assert main(["promote", str(studies["slow"]), "--name", NAME, "--rule", "patience=1"]) == 2
