"""The grid: which points, how often, in which order."""

import numpy as np
import pytest

from glmix_automl.config import parse
from glmix_automl.errors import ConfigError
from glmix_automl.search.grid import Grid, GridOptions

SPACE = {
    "learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "scale": "log"},
    "depth": {"type": "int", "low": 0, "high": 2},
    "width": {"choice": [16, 64], "when": {"depth": [1, 2]}},
}


def options(**changes: object) -> GridOptions:
    return parse({"family": "subnetwork", "space": SPACE, **changes}, GridOptions, "search.yaml")


def test_every_combination_once_nested() -> None:
    trials = Grid(options(order="nested"), 0).ask(100)
    # 3 rates x (depth 0 alone + depths 1 and 2 with two widths each)
    assert len(trials) == 3 * (1 + 2 * 2)
    rates = [trial.parameters["learning_rate"] for trial in trials]
    np.testing.assert_allclose(rates, sorted(rates))
    np.testing.assert_allclose(np.unique(np.round(rates, 9)), [0.001, 0.01, 0.1])
    assert [t.parameters.get("width") for t in trials[:5]] == [None, 16, 64, 16, 64]


def test_shuffled_is_the_same_grid_in_another_order() -> None:
    nested = Grid(options(order="nested"), 0).ask(100)
    shuffled = Grid(options(), 0).ask(100)
    assert [t.parameters for t in shuffled] != [t.parameters for t in nested]
    assert sorted(str(t.parameters) for t in shuffled) == sorted(str(t.parameters) for t in nested)


def test_resolution_per_parameter() -> None:
    trials = Grid(options(resolution={"learning_rate": 5, "depth": 1}), 0).ask(100)
    assert len({t.parameters["learning_rate"] for t in trials}) == 5
    assert {t.parameters["depth"] for t in trials} == {1}


@pytest.mark.parametrize(
    ("resolution", "said"),
    [({"dpth": 2}, "names 'dpth'"), (0, "from 1 to 1000000, got 0"), ({"learning_rate": 10_000_000}, "got 10000000")],
)
def test_a_wrong_resolution_is_refused(resolution: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        options(resolution=resolution)
