"""Reading, streaming and training: speed against pyarrow and pandas, memory while the dataset is 5 times its limit.

    python benchmarks/streaming.py                  # 16 million rows of 38 columns, some ten minutes

Every figure of a call is from that call. Memory is the peak of a process of its own, less that of one that does the
same with next to no rows: reads the small validation split, or trains on a dataset of a thousand rows. Training is a
whole trial (logistic regression, two passes, scores of every split); it keeps 20 bytes of every row (labels, weights,
offsets, scores) whatever is streamed, so fewer rows leave a fifth of their size too little for the pages of 43 columns.
Exits with 1 if a stream took more than its limit.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from results import ROOT, Cell, record

sys.path.insert(0, str(ROOT))

from glmix_automl.dataset import Dataset
from glmix_automl.dataset.builder import block_columns
from glmix_automl.study.executors import block_rows
from glmix_automl.study.settings import Workers
from glmix_automl.trial import Trial
from tests.dataset_maker import make_dataset

LITTLE = "little"  # a dataset of the same columns within the other's folder
TIMES = 5  # the dataset is this many times the memory the stream is given


def main() -> int:
    options = _options()
    if options.child:
        return _child(options.child, options.folder, options.limit)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or temporary
        if not (Path(folder) / "_SUCCESS").exists():
            sizes = {"numerics": 30, "categoricals": 8, "bags": 0, "weighted_bags": 0, "members": 20_000, "terms": 1600}
            make_dataset(folder, rows=options.rows, held_out=1000, shards=8, row_group=131_072, **sizes)
            make_dataset(f"{folder}/{LITTLE}", rows=1000, held_out=1000, shards=1, **sizes)
        dataset = Dataset.open(folder)
        print(f"{dataset.rows('train'):,} rows of {len(dataset.schema.features)} features")
        _compare_speed(dataset)
        return _compare_memory(dataset, folder)


def _compare_speed(dataset: Dataset) -> None:
    columns, files = block_columns(dataset.schema), [shard.path for shard in dataset.shards("train")]

    def bare() -> int:
        return sum(pq.ParquetFile(file).read(columns=columns).num_rows for file in files)

    def pandas() -> int:
        frame = pd.concat([pd.read_parquet(file, columns=columns) for file in files])
        frame[[f.name for f in dataset.schema.numerics]].to_numpy(np.float32)
        frame[[f.name for f in dataset.schema.categoricals]].to_numpy(np.int32)
        return len(frame)

    ways = {
        "pyarrow tables (decoding alone)": bare,
        "pandas, to arrays": pandas,
        "Dataset.read": lambda: len(dataset.read("train")),
        "Dataset.read, 10 % of the members": lambda: len(dataset.read("train", fraction=0.1)),
        "Dataset.stream, in order": lambda: sum(map(len, dataset.stream("train", 131_072))),
        "Dataset.stream, shuffled": lambda: sum(map(len, dataset.stream("train", 131_072, order=1))),
    }
    seconds = {name: _fastest(way) for name, way in ways.items()}
    floor = seconds["pyarrow tables (decoding alone)"]
    print(f"\n{'reading':38}{'seconds':>9}{'M rows/s':>10}{'of decoding':>13}")
    for name, taken in seconds.items():
        print(f"{name:38}{taken:9.2f}{dataset.rows('train') / taken / 1e6:10.1f}{taken / floor:13.2f}")


def _fastest(way: Callable[[], int], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        way()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _compare_memory(dataset: Dataset, folder: str) -> int:
    size = dataset.row_bytes("train") * dataset.rows("train") / 1e6
    limit = size / TIMES
    print(f"\nthe rows in memory {size:.0f} MB, limit of the streams {limit:.0f} MB ({TIMES} times less)")
    print(f"{'peak memory':38}{'MB':>9}{'of limit':>10}{'seconds':>9}")
    over, rows = False, list[list[Cell]]()
    for name, child, least in (
        ("Dataset.read", "read", "validation"),
        ("Dataset.stream, shuffled, 2 epochs", "stream", "validation"),
        ("training, resident", "train", "train little"),
        ("training, streamed", "train streamed", "train little"),
    ):
        started = time.perf_counter()
        peak = _peak(child, folder, limit)
        seconds = time.perf_counter() - started
        peak -= _peak(least, folder, limit)
        print(f"{name:38}{peak:9.0f}{peak / limit:10.2f}{seconds:9.1f}", flush=True)
        over |= "stream" in child and peak > limit
        rows.append([name, peak / limit, seconds])
    resident = float(str(rows[2][2]))
    record(
        "streaming",
        f"A dataset {TIMES} times the memory streams within {float(str(rows[3][1])):.0%} of it, for "
        f"{float(str(rows[3][2])) / resident:.1f} times the seconds of a resident trial.",
        ["", "peak memory, of the limit", "seconds, of a resident trial's"],
        [[name, share, float(str(seconds)) / resident] for name, share, seconds in rows],
        data=f"{dataset.rows('train'):,} made rows of {len(dataset.schema.features)} features, {size:,.0f} MB",
        seeds="one call",
    )
    return int(over)


def _peak(child: str, folder: str, limit: float) -> float:
    """Peak MB of a process that does one thing."""
    command = [sys.executable, __file__, "--child", child, "--folder", folder, "--limit", str(limit)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _child(child: str, folder: str, limit: float) -> int:
    dataset = Dataset.open(folder)
    sum(map(len, dataset.stream("validation", 1000)))
    if child == "train little":
        _train(f"{folder}/{LITTLE}", 1000)
    elif child.startswith("train"):
        _train(folder, None if child == "train" else block_rows(Workers(memory_mb=limit), dataset))
    if child == "read":
        dataset.read("train")
    if child == "stream":
        rows_per_block = dataset.block_rows("train", limit * 1e6)
        for epoch in range(2):
            for block in dataset.stream("train", rows_per_block, order=epoch):
                block.numerics.sum()
    # Not getrusage: its peak is handed down from the parent process.
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6)
    return 0


def _train(folder: str, block_rows: int | None) -> None:
    from glmix_automl.training.evaluate import Evaluator

    with tempfile.TemporaryDirectory() as study:
        evaluator = Evaluator(folder, study, block_rows=block_rows)
        evaluator(Trial(0, "benchmark", "logistic", {"batch_size": 4096}, epochs=2), lambda progress: False)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16_000_000, help="rows of train")
    parser.add_argument("--folder", help="a made dataset to keep or use again")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
