"""What the controller costs per trial, and how many workers it keeps busy.

    python benchmarks/controller.py [--trials 1000] [--slots 20] [--workers 20 200 2000] [--seconds 2 10 60]

- Per trial: asking, journal with its waits for the disk, race, telling, outside of logging. Trials run on a virtual
  clock, so all time that passes is the controller's (and the simulator's). It is set against the same number of appends
  of the same size that wait for this disk and do nothing else.
- Hand-over: what a real pool of two local workers costs the controller's process per trial, in processor time, and how
  long a slot waits from one trial to the next.
- Saturation: the same controller over so many simulated workers, and so long trials. The virtual clock is charged with
  the processor time that the controller takes, with the measured hand-over, and with the measured wait for the disk at
  every sync of the journal. Printed: how busy the workers are, how busy the controller is, and its time per trial.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from results import Cell, record

from glmix_automl import seeds
from glmix_automl.search import STRATEGIES
from glmix_automl.study.controller import Controller
from glmix_automl.study.journal import Journal
from glmix_automl.study.race import Entry
from glmix_automl.trial import Costs, Progress, Result, State, Trial
from glmix_automl.workers.executor import Reporter
from glmix_automl.workers.local import local_pool
from glmix_automl.workers.simulated import SimulatedExecutor
from glmix_automl.workers.task_spec import TaskSpec

SPACE = {
    "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "scale": "log"},
    "depth": {"type": "int", "low": 1, "high": 6},
    "width": {"type": "int", "low": 16, "high": 512, "scale": "power_of_two"},
}
CURVE = 10  # points per trial


def evaluate(trial: Trial) -> tuple[Result, float]:
    seconds = 10.0 + trial.seed % 1000 / 10
    auc = 0.6 + (trial.seed % 100_000) / 1e6
    points = [(place + 1) / CURVE for place in range(CURVE)]
    curve = tuple(Progress(trial.number, p, round(1000 * p), seconds * p, auc * p) for p in points)
    return Result(trial.number, State.FINISHED, auc, 0.5, {}, curve, Costs(1000, 10_000, seconds)), seconds


def entry(name: str, trials: int, seed: int) -> Entry:
    kind = STRATEGIES["random"]
    options = kind.options.model_validate({"family": "toy", "space": SPACE, "trials": trials})
    return Entry(name, kind.make(options, seed))


def run(trials: int, slots: int, sync: bool, folder: Path) -> tuple[float, float, int]:
    """Seconds per trial by the clock and of the processor, and bytes of journal per trial."""
    path = folder / f"journal-{sync}.jsonl"
    entries = {name: entry(name, trials // 2, seed) for seed, name in enumerate(("one", "other"))}
    with Journal(path, sync) as file:
        controller = Controller(file, entries, poll_seconds=1e9)
        executor = SimulatedExecutor(evaluate, slots, on_progress=lambda progress: None)
        started, busy = time.perf_counter(), time.process_time()
        controller.run(executor)
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
    done = len(controller.history.results)
    assert done == trials // 2 * 2
    return seconds / done, busy / done, path.stat().st_size // done


def disk(waits: int, size: int, folder: Path) -> float:
    """Seconds for one append that waits for the disk."""
    file = os.open(folder / "bare", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    started = time.perf_counter()
    for _ in range(waits):
        os.write(file, b"x" * size)
        os.fdatasync(file)
    os.close(file)
    return (time.perf_counter() - started) / waits


class CountedJournal(Journal):
    """A journal that counts how often it would wait for the disk."""

    syncs = 0

    def sync(self) -> None:
        """Counts."""
        self.syncs += 1


class ChargedExecutor(SimulatedExecutor):
    """Simulated workers whose clock runs on while the controller is at work."""

    def __init__(self, slots: int, journal: CountedJournal, handover: "Handover", disk: float, seconds: float) -> None:
        """Charges `disk` seconds for every sync; trials take `seconds` on average, and `handover.slot` in between."""
        random = seeds.generator(0, "saturation", slots)

        def simulate(trial: Trial) -> tuple[Result, float]:
            result, _ = evaluate(trial)
            return replace(result, curve=()), float(random.uniform(0.5, 1.5) * seconds) + handover.slot

        super().__init__(simulate, slots)
        self._journal, self._handover, self._disk = journal, handover, disk
        self._left, self._syncs = time.process_time(), 0
        self.spent = 0.0

    def wait(self, futures: Any, seconds: float | None) -> Any:
        """Charges what was spent, and waits."""
        self._charge()
        done = super().wait(futures, seconds)
        self._left = time.process_time()
        return done

    def submit(self, trial: Trial) -> Any:
        """Charges what was spent and a hand-over, then queues the trial."""
        self._charge(self._handover.controller)
        return super().submit(trial)

    def _charge(self, further: float = 0.0) -> None:
        """Lets the clock run on by what was spent; what ends meanwhile has ended at its own time."""
        spent = time.process_time() - self._left + (self._journal.syncs - self._syncs) * self._disk + further
        self._syncs = self._journal.syncs
        self.spent += spent
        now = self._now + spent
        while self._events and self._events[0][0] <= now:
            self._step()
        self._now = now
        self._left = time.process_time()


@dataclass(frozen=True)
class Handover:
    """Seconds per trial that a pool costs the controller's process, and that a slot waits between two trials."""

    controller: float
    slot: float


