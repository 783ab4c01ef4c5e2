"""A small dataset in memory, with every kind of feature, shared by the tests of models."""

import pytest

from glmix_automl.dataset import Block, Dataset
from glmix_automl.schema import Schema
from tests.dataset_maker import make_dataset


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Schema, Block]:
    """Schema and 600 training rows: 3 numerics, 2 categoricals, a bag, a weighted bag, row weights."""
    folder = tmp_path_factory.mktemp("models") / "dataset"
    make_dataset(folder, rows=600, numerics=3, row_weights=True, members=20, items=10)
    dataset = Dataset.open(str(folder))
    return dataset.schema, dataset.read("train")
