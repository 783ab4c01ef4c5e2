"""What the controller knows of each worker's process, and of the ranks that work together in a world."""

import enum
from dataclasses import dataclass, field
from typing import Protocol

from glmix_automl import clock
from glmix_automl.workers.channel import Channel
from glmix_automl.workers.executor import SlotState
from glmix_automl.workers.protocol import Message
from glmix_automl.workers.world import Rendezvous


class Launcher(Protocol):
    """Starts and kills the processes of one worker, one at a time; the end of each is told to `Supervisor.on_exit`."""

    def start(self, incarnation: int) -> None:
        """Starts a process that registers under the worker's name and this incarnation."""
        ...

    def kill(self) -> None:
        """Kills the worker's process, if it has one."""
        ...

    def dismiss(self) -> None:
        """Nothing will be started there again."""
        ...


class WorkerState(enum.Enum):
    """What a worker's process is up to."""

    STARTING = "starting"  # not there yet, or importing
    FREE = "free"  # can be put in a world
    PLACED = "placed"  # in a world, whole or breaking up
    DYING = "dying"  # its end is known, the cause not yet
    GONE = "gone"  # left with its machine


@dataclass(eq=False)
class WorkerHandle:
    """A worker: a place for one rank's process, which is replaced when it dies.

    Attributes:
        state: change it by `enter`.
        since: when the state began, seconds since the epoch.
        incarnation: of its process, from 0; what an earlier one still says is not heard.
        rank: in its last world; kept where possible, so that what the task holds stays right.
        resident_bytes: when last heard of.
        heard: when that was, on the monotonic clock.
        failures: starts that failed in a row.
        hopeless: whether the last of them leaves little hope for the next.
        alive: whether it has a process whose end was not told yet.
        kill_reason: why the pool killed it, if it did.
    """

    name: str
    launcher: Launcher
    state: WorkerState = WorkerState.STARTING
    since: float = field(default_factory=clock.now)
    incarnation: int = -1
    link: Channel | None = None
    world: "World | None" = None
    rank: int | None = None
    resident_bytes: int = 0
    heard: float = 0.0
    failures: int = 0
    hopeless: bool = False
    alive: bool = False
    kill_reason: str = ""

    def enter(self, state: WorkerState) -> None:
        """Enters a state."""
        self.state, self.since = state, clock.now()

    def send(self, message: Message) -> None:
        """Sends a command; a broken channel is noticed where it is read."""
        try:
            if self.link is not None:
                self.link.send(message)
        except OSError:
            self.link.close()  # type: ignore[union-attr]


@dataclass(eq=False)
class World:
    """A slot: ranks that carry out one trial together.

    Attributes:
        number: the lowest that was free when it was formed; its name in results.
        state: change it by `enter`.
        waiting: workers whose answer to the last command is still out.
        since: when the state began, seconds since the epoch.
    """

    number: int
    workers: list[WorkerHandle]
    rendezvous: Rendezvous | None = None
    state: SlotState = SlotState.STARTING
    waiting: set[WorkerHandle] = field(default_factory=set)
    since: float = field(default_factory=clock.now)

    def enter(self, state: SlotState) -> None:
        """Enters a state."""
        self.state, self.since = state, clock.now()

    def command(self, message: Message) -> None:
        """Sends a command to every rank and waits for every rank's answer."""
        self.waiting = set(self.workers)
        for worker in self.workers:
            worker.send(message)

    def close_rendezvous(self) -> None:
        """The ranks have found each other, or will not."""
        if self.rendezvous is not None:
            self.rendezvous.close()
            self.rendezvous = None
