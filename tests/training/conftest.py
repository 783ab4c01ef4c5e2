"""One small dataset on disk for every test of training."""

from pathlib import Path

import pytest

from tests.dataset_maker import make_dataset


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of 1500 training rows, every kind of feature and row weights."""
    folder = tmp_path_factory.mktemp("training") / "dataset"
    make_dataset(folder, rows=1500, numerics=3, row_weights=True, members=40, items=10, held_out=600)
    return str(folder)


@pytest.fixture
def study(tmp_path: Path) -> str:
    """An empty study."""
    return str(tmp_path / "study")
