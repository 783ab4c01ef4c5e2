"""Nights on generated tables: done once per key, refused where the tables are broken, cheap where that suffices."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glmix_automl.api import Study
from glmix_automl.cli import main
from glmix_automl.dataset import Dataset
from glmix_automl.dates import fill
from glmix_automl.errors import ConfigError
from glmix_automl.layout import Folder
from glmix_automl.nightly.choice import Earlier, choose, look_back
from glmix_automl.nightly.gate import refusals
from glmix_automl.nightly.record import Night, Step, now
from glmix_automl.nightly.retention import prune
from glmix_automl.nightly.settings import ChoiceRule, GateRule, load_night
from glmix_automl.prepare.checks import Report
from glmix_automl.search.replay import ReplayOptions
from glmix_automl.serving.model import Model, raw_table
from tests.dataset_maker import make_dataset
from tests.nightly.night_maker import ALONE, configure

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint")
GROWTH: dict[str, Any] = {
    "strategy": "adanet",
    "lag": 0,
    "candidates": 2,
    "epochs": 1,
    "generator": {
        "kind": "pool",
        "candidates": [
            {"family": "logistic", "parameters": {"solver": "lbfgs", "l2": 10.0}, "until": 1, "alone": True},
            {"family": "trees", "parameters": {"trees": 20, "leaves": 8}},
        ],
    },
}


def night(folder: Path, key: str, *words: str) -> int:
    return main(["nightly", str(folder / "nightly.yaml"), "--key", key, *words])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a night's configuration and no tables yet."""
    folder = tmp_path_factory.mktemp("nightly")
    configure(folder, {"growth": GROWTH}, search=ALONE, choice={"drift": 1.0, "auc_drop": 1.0})
    return folder


def deliver(folder: Path) -> None:
    """Tables of two dates, and of a third on which a third of the rows arrived."""
    for number, date in enumerate(("2026-11-26", "2026-11-27")):
        words = ["--rows", "6000", "--seed", str(number), "--output", str(folder / "tables" / date)]
        assert main(["generate", "jymbii", *words]) == 0
    shutil.copytree(folder / "tables" / "2026-11-27", folder / "tables" / "2026-11-28")
    broken = folder / "tables" / "2026-11-28" / "interactions.parquet"
    rows = pd.read_parquet(broken).head(2000)
    shutil.rmtree(broken)
    rows.to_parquet(broken)


