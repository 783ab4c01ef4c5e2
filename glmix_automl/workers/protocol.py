"""The messages between controller and workers: frozen dataclasses, encoded and decoded here and nowhere else.

On the wire a message is the version of the protocol, the name of its class, and its fields as one JSON object. What
arrives is checked against the class before anything is done with it; nothing is unpickled.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias, get_args

import pydantic

from glmix_automl.trial import Progress, Result, Trial
from glmix_automl.workers.fault import Fault

PROTOCOL_VERSION = 1
"""Raised whenever a message changes, so that two versions of the package never misread each other."""


class ProtocolError(Exception):
    """What the other end sent is no message of this version of the protocol."""


@dataclass(frozen=True)
class WorkerSettings:
    """What every process of a worker is told at its start.

    Attributes:
        host, port: where the controller listens.
        secret: of the study, hexadecimal.
        name: the name under which it registers.
        task: what it makes its task of: the fields of a `TaskSpec`.
        heartbeat_seconds: how often it says that it lives, and how large it is.
        memory_bytes: resident memory at which it ends itself, or None.
        environment: variables set before anything heavy is imported (threads of TensorFlow, log levels).
    """

    host: str
    port: int
    secret: str = field(repr=False)
    name: str
    task: Mapping[str, Any]
    heartbeat_seconds: float = 2.0
    memory_bytes: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


_SentTrial: TypeAlias = Annotated[pydantic.InstanceOf[Trial], pydantic.BeforeValidator(Trial.from_json)]
_SentResult: TypeAlias = Annotated[pydantic.InstanceOf[Result], pydantic.BeforeValidator(Result.from_json)]
_SentProgress: TypeAlias = Annotated[
    pydantic.InstanceOf[Progress], pydantic.BeforeValidator(lambda record: Progress(**record))
]
_SentSettings: TypeAlias = Annotated[
    pydantic.InstanceOf[WorkerSettings], pydantic.BeforeValidator(lambda record: WorkerSettings(**record))
]


class _Message:
    __pydantic_config__ = pydantic.ConfigDict(extra="forbid", strict=True)


# Whoever starts a worker process -> the process, over its standard input: its environment could be read by others


@dataclass(frozen=True)
class StartWorker(_Message):
    """The first line a worker process reads: its settings, how many processes the worker had before, its parent's
    process id.
    """

    settings: _SentSettings
    incarnation: int
    parent: int


# Worker -> controller


@dataclass(frozen=True)
class RegisterWorker(_Message):
    """The first message of a worker process."""

    name: str
    incarnation: int


@dataclass(frozen=True)
class Heartbeat(_Message):
    """The process lives, and holds so many bytes."""

    resident_bytes: int


@dataclass(frozen=True)
class Imported(_Message):
    """What is heavy is imported: the worker can be put in a world."""


@dataclass(frozen=True)
class StartFailed(_Message):
    """It could not import or make its task."""

    error: str
    fault: Fault


@dataclass(frozen=True)
class WorldFormed(_Message):
    """The rank is in its world and holds its task."""


@dataclass(frozen=True)
class TrialProgress(_Message):
    """A point of the running trial's curve."""

    progress: _SentProgress


@dataclass(frozen=True)
class TrialDone(_Message):
    """The rank has carried out the trial; rank 0 brings the result."""

    number: int
    result: _SentResult | None


@dataclass(frozen=True)
class TrialRaised(_Message):
    """The trial raised on this rank."""

    number: int
    error: str
    fault: Fault


@dataclass(frozen=True)
class StackTrace(_Message):
    """Where the main thread stands."""

    text: str


# Controller -> worker


@dataclass(frozen=True)
class FormWorld(_Message):
    """Become a rank of a world, whose ranks meet at the address and port if there are several."""

    rank: int
    size: int
    address: str
    port: int


@dataclass(frozen=True)
class RunTrial(_Message):
    """Carry out a trial."""

    trial: _SentTrial


@dataclass(frozen=True)
class StopTrial(_Message):
    """Stop the trial at its next report and keep its best weights."""

    number: int


@dataclass(frozen=True)
class SendStackTrace(_Message):
    """Say where the main thread stands."""


@dataclass(frozen=True)
class Quit(_Message):
    """End the process."""


# The Spark task that watches over a worker's process -> controller


@dataclass(frozen=True)
class RegisterTask(_Message):
    """The first message of a Spark task: the name of its worker, and its machine."""

    name: str
    machine: str


@dataclass(frozen=True)
class ProcessEnded(_Message):
    """A process has ended: see `ProcessExit`."""

    incarnation: int
    code: int
    oom: bool
    tail: str


# Controller -> Spark task


@dataclass(frozen=True)
class StartProcess(_Message):
    """Start the worker's next process."""

    incarnation: int


@dataclass(frozen=True)
class KillProcess(_Message):
    """Kill the worker's process."""


@dataclass(frozen=True)
class Dismiss(_Message):
    """End the task: nothing will be started there again."""


Message: TypeAlias = (
    StartWorker
    | RegisterWorker
    | Heartbeat
    | Imported
    | StartFailed
    | WorldFormed
    | TrialProgress
    | TrialDone
    | TrialRaised
    | StackTrace
    | FormWorld
    | RunTrial
    | StopTrial
    | SendStackTrace
    | Quit
    | RegisterTask
    | ProcessEnded
    | StartProcess
    | KillProcess
    | Dismiss
)
_READERS: dict[bytes, pydantic.TypeAdapter[Any]] = {
    kind.__name__.encode(): pydantic.TypeAdapter(kind) for kind in get_args(Message)
}


def encode_message(message: Message) -> bytes:
    """The message as bytes without line breaks.

    Raises:
        TypeError: it holds something that is no JSON.
    """
    fields = json.dumps(vars(message), default=_to_json)
    return f"{PROTOCOL_VERSION} {type(message).__name__} {fields}".encode()


def decode_message(content: bytes) -> Message:
    """The message that was encoded.

    Raises:
        ProtocolError: it is of another version, unknown or malformed; says which and where.
    """
    version, _, rest = content.partition(b" ")
    name, _, fields = rest.partition(b" ")
    if version != str(PROTOCOL_VERSION).encode():
        raise ProtocolError(
            f"the other end speaks version {_excerpt(version)} of the protocol of controller and workers, this one "
            f"version {PROTOCOL_VERSION}: the same version of glmix-automl must be installed on both"
        )
    reader = _READERS.get(name)
    if reader is None:
        raise ProtocolError(f"there is no message {_excerpt(name)} in version {PROTOCOL_VERSION} of the protocol")
    try:
        message: Message = reader.validate_json(fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"a malformed {_excerpt(name)}: {type(error).__name__}: {error}") from error
    return message


def _excerpt(word: bytes) -> str:
    return word[:40].decode(errors="replace")


def _to_json(value: Any) -> Any:
    """Trials and results by their own form, numpy scalars as the numbers they are."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be sent: {value!r}")
