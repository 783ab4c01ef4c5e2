"""Preparation at growing size: rows per second for 1, 4 and 16 million generated interactions, 4 GiB of driver memory.

    python benchmarks/prepare.py [--rows 1000000 4000000 16000000] [--master local[2]] [--driver-memory 4g]

Each size is prepared in a process of its own, the smallest twice (the first warms the disk cache and is not shown), so
every run starts a Spark of its own. Printed for each: seconds, rows per second, and the exponent of its time in rows
against the smallest size: ten times the rows must cost at most eleven times the time, which is an exponent of 1.041.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf" / "prepare" / "generated-jymbii.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000, 16_000_000])
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--driver-memory", default="4g")
    options = parser.parse_args()
    print(f"{'rows':>12} {'seconds':>9} {'rows/s':>10} {'times rows':>11} {'times time':>11} {'exponent':>9}")
    first: tuple[int, float] | None = None
    for rows in sorted(options.rows):
        with tempfile.TemporaryDirectory() as folder:
            command("generate", "jymbii", "--rows", str(rows), "--output", f"{folder}/raw")
            seconds = prepared(folder, options.master, options.driver_memory)
            if first is None:
                seconds = prepared(folder, options.master, options.driver_memory)
                first = (rows, seconds)
        more, longer = rows / first[0], seconds / first[1]
        exponent = f"{math.log(longer) / math.log(more):.3f}" if more > 1 else ""
        shown = f"{rows:>12,} {seconds:>9.1f} {rows / seconds:>10,.0f} {more:>11.2f} {longer:>11.2f} {exponent:>9}"
        print(shown, flush=True)


def prepared(folder: str, master: str, memory: str) -> float:
    """Seconds of one preparation, Spark's start included."""
    begun = time.perf_counter()
    sets = [f"root={folder}/raw", f"output={folder}/dataset"]
    overrides = [word for pair in sets for word in ("--set", pair)]
    command("prepare", str(CONF), *overrides, "--overwrite", "--master", master, "--driver-memory", memory)
    return time.perf_counter() - begun


def command(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from glmix_automl.cli import main; sys.exit(main())", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-4000:])


if __name__ == "__main__":
    main()
