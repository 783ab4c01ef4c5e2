"""Cost of a step where a categorical has few ids and where it has ten million: it goes by the rows touched.

    python benchmarks/wide_ids.py [--rows 400000] [--ids 10000 10000000]

Logistic regression and a 64-64 subnetwork on 10 numerics and one categorical whose ids are drawn evenly, so that nearly
every row of a batch touches another. Prints microseconds per step at batch 512, and the ratio to the fewest ids. What
remains of a ratio above 1 is the memory: rows of a table of gigabytes are in no cache.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import tensorflow as tf
from results import Cell, record

from glmix_automl.dataset.block import Block
from glmix_automl.models import FAMILIES
from glmix_automl.schema import Categorical, Numeric, Schema, Vocabulary
from glmix_automl.training.loop import Loop
from glmix_automl.training.resident import Resident, batch_starts
from glmix_automl.workers.collective import Alone

BATCH, NUMERICS = 512, 10
KINDS = {"logistic": {}, "subnetwork": {"depth": 2, "width": 64, "embedding_width": 8}}


def seconds_per_step(family: str, rows: int, ids: int, repeats: int = 3) -> float:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, NUMERICS)).astype(np.float32)
    picked = rng.integers(0, ids, (rows, 1)).astype(np.int32)
    label = (rng.random(rows) < 0.3).astype(np.float32)
    block = Block(
        x, picked, (), label, np.ones(rows, np.float32), np.zeros(rows, np.float32), np.arange(rows)
    )  # fmt: skip
    features = [Numeric(name=f"n{k}", source=f"n{k}") for k in range(NUMERICS)]
    schema = Schema(
        name="wide",
        recipe="interactions",
        features=(*features, Categorical(name="id", source="id", vocabulary="id")),
        entities=(),
        vocabularies={"id": Vocabulary(buckets=ids - 1)},
    )
    coordinate = FAMILIES[family].build(schema, {"batch_size": BATCH, **KINDS[family]}, 0)
    loop, train, steps = Loop(coordinate, BATCH, Alone(), False), Resident.of(block), rows // BATCH
    prepared, rates = coordinate.prepare(train.rows), np.full(steps, 0.001)
    starts = batch_starts(rows, BATCH, steps + 1, np.random.default_rng(0))[:steps]
    hyper, taken = coordinate.hyper(float(rows)), []
    for number in range(repeats + 1):
        started = time.perf_counter()
        loop.run(prepared, starts, (rates, rates), number * steps, BATCH, hyper, 0)
        taken.append((time.perf_counter() - started) / steps)
    return min(taken[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--ids", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000])
    options = parser.parse_args()
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    print(f"{'family':<12}{'ids':>12}{'us per step':>13}{'ratio':>8}")
    rows: list[list[Cell]] = []
    for family in KINDS:
        first = 0.0
        for ids in sorted(options.ids):
            seconds = seconds_per_step(family, options.rows, ids)
            first = first or seconds
            print(f"{family:<12}{ids:>12,}{1e6 * seconds:>13.0f}{seconds / first:>8.2f}", flush=True)
            rows.append([family, ids, 1e6 * seconds, seconds / first])
    fewest, most = min(options.ids), max(options.ids)
    told = " and ".join(f"{row[3]:.2f}" for row in rows if row[1] == most)
    record(
        "wide-ids",
        f"With {most:,} ids of a categorical a step takes {told} times what it takes with {fewest:,} "
        f"({' and '.join(KINDS)}): rows of a table of gigabytes are in no cache.",
        ["family", "ids", "us a step", "of the fewest ids'"],
        rows,
        data=f"{options.rows:,} made rows, {NUMERICS} numerics, batches of {BATCH}, one thread",
        seeds="the fastest of 3 turns",
    )


if __name__ == "__main__":
    main()
