"""What the controller costs per trial: asking, journal with its waits for the disk, race, telling, outside of logging.

    python benchmarks/controller.py [--trials 1000] [--slots 20]

Trials run on a virtual clock, so all time that passes is the controller's (and the simulator's). It is set against the
same number of appends of the same size that wait for this disk and do nothing else.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from glmix_automl.search import STRATEGIES
from glmix_automl.study.controller import Controller
from glmix_automl.study.journal import Journal
from glmix_automl.study.race import Entry
from glmix_automl.trial import Costs, Progress, Result, State, Trial
from glmix_automl.workers.simulated import SimulatedExecutor

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base, _, size = run(options.trials, options.slots, False, Path(folder))
        bare = disk(options.trials, size, Path(folder))
        durable, busy, _ = run(options.trials, options.slots, True, Path(folder))
    print(f"{options.trials} trials on {options.slots} simulated slots, {size:,} bytes of journal per trial")
    print(f"controller, not waiting for the disk   {base * 1e3:7.3f} ms per trial")
    print(f"one append that waits for the disk     {bare * 1e3:7.3f} ms")
    print(f"controller, as in a study              {durable * 1e3:7.3f} ms per trial, {durable / base:.2f} times")
    print(f"of which processor time                {busy * 1e3:7.3f} ms per trial")


if __name__ == "__main__":
    main()
