"""Product against product: from raw tables to test AUC, each with the columns it makes by itself, at equal seconds.

    benchmarks/peers/setup.sh build/peers
    python benchmarks/products.py RECIPE=ROOT... --peers build/peers [--seconds 120] [--seeds 5] [--only autogluon]

A RECIPE is one of conf/prepare, ROOT the folder of its raw tables. Ours prepares them (`glmix-automl prepare`) and
searches with its defaults for what is left of the seconds; it is judged by the model that it exports, trained again on
train and validation where the race leaves time for that, as each peer is judged by what it does by itself. Peers get
the tables joined, as their guides ask for: the features that the recipe declares of both ends, both ids as categories,
and the time; none of the history, walks and neighbours that preparation makes. Rows, splits and labels are the same for
all; so is all else in `quality.py`.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from quality import ADANET, FAMILIES, NAMES, Runs, arguments, compare, keep

from glmix_automl.dataset import Block, Dataset
from glmix_automl.layout import RECIPE
from glmix_automl.schema import SPLITS, TIMESTAMP, Schema


def prepare(recipe: str, root: str, output: Path) -> float:
    """Prepares a recipe; seconds by the clock, start included."""
    sets = [word for told in (f"root={root}", f"output={output}") for word in ("--set", told)]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "glmix_automl.cli", "prepare", recipe, *sets], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return time.perf_counter() - started


def joined(dataset: str) -> tuple[dict[str, Block], Schema]:
    """The columns of a dataset that come from its tables as they are, with ids and time."""
    opened = Dataset.open(dataset)
    declared = sources(json.loads(Path(dataset, RECIPE).read_text()))
    own = declared | {f"{end}_{source}" for end in ("left", "right") for source in declared}
    schema = opened.schema
    kept = [feature for feature in schema.features if feature.source in own]
    places = {f.name: k for each in (schema.numerics, schema.categoricals, schema.bags) for k, f in enumerate(each)}
    seen = schema.model_copy(update={"features": tuple(kept)})
    blocks: dict[str, Block] = {}
    first, span = 0.0, 1.0
    for split in SPLITS:
        block = opened.read(split, entities=True)
        files = sorted(Path(dataset, split).glob("*.parquet"))
        times = np.concatenate([pq.read_table(file, columns=[TIMESTAMP])[TIMESTAMP].to_numpy() for file in files])
        if not blocks:  # of train: in its span, as linear models would not converge on seconds
            first, span = float(times.min()), max(float(np.ptp(times)), 1.0)
        numerics, categoricals, bags = (
            [places[f.name] for f in each] for each in (seen.numerics, seen.categoricals, seen.bags)
        )
        ids = np.stack([block.entities[entity.name] for entity in schema.entities], axis=1)
        blocks[split] = replace(
            block,
            numerics=np.column_stack([block.numerics[:, numerics], ((times - first) / span).astype(np.float32)]),
            categoricals=np.column_stack([block.categoricals[:, categoricals], ids]),
            bags=tuple(block.bags[place] for place in bags),
        )
    return blocks, seen


def sources(told: Any) -> set[str]:
    """Every column that some list of features in a recipe names."""
    if isinstance(told, list):
        return set().union(*map(sources, told))
    if not isinstance(told, dict):
        return set()
    here = {feature["source"] for feature in told.get("features", ())}
    return here.union(*map(sources, told.values()))


def main() -> None:
    peers = [name for name in NAMES if name not in (ADANET, FAMILIES)]  # libraries; they take no tables
    given = arguments(__doc__, "recipes", peers).parse_args()
    found: dict[str, dict[str, Runs]] = {}
    for told in given.recipes:
        recipe, root = told.split("=", 1)
        with tempfile.TemporaryDirectory() as place:
            output = Path(place) / Path(recipe).stem
            took = prepare(recipe, root, output)
            print(f"{recipe}: prepared in {took:.0f} s", flush=True)
            if took >= given.seconds:
                sys.exit(f"{recipe}: preparing took all of the {given.seconds:.0f} seconds; give more by --seconds")
            found[output.name] = compare(str(output), given.only, given, joined, took, exported=True)
    own = "ours prepares them, peers get them joined, without history, matches, walks and neighbours"
    keep(found, given, "products", f"raw tables: {own}; the same splits for all")


if __name__ == "__main__":
    main()
