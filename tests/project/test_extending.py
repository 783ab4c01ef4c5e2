"""docs/extending.md by its word: its strategy, family and recipe are taken from the page and go all the way."""

import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import glmix_automl
from glmix_automl.config import parse
from glmix_automl.errors import ConfigError, TrialError
from glmix_automl.models import FAMILIES, family_of
from glmix_automl.prepare.pipeline import RECIPES, load_recipe
from glmix_automl.search import STRATEGIES
from glmix_automl.search.strategy import StrategyKind
from glmix_automl.trial import Result, State

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"


SPACE = {"smoothing": {"type": "float", "low": 0.01, "high": 10.0, "scale": "log"}}


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's files define; they are modules of the package, each in its registry."""
    made: dict[str, Any] = {}
    for path, code in re.findall(r"```python\n# (\S+)\.py\n(.*?)```", PAGE.read_text(), re.DOTALL):
        module = types.ModuleType(path.replace("/", "."))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(code, f"{path}.py", "exec"), module.__dict__)
        made |= {name: vars(module)[name] for name in vars(module)}
    monkeypatch.setitem(STRATEGIES, "zoom", StrategyKind(made["ZoomOptions"], made["Zoom"]))
    monkeypatch.setitem(FAMILIES, "rate", made["RATE"])
    monkeypatch.setitem(RECIPES, "clicks", (made["Clicks"], made["click_rows"]))
    return made


def clicks(path: Path) -> pd.DataFrame:
    """A table in which the place decides."""
    draw = np.random.default_rng(3)
    place = draw.integers(0, 4, 900)
    table = pd.DataFrame(
        {
            "who": draw.integers(0, 60, 900),
            "place": [f"p{n}" for n in place],
            "age": draw.integers(20, 60, 900),
            "clicked": (draw.random(900) < 0.2 + 0.2 * place).astype(int),
        }
    )
    table.to_csv(path, index=False)
    return table


def test_the_pages_strategy_keeps_the_laws_and_its_family_and_recipe_are_configured(
    added: dict[str, Any], tmp_path: Path
) -> None:
    options = parse({"family": "rate", "space": SPACE, "trials": 4}, added["ZoomOptions"], "page")
    first, again, resumed = (added["Zoom"](options, 1) for _ in range(3))
    for number in range(4):
        (asked,) = first.ask(1)
        assert again.ask(1) == [asked]
        resumed.recall([asked], 1)
        assert asked.number == number
        assert 0.01 <= asked.parameters["smoothing"] <= 10.0
        for strategy in (first, again, resumed):
            strategy.tell(Result(number, State.FINISHED, auc=0.5 + 0.1 * (number == 1)))
    assert not any(strategy.ask(1) for strategy in (first, again, resumed))
    assert family_of("rate").resolve({}).model_dump() == {"smoothing": 1.0}
    with pytest.raises(TrialError, match=r"unknown parameter 'smothing'.*smoothing"):
        family_of("rate").resolve({"smothing": 2.0})
    table = {"path": str(tmp_path / "clicks.csv")}
    with pytest.raises(ConfigError, match="clicked"):
        load_recipe({"recipe": "clicks", "name": "c", "output": "o", "table": table, "member": "m", "features": []})


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.usefixtures("added", "spark")
def test_the_pages_strategy_family_and_recipe_go_all_the_way(tmp_path: Path) -> None:
    raw = clicks(tmp_path / "clicks.csv")
    features = [{"kind": "categorical", "source": "place"}, {"kind": "numeric", "source": "age"}]
    recipe = {
        "recipe": "clicks",
        "name": "clicks",
        "output": str(tmp_path / "dataset"),
        "table": {"path": str(tmp_path / "clicks.csv")},
        "member": "who",
        "clicked": "clicked",
        "features": features,
        "split": {"by": "random"},
    }
    dataset = glmix_automl.prepare(recipe)
    assert dataset.schema.recipe == "clicks"
    assert sum(split.rows for split in dataset.manifest.splits.values()) == len(raw)

    study = glmix_automl.Study(
        {
            "dataset": str(tmp_path / "dataset"),
            "study": str(tmp_path / "study"),
            "race": {"zoom": {"strategy": "zoom", "family": "rate", "space": SPACE, "trials": 4}},
            "workers": {"place": "in_process"},
            "tracking": {"enabled": False},
        }
    ).run()
    assert study.ended == "every entry of the race has ended"
    board = study.leaderboard()
    assert list(board["entry"]) == ["zoom"]
    assert "rate" in board["model"][0]
    asked = [trial.parameters["smoothing"] for trial in study.history.trials.values()]
    assert len(set(asked)) == 4
    assert asked[0] == pytest.approx(10**-0.5)
    assert study.report().is_file()
    predicted = study.champion().predict(raw)
    by_place = predicted.probability.groupby(raw.place).mean()
    assert by_place.to_numpy() == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=0.1)
