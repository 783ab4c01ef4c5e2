"""Forms worlds of free workers, and dissolves them when a rank is lost. Knows nothing of processes, nor of trials.

Every method runs on the pool's loop. A world whose rank dies is dissolved at once: its living ranks are free as soon as
they have answered, and form a world with the replacement or with other free workers. Other worlds are not touched.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from glmix_automl.errors import PoolError
from glmix_automl.trial import Trial
from glmix_automl.workers.event_loop import EventLoop
from glmix_automl.workers.executor import SlotState
from glmix_automl.workers.fault import Fault
from glmix_automl.workers.handle import WorkerHandle, WorkerState, World
from glmix_automl.workers.protocol import FormWorld, Message, RunTrial, TrialDone, TrialRaised, WorldFormed
from glmix_automl.workers.world import Rendezvous

ANSWER_SECONDS = 20.0  # for the ranks of a broken world to notice


class WorldObserver(Protocol):
    """Who is told what worlds do: the dispatcher."""

    def on_idle(self, world: World) -> None:
        """A world is formed, or every rank has answered its last trial."""
        ...

    def on_message(self, world: World, worker: WorkerHandle, message: Message) -> None:
        """A rank of a whole world sent progress, a result or an error."""
        ...

    def on_loss(self, world: World, reason: str) -> None:
        """A world is no more."""
        ...

    def on_failure(self, error: PoolError) -> None:
        """No worker can start."""
        ...


@dataclass(frozen=True)
class RendezvousAddress:
    """Where ranks meet: the address the controller listens on, and the one by which they reach it."""

    listen: str
    connect: str


class Worlds:
    """The worlds formed of a pool's workers."""

    def __init__(
        self,
        loop: EventLoop,
        observer: WorldObserver,
        ranks: int,
        rendezvous: RendezvousAddress,
        workers: Mapping[str, WorkerHandle],
        kill: Callable[[WorkerHandle, str], None],
    ) -> None:
        """None yet.

        Args:
            loop: the pool's.
            observer: the pool.
            ranks: of each world.
            rendezvous: where ranks meet.
            workers: all there are, kept by the supervisor.
            kill: ends a worker's process, for a reason.
        """
        self._loop, self._observer, self._ranks, self._rendezvous = loop, observer, ranks, rendezvous
        self._workers, self._kill = workers, kill
        self.whole: list[World] = []

    def release(self, worker: WorkerHandle) -> None:
        """The worker can be put in a world, which is formed as soon as there are enough."""
        if worker.state not in (WorkerState.DYING, WorkerState.GONE):
            worker.enter(WorkerState.FREE)
            worker.world = None
            self._form()

    def run(self, world: World, trial: Trial) -> None:
        """Has every rank of an idle world carry out a trial."""
        world.enter(SlotState.BUSY)
        world.command(RunTrial(trial))

    def on_answer(self, worker: WorkerHandle, world: World, message: WorldFormed | TrialDone | TrialRaised) -> None:
        """A rank has carried out a command."""
        world.waiting.discard(worker)
        if world.state is SlotState.LOST:
            self.release(worker)
            return
        if not isinstance(message, WorldFormed):
            self._observer.on_message(world, worker, message)
        if isinstance(message, TrialRaised) and self._ranks > 1:
            self._on_rank_raised(world, message)
        elif not world.waiting:
            world.close_rendezvous()
            world.enter(SlotState.IDLE)
            self._observer.on_idle(world)

    def remove(self, worker: WorkerHandle, reason: str) -> None:
        """The worker's process is no rank of its world any more, which is dissolved."""
        world, worker.world = worker.world, None
        if world is not None:
            world.waiting.discard(worker)
            self.dissolve(world, reason)

    def dissolve(self, world: World, reason: str) -> None:
        """Ends a world; its workers are free once they have answered what they were asked last."""
        if world.state is SlotState.LOST:
            return
        world.close_rendezvous()
        world.enter(SlotState.LOST)
        self.whole.remove(world)
        self._observer.on_loss(world, reason)
        if world.waiting:
            self._loop.later(ANSWER_SECONDS, self._kill_silent, world)
        for worker in world.workers:
            if worker.world is world and worker not in world.waiting:
                self.release(worker)

    def _form(self) -> None:
        free = [worker for worker in self._workers.values() if worker.state is WorkerState.FREE]
        while len(free) >= self._ranks:
            workers = [self._take(free, rank) for rank in range(self._ranks)]
            numbers = {world.number for world in self.whole}
            number = next(n for n in range(len(numbers) + 1) if n not in numbers)
            world = World(number, workers, Rendezvous(self._rendezvous.listen) if self._ranks > 1 else None)
            self.whole.append(world)
            world.waiting = set(workers)
            port = world.rendezvous.port if world.rendezvous else 0
            for rank, worker in enumerate(workers):
                worker.enter(WorkerState.PLACED)
                worker.world, worker.rank = world, rank
                worker.send(FormWorld(rank, self._ranks, self._rendezvous.connect, port))

    def _take(self, free: list[WorkerHandle], rank: int) -> WorkerHandle:
        """The free worker for a rank: the one that had it, else one that had none, else any."""
        fitting = [w for w in free if w.rank == rank] or [w for w in free if w.rank is None] or free
        free.remove(fitting[0])
        return fitting[0]

    def _on_rank_raised(self, world: World, message: TrialRaised) -> None:
        """A rank left the world with an error. If it is only that another was lost, that one's word is awaited."""
        if message.fault is not Fault.PEER or not world.waiting:
            self.dissolve(world, message.error)
        else:
            self._loop.later(ANSWER_SECONDS, self._kill_silent, world)

    def _kill_silent(self, world: World) -> None:
        for worker in list(world.waiting):
            if worker.world is world:
                self._kill(worker, "it did not notice that another rank of its world was lost")
