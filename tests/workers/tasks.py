"""Small tasks for real workers; which one a trial wants is in its parameters."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from glmix_automl import seeds
from glmix_automl.errors import ChangedDataError, DataError
from glmix_automl.trial import Costs, Progress, Result, State, Trial
from glmix_automl.workers import averaging, collective
from glmix_automl.workers.executor import Reporter


class Light:
    """Carries out `trial.parameters["do"]` without Horovod: the fastest worker there is.

    Args:
        fail: text of the error raised at construction, if any.
        marks: folder in which it leaves a file named after its process id.
        failures: folder of files of which every construction removes one, and fails.
    """

    needs_world = False

    def __init__(self, fail: str = "", marks: str = "", failures: str = "") -> None:
        if fail:
            raise FileNotFoundError(fail)
        if failures and (left := sorted(Path(failures).iterdir())):
            left[0].unlink()
            raise FileNotFoundError("what the task reads is not there at the moment")
        if marks:
            (Path(marks) / str(os.getpid())).touch()
        self.calls = 0

    def __call__(self, trial: Trial, report: Reporter) -> Result:
        self.calls += 1
        what = str(trial.parameters.get("do", "nothing"))
        metrics = getattr(self, f"_{what}")(trial, report) or {}
        return self._result(trial, **metrics)

    def _result(
        self, trial: Trial, state: State = State.FINISHED, costs: Costs | None = None, **metrics: float
    ) -> Result:
        known = {"pid": os.getpid(), "calls": self.calls, "rank": collective.current().rank}
        return Result(trial.number, state, auc=0.5, loss=0.7, metrics={**known, **metrics}, costs=costs or Costs())

    def _nothing(self, trial: Trial, report: Reporter) -> None:
        pass

    def _spins(self, trial: Trial, report: Reporter) -> dict[str, float]:
        return {"spins": float(os.environ["GOMP_SPINCOUNT"])}

    def _sleep(self, trial: Trial, report: Reporter) -> None:
        time.sleep(float(trial.parameters["seconds"]))  # type: ignore[arg-type]

    def _raise(self, trial: Trial, report: Reporter) -> None:
        raise ValueError(f"trial {trial.number} raises on purpose")

    def _memory_error(self, trial: Trial, report: Reporter) -> None:
        raise MemoryError

    def _exit(self, trial: Trial, report: Reporter) -> None:
        os._exit(3)

    def _bad_result(self, trial: Trial, report: Reporter) -> Any:
        return {"number": object()}

    def _fill(self, trial: Trial, report: Reporter) -> None:
        """Takes memory until it is killed."""
        held = []
        while True:
            held.append(np.ones(4 << 20))
            time.sleep(0.02)

    def _hang(self, trial: Trial, report: Reporter) -> None:
        while True:
            time.sleep(0.05)

    def _die_once(self, trial: Trial, report: Reporter) -> None:
        """Kills its process the first time it runs anywhere."""
        mark = Path(str(trial.parameters["mark"]))
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def _die(self, trial: Trial, report: Reporter) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _score_for(self, trial: Trial, report: Reporter) -> dict[str, Any]:
        """Reports until it is asked to stop, then scores for some seconds."""
        self._patient(trial, report)
        seconds = float(trial.parameters["seconds"])  # type: ignore[arg-type]
        time.sleep(seconds)
        return {"state": State.STOPPED, "costs": Costs(eval_seconds=seconds)}

    def _write(self, trial: Trial, report: Reporter) -> None:
        """Writes a file; where `full` exists, to a device on which no room is left."""
        full = Path(str(trial.parameters["full"]))
        try:
            with Path("/dev/full" if full.exists() else full.with_suffix(".out")).open("w") as file:
                file.write("scores")
        except OSError as error:
            raise DataError(f"{full}: cannot be written") from error

    def _find_another_dataset(self, trial: Trial, report: Reporter) -> None:
        """As where its world was formed anew, and the dataset had been replaced meanwhile."""
        raise ChangedDataError("split test is not what it was")

    def _patient(self, trial: Trial, report: Reporter) -> dict[str, Any]:
        """Reports until it is asked to stop."""
        for step in range(100_000):
            if report(Progress(trial.number, step, step, step * 0.02, auc=0.5)):
                return {"state": State.STOPPED, "step": step}
            time.sleep(0.02)
        return {}


class Ranked(Light):
    """The same in a real world, with what several ranks do together."""

    needs_world = True

    def _sum(self, trial: Trial, report: Reporter) -> dict[str, float]:
        world = collective.current()
        return {"sum": world.allreduce(float(world.rank + 1)), "size": world.size}

    def _sum_for(self, trial: Trial, report: Reporter) -> dict[str, float]:
        """Allreduces for some seconds, on every rank the same number of times."""
        world, end = collective.current(), time.monotonic() + float(trial.parameters["seconds"])  # type: ignore[arg-type]
        rounds = 0.0
        while world.allreduce(float(time.monotonic() < end)) == world.size:
            rounds += 1
            report(Progress(trial.number, rounds, int(rounds), 0.0, loss=1.0))
            time.sleep(0.01)
        return {"rounds": rounds, "size": world.size}

    def _raise_on(self, trial: Trial, report: Reporter) -> dict[str, float]:
        """One rank raises, the others wait for it in a collective."""
        world = collective.current()
        if world.rank == trial.parameters["rank"]:
            raise ValueError(f"rank {world.rank} raises on purpose")
        return {"sum": world.allreduce(1.0)}

    def _die_once_on(self, trial: Trial, report: Reporter) -> dict[str, float]:
        """One rank kills itself the first time, the others wait for it in a collective."""
        world = collective.current()
        if world.rank == trial.parameters["rank"]:
            self._die_once(trial, report)
        return {"sum": world.allreduce(1.0)}

    def _average(self, trial: Trial, report: Reporter) -> dict[str, float]:
        """Means of arrays, of tensors in a graph, and the sums told beside them; rank r weighs r + 1."""
        import tensorflow as tf

        world = collective.current()
        values, weight = rank_values(world.rank), world.rank + 1
        means, total, (votes, ranks) = averaging.average(values, weight, (world.rank == world.size - 1, 1.0), world)
        variables = [tf.Variable(value) for value in values]
        mean = tf.function(lambda: averaging.weighted_mean(variables, tf.constant(weight), world), autograph=False)
        in_graph = mean()
        own, nothing, _ = averaging.average(values, 0, (), world)
        return {
            "array": flat(means),
            "tensor": flat([tensor.numpy() for tensor in in_graph]),
            "weight": total,
            "votes": votes,
            "ranks": ranks,
            "unweighted": flat(own),
            "nothing": nothing,
            "gathered": flat([world.allgather(np.full((world.rank + 1, 2), float(world.rank)))]),
            "broadcast": world.broadcast(float(world.rank + 5), root=1),
            "mean": world.allreduce(np.array([world.rank], np.float32), "mean")[0],
        }


def rank_values(rank: int) -> list[np.ndarray]:
    """Arrays of several shapes that differ from rank to rank."""
    random = seeds.generator(7, rank)
    return [random.normal(size=shape).astype(np.float32) for shape in ((3,), (2, 2), ())]


def flat(values: list[np.ndarray]) -> float:
    """One number that tells lists of arrays apart: places weigh differently."""
    joined = np.concatenate([np.ravel(value) for value in values]).astype(float)
    return float(joined @ np.arange(1, len(joined) + 1))
