"""Files where Spark sees them: Hadoop's file system API, so that any URI works that Spark reads."""

import contextlib
from typing import Any

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from glmix_automl.errors import DataError
from glmix_automl.spark import translated

_SHOWN = 12


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
        with translated(f"{uri}: cannot be opened"):
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

    def sibling(self, name: str) -> str:
        """URI of another name in the same folder."""
        return f"{self.path.getParent().toString().rstrip('/')}/{name}"

    def exists(self, uri: str = "") -> bool:
        """Whether there is a file or folder."""
        with translated(f"{uri or self.uri}: cannot be looked for"):
            return bool(self._files.exists(self._at(uri)))

    def matches(self) -> bool:
        """Whether anything matches the URI read as a glob."""
        with translated(f"{self.uri}: cannot be listed"):
            found = self._files.globStatus(self.path)
        return found is not None and len(found) > 0

    def names(self, uri: str = "") -> list[str]:
        """Names in a folder, sorted; empty if it is not there."""
        at = self._at(uri)
        if not self._files.exists(at):
            return []
        with translated(f"{at.toString()}: cannot be listed"):
            return sorted(str(status.getPath().getName()) for status in self._files.listStatus(at))

    def neighbours(self) -> str:
        """What is in the folder the URI points into, for messages."""
        parent = self.path.getParent()
        if parent is None or not self._files.exists(parent):
            return "there is no such folder"
        names = self.names(str(parent.toString()))
        return (", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")) or "nothing"

    def modified(self, uri: str) -> float:
        """When it was last changed, in seconds since the epoch."""
        return float(self._files.getFileStatus(self._at(uri)).getModificationTime()) / 1000

    def write(self, name: str, content: str) -> None:
        """Writes a small file inside the folder."""
        path = self._jvm.org.apache.hadoop.fs.Path(self.path, name)
        with translated(f"{path.toString()}: cannot be written"):
            stream = self._files.create(path, True)
            try:
                stream.write(bytearray(content.encode()))
            finally:
                stream.close()

    def read(self, name: str) -> str:
        """The content of a small text file inside the folder."""
        path = self._jvm.org.apache.hadoop.fs.Path(self.path, name)
        with translated(f"{path.toString()}: cannot be read"):
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
        with translated(f"{old}: cannot be renamed to {new}"):
            done = not self.exists(new) and self._files.rename(self._at(old), self._at(new))
        if not done:
            raise DataError(f"{old}: cannot be renamed to {new}")

    def make(self, uri: str = "") -> None:
        """Makes a folder and those above it."""
        with translated(f"{uri or self.uri}: cannot be made"):
            self._files.mkdirs(self._at(uri))

    def remove(self, uri: str = "") -> None:
        """Removes a file, or a folder and all it holds, if it is there."""
        with translated(f"{uri or self.uri}: cannot be removed"):
            self._files.delete(self._at(uri), True)

    def _at(self, uri: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(uri) if uri else self.path
