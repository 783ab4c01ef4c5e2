"""What of a dataset trials are trained on."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glmix_automl.dataset import Dataset
from glmix_automl.layout import Folder
from glmix_automl.models import FAMILIES
from glmix_automl.models.tensorflow import tf
from glmix_automl.training.splits import Splits
from glmix_automl.trial import Trial
from glmix_automl.workers.collective import Alone
from tests.dataset_maker import make_dataset

SUBSAMPLES: list[tuple[float, dict[str, Any]]] = [(0.4, {}), (0.4, {"loss": "pairwise"}), (1.0, {"loss": "pairwise"})]


class OneOf(Alone):
    """A rank of several that never meets the others."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


def trained_on(splits: Splits, fraction: float, parameters: dict[str, Any]) -> list[np.ndarray]:
    """Every column of the rows that a subnetwork is trained on, and where they are in the split."""
    family = FAMILIES["subnetwork"]
    coordinate = family.build(splits.dataset.schema, family.parameters(**parameters).model_dump(), 0)
    trial = Trial(0, "test", "subnetwork", coordinate.parameters.model_dump(), seed=3, fraction=fraction)
    source = splits.source(trial, coordinate)
    return [*map(np.asarray, tf.nest.flatten(source.blocks.rows(0, 0)[0])), source.members("train")]


@pytest.mark.parametrize(("fraction", "parameters"), SUBSAMPLES)
@pytest.mark.parametrize("size", [1, 2])
def test_rows_of_a_fraction_are_those_that_are_read(
    size: int, fraction: float, parameters: dict[str, Any], tmp_path: Path
) -> None:
    make_dataset(tmp_path / "data", rows=900, row_weights=True)
    for rank in range(size):
        resident, reading = (
            Splits(Dataset.open(str(tmp_path / "data")), Folder(str(tmp_path)), OneOf(rank, size), seed=1)
            for _ in range(2)
        )
        resident.load()
        for own, read in zip(*(trained_on(s, fraction, parameters) for s in (resident, reading)), strict=True):
            np.testing.assert_array_equal(own, read)


@pytest.mark.parametrize(("fraction", "parameters"), SUBSAMPLES)
def test_rows_of_a_fraction_are_not_read_again(fraction: float, parameters: dict[str, Any], tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", rows=900)
    splits = Splits(Dataset.open(str(tmp_path / "data")), Folder(str(tmp_path)), Alone(), seed=1)
    splits.load()
    splits.offset("validation", None)
    splits.dataset.entity_codes("train", splits.dataset.schema.entities[0].name)
    splits.dataset.labels("train")
    shutil.rmtree(tmp_path / "data")
    columns = trained_on(splits, fraction, parameters)
    assert 0 < len(columns[0]) < 900 or fraction == 1
