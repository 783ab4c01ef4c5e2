"""What model stands behind a trial, and its scores from the cached ones."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from glmix_automl.ensemble import Ensemble, flatten, pack_scores, read_scores
from glmix_automl.errors import DataError
from glmix_automl.layout import SCORES, Folder
from glmix_automl.trial import Trial

TRIALS = {
    0: Trial(0, "a", "logistic"),
    1: Trial(1, "a", "subnetwork", offset=Ensemble((0,), (0.5,), 0.25)),
    2: Trial(2, "a", "mixture"),
    3: Trial(3, "a", "subnetwork", offset=Ensemble((2,), (2.0,), -1.0)),
    4: Trial(4, "a", "mixture"),
}
FITTED = {2: Ensemble((0, 1), (3.0, 0.0), 0.125), 4: Ensemble((2, 3, 1), (0.5, -1.0, 2.0), 1.0)}


@pytest.mark.parametrize(
    ("number", "model"),
    [
        (0, {0: 1.0, None: 0.0}),
        (1, {1: 1.0, 0: 0.5, None: 0.25}),
        (2, {0: 3.0, None: 0.125}),
        (3, {3: 1.0, 0: 6.0, None: -1.0 + 2 * 0.125}),
        (4, {0: 1.5, 3: -1.0, 1: 2.0, None: 1.0 + 0.5 * 0.125}),
    ],
)
def test_a_model_is_the_sum_of_what_was_trained(number: int, model: dict[int | None, float]) -> None:
    found = flatten(TRIALS[number].model, FITTED)
    assert dict(zip(found.members, found.weights, strict=True)) | {None: found.bias} == pytest.approx(model)


def write(folder: Folder, number: int, scores: np.ndarray) -> None:
    content = BytesIO()
    np.save(content, scores)
    folder.write(f"{number}/{SCORES.format(split='test')}", content.getvalue())


def test_scores_add_up_and_members_without_weight_are_not_read(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    write(folder, 0, np.array([1.0, 2.0], np.float32))
    write(folder, 1, np.array([-1.0, 4.0], np.float32))
    ensemble = Ensemble((0, 7, 1), (0.5, 0.0, 2.0), 1.0)
    found = ensemble.score(lambda member: read_scores(folder, member, "test", 2), 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [-0.5, 10.0])
    assert Ensemble(bias=0.5).score(lambda member: np.empty(0, np.float32), 3).tolist() == [0.5] * 3


def test_scores_that_are_not_there_or_of_another_dataset_are_refused(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    write(folder, 0, np.zeros(3, np.float32))
    with pytest.raises(DataError, match="trial 7 left no scores"):
        read_scores(folder, 7, "test", 3)
    with pytest.raises(DataError, match="has 3 scores for 4 rows"):
        read_scores(folder, 0, "test", 4)
    folder.write("1/scores-test.npy", b"not an array")
    with pytest.raises(DataError, match="cannot be read as an array"):
        read_scores(folder, 1, "test", 3)


def test_an_ensemble_is_whole_and_finite() -> None:
    with pytest.raises(ValueError, match="a weight per member"):
        Ensemble((1, 2), (1.0,))
    with pytest.raises(ValueError, match="finite"):
        Ensemble((1,), (float("nan"),))


def test_a_score_array_that_was_changed_or_cut_is_refused(tmp_path: Path) -> None:
    folder, values = Folder(str(tmp_path)), np.arange(5, dtype=np.float32)
    name = f"0/{SCORES.format(split='test')}"
    whole = pack_scores(values)
    folder.write(name, whole)
    np.testing.assert_array_equal(np.load(BytesIO(whole)), values)
    np.testing.assert_array_equal(read_scores(folder, 0, "test", 5), values)
    for bit in range(8 * len(whole)):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        folder.write(name, bytes(content))
        with pytest.raises(DataError, match=name):
            read_scores(folder, 0, "test", 5)
    for length in (
        *range(len(whole) - 4),
        *range(len(whole) - 3, len(whole)),
    ):  # without a checksum it is an older file
        folder.write(name, whole[:length])
        with pytest.raises(DataError, match=name):
            read_scores(folder, 0, "test", 5)
