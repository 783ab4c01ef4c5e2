"""Groups of made columns are what a recipe makes or leaves out together."""

from pathlib import Path
from typing import Any

from glmix_automl.config import parse
from glmix_automl.prepare.column_groups import NETWORK_GROUPS, column_groups
from glmix_automl.prepare.graph import Graph
from glmix_automl.prepare.history_features import HistoryFeatures
from glmix_automl.prepare.interactions import Interactions
from glmix_automl.prepare.pairs.describe import Columns
from glmix_automl.prepare.past_columns import past_features


def test_every_column_of_history_has_a_group(settings: dict[str, Any]) -> None:
    recipe = parse(settings, Interactions, "test")
    found = column_groups(recipe)
    assert isinstance(recipe.history, HistoryFeatures)
    assert set().union(*found.values()) == {f.source for f in past_features(recipe.history)}
    assert "past_member_stars_mean" in found["signals"]
    assert found["factors"] == ("past_factors", "past_stars_factors")
    assert {"past_tag_rate", "past_member_tag_effect_mean"} <= set(found["attributes"])
    assert column_groups(parse(settings | {"history": None}, Interactions, "test")) == {}


def test_groups_of_a_network_are_its_switches(tmp_path: Path) -> None:
    nodes = {
        "table": {"path": "nodes.csv"},
        "features": [{"kind": "numeric", "source": "age"}, {"kind": "bag", "source": "skills"}],
    }
    settings = {
        "recipe": "graph",
        "name": "small",
        "output": str(tmp_path),
        "edges": {"table": {"path": "edges.csv"}, "source": "a", "target": "b"},
        "nodes": [nodes],
        "hidden": {"by": "random"},
    }
    found = column_groups(parse(settings, Graph, "test"))
    assert set(found) == set(NETWORK_GROUPS) == {n for n, f in Columns.model_fields.items() if f.annotation is bool}
    assert "paths_3" in found["walks"]
    assert found["projection"] == ("projected_cosine",)
    assert "affinity_skills" in found["affinity"]
