"""The folder of a study: what it was told to do, on what data, and where its journal and artefacts lie."""

import json
import uuid
from pathlib import Path
from typing import Literal

import pydantic

from glmix_automl import layout
from glmix_automl.config import Config, parse
from glmix_automl.dataset import Dataset
from glmix_automl.dataset.fingerprint import confirm
from glmix_automl.errors import ConfigError, StudyError
from glmix_automl.layout import Folder
from glmix_automl.study import history, lock
from glmix_automl.study.history import History
from glmix_automl.study.seal import seal, unseal
from glmix_automl.study.settings import SearchSettings
from glmix_automl.version import VERSION


class StudyRecord(Config):
    """`study.json`: written before the first trial, so that a study can be resumed and read without its YAML."""

    version: Literal[1] = 1
    id: str = pydantic.Field(default_factory=lambda: uuid.uuid4().hex)
    """Of this study and no other, also where another has its name: what runs in MLflow are found by."""
    package: str = VERSION
    digest: str
    """Of the dataset."""
    fingerprints: dict[str, str] = {}
    """Of its splits as they lay there, rows in order; none in studies of before these were kept."""
    dataset_name: str
    settings: SearchSettings


class StudyFolder:
    """A study on the controller's disk."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.name = self.path.name
        self.journal = self.path / layout.JOURNAL
        self.lock = self.path / layout.LOCK
        self.files = Folder(str(self.path))

    @property
    def begun(self) -> bool:
        """Whether there is a study here."""
        return (self.path / layout.STUDY).is_file()

    @property
    def record(self) -> StudyRecord:
        """What the study was told. Where the folder lies now is where the study is: it may have been moved or copied.

        Raises:
            StudyError: there is no study here, or one of another version.
        """
        found = self._written()
        return found.model_copy(update={"settings": found.settings.model_copy(update={"study": str(self.path)})})

    @property
    def is_copy(self) -> bool:
        """Whether the study that it was copied from is still there; to go on with both, one needs another id.

        Raises:
            StudyError: as `record`.
        """
        found = self._written()
        other = StudyFolder(found.settings.study)
        if not other.begun or other.path.samefile(self.path):
            return False
        try:
            return other._written().id == found.id
        except StudyError:
            return False

    def _written(self) -> StudyRecord:
        if not self.begun:
            raise StudyError(
                f"{self.path}: no study here (it has no {layout.STUDY}); begin one with glmix-automl search"
            )
        path = self.path / layout.STUDY
        try:
            text, _ = unseal(path.read_bytes())
            return parse(json.loads(text), StudyRecord, str(path))
        except OSError as error:
            raise StudyError(f"{path}: cannot be read: {error.strerror}") from error
        except (ConfigError, ValueError, TypeError) as error:
            told = str(error).removeprefix(f"{path}: ")
            raise StudyError(
                f"{path}: {told}; it is damaged, or of another version than this ({VERSION}): restore it, or go on "
                "with the version that began the study"
            ) from error

    def open_dataset(self, *splits: str) -> Dataset:
        """The dataset of the study, checked to be the one that it began with.

        Args:
            splits: those to be looked at; all if none is named.

        Raises:
            DataError: it is gone, cannot be read, or is another one now.
            StudyError: as `record`.
        """
        record = self.record
        dataset = Dataset.open(record.settings.dataset)
        confirm(dataset, record.digest, record.fingerprints, splits or None)
        return dataset

    def write(self, record: StudyRecord) -> None:
        """Writes `study.json`, whole or not at all."""
        self.files.write(layout.STUDY, seal(record.model_dump_json(indent=1).encode()))

    def history(self) -> History:
        """What has happened so far; empty if the study was begun and has no journal yet."""
        return history.load_history(self.journal) if self.journal.is_file() else History()

    @property
    def running(self) -> bool:
        """Whether a controller works on it now."""
        return lock.is_held(self.lock)


def check_resume(old: StudyRecord, new: StudyRecord, path: Path) -> None:
    """Checks that a study may go on with other settings: its race and seed are what its journal is about.

    Raises:
        StudyError: one of them differs: which.
    """
    for name in ("seed", "race"):
        before, now = getattr(old.settings, name), getattr(new.settings, name)
        if before != now:
            raise StudyError(
                f"{path}: {name} differs from what the study began with; begin a new study or leave it as is"
            )
