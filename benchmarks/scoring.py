"""Rows per second of scoring, and processor time per row: from encoded and raw rows, beside Keras and LightGBM.

    python benchmarks/scoring.py [--rows 400000] [--turns 3] [--executors]

30 numerics and 8 categoricals. A subnetwork of 128-128 and its twin in Keras (`predict`, batches of 8,192) on encoded
rows; 100 trees of 31 leaves and LightGBM's own `predict` of the same trees, one thread each; a logistic regression;
random effects of 20,000 members. Raw rows are Arrow columns as tables bring them (doubles and text): encoding is in
their time. Weights are as drawn: what a row costs does not depend on them. Figures are medians over turns, a ratio
being that of two runs in one turn. Seconds are the clock's, and beside them the processor's, of all threads, which
other work hardly changes.
The exponent is the slope of the processor's seconds in rows, on logarithms, over 1/16, 1/4 and all of the rows, 1
being linear. With `--executors` the trees score the raw rows as a table by Spark on one core of the machine and on two.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from results import Cell, record

from glmix_automl.dataset.block import Block
from glmix_automl.dataset.builder import BlockBuilder
from glmix_automl.features import encode
from glmix_automl.layout import DESCRIPTION, SCHEMA, Folder
from glmix_automl.models import FAMILIES
from glmix_automl.models.checkpoint import save_coordinate
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.schema import Categorical, Entity, Numeric, Schema, Vocabulary
from glmix_automl.seeds import generator
from glmix_automl.serving.export import ModelDescription, Term
from glmix_automl.serving.model import Model

SIZES = (10_000, 2_000, 500, 300, 100, 50, 30, 20)
NUMERICS, MEMBERS, TREES, LEAVES, WIDTH, EMBEDDING, FILES = 30, 20_000, 100, 31, 128, 16, 16
Seconds = tuple[float, float]
"""The clock's, and the processor's of all threads."""
Scorer = Callable[[int], Seconds]
"""Seconds for so many rows."""
PARTS = (16, 4, 1)
"""Of the rows: those that the exponent is found from."""


def main() -> None:
    """Prints the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=400_000)
    options.add_argument("--turns", type=int, default=3)
    options.add_argument("--executors", action="store_true", help="Spark on one core and on two, instead")
    options.add_argument("--folder", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.folder:
        print(f"{score_by_spark(Path(given.folder))}")
        return
    schema, raw = make(given.rows)
    if given.executors:
        compare_executors(schema, raw, given.turns)
        return
    block = encoded(schema, raw)
    print(f"{'':34}{'rows/s':>12}{'cpu us/row':>12}{'exponent':>10}   beside its twin: rows/s, cpu")
    rows: list[list[Cell]] = []
    for name, ours, twin in pairs(schema, raw, block):
        rows += report(name, ours, twin, given.rows, given.turns)
    ratios = "; ".join(f"{row[0]} {row[2]:.2f} times as fast as {row[1]}" for row in rows if row[1])
    record(
        "scoring",
        f"Scored in a second, raw rows with their encoding, encoded ones by the peers: {ratios}.",
        ["model, rows", "beside", "rows/s, times", "processor time, times less", "exponent in rows"],
        rows,
        data=f"{given.rows:,} made rows, {NUMERICS} numerics and {len(SIZES)} categoricals",
        seeds=f"{given.turns} turns",
        spread="not kept; medians",
    )


def report(
    name: str, ours: dict[str, Scorer], twin: tuple[str, Scorer] | None, rows: int, turns: int
) -> list[list[Cell]]:
    """Runs what belongs together in turns, prints a line for each, and gives those of ours."""
    table: list[list[Cell]] = []
    every = ours | ({twin[0]: twin[1]} if twin else {})
    for scorer in every.values():
        scorer(rows // 16)  # graphs are traced and pages mapped
    found: dict[str, list[list[Seconds]]] = {label: [] for label in every}
    for _ in range(turns):
        for label, scorer in every.items():
            found[label].append([scorer(rows // part) for part in PARTS])
    for label, measured in found.items():
        clock, processor = (statistics.median(turn[-1][kind] for turn in measured) for kind in (0, 1))
        slopes = [np.polyfit(-np.log(PARTS), np.log([cpu for _, cpu in turn]), 1)[0] for turn in measured]
        ratio, beside = "", list[Cell]([None, None, None])
        if twin and label != twin[0]:
            both = list(zip(measured, found[twin[0]], strict=True))
            times = [statistics.median(b[-1][kind] / a[-1][kind] for a, b in both) for kind in (0, 1)]
            ratio = f"{times[0]:.2f}, {times[1]:.2f} x {twin[0]}"
            beside = [twin[0], *times]
        line = f"{rows / clock:12,.0f}{1e6 * processor / rows:12.2f}{statistics.median(slopes):10.2f}"
        print(f"{name + ', ' + label:34}{line}   {ratio}", flush=True)
        if label in ours:
            table.append([f"{name}, {label}", *beside, statistics.median(slopes)])
    return table


def compare_executors(schema: Schema, raw: pa.Table, turns: int) -> None:
    """Prints rows/s of Spark on one core and on two, in turns."""
    trees, _ = grown(schema, encoded(schema, raw.slice(0, 50_000)))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        save(schema, trees, Folder(str(folder / "model")))
        (folder / "rows").mkdir()
        for part in range(FILES):
            size = raw.num_rows // FILES
            pq.write_table(raw.slice(part * size, size), folder / "rows" / f"part-{part}.parquet")
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(turns):
            for cores, found in seconds.items():
                command = [sys.executable, __file__, "--folder", str(folder)]
                environment = os.environ | {"CORES": str(cores)}
                done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                found.append(float(done.stdout.split()[-1]))
    speeds = [
        f"{cores} cores {raw.num_rows / statistics.median(found):,.0f} rows/s" for cores, found in seconds.items()
    ]
    times = statistics.median(one / two for one, two in zip(seconds[1], seconds[2], strict=True))
    print(f"trees by Spark, raw rows: {', '.join(speeds)}, {times:.2f} times")


def score_by_spark(folder: Path) -> float:
    """Seconds of scoring the table once more, the workers having loaded the model, on `CORES` cores: of tasks, and of
    all processes, as Spark's own and a task's Python would share two.
    """
    from glmix_automl import spark as application
    from glmix_automl.serving.scoring import score
    from glmix_automl.serving.settings import ScoreSettings

    given = {"model": str(folder / "model"), "rows": {"path": str(folder / "rows")}, "engine": "spark"}
    settings = ScoreSettings.model_validate(given | {"output": str(folder / "scores")})
    cores = int(os.environ["CORES"])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    os.environ["MASTER"] = f"local[{cores}]"
    application.session("benchmark")
    score(settings)
    begun = time.perf_counter()
    score(settings)
    return time.perf_counter() - begun


def make(rows: int) -> tuple[Schema, pa.Table]:
    """A schema and raw rows of it."""
    draw = generator(0, "scoring")
    numerics = [Numeric(name=f"n{k}", source=f"n{k}", center=0.1, scale=1.1) for k in range(NUMERICS)]
    categories = [Categorical(name=f"c{k}", source=f"c{k}", vocabulary=f"c{k}") for k in range(len(SIZES))]
    schema = Schema(
        name="scoring",
        recipe="interactions",
        features=(*numerics, *categories),
        entities=(Entity(name="member", source="member", side="member"),),
        vocabularies={
            f"c{k}": Vocabulary(terms=tuple(f"term {i}" for i in range(1, size))) for k, size in enumerate(SIZES)
        },
    )
    columns: dict[str, Any] = {f"n{k}": draw.normal(size=rows) for k in range(NUMERICS)}
    for k, size in enumerate(SIZES):
        ids = (size * draw.random(rows) ** 2).astype(int)
        columns[f"c{k}"] = pa.array([f"term {i}" for i in range(size)]).take(pa.array(ids))
    columns["member"] = pa.array([f"m{i}" for i in range(MEMBERS)]).take(pa.array(draw.integers(0, MEMBERS, rows)))
    return schema, pa.table(columns)


def encoded(schema: Schema, raw: pa.Table) -> Block:
    """The rows as a dataset brings them to memory."""
    features, count = encode(schema, raw), raw.num_rows
    for name, value in (("label", 0), ("weight", 1), ("offset", 0)):
        features = features.append_column(name, pa.array(np.full(count, value, np.float32)))
    builder = BlockBuilder(schema, count)
    builder.fill(0, features, "rows")
    return builder.build(np.arange(count), {})


def pairs(
    schema: Schema, raw: pa.Table, block: Block
) -> list[tuple[str, dict[str, Scorer], tuple[str, Scorer] | None]]:
    """What is measured: a name, ours from encoded and raw rows, and what it is compared with."""
    network = FAMILIES["subnetwork"].build(schema, {"depth": 2, "width": WIDTH, "embedding_width": EMBEDDING}, 0)
    trees, booster = grown(schema, block)
    effects = FAMILIES["random_effect"].build(schema, {"features": "n0 n1 n2 n3"}, 0)
    effects.take_effects(drawn_effects())
    return [
        ("subnetwork", ours(schema, network, raw, block), ("Keras predict", keras_twin(block))),
        ("trees", ours(schema, trees, raw, block), ("LightGBM predict", lightgbm_twin(booster, block))),
        ("logistic", ours(schema, FAMILIES["logistic"].build(schema, {}, 0), raw, block), None),
        ("random effects", ours(schema, effects, raw, None), None),
    ]


def ours(schema: Schema, coordinate: Coordinate, raw: pa.Table, block: Block | None) -> dict[str, Scorer]:
    """An exported model of one coordinate, from encoded and from raw rows."""
    with tempfile.TemporaryDirectory() as place:
        model = save(schema, coordinate, Folder(place))

    def of_encoded(rows: int) -> Seconds:
        assert block is not None
        return timed(lambda: model.score_block(block.slice(0, rows)))

    def of_raw(rows: int) -> Seconds:
        return timed(lambda: model.score(raw.slice(0, rows)))

    return {"encoded": of_encoded, "raw": of_raw} if block is not None else {"raw": of_raw}


def save(schema: Schema, coordinate: Coordinate, folder: Folder) -> Model:
    """The model of one coordinate, in a folder and in memory."""
    save_coordinate(folder.within("coordinates/0"), coordinate)
    folder.write(SCHEMA, schema.model_dump_json())
    term = Term(folder="coordinates/0", weight=1.0)
    folder.write(DESCRIPTION, ModelDescription(bias=0.0, terms=(term,)).model_dump_json())
    return Model(folder)


def keras_twin(block: Block) -> Scorer:
    """A Keras model of the same layers."""
    import keras

    numerics = keras.Input((NUMERICS,))
    ids = [keras.Input((), dtype="int32") for _ in SIZES]
    embedded = [keras.layers.Embedding(size, EMBEDDING)(x) for size, x in zip(SIZES, ids, strict=True)]
    hidden = keras.layers.Concatenate()([numerics, *embedded])
    for _ in range(2):
        hidden = keras.layers.Dense(WIDTH, activation="relu")(hidden)
    model = keras.Model([numerics, *ids], keras.layers.Dense(1)(hidden))
    columns = [block.numerics, *(np.ascontiguousarray(block.categoricals[:, k]) for k in range(len(SIZES)))]
    return lambda rows: timed(lambda: model.predict([c[:rows] for c in columns], batch_size=8192, verbose=0))


def grown(schema: Schema, block: Block) -> tuple[Coordinate, Any]:
    """The same trees as our coordinate and as LightGBM's booster, grown on noise."""
    import lightgbm

    from glmix_automl.training.booster import read_trees

    rows = min(len(block), 50_000)
    noise = generator(0, "labels").integers(0, 2, rows)
    options = {"objective": "binary", "num_leaves": LEAVES, "verbosity": -1, "use_missing": False}
    booster = lightgbm.train(options, lightgbm.Dataset(matrix(block, rows), noise), TREES)
    trees: Any = FAMILIES["trees"].build(schema, {}, 0)
    columns = np.arange(NUMERICS + len(SIZES))
    trees.plant(read_trees(booster.model_to_string(), TREES, columns, 0.0))
    return trees, booster


def matrix(block: Block, rows: int) -> np.ndarray:
    """Columns as LightGBM takes them, float32 [rows, columns]."""
    return np.hstack([block.numerics[:rows], block.categoricals[:rows].astype(np.float32)])


def lightgbm_twin(booster: Any, block: Block) -> Scorer:
    """LightGBM's own prediction, by one thread as ours: more are for more tables."""
    whole = matrix(block, len(block))
    return lambda rows: timed(lambda: booster.predict(whole[:rows], raw_score=True, num_threads=1))


def drawn_effects() -> pa.Table:
    """An intercept and four weights of every member."""
    draw = generator(0, "effects")
    columns = pa.array(np.tile(np.arange(5, dtype=np.int32), MEMBERS))
    values = pa.array(draw.normal(size=5 * MEMBERS).astype(np.float32))
    starts = pa.array(np.arange(0, 5 * MEMBERS + 1, 5, dtype=np.int32))
    lists = pa.ListArray.from_arrays(starts, pa.StructArray.from_arrays([columns, values], ["column", "value"]))
    return pa.table({"entity": [f"m{i}" for i in range(MEMBERS)], "effect": lists})


def timed(work: Callable[[], object]) -> Seconds:
    """What it took."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


if __name__ == "__main__":
    main()
