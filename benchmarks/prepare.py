"""Preparation at growing size: rows per second for 1, 4 and 16 million generated interactions, 4 GiB of driver memory.

    python benchmarks/prepare.py [--rows 1000000 4000000 16000000] [--master local[2]] [--driver-memory 4g]

Each size is prepared in a process of its own, which starts a Spark of its own, from tables just written. Printed for
each: seconds by the clock, rows per second, seconds of processors (all processes of the run), and both times against
the smallest size, with the exponent of processor time in rows: ten times the rows must cost at most eleven times the
time, which is an exponent of 1.041. Processor time says the same on a machine that has other work.
"""

import argparse
import contextlib
import math
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf" / "prepare" / "generated-jymbii.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000, 16_000_000])
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--driver-memory", default="4g")
    options = parser.parse_args()
    print(f"{'rows':>12} {'seconds':>9} {'rows/s':>8} {'cpu s':>8} | {'rows x':>7} {'time x':>7} {'cpu x':>7} exponent")
    first: tuple[int, float, float] | None = None
    for rows in sorted(options.rows):
        with tempfile.TemporaryDirectory() as folder:
            carried_out("generate", "jymbii", "--rows", str(rows), "--output", f"{folder}/raw")
            seconds, cpu = prepared(folder, options.master, options.driver_memory)
            first = first or (rows, seconds, cpu)
        more, longer, dearer = rows / first[0], seconds / first[1], cpu / first[2]
        exponent = f"{math.log(dearer) / math.log(more):8.3f}" if more > 1 else ""
        ratios = f"{more:>7.2f} {longer:>7.2f} {dearer:>7.2f} {exponent}"
        print(f"{rows:>12,} {seconds:>9.1f} {rows / seconds:>8,.0f} {cpu:>8.1f} | {ratios}", flush=True)


def prepared(folder: str, master: str, memory: str) -> tuple[float, float]:
    """Seconds of one preparation by the clock and of processors, Spark's start included."""
    begun = time.perf_counter()
    sets = [f"root={folder}/raw", f"output={folder}/dataset"]
    overrides = [word for pair in sets for word in ("--set", pair)]
    spent = carried_out("prepare", str(CONF), *overrides, "--overwrite", "--master", master, "--driver-memory", memory)
    return time.perf_counter() - begun, spent


def carried_out(*words: str) -> float:
    """Runs a command of ours to its end; returns the processor seconds of its processes, seen twice a second."""
    code = "import sys; from glmix_automl.cli import main; sys.exit(main())"
    with tempfile.TemporaryFile("w+") as said:
        process = psutil.Popen([sys.executable, "-c", code, *words], cwd=ROOT, stdout=said, stderr=said)
        spent: dict[int, float] = {}
        while process.poll() is None:
            with contextlib.suppress(psutil.Error):
                for each in [process, *process.children(recursive=True)]:
                    times = each.cpu_times()
                    spent[each.pid] = times.user + times.system
            time.sleep(0.5)
        if process.returncode:
            said.seek(0)
            sys.exit(said.read()[-4000:])
    return sum(spent.values())


if __name__ == "__main__":
    main()
