"""A crash while a model is exported leaves the one before, the new one, or none: never parts of two."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glmix_automl.dataset import Dataset
from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import DataError
from glmix_automl.layout import COORDINATES, DESCRIPTION, EFFECTS, TRIALS, WEIGHTS, Folder
from glmix_automl.models import FAMILIES
from glmix_automl.models.checkpoint import save_coordinate
from glmix_automl.seeds import generator
from glmix_automl.serving.export import ModelDescription, export
from glmix_automl.serving.model import Model
from tests.dataset_maker import make_dataset


def studied(folder: Path, dataset: Dataset, seed: int) -> Folder:
    """A study's folder with three trained coordinates, as if by other data for another seed."""
    made = Folder(str(folder))
    random = generator(seed)
    for number in range(3):
        coordinate = FAMILIES["logistic"].build(dataset.schema, {}, 0)
        for array in coordinate.arrays.values():
            array[...] = random.normal(size=array.shape)
        save_coordinate(made.within(f"{TRIALS}/{number}"), coordinate)
    return made


Content = tuple[float, list[tuple[float, bytes]]]


def content(folder: Folder) -> Content:
    """All that a model's scores depend on: bias, and weight and arrays of each coordinate."""
    told = ModelDescription.model_validate_json(folder.read(DESCRIPTION))
    return told.bias, [(term.weight, folder.read(f"{term.folder}/{WEIGHTS}")) for term in told.terms]


class CrashError(Exception):
    """The process is gone."""


@pytest.mark.parametrize("other", [False, True], ids=["of the same study", "of another"])
def test_a_crash_at_any_moment_leaves_no_parts_of_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: bool
) -> None:
    make_dataset(tmp_path / "dataset", rows=60)
    dataset = Dataset.open(str(tmp_path / "dataset"))
    first, second = studied(tmp_path / "first", dataset, 1), studied(tmp_path / "second", dataset, 2)
    models = Ensemble((0, 1), (1.0, -0.5)), Ensemble((1, 2), (0.5, 2.0), 0.1)
    given: list[tuple[Folder, Ensemble, dict[str, Any]]] = [
        (first, models[0], {"study": "one"}),
        (second if other else first, models[1], {"study": "other" if other else "one"}),
    ]

    def exported(target: Folder, place: int) -> Content:
        study, model, origin = given[place]
        export(study, model, dataset.schema, target, origin)
        return content(target)

    before, after = exported(Folder(str(tmp_path / "a")), 0), exported(Folder(str(tmp_path / "b")), 1)
    assert before != after
    left, seen = 0, set()

    def once(change: Any) -> Any:
        def changed(folder: Folder, *arguments: Any) -> None:
            nonlocal left
            if left == 0:
                raise CrashError
            left -= 1
            change(folder, *arguments)

        return changed

    write, remove = Folder.write, Folder.remove
    for steps in range(100):
        target = Folder(str(tmp_path / f"crashed after {steps}"))
        exported(target, 0)
        left = steps
        with monkeypatch.context() as patched:
            patched.setattr(Folder, "write", once(write))
            patched.setattr(Folder, "remove", once(remove))
            try:
                exported(target, 1)
            except CrashError:
                pass
            else:
                break
        try:
            found = content(target)
            seen.add("before" if found == before else "after")
            assert found in (before, after)
        except DataError:
            assert not target.exists(DESCRIPTION)
            seen.add("none")
        assert exported(target, 1) == after
    assert seen == ({"before", "none", "after"} if other else {"before", "after"})
    assert target.folders(COORDINATES) == ["1", "2"], "what the model does not use is removed"
    assert not target.exists(EFFECTS)
    assert np.isfinite(Model(target).score_block(dataset.read("test"))).all()


def test_a_model_that_does_not_say_its_study_or_is_damaged_goes_first(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=60)
    dataset = Dataset.open(str(tmp_path / "dataset"))
    study, target = studied(tmp_path / "study", dataset, 1), Folder(str(tmp_path / "model"))
    for text in ("[]", "{", '{"origin": {}}'):
        target.write(DESCRIPTION, text)
        with pytest.raises(DataError, match=r"trials/7/weights\.npz"):
            export(study, Ensemble.of(7), dataset.schema, target, {})
        assert not target.exists(DESCRIPTION)
