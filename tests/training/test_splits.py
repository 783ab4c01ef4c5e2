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
from glmix_automl.training import source as sources
from glmix_automl.training.splits import Splits
from glmix_automl.trial import Trial
from glmix_automl.workers.collective import Alone
from tests.dataset_maker import make_dataset

SUBSAMPLES: list[tuple[float, dict[str, Any]]] = [(0.4, {}), (0.4, {"loss": "pairwise"}), (1.0, {"loss": "pairwise"})]


class OneOf(Alone):
    """A rank of several that never meets the others, who have about as much."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def allreduce(self, values: np.ndarray) -> np.ndarray:
        return values * self.size


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


@pytest.mark.parametrize(("size", "pieces"), [(1, 4), (2, 2)])
def test_a_large_share_is_prepared_piece_by_piece(
    size: int, pieces: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PIECE_ROWS", 200)
    make_dataset(tmp_path / "data", rows=901)
    splits = Splits(Dataset.open(str(tmp_path / "data")), Folder(str(tmp_path)), OneOf(size - 1, size), seed=1)
    coordinate = FAMILIES["subnetwork"].build(splits.dataset.schema, {"terms": 5}, 0)
    blocks = splits.source(Trial(0, "test", "subnetwork", {}), coordinate).blocks
    whole, count = blocks.rows(0, 0)
    asked: list[int] = []
    monkeypatch.setattr(
        coordinate, "prepare", lambda rows: asked.append(1) or type(coordinate).prepare(coordinate, rows)
    )
    for seed in range(3):
        split = splits.source(Trial(0, "test", "subnetwork", {}), coordinate).blocks.in_pieces(64, seed)
        asked.clear()
        assert split.count == pieces
        parts = [split.rows(epoch, number) for epoch in range(2) for number in range(pieces)]
        assert len(asked) == pieces, "each is prepared once"
        assert all(64 <= len(part.label) == rows <= split.largest for part, rows in parts)
        assert sum(rows for _, rows in parts) == 2 * count
        ordered = sorted(parts[:pieces], key=lambda part: _begin(part[0], whole))
        for name in ("numerics", "label", "weight", "offset"):
            joined = np.concatenate([getattr(part, name) for part, _ in ordered])
            np.testing.assert_array_equal(joined, getattr(whole, name))
        for one, table in enumerate(whole.categoricals):
            np.testing.assert_array_equal(np.concatenate([part.categoricals[one] for part, _ in ordered]), table)
        for one, bag in enumerate(whole.bags):
            np.testing.assert_array_equal(np.concatenate([part.bags[one].ids for part, _ in ordered]), bag.ids)
            lengths = [np.diff(part.bags[one].splits) for part, _ in ordered]
            np.testing.assert_array_equal(np.concatenate(lengths), np.diff(bag.splits))


def _begin(piece: Any, whole: Any) -> int:
    """Where a piece lies."""
    return int(np.flatnonzero((whole.numerics.numpy() == piece.numerics.numpy()[0]).all(axis=1))[0])
