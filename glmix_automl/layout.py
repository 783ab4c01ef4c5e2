"""Where each artefact lies, at any URI that pyarrow opens; files are written under another name, then renamed."""

import contextlib
import errno
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from glmix_automl.errors import DataError

PACKAGE = Path(__file__).parent
"""The source of this program, which clusters and exported models are given."""

OBJECT_STORES = ("s3", "gcs", "abfs")  # write whole or not at all, in folders that need not be made

# A dataset: one folder of Parquet shards per split, and
SCHEMA = "schema.json"
MANIFEST = "manifest.json"
RECIPE = "recipe.json"  # the resolved recipe that made it, so that a model can read the raw tables of another day
DATA_REPORT_JSON = "data_report.json"
DATA_REPORT_HTML = "data_report.html"
SUCCESS = "_SUCCESS"  # written last: a folder without it is no dataset
RAW = "raw"  # raw/<split>/: the raw columns of hold-out rows, by uid, so that any model can be judged on them

# A study:
STUDY = "study.json"  # the resolved configuration, the dataset's digest, the version; the schema lies beside it
JOURNAL = "journal.jsonl"
SEGMENTS = "journal"  # where stores cannot append: journal/<number>.jsonl in its place
LOCK = "lock"
TRIALS = "trials"  # trials/<number>/
SCORES = "scores-{split}.npy"  # float32, one per row of the split, in dataset order, the offset not included
HELD_OUT = "held_out"  # in place of a split: scores of the validation rows by weights that have not seen their labels
WEIGHTS = "weights.npz"  # arrays of a trained coordinate
COORDINATE = "coordinate.json"  # what its arrays mean
ENSEMBLE = "ensemble.json"  # in their place: what a trial that weighs others found
LEADERBOARD_CSV = "leaderboard.csv"
LEADERBOARD_JSON = "leaderboard.json"
REPORT = "report.html"
MODEL = "model"  # the exported winner
REFIT = "refit"  # refit/trials/<number>/: members of the winner trained on train and validation
PROMOTIONS = "promotion.json"  # a line of JSON per decision on whether it becomes the champion

# An exported model: the schema of its dataset, and
DESCRIPTION = "model.json"  # written last: a folder without it is no model
EFFECTS = "effects"  # effects/<trial>.parquet: the coefficients of a random effect, for people and other programs
COORDINATES = "coordinates"  # coordinates/<trial>/, with files as in trials/<trial>/


_UNFINISHED = re.compile(r"\..+\.(\d+)\.[0-9a-f]{8}")  # .NAME.PROCESS.RANDOM


@dataclass(frozen=True)
class Folder:
    """A folder at a URI or a local path; names inside it may contain slashes.

    A URI may end with options of its file system: `s3://bucket/studies?region=eu-west-1`.
    """

    uri: str

    @cached_property
    def _place(self) -> tuple[fs.FileSystem, str]:
        text = str(self.uri)
        if "://" not in text and not text.startswith("file:"):
            return fs.LocalFileSystem(), str(Path(text).absolute())
        try:
            return fs.FileSystem.from_uri(text.replace("s3a://", "s3://", 1))  # as Hadoop calls it
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{text}: cannot be opened: {error}") from error

    @property
    def filesystem(self) -> fs.FileSystem:
        """The pyarrow file system the folder is on."""
        return self._place[0]

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's own file system."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def path(self, name: str = "") -> str:
        """Path of `name` on `filesystem`."""
        return f"{self._place[1]}/{name}" if name else self._place[1]

    def within(self, name: str) -> "Folder":
        """A folder inside this one."""
        base, mark, options = str(self.uri).partition("?") if "://" in str(self.uri) else (str(self.uri), "", "")
        return Folder(f"{base.rstrip('/')}/{name}{mark}{options}")

    def exists(self, name: str = "") -> bool:
        """Whether there is a file or folder of that name.

        Raises:
            DataError: nobody can say: the name is too long, the store cannot be reached.
        """
        return self._kind(name) != fs.FileType.NotFound

    def _kind(self, name: str) -> fs.FileType:
        with self._asked(name):
            return self.filesystem.get_file_info(self.path(name)).type

    def _inside(self, name: str) -> list[fs.FileInfo]:
        with self._asked(name):
            return list(self.filesystem.get_file_info(fs.FileSelector(self.path(name), allow_not_found=True)))

    @contextlib.contextmanager
    def _asked(self, name: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowInvalid) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{self.path(name)}: cannot be looked for: {reason}") from error

    def files(self, name: str = "", suffix: str = "") -> list[str]:
        """Names of the files in a folder inside this one, sorted; empty if there is no such folder."""
        return sorted(
            info.base_name
            for info in self._inside(name)
            if info.is_file and info.base_name.endswith(suffix) and not info.base_name.startswith((".", "_"))
        )

    def folders(self, name: str = "") -> list[str]:
        """Names of the folders in a folder inside this one, sorted; empty if there is no such folder."""
        return sorted(info.base_name for info in self._inside(name) if info.type == fs.FileType.Directory)

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            DataError: there is no such file, or it cannot be read.
        """
        try:
            with self.filesystem.open_input_stream(self.path(name), compression=None) as stream:
                return bytes(stream.read())
        except OSError as error:
            raise DataError(f"{self.path(name)}: cannot be read: {error.strerror or error}") from error

    def write(self, name: str, content: bytes | str) -> None:
        """Writes a file so that it is there whole or not at all, folders made as needed.

        Raises:
            DataError: the disk is full or the place cannot be written.
        """
        path = self.path(name)
        folder, _, last = path.rpartition("/")
        is_whole = self.filesystem.type_name in OBJECT_STORES
        unfinished = path if is_whole else f"{folder}/.{last}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        data = content.encode() if isinstance(content, str) else content
        try:
            if not is_whole:
                self.filesystem.create_dir(folder, recursive=True)
            with self.filesystem.open_output_stream(unfinished, compression=None) as stream:
                stream.write(data)
            if not is_whole:
                self.filesystem.move(unfinished, path)
        except OSError as error:
            if not is_whole:
                with contextlib.suppress(OSError):  # Room for others, where there is none
                    self.filesystem.delete_file(unfinished)
            reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or error
            raise DataError(f"{path}: cannot be written: {reason}") from error

    def remove_unfinished(self) -> None:
        """Removes, in all folders inside, what `write` of processes of this machine that are gone left half written."""
        import psutil  # not among the requirements of exported models, which read this module too

        if self.filesystem.type_name in OBJECT_STORES:
            return
        for info in self.filesystem.get_file_info(fs.FileSelector(self.path(), allow_not_found=True, recursive=True)):
            if (found := _UNFINISHED.fullmatch(info.base_name)) and not psutil.pid_exists(int(found[1])):
                with contextlib.suppress(OSError):  # somebody else removed it
                    self.filesystem.delete_file(info.path)

    def remove(self, name: str) -> None:
        """Removes a file, or a folder and all it holds, inside this one, if it is there."""
        kind = self._kind(name)
        if kind == fs.FileType.File:
            self.filesystem.delete_file(self.path(name))
        elif kind == fs.FileType.Directory:
            self.filesystem.delete_dir(self.path(name))

    def copy(self, name: str, to: Path) -> None:
        """Copies a file, or a folder and all it holds, to this machine's disk.

        Raises:
            DataError: it is not there, or cannot be read.
        """
        if self._kind(name) != fs.FileType.Directory:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(self.read(name))
            return
        for inner in (*self.folders(name), *self.files(name)):
            self.copy(f"{name}/{inner}", to / inner)
