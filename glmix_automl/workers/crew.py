"""Forms worlds of free seats, notices deaths, replaces the dead. Knows nothing of trials.

Every method runs on the pool's loop. A world whose rank dies is dissolved at once: its living ranks are free as soon as
they have answered, and form a world with the replacement or with other free seats. Other worlds are not touched.
"""

import logging
import time
from dataclasses import dataclass
from typing import Protocol

from glmix_automl.errors import PoolError
from glmix_automl.workers import death
from glmix_automl.workers.channel import Channel, Message
from glmix_automl.workers.loop import Loop
from glmix_automl.workers.process import Exit
from glmix_automl.workers.seat import Launcher, Phase, Seat, World
from glmix_automl.workers.worker import OUT_OF_MEMORY_CODE
from glmix_automl.workers.world import Rendezvous

log = logging.getLogger(__name__)

FAILED_STARTS = 3  # in a row, after which a seat is given up
ANSWER_SECONDS = 20.0  # for the ranks of a broken world to notice
EXIT_SECONDS = 30.0  # from the end of a channel to the end of its process
SILENCE_SECONDS = 120.0  # without a heartbeat, after which a process counts as hung
START_SECONDS = 600.0  # for a process to import what it needs


class Owner(Protocol):
    """Whom a crew tells what its worlds do."""

    def idle(self, world: World) -> None:
        """A world is formed, or every rank has answered its last trial."""
        ...

    def said(self, world: World, seat: Seat, message: Message) -> None:
        """A rank of a whole world sent progress, a result or an error."""
        ...

    def broken(self, world: World, reason: str) -> None:
        """A world is no more."""
        ...

    def failed(self, error: PoolError) -> None:
        """No worker can start."""
        ...


@dataclass(frozen=True)
class Meeting:
    """Where ranks rendezvous: the address the controller listens on, and the one by which they reach it."""

    listen: str
    address: str


