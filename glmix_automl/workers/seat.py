"""Seats and worlds: what the pool knows of each rank's process, and of the ranks that work together."""

import enum
import time
from dataclasses import dataclass, field
from typing import Protocol

from glmix_automl.workers.channel import Channel, Message
from glmix_automl.workers.world import Rendezvous


class Launcher(Protocol):
    """Starts and kills the processes of one seat, one at a time; the end of each is told to `Crew.exited`."""

    def start(self, incarnation: int) -> None:
        """Starts a process that registers under the seat's name and this incarnation."""
        ...

    def kill(self) -> None:
        """Kills the seat's process, if it has one."""
        ...

    def dismiss(self) -> None:
        """The seat is given up: nothing will be started there again."""
        ...


class Phase(enum.Enum):
    """What a seat's process is up to."""

    STARTING = "starting"  # not there yet, or importing
    FREE = "free"  # can be put in a world
    PLACED = "placed"  # in a world, whole or breaking up
    DYING = "dying"  # its end is known, the cause not yet
    GONE = "gone"  # given up or left


@dataclass(eq=False)
class Seat:
    """A place for one rank's process, which is replaced when it dies.

    Attributes:
        incarnation: of its process, from 0; what an earlier one still says is not heard.
        rank: in its last world; kept where possible, so that what the task holds stays right.
        rss: resident bytes when last heard of.
        heard: when that was, on the monotonic clock.
        failures: starts that failed in a row.
        alive: whether it has a process whose end was not told yet.
        verdict: why the pool killed it, if it did.
    """

    name: str
    launcher: Launcher
    phase: Phase = Phase.STARTING
    incarnation: int = -1
    link: Channel | None = None
    world: "World | None" = None
    rank: int | None = None
    rss: int = 0
    heard: float = 0.0
    failures: int = 0
    alive: bool = False
    verdict: str = ""

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
        state: `starting`, `idle`, `busy` or `lost`.
        waiting: seats whose answer to the last command is still out.
        since: when the state began, seconds since the epoch.
    """

    number: int
    seats: list[Seat]
    rendezvous: Rendezvous | None = None
    state: str = "starting"
    waiting: set[Seat] = field(default_factory=set)
    since: float = field(default_factory=time.time)

    def turn(self, state: str) -> None:
        """Enters a state."""
        self.state, self.since = state, time.time()

    def command(self, message: Message) -> None:
        """Sends a command to every rank and waits for every rank's answer."""
        self.waiting = set(self.seats)
        for seat in self.seats:
            seat.send(message)

    def met(self) -> None:
        """The ranks have found each other, or will not: the rendezvous is no longer needed."""
        if self.rendezvous is not None:
            self.rendezvous.close()
            self.rendezvous = None
