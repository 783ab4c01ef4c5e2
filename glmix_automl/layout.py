"""Where each artefact lies, at any URI that pyarrow opens; files are written under another name, then renamed."""

import contextlib
import errno
import os
import re
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil
import pyarrow as pa
from pyarrow import fs

from glmix_automl.errors import DataError

PACKAGE = Path(__file__).parent
"""The source of this program, which clusters and exported models are given."""

# A dataset: one folder of Parquet shards per split, and
SCHEMA = "schema.json"
MANIFEST = "manifest.json"
RECIPE = "recipe.json"  # the resolved recipe that made it, so that a model can read the raw tables of another day
DATA_REPORT_JSON = "data_report.json"
DATA_REPORT_HTML = "data_report.html"
SUCCESS = "_SUCCESS"  # written last: a folder without it is no dataset
RAW = "raw"  # raw/<split>/: the raw columns of hold-out rows, by uid, so that any model can be judged on them
ENTITIES = "entities"  # kept for copies of the rows grouped by entity: entities/<name>/<split>/

# A study:
STUDY = "study.json"  # the resolved configuration, the dataset's digest, the version; the schema lies beside it
JOURNAL = "journal.jsonl"
LOCK = "lock"
TRIALS = "trials"  # trials/<number>/
SCORES = "scores-{split}.npy"  # float32, one per row of the split, in dataset order, the offset not included
WEIGHTS = "weights.npz"  # arrays of a trained coordinate
COORDINATE = "coordinate.json"  # what its arrays mean
LEADERBOARD_CSV = "leaderboard.csv"
LEADERBOARD_JSON = "leaderboard.json"
REPORT = "report.html"
MODEL = "model"  # the exported winner
PROMOTIONS = "promotion.json"  # a line of JSON per decision on whether it becomes the champion

# An exported model: the schema of its dataset, and
DESCRIPTION = "model.json"  # written last: a folder without it is no model
EFFECTS = (
    "effects"  # effects/<trial>.parquet: the coefficients of a random effect, to be read by people and other programs
)
COORDINATES = "coordinates"  # coordinates/<trial>/, with files as in trials/<trial>/


_UNFINISHED = re.compile(r"\..+\.(\d+)\.[0-9a-f]{8}")  # .NAME.PROCESS.RANDOM


@dataclass(frozen=True)
class Folder:
    """A folder at a URI or a local path; names inside it may contain slashes."""

    uri: str

    @cached_property
    def _place(self) -> tuple[fs.FileSystem, str]:
        text = str(self.uri)
        if "://" not in text and not text.startswith("file:"):
            return fs.LocalFileSystem(), str(Path(text).absolute())
        try:
            return fs.FileSystem.from_uri(text)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{text}: cannot be opened: {error}") from error

    @property
    def filesystem(self) -> fs.FileSystem:
        """The pyarrow file system the folder is on."""
        return self._place[0]

    def path(self, name: str = "") -> str:
        """Path of `name` on `filesystem`."""
        return f"{self._place[1]}/{name}" if name else self._place[1]

    def within(self, name: str) -> "Folder":
        """A folder inside this one."""
        return Folder(f"{str(self.uri).rstrip('/')}/{name}")

    def exists(self, name: str = "") -> bool:
        """Whether there is a file or folder of that name."""
        return self.filesystem.get_file_info(self.path(name)).type != fs.FileType.NotFound

    def files(self, name: str = "", suffix: str = "") -> list[str]:
        """Names of the files in a folder inside this one, sorted; empty if there is no such folder."""
        selector = fs.FileSelector(self.path(name), allow_not_found=True)
        return sorted(
            info.base_name
            for info in self.filesystem.get_file_info(selector)
            if info.is_file and info.base_name.endswith(suffix) and not info.base_name.startswith((".", "_"))
        )

    def folders(self, name: str = "") -> list[str]:
        """Names of the folders in a folder inside this one, sorted; empty if there is no such folder."""
        selector = fs.FileSelector(self.path(name), allow_not_found=True)
        found = self.filesystem.get_file_info(selector)
        return sorted(info.base_name for info in found if info.type == fs.FileType.Directory)

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
        unfinished = f"{folder}/.{last}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        data = content.encode() if isinstance(content, str) else content
        try:
            self.filesystem.create_dir(folder, recursive=True)
            with self.filesystem.open_output_stream(unfinished, compression=None) as stream:
                stream.write(data)
            self.filesystem.move(unfinished, path)
        except OSError as error:
            with contextlib.suppress(OSError):  # Room for others, where there is none
                self.filesystem.delete_file(unfinished)
            reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or error
            raise DataError(f"{path}: cannot be written: {reason}") from error

    def remove_unfinished(self) -> None:
        """Removes, in all folders inside, what `write` of processes of this machine that are gone left half written."""
        for info in self.filesystem.get_file_info(fs.FileSelector(self.path(), allow_not_found=True, recursive=True)):
            if (found := _UNFINISHED.fullmatch(info.base_name)) and not psutil.pid_exists(int(found[1])):
                with contextlib.suppress(OSError):  # somebody else removed it
                    self.filesystem.delete_file(info.path)

    def remove(self, name: str) -> None:
        """Removes a file, or a folder and all it holds, inside this one, if it is there."""
        kind = self.filesystem.get_file_info(self.path(name)).type
        if kind == fs.FileType.File:
            self.filesystem.delete_file(self.path(name))
        elif kind == fs.FileType.Directory:
            self.filesystem.delete_dir(self.path(name))