class Crew:
    """The seats of a pool and the worlds formed of them."""

    def __init__(self, loop: Loop, owner: Owner, ranks: int, meeting: Meeting) -> None:
        self._loop = loop
        self._owner = owner
        self._ranks = ranks
        self._meeting = meeting
        self.seats: dict[str, Seat] = {}
        self.worlds: list[World] = []
        self.proven = False  # some rank has made its task
        self._closing = False
        loop.post(self._listen_for_silence)

    # What places tell

    def join(self, name: str, launcher: Launcher) -> None:
        """A new seat; its process is started."""
        if self._closing:
            launcher.dismiss()
            return
        seat = self.seats[name] = Seat(name, launcher)
        log.info("seat joined seat=%s", name)
        self._start(seat)

    def leave(self, name: str, reason: str) -> None:
        """A seat is gone with its process: its machine or its executor was lost, or wanted back."""
        seat = self.seats.pop(name, None)
        if seat is not None and seat.phase is not Phase.GONE:
            log.info("seat left seat=%s reason=%s", name, reason)
            seat.phase = Phase.GONE
            self._bury(seat, reason)

    def exited(self, name: str, incarnation: int, end: Exit) -> None:
        """A seat's process has ended."""
        seat = self._seat(name, incarnation)
        if seat is None:
            return
        seat.alive = False
        if self._closing or seat.phase is Phase.GONE:
            del self.seats[name]
            return
        early = seat.phase is Phase.STARTING
        reason = seat.verdict or self._cause(seat, end)
        log.info("worker ended seat=%s code=%s reason=%s", name, end.code, reason)
        seat.phase = Phase.STARTING
        self._bury(seat, f"{reason}\n--- end of its log ---\n{end.tail}" if end.tail else reason)
        if early and not seat.verdict:
            self._start_failed(seat, f"{reason}\n--- end of its log ---\n{end.tail}")
        else:
            self._start(seat)

    # What workers say

    def connected(self, name: str, incarnation: int, link: Channel) -> None:
        """A process has registered."""
        seat = self._seat(name, incarnation)
        if seat is None or self._closing:
            link.close()
        else:
            seat.link, seat.heard = link, time.monotonic()

    def disconnected(self, name: str, incarnation: int) -> None:
        """A process's channel has ended: it has died or will at once; its exit tells why."""
        seat = self._seat(name, incarnation)
        if seat is None or self._closing:
            return
        seat.launcher.kill()
        if seat.phase is not Phase.STARTING:
            seat.phase = Phase.DYING
        self._loop.later(EXIT_SECONDS, self._exit_overdue, seat, incarnation)

    def heard(self, name: str, incarnation: int, message: Message) -> None:
        """A process has said something."""
        seat = self._seat(name, incarnation)
        if seat is None or self._closing:
            return
        seat.heard = time.monotonic()
        kind = message["kind"]
        if kind == "alive":
            seat.rss = message["rss"]
        elif kind == "imported":
            self._free(seat)
        elif kind == "broken":
            self._cannot_start(seat, message)
        elif seat.world is None:
            pass  # Its world was dissolved and it has answered already
        elif kind in ("formed", "done", "raised"):
            self._answered(seat, seat.world, message)
        elif seat.world.state == "busy":
            self._owner.said(seat.world, seat, message)

    # What the pool asks

    def run(self, world: World, trial: Message) -> None:
        """Has every rank of an idle world carry out a trial."""
        world.turn("busy")
        world.command({"do": "run", "trial": trial})

    def kill(self, world: World, reason: str) -> None:
        """Kills every rank of a world; they are replaced."""
        for seat in world.seats:
            self._kill(seat, reason)
        self._dissolve(world, reason)

    def close(self) -> None:
        """Ends every process: those that wait at once and by themselves, the others by force."""
        self._closing = True
        for world in self.worlds:
            world.met()
        for seat in list(self.seats.values()):
            if seat.phase is Phase.FREE or (seat.world is not None and seat.world.state == "idle"):
                seat.send({"do": "quit"})
            else:
                seat.launcher.kill()
            seat.launcher.dismiss()
            if not seat.alive:
                del self.seats[seat.name]

    def kill_all(self) -> None:
        """Kills every process that is still there."""
        for seat in self.seats.values():
            seat.launcher.kill()

    # Seats

    def _seat(self, name: str, incarnation: int) -> Seat | None:
        seat = self.seats.get(name)
        return seat if seat is not None and seat.incarnation == incarnation else None

    def _start(self, seat: Seat) -> None:
        if self._closing or seat.phase is Phase.GONE or seat.alive:
            return
        seat.incarnation += 1
        seat.phase, seat.verdict, seat.rss = Phase.STARTING, "", 0
        self._loop.later(START_SECONDS, self._start_overdue, seat, seat.incarnation)
        try:
            seat.launcher.start(seat.incarnation)
            seat.alive = True
        except OSError as error:
            self._start_failed(seat, f"its process cannot be started: {error}")

    def _start_overdue(self, seat: Seat, incarnation: int) -> None:
        if seat.incarnation == incarnation and seat.phase is Phase.STARTING:
            seat.launcher.kill()

    def _exit_overdue(self, seat: Seat, incarnation: int) -> None:
        if seat.incarnation == incarnation and seat.phase is Phase.DYING:
            self.exited(seat.name, incarnation, Exit(-9, False, ""))

    def _kill(self, seat: Seat, reason: str) -> None:
        if seat.phase is not Phase.GONE:
            seat.phase, seat.verdict = Phase.DYING, reason
            seat.launcher.kill()

    def _cause(self, seat: Seat, end: Exit) -> str:
        if end.code == OUT_OF_MEMORY_CODE:
            return f"out of memory: its process used {seat.rss / 1e9:.2f} GB, more than its limit"
        return death.explain(end.code, oom=end.oom, rss=seat.rss)

    def _bury(self, seat: Seat, reason: str) -> None:
        """Forgets a dead process and dissolves its world."""
        if seat.link is not None:
            seat.link.close()
            seat.link = None
        world, seat.world = seat.world, None
        if world is not None:
            world.waiting.discard(seat)
            self._dissolve(world, f"{seat.name} (rank {seat.rank} of {len(world.seats)}): {reason}")

    def _cannot_start(self, seat: Seat, message: Message) -> None:
        """A rank could not import or make its task, or lost its peers in trying."""
        world, seat.world = seat.world, None
        if world is not None:
            world.waiting.discard(seat)
            self._dissolve(world, message["error"])
        if message["lost"]:
            self._free(seat)
            return
        seat.verdict = f"it cannot make its task\n{message['error']}"
        seat.phase = Phase.DYING
        seat.launcher.kill()
        self._start_failed(seat, seat.verdict, certain=True)

    def _start_failed(self, seat: Seat, reason: str, certain: bool = False) -> None:
        """Counts a failed start. Before any rank has made its task the cause is likely the same everywhere."""
        seat.failures += 1
        if self._closing:
            return
        if not self.proven and (certain or seat.failures >= 2):
            self._owner.failed(PoolError(f"worker {seat.name} cannot start: {reason}"))
        elif seat.failures >= FAILED_STARTS:
            self._give_up(seat, reason)
        elif not certain:
            self._loop.later(seat.failures, self._start, seat)

    def _give_up(self, seat: Seat, reason: str) -> None:
        log.warning("seat given up seat=%s failures=%s", seat.name, seat.failures)
        seat.phase = Phase.GONE
        seat.launcher.kill()
        seat.launcher.dismiss()
        if all(other.phase is Phase.GONE for other in self.seats.values()):
            self._owner.failed(PoolError(f"no worker is left; the last, {seat.name}, cannot start: {reason}"))

    def _listen_for_silence(self) -> None:
        for seat in self.seats.values():
            if seat.link is not None and time.monotonic() - seat.heard > SILENCE_SECONDS:
                self._kill(seat, f"it said nothing for {SILENCE_SECONDS:g} seconds and was killed")
        self._loop.later(SILENCE_SECONDS / 10, self._listen_for_silence)

    # Worlds

    def _free(self, seat: Seat) -> None:
        if seat.phase not in (Phase.DYING, Phase.GONE):
            seat.phase, seat.world = Phase.FREE, None
            self._form()

    def _form(self) -> None:
        free = [seat for seat in self.seats.values() if seat.phase is Phase.FREE]
        while len(free) >= self._ranks:
            seats = [self._take(free, rank) for rank in range(self._ranks)]
            numbers = {world.number for world in self.worlds}
            number = next(n for n in range(len(numbers) + 1) if n not in numbers)
            world = World(number, seats, Rendezvous(self._meeting.listen) if self._ranks > 1 else None)
            self.worlds.append(world)
            world.waiting = set(seats)
            for rank, seat in enumerate(seats):
                seat.phase, seat.world, seat.rank = Phase.PLACED, world, rank
                seat.send(self._place(world, rank))

    def _take(self, free: list[Seat], rank: int) -> Seat:
        """The free seat for a rank: the one that had it, else one that had none, else any."""
        fitting = [s for s in free if s.rank == rank] or [s for s in free if s.rank is None] or free
        free.remove(fitting[0])
        return fitting[0]

    def _place(self, world: World, rank: int) -> Message:
        port = world.rendezvous.port if world.rendezvous else 0
        return {"do": "form", "rank": rank, "size": self._ranks, "address": self._meeting.address, "port": port}

    def _answered(self, seat: Seat, world: World, message: Message) -> None:
        """A rank has carried out a command."""
        world.waiting.discard(seat)
        if world.state == "lost":
            self._free(seat)
            return
        if message["kind"] == "formed":
            seat.failures, self.proven = 0, True
        else:
            self._owner.said(world, seat, message)
        if message["kind"] == "raised" and self._ranks > 1:
            self._rank_raised(world, message)
        elif not world.waiting:
            world.met()
            world.turn("idle")
            self._owner.idle(world)

    def _rank_raised(self, world: World, message: Message) -> None:
        """A rank left the world with an error. If it is only that another was lost, that one's word is awaited."""
        if not message["lost"] or not world.waiting:
            self._dissolve(world, message["error"])
        else:
            self._loop.later(ANSWER_SECONDS, self._kill_silent, world)

    def _dissolve(self, world: World, reason: str) -> None:
        """Ends a world; its seats are free once they have answered what they were asked last."""
        if world.state == "lost":
            return
        world.met()
        world.turn("lost")
        self.worlds.remove(world)
        self._owner.broken(world, reason)
        if world.waiting:
            self._loop.later(ANSWER_SECONDS, self._kill_silent, world)
        for seat in world.seats:
            if seat.world is world and seat not in world.waiting:
                self._free(seat)

    def _kill_silent(self, world: World) -> None:
        for seat in list(world.waiting):
            if seat.world is world:
                self._kill(seat, "it did not notice that another rank of its world was lost")
