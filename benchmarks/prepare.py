"""Preparation at growing size, beside DuckDB and Polars scripts that make the same columns from the same tables.

    python benchmarks/prepare.py [--rows 1000000 4000000 16000000] [--engines local spark] [--bounds duckdb polars]
        [--raw FOLDER]

Each run is a process of its own, one after the other, on tables just written: the smallest size is generated (or is
what `--raw` has), the larger ones are so many copies of it, each with members, items and uids of its own.
Printed for each: seconds by the clock, rows per second, processor seconds (all processes of the run) and microseconds
of them a row, the largest resident memory, the clock against DuckDB's, and for ours the exponent of processor time in
rows against the smallest size: ten times the rows must cost at most eleven times the time, an exponent of 1.041. DuckDB
and Polars make neither data report nor digests, and check less; how terms match is told by neither, nor by ours here.
"""

import argparse
import contextlib
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from results import ROOT, Cell, record

CONF = ROOT / "conf" / "prepare" / "generated-jymbii.yaml"
OURS = "import sys; from glmix_automl.cli import main; sys.exit(main())"


class Spent(NamedTuple):
    """What a run took: seconds by the clock and of processors, bytes of resident memory at most."""

    seconds: float
    cpu: float
    memory: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000, 16_000_000])
    parser.add_argument("--engines", nargs="+", choices=("local", "spark"), default=["local", "spark"])
    parser.add_argument("--bounds", nargs="+", choices=("duckdb", "polars"), default=["duckdb", "polars"])
    parser.add_argument("--raw", help="tables of the smallest size that are there already, instead of generated ones")
    options = parser.parse_args()
    head = f"{'rows':>12} {'by':>8} {'seconds':>8} {'rows/s':>9} {'cpu s':>7} {'us/row':>7} {'GB':>5}"
    print(f"{head} {'x DuckDB':>8} exponent")
    first: dict[str, tuple[int, float]] = {}
    table: list[list[Cell]] = []
    with tempfile.TemporaryDirectory() as home:
        smallest = min(options.rows)
        if options.raw is None:
            carried_out("-c", OURS, "generate", "jymbii", "--rows", str(smallest), "--output", f"{home}/raw")
        for rows in sorted(options.rows):
            folder = f"{home}/{rows}"
            raw = copied(options.raw or f"{home}/raw", f"{folder}/raw", rows // smallest)
            runs = [(name, bound(name, raw, folder)) for name in options.bounds]
            runs += [(engine, prepared(engine, raw, folder)) for engine in options.engines]
            for name, spent in runs:
                before = first.setdefault(name, (rows, spent.cpu))
                grown = math.log(spent.cpu / before[1]) / math.log(rows / before[0]) if rows > before[0] else math.nan
                print(
                    f"{rows:>12,} {name:>8} {spent.seconds:>8.1f} {rows / spent.seconds:>9,.0f} {spent.cpu:>7.1f} "
                    f"{spent.cpu / rows * 1e6:>7.1f} {spent.memory / 1e9:>5.1f} "
                    f"{spent.seconds / runs[0][1].seconds:>8.2f} {'' if math.isnan(grown) else f'{grown:8.3f}'}",
                    flush=True,
                )
                exponent = None if math.isnan(grown) else grown
                table.append([f"{rows:,}", name, spent.seconds / runs[0][1].seconds, exponent])
            shutil.rmtree(folder)
    largest = [row for row in table if row[0] == f"{max(options.rows):,}" and row[1] in options.engines]
    beside = "; ".join(f"`engine: {row[1]}` {row[2]:.2f} times" for row in largest)
    record(
        "preparation",
        f"Of {runs[0][0]}'s seconds by the clock, {largest[0][0]} rows take {beside}.",
        ["rows", "by", f"clock, of {runs[0][0]}'s", "exponent in rows, processor time"],
        table,
        data="generated jobs without matches, and copies with ids of their own",
        seeds="one call",
    )


def copied(raw: str, into: str, times: int) -> str:
    """Writes the tables so many times, each time with ids of its own; returns the folder."""
    ids = {"interactions": ("member_id", "item_id", "impression_id"), "members": ("member_id",), "items": ("item_id",)}
    for name, columns in ids.items():
        table = pq.read_table(f"{raw}/{name}.parquet")
        place = Path(into) / f"{name}.parquet"
        place.mkdir(parents=True)
        for number in range(times):
            copy = table
            for column in columns:
                own = pc.binary_join_element_wise(table[column].cast(pa.string()), str(number), "-")
                copy = copy.set_column(table.schema.get_field_index(column), column, own)
            pq.write_table(copy, place / f"part-{number:03d}.parquet")
    return into


def bound(name: str, raw: str, folder: str) -> Spent:
    return carried_out(str(ROOT / "benchmarks" / f"bound_{name}.py"), raw, f"{folder}/{name}")


def prepared(engine: str, raw: str, folder: str) -> Spent:
    sets = [f"root={raw}", f"output={folder}/{engine}", f"engine={engine}", "matches=false"]
    words = [word for pair in sets for word in ("--set", pair)]
    master = ["--master", "local[2]", "--driver-memory", "4g"] if engine == "spark" else []
    return carried_out("-c", OURS, "prepare", str(CONF), *words, *master)


def carried_out(*words: str) -> Spent:
    """Runs Python to its end; the processes' times are seen five times a second."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = psutil.Popen([sys.executable, *words], cwd=ROOT, stdout=said, stderr=said)
        spent: dict[int, float] = {}
        most = 0
        while process.poll() is None:
            memory = 0
            with contextlib.suppress(psutil.Error):
                for each in [process, *process.children(recursive=True)]:
                    times = each.cpu_times()
                    spent[each.pid] = times.user + times.system
                    memory += each.memory_info().rss
            most = max(most, memory)
            time.sleep(0.2)
        if process.returncode:
            said.seek(0)
            sys.exit(said.read()[-4000:])
    return Spent(time.perf_counter() - begun, sum(spent.values()), most)


if __name__ == "__main__":
    main()