def measure_handover(trials: int, folder: Path) -> Handover:
    """Of a real pool: trials that do nothing on two local workers, submitted as the controller does it."""
    with local_pool(TaskSpec("controller.Nothing"), 2, logs=folder / "logs") as pool:
        for future in [pool.submit(Trial(n, "warm", "toy")) for n in range(4)]:
            future.result()
        began, number, done = time.process_time(), 2, []
        out = {pool.submit(Trial(n, "measured", "toy")) for n in range(2)}
        while out:
            ended = pool.wait(out, None)
            out -= ended
            done += [future.result() for future in ended]
            for _ in ended:
                if number < trials:
                    out.add(pool.submit(Trial(number, "measured", "toy")))
                    number += 1
        spent = time.process_time() - began
    by_worker: dict[str, list[Result]] = {}
    for result in sorted(done, key=lambda r: r.started):
        by_worker.setdefault(result.worker, []).append(result)
    gaps = [b.started - a.ended for results in by_worker.values() for a, b in itertools.pairwise(results)]
    return Handover(spent / trials, statistics.median(gaps))


class Nothing:
    """The task of the hand-over: nothing."""

    needs_world = False

    def __call__(self, trial: Trial, report: Reporter) -> Result:
        """A result."""
        return Result(trial.number, State.FINISHED, auc=0.5)


def saturate(slots: int, seconds: float, handover: Handover, disk: float, folder: Path) -> tuple[float, float, float]:
    """Shares of their time that workers and controller are busy, and the controller's seconds per trial."""
    trials = max(400, 3 * slots)
    entries = {name: entry(name, trials // 2, seed) for seed, name in enumerate(("one", "other"))}
    with CountedJournal(folder / f"saturation-{slots}-{seconds}.jsonl", False) as file:
        controller = Controller(file, entries, poll_seconds=1e9)
        executor = ChargedExecutor(slots, file, handover, disk, seconds)
        controller.run(executor)
    results = list(controller.history.results.values())
    last = max(result.started for result in results)  # afterwards slots are empty whatever the controller does
    first = min(result.ended for result in results)
    busy = sum(max(0.0, min(r.ended, last) - max(r.started, first)) for r in results)
    return busy / ((last - first) * slots), executor.spent / executor.now(), executor.spent / len(results)


def show_saturation(workers: list[int], lengths: list[float], folder: Path, disk_seconds: float) -> list[list[Cell]]:
    """The table: workers, how busy they are by the length of trials, and trials of how many seconds are too short."""
    handover = measure_handover(300, folder)
    print(f"hand-over of a real pool               {handover.controller * 1e3:7.3f} ms of the controller's processor")
    print(f"                                       {handover.slot * 1e3:7.3f} ms of a slot")
    print("workers  trial s  workers busy  controller busy  ms per trial  saturated by trials shorter than")
    rows: list[list[Cell]] = []
    for slots in workers:
        shares: list[Cell] = []
        for seconds in lengths:
            busy, load, cost = saturate(slots, seconds, handover, disk_seconds, folder)
            print(f"{slots:7} {seconds:8g} {busy:13.1%} {load:16.1%} {cost * 1e3:13.2f} {slots * cost:10.2f} s")
            shares.append(busy)
        rows.append([f"{slots:,}", *shares, slots * cost])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="*", default=[20, 200, 2000])
    parser.add_argument("--seconds", type=float, nargs="*", default=[2.0, 10.0, 60.0], help="of a trial, on average")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base, _, size = run(options.trials, options.slots, False, Path(folder))
        bare = disk(options.trials, size, Path(folder))
        durable, spent, _ = run(options.trials, options.slots, True, Path(folder))
        show_costs(options.trials, options.slots, (base, bare, durable, spent), size)
        rows = show_saturation(options.workers, options.seconds, Path(folder), bare)
    lengths = [f"{seconds:g} s" for seconds in options.seconds]
    busy = ", ".join(
        f"{share:.1%} with trials of {length}" for share, length in zip(rows[-1][1:], lengths, strict=False)
    )
    record(
        "controller",
        f"{rows[-1][0]} workers are busy {busy}; a trial costs the controller {spent * 1e3:.1f} ms of processor.",
        ["workers (simulated)", *(f"busy, trials of {length}" for length in lengths), "too short, trials of seconds"],
        rows,
        data="virtual clock charged with processor time, hand-over and waits for the disk as measured",
        seeds="one call",
    )


def show_costs(trials: int, slots: int, seconds: tuple[float, float, float, float], size: int) -> None:
    """What the controller costs per trial."""
    base, bare, durable, busy = seconds
    print(f"{trials} trials on {slots} simulated slots, {size:,} bytes of journal per trial")
    print(f"controller, not waiting for the disk   {base * 1e3:7.3f} ms per trial")
    print(f"one append that waits for the disk     {bare * 1e3:7.3f} ms")
    print(f"controller, as in a study              {durable * 1e3:7.3f} ms per trial, {durable / base:.2f} times")
    print(f"of which processor time                {busy * 1e3:7.3f} ms per trial")


if __name__ == "__main__":
    main()
