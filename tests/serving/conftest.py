"""Studies that several modules of tests share."""

import pytest

from tests.serving.trained import Trained, of_graph, of_interactions


@pytest.fixture(scope="session")
def of_members(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A study of members and items, with a model of each family."""
    return of_interactions(tmp_path_factory.mktemp("of members"))


@pytest.fixture(scope="session")
def of_network(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A study of a network, with a model of each family."""
    return of_graph(tmp_path_factory.mktemp("of network"))
