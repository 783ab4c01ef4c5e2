"""What model stands behind a trial, and its scores from the cached ones."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from glmix_automl.layout import SCORES, Folder
from glmix_automl.study.terms import Terms, scores
from glmix_automl.trial import Mixture, Result, State, Trial

TRIALS = {
    0: Trial(0, "a", "logistic"),
    1: Trial(1, "a", "subnetwork", offset=Mixture((0,), (0.5,), 0.25)),
    2: Trial(2, "a", "mixture", members=Mixture((0, 1), (1.0, 1.0))),
    3: Trial(3, "a", "subnetwork", offset=Mixture((2,), (2.0,), -1.0)),
}
RESULTS = {2: Result(2, State.FINISHED, 0.7, metrics={"weight_0": 3.0, "weight_1": 0.0, "bias": 0.125})}


@pytest.mark.parametrize(
    ("number", "model"),
    [
        (0, {0: 1.0, None: 0.0}),
        (1, {1: 1.0, 0: 0.5, None: 0.25}),
        (2, {0: 3.0, None: 0.125}),
        (3, {3: 1.0, 0: 6.0, None: -1.0 + 2 * 0.125}),
    ],
)
def test_a_model_is_the_sum_of_what_was_trained(number: int, model: dict[int | None, float]) -> None:
    found = Terms(TRIALS, RESULTS).model(number)
    assert dict(zip(found.members, found.weights, strict=True)) | {None: found.bias} == pytest.approx(model)


def test_scores_add_up_with_the_offset(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    for number, values in ((0, [1.0, 2.0]), (1, [-1.0, 4.0])):
        content = BytesIO()
        np.save(content, np.array(values, np.float32))
        folder.write(f"{number}/{SCORES.format(split='test')}", content.getvalue())
    offset = np.array([10.0, 20.0], np.float32)
    np.testing.assert_allclose(scores(folder, Mixture((0, 1), (0.5, 2.0), 1.0), "test", offset), [9.5, 30.0])
    assert offset.tolist() == [10.0, 20.0]
