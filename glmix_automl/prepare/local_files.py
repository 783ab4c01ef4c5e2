"""A file system as reading raw tables needs it, and this machine's."""

import os
from pathlib import Path
from typing import BinaryIO, Protocol


class Files(Protocol):
    """A file system."""

    def expand(self, path: str) -> tuple[list[str], list[str]]:
        """The files at a path, in order: the file of exactly this name, those in the folder, or those that match the
        glob; and those left out because their names begin with `_` or `.`, as is the custom of Spark and Hadoop.
        """

    def open(self, file: str) -> BinaryIO:
        """The bytes of a file, from any place of it."""

    def neighbours(self, path: str) -> str:
        """What is in the folder that the path points into, for messages."""


class LocalFiles:
    """Files of this machine, by paths or `file:` URIs."""

    def expand(self, path: str) -> tuple[list[str], list[str]]:
        """As `Files.expand`."""
        place = Path(local_path(path))
        tops = [place] if place.exists() else sorted(Path(place.anchor or ".").glob(str(place).lstrip("/")))
        found: list[str] = []
        hidden: list[str] = []
        for top in tops:
            if not top.is_dir():
                found.append(str(top))
                continue
            for folder, folders, names in os.walk(top):
                folders[:] = sorted(name for name in folders if name[:1] not in "_.")
                for name in sorted(names):
                    (hidden if name[:1] in "_." else found).append(str(Path(folder) / name))
        return found, hidden

    def open(self, file: str) -> BinaryIO:
        """As `Files.open`."""
        return Path(local_path(file)).open("rb")

    def neighbours(self, path: str) -> str:
        """As `Files.neighbours`."""
        folder = Path(local_path(path)).parent
        return shorten(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else "there is no such folder"


def local_path(uri: str) -> str:
    """The path of a `file:` URI; what is no URI as it is."""
    if not uri.startswith("file:"):
        return uri
    rest = uri.removeprefix("file:")
    return "/" + rest.lstrip("/") if rest.startswith("//") else rest


def shorten(names: list[str], most: int = 12) -> str:
    """The first names, for messages."""
    return (", ".join(names[:most]) + (", ..." if len(names) > most else "")) or "nothing"
