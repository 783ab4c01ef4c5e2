"""The journal: append-only JSON lines, the truth of a study. Everything else is a view of it.

Each line is one event with the time `at` of the place where trials run (seconds since the epoch):

    session   a controller took the study up: pid, host, version, digest of the dataset
    ask       an entry of the race was asked for `n` trials and gave `trials` (perhaps none)
    progress  a point of a running trial's curve, shown to a strategy that watches
    result    how a trial ended
    end       the controller left, and why

Asks are written before they are submitted and results before they are told, so a controller that dies at any moment
loses nothing that had finished. A last line that was torn by its death is cut off by the next one; each line ends with
a checksum (`crc`), and one that does not fit ends the reading with its number. One wait for the
disk before anything leaves the controller covers all that led to it: a result, and the ask that follows from it.
"""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from glmix_automl.errors import StudyError
from glmix_automl.study.seal import seal, unseal
from glmix_automl.study.segments import Segments
from glmix_automl.trial import Progress, Result, Trial

Event: TypeAlias = dict[str, Any]

_KEYS = {
    "session": ("pid", "host"),
    "ask": ("entry", "n", "trials"),
    "progress": ("progress",),
    "result": ("result",),
    "end": ("reason",),
}


class Journal:
    """Appends events; one writer at a time, which the study's lock sees to."""

    def __init__(self, path: Path, sync: bool = True, segments: Segments | None = None) -> None:
        """Opens the journal for appending, made if there is none; a torn last line is cut off.

        Args:
            path: the file.
            sync: whether `sync` waits for the disk. Without, a journal outlives its controller but not a loss of power.
            segments: of a study at a store, which has the truth and is waited for instead of the disk.

        Raises:
            StudyError: it cannot be opened, or a line before the last is torn.
        """
        self.path = path
        self._wait, self._dirty, self._segments = sync, False, segments
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise StudyError(f"{path}: the journal cannot be opened: {error.strerror}") from error
        self._length = sum(length for _, length in lines(path))
        os.ftruncate(self._file, self._length)

    def append(self, event: Event) -> None:
        """Writes one event, which now outlives this process; `sync` makes it outlive a loss of power as well. A failed
        write leaves no part of the line.

        Raises:
            StudyError: the disk is full or the file cannot be written.
        """
        line = seal(json.dumps(event, separators=(",", ":"), allow_nan=False).encode() + b"\n")
        try:
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])
        except BaseException as error:
            os.ftruncate(self._file, self._length)
            if not isinstance(error, OSError):
                raise
            reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise StudyError(f"{self.path}: the journal cannot be written: {reason}; resume when mended") from error
        self._length += len(line)
        self._dirty = True

    def sync(self) -> None:
        """Waits until all that was appended is on disk, or in the store; costs nothing if it is.

        Raises:
            StudyError: the disk failed, or another controller writes to the store.
            DataError: the store failed.
        """
        if self._segments is not None:
            new = self._length - self._segments.stored
            if new:
                self._segments.put(os.pread(self._file, new, self._segments.stored))
        elif self._dirty and self._wait:
            try:
                os.fdatasync(self._file)
            except OSError as error:
                raise StudyError(f"{self.path}: the journal cannot be written: {error.strerror}") from error
        self._dirty = False

    def close(self) -> None:
        """Ends appending."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_events(path: Path, start: int = 0) -> Iterator[Event]:
    """The events from byte `start` on, a torn last line left out; may be read while it is written.

    Raises:
        StudyError: there is no journal, or a line of it is damaged: which.
    """
    for event, _ in lines(path, start):
        yield event


def lines(path: Path, start: int = 0) -> Iterator[tuple[Event, int]]:
    """As `read_events`, each event with the length of its line in bytes."""
    sealed, done = False, start
    try:
        with path.open("rb") as file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # torn by the death of who wrote it, or not written to its end yet
                try:
                    event, has_seal = _event(line)
                    if sealed and not has_seal:
                        raise ValueError("it has no checksum, as those before it have")
                except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                    raise _damage(path, done, line, error) from error
                sealed, done = has_seal, done + len(line)
                yield event, len(line)
    except OSError as error:
        raise StudyError(f"{path}: the journal cannot be read: {error.strerror}; is this a study?") from error


def _damage(path: Path, offset: int, line: bytes, error: Exception) -> StudyError:
    with path.open("rb") as file:
        number = file.read(offset).count(b"\n") + 1
    return StudyError(
        f"{path}: line {number} is damaged ({type(error).__name__}: {error}): {line[:60]!r}; restore the journal, or "
        "cut it before that line to lose only what came after"
    )


def _event(line: bytes) -> tuple[Event, bool]:
    text, has_seal = unseal(line)
    event = json.loads(text)
    if not has_seal:
        _look_through(event)
    return event, has_seal


def _look_through(event: Event) -> None:
    """Checks, where no checksum does, that an event has what its readers take from it."""
    kind = event["event"]
    if unknown := set(event) - {"event", "at"} - set(_KEYS[kind]):
        raise ValueError(f"an event {kind!r} has no {min(unknown)!r}")
    float(event["at"])
    if kind == "ask":
        for record in event["trials"]:
            Trial.from_json(record)
    elif kind == "progress":
        Progress(**event["progress"])
    elif kind == "result":
        Result.from_json(event["result"])
    elif kind == "end":
        str(event["reason"])
