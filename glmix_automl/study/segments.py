"""A study's journal where stores cannot append: numbered segments, whole objects each, and a local file as replica.

The segments are the truth. The one controller at work appends to its replica and puts what is new as the next segment
before anything that follows from it leaves the controller; whoever else reads brings a replica up to date first.
"""

from pathlib import Path

from glmix_automl.errors import StudyError
from glmix_automl.layout import SEGMENTS, Folder


class Segments:
    """The segments of one study."""

    def __init__(self, files: Folder) -> None:
        """Of the study's folder at a store."""
        self._files = files
        self._count = 0
        self.stored = 0
        """Bytes of the journal that are in the store."""

    def fetch(self, replica: Path) -> None:
        """Brings a replica up to date. What it has beyond the store stays: its controller was killed on this machine
        before it could put it, and it is put with what comes next.

        Raises:
            DataError: the store cannot be read.
        """
        names = self._files.files(SEGMENTS, ".jsonl")
        content = b"".join(self._files.read(f"{SEGMENTS}/{name}") for name in names)
        self._count, self.stored = len(names), len(content)
        here = replica.read_bytes() if replica.is_file() else b""
        if not here.startswith(content):
            replica.write_bytes(content)

    def put(self, content: bytes) -> None:
        """Stores what came after what is stored.

        Raises:
            StudyError: somebody else put a segment of that number: two controllers work on the study.
            DataError: the store cannot be written.
        """
        name = f"{SEGMENTS}/{self._count:08d}.jsonl"
        if self._files.exists(name):
            raise StudyError(
                f"{self._files.uri}: another controller wrote {name}; this one stops, and what it was about to do is "
                "done anew when the study is resumed"
            )
        self._files.write(name, content)
        self._count, self.stored = self._count + 1, self.stored + len(content)
