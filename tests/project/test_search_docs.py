"""The configurations the search page shows are configurations."""

import re
from pathlib import Path

import yaml

from glmix_automl.config import parse
from glmix_automl.search import STRATEGIES
from glmix_automl.study.session import race
from glmix_automl.study.settings import SearchSettings

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "search.md").read_text()


def test_the_race_it_shows_is_one() -> None:
    first, *_ = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert list(race(parse(yaml.safe_load(first), SearchSettings, "docs"))) == ["logistic regression", "bayes"]


def test_every_strategy_is_in_its_table_with_options_it_has() -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|[^|]*\| ([^|]*) \|$", PAGE, re.MULTILINE)
    named = {name: re.findall(r"`(\w+)`", options) for names, options in rows for name in re.findall(r"`(\w+)`", names)}
    assert set(STRATEGIES) <= set(named)
    shared = {"trials", "rounds", "generator", "plan", "locked"}  # of some of a row
    for name, kind in STRATEGIES.items():
        assert not set(named[name]) - set(kind.options.model_fields) - shared, name
