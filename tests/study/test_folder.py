"""Where a study's folder lies is where the study is; what it was told is read whole or refused."""

import json
import shutil
from pathlib import Path

import pytest

from glmix_automl.api import Study
from glmix_automl.conclusion import evaluate
from glmix_automl.errors import DataError, StudyError
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.session import Session
from tests.dataset.test_fingerprint import reorder
from tests.dataset_maker import make_dataset
from tests.study.killed import place, settings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset and a finished study."""
    folder = tmp_path_factory.mktemp("moved")
    make_dataset(folder / "dataset", rows=60)
    with Session(settings(str(folder / "dataset"), str(folder / "tonight"))) as session:
        session.run(make=place)
    return folder


def test_the_status_of_a_study_that_ended_is_true(made: Path) -> None:
    status = json.loads((made / "tonight" / "status.json").read_text())
    assert status["ended"] == "every entry of the race has ended"
    assert status["workers"] == []


def test_a_moved_or_copied_study_is_itself(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "tonight", tmp_path / "yesterday")
    study = Study.open(tmp_path / "yesterday")
    assert study.folder.path == tmp_path / "yesterday"
    assert study.settings.study == str(tmp_path / "yesterday")
    assert len(study.history.results) == 61
    shutil.rmtree(tmp_path / "yesterday")
    with pytest.raises(StudyError, match="yesterday: no study here"):
        Study.open(tmp_path / "yesterday")
    assert Study.open(made / "tonight").folder.name == "tonight"


def test_only_a_copy_that_goes_on_beside_its_original_is_another_study(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "tonight", tmp_path / "copy")
    (tmp_path / "link").symlink_to(made / "tonight")
    original = StudyFolder(made / "tonight")
    assert StudyFolder(tmp_path / "copy").is_copy
    assert not original.is_copy
    assert not StudyFolder(tmp_path / "link").is_copy
    for _ in range(2):  # the second time it is itself
        with Session(Study.open(tmp_path / "copy").settings, resume=True):
            pass
        copied = StudyFolder(tmp_path / "copy")
        assert not copied.is_copy
        assert len({copied.record.id, original.record.id}) == 2
    before = copied.record.id
    (tmp_path / "copy").rename(tmp_path / "moved")
    with Session(Study.open(tmp_path / "moved").settings, resume=True):
        pass
    assert StudyFolder(tmp_path / "moved").record.id == before


def test_nobody_takes_another_dataset_for_the_studys(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "all")
    record = StudyFolder(tmp_path / "all" / "tonight").record
    moved = record.settings.model_copy(update={"dataset": str(tmp_path / "all" / "dataset")})
    StudyFolder(tmp_path / "all" / "tonight").write(record.model_copy(update={"settings": moved}))
    study = Study.open(tmp_path / "all" / "tonight")
    assert evaluate(study.folder, study.history).dataset.rows("test") == 15
    reorder(tmp_path / "all" / "dataset")
    with pytest.raises(DataError, match="split test is not what it was when the study began"):
        evaluate(study.folder, study.history)
    with pytest.raises(DataError, match="split test is not what it was"), Session(study.settings, resume=True):
        pass


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b'"version": 1', b'"version": 2'),
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b'"race"', b'"r\xffce"'),
        lambda text: b"",
        lambda text: text.replace(b'"seed": 3', b'"seed": 7'),
    ],
    ids=["another version", "cut", "no text", "empty", "one digit"],
)
def test_a_study_of_another_version_or_damaged_is_an_error_of_the_study(made: Path, tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(made / "tonight", tmp_path / "study")
    path = tmp_path / "study" / "study.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StudyError, match=r"study\.json"):
        StudyFolder(tmp_path / "study").record  # noqa: B018
