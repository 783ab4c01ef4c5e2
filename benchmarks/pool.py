"""How busy a pool keeps its slots, how long a hand-over takes, and how long a pool takes to start.

    python benchmarks/pool.py

- Utilisation: trials that sleep unevenly (0.05 to 0.45 s) on 8 slots, on threads and on 8 local worker processes; the
  share of slot-seconds in which a trial slept, against the same trials run in batches of 8 with a barrier.
- Hand-over: from the end of one trial to the start of the next on the same slot.
- Start: a local pool of two Horovod worlds until both have carried out a trial, against two bare processes at once that
  import TensorFlow, and Horovod on top of it.
"""

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import record

from glmix_automl import seeds
from glmix_automl.trial import Result, State, Trial
from glmix_automl.workers.executor import Reporter
from glmix_automl.workers.in_process import InProcessExecutor
from glmix_automl.workers.local import local_pool
from glmix_automl.workers.task_spec import TaskSpec

SLOTS = 8
TRIALS = 160


class Sleep:
    """Sleeps as long as the trial says."""

    needs_world = False

    def __call__(self, trial: Trial, report: Reporter) -> Result:
        """Sleeps `seconds`."""
        time.sleep(float(trial.parameters["seconds"]))  # type: ignore[arg-type]
        return Result(trial.number, State.FINISHED, auc=0.5)


class SleepInWorld(Sleep):
    """The same in a Horovod world."""

    needs_world = True


def trials() -> list[Trial]:
    seconds = seeds.generator(0, "benchmark").uniform(0.05, 0.45, TRIALS)
    return [Trial(n, "pool", "sleep", {"seconds": float(s)}) for n, s in enumerate(seconds)]


def run(executor: Any, barrier: bool) -> tuple[float, list[float]]:
    """Utilisation, and the hand-overs in seconds."""
    work = trials()
    began, results = time.time(), []
    if barrier:
        for first in range(0, len(work), SLOTS):
            results += [f.result() for f in [executor.submit(trial) for trial in work[first : first + SLOTS]]]
    else:
        results = [future.result() for future in [executor.submit(trial) for trial in work]]
    elapsed = time.time() - began
    busy = sum(float(trial.parameters["seconds"]) for trial in work)  # type: ignore[arg-type]
    by_worker: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda r: r.started):
        by_worker.setdefault(result.worker, []).append(result)
    gaps = [b.started - a.ended for done in by_worker.values() for a, b in itertools.pairwise(done)]
    # The last trials leave slots empty whatever the pool does: counted until the queue ran dry.
    dry = max(r.started for r in results) - began
    used = sum(min(r.ended, began + dry) - r.started for r in results if r.started < began + dry)
    own = busy / sum(r.ended - r.started for r in results)
    return (busy / (elapsed * SLOTS) if barrier else used * own / (dry * SLOTS)), gaps


def start_of_worlds() -> float:
    began = time.time()
    with tempfile.TemporaryDirectory() as logs, local_pool(TaskSpec("pool.SleepInWorld"), 2, logs=Path(logs)) as pool:
        workers: set[str] = set()
        while len(workers) < 2:
            first = [pool.submit(Trial(n, "start", "sleep", {"seconds": 0.2})) for n in range(2)]
            workers |= {future.result().worker for future in first}
        return time.time() - began


def start_of_imports(what: str) -> float:
    began = time.time()
    both = [subprocess.Popen([sys.executable, "-c", f"import {what}"], stderr=subprocess.DEVNULL) for _ in range(2)]
    for process in both:
        process.wait()
    return time.time() - began


def show_utilisation(name: str, executor: Any) -> tuple[float, float, float]:
    """Utilisation without a barrier and with one, and the median hand-over in seconds."""
    for future in [executor.submit(Trial(n, "warm", "sleep", {"seconds": 0.3})) for n in range(SLOTS)]:
        future.result()
    time.sleep(1.0)
    with_barrier, _ = run(executor, barrier=True)
    utilisation, gaps = run(executor, barrier=False)
    print(
        f"{name:<12} utilisation {utilisation:6.1%} (with a barrier {with_barrier:.1%}), "
        f"hand-over median {statistics.median(gaps) * 1e3:.2f} ms, largest {max(gaps) * 1e3:.1f} ms"
    )
    return utilisation, with_barrier, statistics.median(gaps)


def main() -> None:
    with InProcessExecutor(Sleep, SLOTS) as executor:
        threads = show_utilisation("in process", executor)
    with tempfile.TemporaryDirectory() as logs, local_pool(TaskSpec("pool.Sleep"), SLOTS, logs=Path(logs)) as pool:
        local = show_utilisation("local", pool)
    # In turns, and the least of each: what else runs on the machine falls on all alike.
    seconds: dict[str, list[float]] = {"pool": [], "tensorflow": [], "horovod.tensorflow": []}
    for _ in range(2):
        seconds["tensorflow"].append(start_of_imports("tensorflow"))
        seconds["horovod.tensorflow"].append(start_of_imports("horovod.tensorflow"))
        seconds["pool"].append(start_of_worlds())
    pool_start = min(seconds["pool"])
    print(f"start of 2 worlds, first trials done: {pool_start:.1f} s")
    bare = {what: pool_start / min(seconds[what]) for what in ("tensorflow", "horovod.tensorflow")}
    for what, times in bare.items():
        print(f"  2 bare imports of {what}: {min(seconds[what]):.1f} s; the pool takes {times:.2f} times that")
    started = " and ".join(f"{times:.2f} times two bare imports of {what}" for what, times in bare.items())
    record(
        "pool",
        f"Of {SLOTS} local workers' time {local[0]:.1%} is trials, {local[1]:.1%} with a barrier; from one trial to "
        f"the next it takes {1000 * local[2]:.1f} ms. Two Horovod worlds have carried out a first trial after "
        f"{started}.",
        ["workers", "busy", "busy with a barrier", "hand-over, ms"],
        [[name, *each[:2], 1000 * each[2]] for name, each in (("threads", threads), ("processes", local))],
        data=f"{TRIALS} trials that sleep 0.05 to 0.45 s",
        seeds="1",
    )


if __name__ == "__main__":
    main()
