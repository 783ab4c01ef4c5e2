"""Made datasets that the tests of reading share; tests that damage one copy it first."""

import shutil
from pathlib import Path

import pytest

from glmix_automl.dataset import Dataset
from tests.dataset_maker import make_dataset

ROWS = 1003  # prime to the sizes used, so that shares are uneven


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every kind of column, several shards and several row groups in each."""
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder, rows=ROWS, seed=1, bags=2, weighted_bags=1, row_weights=True, shards=3, row_group=100)
    return folder


@pytest.fixture(scope="session")
def dataset(made: Path) -> Dataset:
    return Dataset.open(str(made))


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "dataset"))