@pytest.mark.slow
def test_three_nights(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(home)
    assert night(home, "2026-11-26", "--json") == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (first["search.way"], first["promote.action"], first["promote.version"]) == ("search", "promoted", 1)
    record = (home / "nights" / "2026-11-26" / "night.json").read_text()

    assert night(home, "2026-11-26", "--json") == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again == first, "the same key changes nothing"
    assert (home / "nights" / "2026-11-26" / "night.json").read_text() == record

    assert night(home, "2026-11-27", "--json") in (0, 3)
    second = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert second["search.way"] == "replay"
    assert second["gate.compared_with"] == "2026-11-26"
    assert second["promote.champion_before"] == 1
    assert second["prepare.digest"] != first["prepare.digest"]

    assert night(home, "2026-11-28", "--json") == 2
    refused = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "did not pass the gate" in refused["error"]
    assert "rows" in refused["error"]
    steps = json.loads((home / "nights" / "2026-11-28" / "night.json").read_text())["steps"]
    assert (steps["gate"]["state"], "search" in steps) == ("refused", False)

    assert main(["prune", str(home / "nights"), "--keep", "1", "--json"]) == 0
    removed = json.loads(capsys.readouterr().out.splitlines()[-1])["removed"]
    assert removed == ([] if second["promote.action"] == "kept" else ["2026-11-26"]), "the champion's and the last good"


@pytest.mark.slow
def test_a_night_refreshes_random_effects_alone(tmp_path: Path) -> None:
    """The second night has more responses of the same members: they alone are trained on, all else stays as it was."""
    pool = [GROWTH["generator"]["candidates"][0], {"family": "random_effect", "parameters": {"entity": "member_id"}}]
    growth = {**GROWTH, "fit": "validation", "generator": {"kind": "pool", "candidates": pool}}
    rule = {"auc_drop": 1.0, "refresh_auc_drop": 1.0}
    configure(tmp_path, {"growth": growth}, search=ALONE, overrides={"recipe": {"history": None}}, choice=rule)
    dates = ("2026-11-26", "2026-11-27")
    for date, rows in zip(dates, ("6000", "6600"), strict=True):
        words = ["--rows", rows, "--members", "240", "--items", "200", "--effects", "3"]
        assert main(["generate", "jymbii", *words, "--output", str(tmp_path / "tables" / date)]) == 0
        assert night(tmp_path, date) in (0, 3)
    ways = [Night.read(Folder(str(tmp_path / "nights" / date)), date).found("search") for date in dates]
    assert [way["way"] for way in ways] == ["search", "refresh"]
    study = Study.open(ways[1]["study"])
    steps = {trial.family: study.history.results[number].costs.steps for number, trial in study.history.trials.items()}
    assert steps["logistic"] == 0 < steps["random_effect"]
    models = [Model(Folder(f"{way['study']}/model")) for way in ways]
    raw = pd.read_parquet(tmp_path / "nights" / dates[1] / "dataset" / "raw" / "test")
    shares = [model.shares(model.encode(raw_table(model.schema, raw))) for model in models]
    for family, same in (("logistic", True), ("random_effect", False)):
        one, other = (next(share for name, share in each.items() if name.endswith(family)) for each in shares)
        assert (np.corrcoef(one, other)[0, 1] > 0.9999) == same, family


def test_nights_that_the_next_one_needs_are_kept(tmp_path: Path) -> None:
    done = Step(state="done", at=now(), seconds=1.0)
    steps = {
        "2026-11-21": {"gate": done, "search": done},
        "2026-11-22": {"gate": done, "search": done},
        "2026-11-23": {"gate": done},
        "2026-11-24": {"gate": done.model_copy(update={"state": "refused"})},
        "2026-11-25": {},
    }
    for key, each in steps.items():
        Night(key=key, steps=each).write(Folder(str(tmp_path / key)))
    (tmp_path / "mlartifacts").mkdir()
    assert prune(Folder(str(tmp_path)), 2) == ["2026-11-21"], "the last that has a model, and the last that passed"
    assert prune(Folder(str(tmp_path)), 1, until="2026-11-22") == []
    assert sorted(path.name for path in tmp_path.iterdir())[0] == "2026-11-22"


def test_dates_and_keys() -> None:
    assert fill({"a": ["{date-1}/x", 3], "b": "{key}"}, "2026-03-01") == {"a": ["2026-02-28/x", 3], "b": "2026-03-01"}
    assert fill("{date+1} {date}", "2024-02-28T03-00") == "2024-02-29 2024-02-28"
    with pytest.raises(ConfigError, match="does not begin with one"):
        fill("{date}", "tonight")
    assert fill("{other} {key}", "tonight") == "{other} tonight"


def test_a_wrong_key_or_step_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="must be a name for a folder"):
        load_night(str(home / "nightly.yaml"), "../x", [])
    assert night(home, "2026-11-26", "--step", "bake") == 2
    assert "there are prepare, gate" in capsys.readouterr().err


