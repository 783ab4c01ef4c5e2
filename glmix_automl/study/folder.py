"""The folder of a study: what it was told to do, on what data, and where its journal and artefacts lie."""

import contextlib
import hashlib
import json
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pydantic

from glmix_automl import layout
from glmix_automl.config import Config, parse
from glmix_automl.dataset import Dataset
from glmix_automl.dataset.fingerprint import confirm
from glmix_automl.errors import ConfigError, DataError, StudyError
from glmix_automl.layout import Folder
from glmix_automl.study import history, lease, lock
from glmix_automl.study.history import History
from glmix_automl.study.seal import seal, unseal
from glmix_automl.study.segments import Segments
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
    """A study, on the controller's disk or at any URI.

    Attributes:
        uri: where it lies: an absolute path, or a URI.
        files: its folder there.
        path: on this machine's disk: the same, or a place for the journal's replica and for logs.
        journal: the file that the controller appends to.
        segments: the journal as stores keep it; None on a disk.
    """

    def __init__(self, place: str | Path) -> None:
        given = Folder(str(place))
        self.uri = given.path() if given.is_local else given.uri
        self.files = Folder(self.uri)
        self.path = Path(self.uri) if given.is_local else _replica(self.uri)
        self.name = self.path.name
        self.journal = self.path / layout.JOURNAL
        self.segments = None if given.is_local else Segments(self.files)
        self._lock = self.path / layout.LOCK

    @property
    def begun(self) -> bool:
        """Whether there is a study here."""
        return self.files.exists(layout.STUDY)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keeps other controllers out for the length of the block.

        Raises:
            StudyError: another controller works on it, or no study can lie here.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(lock.hold(self._lock))
            if self.segments is not None:
                stack.enter_context(lease.hold(self.files))
                self.segments.fetch(self.journal)
            yield

    def on_disk(self, name: str) -> Path:
        """A file or folder of the study on this machine's disk: itself, or a copy.

        Raises:
            DataError: it cannot be read.
        """
        target = self.path / name
        if self.segments is not None:
            self.files.copy(name, target)
        return target

    @property
    def record(self) -> StudyRecord:
        """What the study was told. Where the folder lies now is where the study is: it may have been moved or copied.

        Raises:
            StudyError: there is no study here, or one of another version.
        """
        found = self._written()
        return found.model_copy(update={"settings": found.settings.model_copy(update={"study": self.uri})})

    @property
    def is_copy(self) -> bool:
        """Whether the study that it was copied from is still there; to go on with both, one needs another id.

        Raises:
            StudyError: as `record`.
        """
        found = self._written()
        try:
            other = StudyFolder(found.settings.study)
            if other.uri == self.uri or not other.begun or (other.segments is None and other.path.samefile(self.path)):
                return False
            return other._written().id == found.id
        except (DataError, StudyError):  # it cannot be asked
            return False

    def _written(self) -> StudyRecord:
        if not self.begun:
            raise StudyError(
                f"{self.uri}: no study here (it has no {layout.STUDY}); begin one with glmix-automl search"
            )
        path = self.files.path(layout.STUDY)
        try:
            text, _ = unseal(self.files.read(layout.STUDY))
            return parse(json.loads(text), StudyRecord, path)
        except DataError as error:
            raise StudyError(str(error)) from error
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
        if self.segments is not None and not lock.is_held(self._lock):  # else this machine's replica is the newest
            self.path.mkdir(parents=True, exist_ok=True)
            self.segments.fetch(self.journal)
        return history.load_history(self.journal) if self.journal.is_file() else History()

    @property
    def running(self) -> bool:
        """Whether a controller works on it now."""
        return lock.is_held(self._lock) or (self.segments is not None and lease.is_alive(lease.owner(self.files)))


def _replica(uri: str) -> Path:
    """Where this machine keeps the journal's replica and the logs of a study at a store."""
    name = uri.partition("?")[0].rstrip("/").rpartition("/")[2]
    return Path(tempfile.gettempdir()) / "glmix-automl" / hashlib.sha256(uri.encode()).hexdigest()[:16] / name


def check_resume(old: StudyRecord, new: StudyRecord, where: str) -> None:
    """Checks that a study may go on with other settings: its race, seed and measure are what its journal is about.

    Raises:
        StudyError: one of them differs: which.
    """
    for name in ("seed", "race", "measure"):
        before, now = getattr(old.settings, name), getattr(new.settings, name)
        if before != now:
            raise StudyError(
                f"{where}: {name} differs from what the study began with; begin a new study or leave it as is"
            )
