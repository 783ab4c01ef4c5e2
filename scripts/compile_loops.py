"""Compiles every loop once, into the cache beside the code, by small runs of what uses them: a minute, kept on disk.

    python scripts/compile_loops.py pairs | interactions

Without it the first run after an installation compiles as it goes, in each of its workers: half a minute each.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from glmix_automl.api import Study, prepare
from glmix_automl.generate.jymbii import Jymbii
from glmix_automl.generate.jymbii_tables import interaction_columns, item_columns, member_columns

ROWS, NODES = 2000, 200
HISTORY = ("effects", "recent", "tastes", "similar", "factors")
CONF = Path(__file__).resolve().parent.parent / "conf" / "prepare"


def compile_pairs(folder: str) -> None:
    """Pairs of a network and their columns."""
    draws = np.random.default_rng(1)
    ends = np.unique(np.sort(draws.integers(0, NODES, (ROWS, 2)), axis=1), axis=0)
    names = np.array([f"n{node}" for node in range(NODES)])
    edges = {"source": names[ends[:, 0]], "target": names[ends[:, 1]], "time": np.arange(len(ends))}
    words = [f"w{number}" for number in range(20)]
    numbers = ("age", "seniority", "posts_per_month")
    nodes = {"node_id": names, "industry": draws.choice(words, NODES), "country": draws.choice(words, NODES)}
    nodes |= {number: draws.integers(1, 50, NODES) for number in numbers}
    nodes |= {"skills": [draws.choice(words, 3, replace=False) for _ in range(NODES)]}
    _prepare("pymk", folder, {"edges": edges, "nodes": nodes})


def compile_interactions(folder: str) -> None:
    """Columns of history, random effects of few and of many features, trees."""
    settings = Jymbii(rows=ROWS)
    tables = {
        "interactions": interaction_columns(settings, np.arange(ROWS)),
        "members": member_columns(settings, np.arange(settings.member_count)),
        "items": item_columns(settings, np.arange(settings.item_count)),
    }
    dataset = _prepare("jymbii", folder, tables)
    effect = {"strategy": "fixed", "family": "random_effect"}
    race = {
        "trees": {"strategy": "fixed", "family": "trees", "parameters": {"trees": 2}},
        "symmetric": {"strategy": "fixed", "family": "trees", "parameters": {"trees": 2, "shape": "symmetric"}},
        "few": {**effect, "parameters": {"entity": "member_id", "features": "position"}},
        "many": {**effect, "parameters": {"entity": "item_id", "features": "member_* position"}},
    }
    told: dict[str, Any] = {"dataset": dataset, "study": f"{folder}/study", "race": race}
    Study(told | {"workers": {"place": "in_process"}, "tracking": {"enabled": False}}).run()


def _prepare(kind: str, folder: str, tables: dict[str, dict[str, Any]]) -> str:
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), f"{folder}/{name}.parquet")
    recipe = yaml.safe_load((CONF / f"generated-{kind}.yaml").read_text())
    recipe |= {"root": folder, "output": f"{folder}/dataset", "engine": "local"}
    if "history" in recipe:
        recipe["history"] |= dict.fromkeys(HISTORY, True)
    prepare(recipe)
    return f"{folder}/dataset"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        {"pairs": compile_pairs, "interactions": compile_interactions}[sys.argv[1]](place)