def report(rows: tuple[int, int] = (800, 200), fill: float = 1.0, unseen: float = 0.0, name: str = "city") -> Report:
    feature = {
        "name": name,
        "kind": "categorical",
        "side": "member",
        "fill": {"train": fill, "validation": fill, "test": fill},
        "unseen": {"validation": unseen, "test": unseen},
        "psi": 0.0,
        "auc": 0.5,
    }
    splits = {"train": rows, "validation": (8, 2), "test": (8, 2)}
    return Report.model_validate(
        {
            "name": "made",
            "digest": "d",
            "rows": splits,
            "base_rates": {split: positive / (positive + negative) for split, (negative, positive) in splits.items()},
            "counts": {},
            "duplicate_uids": 0,
            "features": [feature],
            "entities": {},
            "warnings": [],
        }
    )


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (report(), None),
        (report(rows=(300, 75)), "375 rows"),
        (report(rows=(600, 400)), "base rate"),
        (report(fill=0.5), "filled in 50.0%"),
        (report(unseen=0.6), "60% of the terms"),
        (report(name="town"), "'city' of the last good night is missing"),
        (report(rows=(1000, 0)), "both classes"),
    ],
)
def test_the_gate(now: Report, said: str | None) -> None:
    found = refusals(GateRule(), now, report())
    assert found == [] if said is None else any(said in line for line in found)
    assert refusals(GateRule(rows=None, base_rate=None, fill=None, unseen=None), report(), None) == []


def earlier(folder: Path, *families: str, nights: int = 1) -> Earlier:
    """What a night left whose model has members of these families."""
    make_dataset(folder / "yesterday", rows=300)
    members = [{"family": family} for family in families]
    (folder / "model").mkdir()
    (folder / "model" / "schema.json").write_text((folder / "yesterday" / "schema.json").read_text())
    origin = {"plan": {"members": members}} if members else {}
    described = {"version": 1, "bias": 0.0, "terms": [], "origin": origin}
    (folder / "model" / "model.json").write_text(json.dumps(described))
    return Earlier(Folder(str(folder / "model")), nights, None)


def test_the_cheapest_way_that_suffices(tmp_path: Path) -> None:
    before = earlier(tmp_path, "logistic", "random_effect", "trees", "random_effect")
    today = Dataset.open(str(tmp_path / "yesterday"))
    found = choose(ChoiceRule(), today, before)
    assert (found.way, found.plan, tuple(found.locked)) == ("refresh", str(tmp_path / "model"), ("logistic",))
    assert "random effects are refreshed, logistic locked" in found.reason
    options = ReplayOptions.model_validate({"plan": found.plan, "warm_start": True, "locked": found.locked})
    assert options.locked == ("logistic",)
    assert choose(ChoiceRule(), today, replace(before, nights_since_search=6)).way == "refresh"
    assert choose(ChoiceRule(), today, replace(before, nights_since_search=7)).way == "search"
    assert choose(ChoiceRule(), today, replace(before, model=None)).way == "search"
    make_dataset(tmp_path / "today", rows=300, terms=40)
    moved = Dataset.open(str(tmp_path / "today"))
    changed = choose(ChoiceRule(refresh_drift=0.0, drift=1.0), moved, before)
    assert changed.numbers["drift"] > 0
    assert (changed.way, changed.locked) == ("replay", ())
    assert choose(ChoiceRule(drift=changed.numbers["drift"] / 2), moved, before).way == "search"


def test_the_night_after_a_search_is_the_first_since(tmp_path: Path) -> None:
    def told(key: str, way: str) -> Night:
        return Night(key=key, steps={"search": Step(state="done", at=now(), seconds=1.0, found={"way": way})})

    home = Folder(str(tmp_path))
    assert look_back(home, []).nights_since_search == 1
    assert look_back(home, [told("2026-11-22", "search")]).nights_since_search == 1
    nights = [told("2026-11-23", "replay"), told("2026-11-22", "search")]
    assert look_back(home, nights).nights_since_search == 2


def test_a_structure_without_random_effects_is_not_refreshed(tmp_path: Path) -> None:
    before = earlier(tmp_path, "logistic", "trees")
    assert choose(ChoiceRule(), Dataset.open(str(tmp_path / "yesterday")), before).way == "replay"
