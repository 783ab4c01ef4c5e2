"""Files where Spark sees them: Hadoop's file system API, so that any URI works that Spark reads."""

import contextlib
import io
from typing import Any, BinaryIO, cast

from py4j.protocol import Py4JError
from pyarrow import fs
from pyspark.sql import SparkSession

from glmix_automl.errors import DataError
from glmix_automl.layout import Folder
from glmix_automl.prepare.local_files import shorten
from glmix_automl.spark import translate_errors


def resolve(root: str, path: str) -> str:
    """`path`, or what it is under `root` where it is relative."""
    if "://" in path or path.startswith(("/", "file:")):
        return path
    return path if root in ("", ".") else f"{root.rstrip('/')}/{path}"


class Storage:
    """A file or folder at a URI; other places of the same file system are named relative to it or by whole URIs."""

    def __init__(self, spark: SparkSession, uri: str) -> None:
        jvm: Any = spark._jvm
        self._jvm = jvm
        with translate_errors(f"{uri}: cannot be opened"):
            path = jvm.org.apache.hadoop.fs.Path(uri)
            self._files: Any = path.getFileSystem(spark._jsc.hadoopConfiguration())
            self.path = self._files.makeQualified(path)
        # Its checksum files would lie about shards that something else than Hadoop rewrites.
        with contextlib.suppress(Py4JError):
            self._files = self._files.getRawFileSystem()

    @property
    def uri(self) -> str:
        """The URI in full."""
        return str(self.path.toString())

    @property
    def name(self) -> str:
        """Its last name."""
        return str(self.path.getName())

    @property
    def parent(self) -> str:
        """URI of the folder it is in."""
        return str(self.path.getParent().toString())

    def sibling(self, name: str) -> str:
        """URI of another name in the same folder."""
        return f"{self.parent.rstrip('/')}/{name}"

    def exists(self, uri: str = "") -> bool:
        """Whether there is a file or folder."""
        with translate_errors(f"{uri or self.uri}: cannot be looked for"):
            return bool(self._files.exists(self._at(uri)))

    def matches(self) -> bool:
        """Whether anything matches the URI read as a glob."""
        with translate_errors(f"{self.uri}: cannot be listed"):
            found = self._files.globStatus(self.path)
        return found is not None and len(found) > 0

    def globbed(self) -> list[Any]:
        """The Hadoop paths that match the URI read as a glob, in order."""
        with translate_errors(f"{self.uri}: cannot be listed"):
            found = self._files.globStatus(self.path)
        return [status.getPath() for status in found or ()]

    def files(self, uri: str) -> list[str]:
        """URIs of the file, or of all files below the folder, in order."""
        with translate_errors(f"{uri}: cannot be listed"):
            status = self._files.getFileStatus(self._at(uri))
            if not status.isDirectory():
                return [str(status.getPath().toString())]
            found, names = self._files.listFiles(self._at(uri), True), []
            while found.hasNext():
                names.append(str(found.next().getPath().toString()))
        return sorted(names)

    def stream(self) -> io.RawIOBase:
        """The bytes of the file, from any place of it."""
        with translate_errors(f"{self.uri}: cannot be read"):
            return _Stream(self._files.open(self.path), self._files.getFileStatus(self.path).getLen())

    def names(self, uri: str = "") -> list[str]:
        """Names in a folder, sorted; empty if it is not there."""
        at = self._at(uri)
        if not self._files.exists(at):
            return []
        with translate_errors(f"{at.toString()}: cannot be listed"):
            return sorted(str(status.getPath().getName()) for status in self._files.listStatus(at))

    def neighbours(self) -> str:
        """What is in the folder the URI points into, for messages."""
        parent = self.path.getParent()
        if parent is None or not self._files.exists(parent):
            return "there is no such folder"
        return shorten(self.names(str(parent.toString())))

    def modified(self, uri: str) -> float:
        """When it was last changed, in seconds since the epoch."""
        return float(self._files.getFileStatus(self._at(uri)).getModificationTime()) / 1000

    def write(self, name: str, content: str) -> None:
        """Writes a small file inside the folder."""
        path = self._jvm.org.apache.hadoop.fs.Path(self.path, name)
        with translate_errors(f"{path.toString()}: cannot be written"):
            stream = self._files.create(path, True)
            try:
                stream.write(bytearray(content.encode()))
            finally:
                stream.close()

    def read(self, name: str) -> str:
        """The content of a small text file inside the folder."""
        path = self._jvm.org.apache.hadoop.fs.Path(self.path, name)
        with translate_errors(f"{path.toString()}: cannot be read"):
            stream = self._files.open(path)
            try:
                return bytes(stream.readAllBytes()).decode()
            finally:
                stream.close()

    def rename(self, old: str, new: str) -> None:
        """Renames a file or folder; `new` must not be there, since Hadoop would move the old one into it.

        Raises:
            DataError: it could not be done.
        """
        with translate_errors(f"{old}: cannot be renamed to {new}"):
            done = not self.exists(new) and self._files.rename(self._at(old), self._at(new))
        if not done:
            raise DataError(f"{old}: cannot be renamed to {new}")

    def make(self, uri: str = "") -> None:
        """Makes a folder and those above it."""
        with translate_errors(f"{uri or self.uri}: cannot be made"):
            self._files.mkdirs(self._at(uri))

    def remove(self, uri: str = "") -> None:
        """Removes a file, or a folder and all it holds, if it is there."""
        with translate_errors(f"{uri or self.uri}: cannot be removed"):
            self._files.delete(self._at(uri), True)

    def _at(self, uri: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(uri) if uri else self.path


class HadoopFiles:
    """Files at any URI that Spark reads, as `glmix_automl.prepare.files.Files`."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def expand(self, path: str) -> tuple[list[str], list[str]]:
        """As `Files.expand`."""
        storage = Storage(self._spark, path)
        tops = [storage.path] if storage.exists() else storage.globbed()
        found: list[str] = []
        hidden: list[str] = []
        for top in tops:
            for file in storage.files(str(top.toString())):
                inside = file.removeprefix(str(top.toString())).split("/")
                (hidden if any(name[:1] in ("_", ".") for name in inside) else found).append(file)
        return found, hidden

    def open(self, file: str) -> BinaryIO:
        """As `Files.open`."""
        return cast(BinaryIO, Storage(self._spark, file).stream())

    def neighbours(self, path: str) -> str:
        """As `Files.neighbours`."""
        return Storage(self._spark, path).neighbours()


class _Stream(io.RawIOBase):
    """A Hadoop input stream as Python's."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self._size = stream, size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._stream.getPos())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        self._stream.seek(start + offset)
        return start + offset

    def read(self, size: int = -1) -> bytes:
        left = self._size - self.tell()
        return bytes(self._stream.readNBytes(left if size < 0 else min(size, left)))

    def readall(self) -> bytes:
        return self.read()

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class PlainStorage:
    """What `Storage` does for a dataset's folder, by pyarrow's file systems: no Spark is needed."""

    def __init__(self, uri: str) -> None:
        self._folder = Folder(uri.rstrip("/"))
        self._files = self._folder.filesystem
        self.name = self._folder.path().rpartition("/")[2]

    @property
    def uri(self) -> str:
        """The URI in full."""
        return self._folder.uri if "://" in self._folder.uri else self._folder.path()

    @property
    def parent(self) -> str:
        """URI of the folder it is in."""
        return self.uri.rpartition("/")[0]

    def sibling(self, name: str) -> str:
        """URI of another name in the same folder."""
        return f"{self.parent}/{name}"

    def exists(self, uri: str = "") -> bool:
        """Whether there is a file or folder."""
        return Folder(uri or self.uri).exists()

    def names(self, uri: str = "") -> list[str]:
        """Names in a folder, sorted; empty if it is not there."""
        selector = fs.FileSelector(Folder(uri or self.uri).path(), allow_not_found=True)
        return sorted(info.base_name for info in self._files.get_file_info(selector))

    def modified(self, uri: str) -> float:
        """When it was last changed, in seconds since the epoch."""
        return float((self._files.get_file_info(Folder(uri).path()).mtime_ns or 0) / 1e9)

    def write(self, name: str, content: str) -> None:
        """Writes a small file inside the folder."""
        self._folder.write(name, content)

    def read(self, name: str) -> str:
        """The content of a small text file inside the folder."""
        return self._folder.read(name).decode()

    def rename(self, old: str, new: str) -> None:
        """Renames a file or folder; `new` must not be there.

        Raises:
            DataError: it could not be done.
        """
        if self.exists(new):
            raise DataError(f"{old}: cannot be renamed to {new}")
        try:
            self._files.move(Folder(old).path(), Folder(new).path())
        except OSError as error:
            raise DataError(f"{old}: cannot be renamed to {new}: {error.strerror or error}") from error

    def make(self, uri: str = "") -> None:
        """Makes a folder and those above it.

        Raises:
            DataError: it could not be done.
        """
        try:
            self._files.create_dir(Folder(uri or self.uri).path(), recursive=True)
        except OSError as error:
            raise DataError(f"{uri or self.uri}: cannot be made: {error.strerror or error}") from error

    def remove(self, uri: str = "") -> None:
        """Removes a file, or a folder and all it holds, if it is there."""
        place = Folder(uri or self.uri)
        kind = self._files.get_file_info(place.path()).type
        if kind == fs.FileType.Directory:
            self._files.delete_dir(place.path())
        elif kind == fs.FileType.File:
            self._files.delete_file(place.path())


def open_storage(spark: SparkSession | None, uri: str) -> "Storage | PlainStorage":
    """A dataset's folder, as Spark sees it, or without a session as pyarrow does."""
    return Storage(spark, uri) if spark is not None else PlainStorage(uri)
