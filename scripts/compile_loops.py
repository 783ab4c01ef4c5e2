"""Compiles every loop once, into the cache beside the code, by small runs of what uses them: a minute, kept on disk.

    python scripts/compile_loops.py pairs | interactions

Without it the first run after an installation compiles as it goes, in each of its workers: half a minute each.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from glmix_automl.api import Study, prepare
from glmix_automl.cli import main as command

ROWS = 2000
HISTORY = ("effects", "recent", "tastes", "similar", "factors")
CONF = Path(__file__).resolve().parent.parent / "conf" / "prepare"


def compile_pairs(folder: str) -> None:
    """Pairs of a network and their columns."""
    _prepare("pymk", folder)


def compile_interactions(folder: str) -> None:
    """Columns of history, random effects of few and of many features, trees."""
    dataset = _prepare("jymbii", folder)
    effect = {"family": "random_effect"}
    race = {
        "trees": {"strategy": "fixed", "family": "trees", "parameters": {"trees": 2}},
        "few": {"strategy": "fixed", **effect, "parameters": {"entity": "member_id", "features": "position"}},
        "many": {"strategy": "fixed", **effect, "parameters": {"entity": "item_id", "features": "member_* position"}},
    }
    told: dict[str, Any] = {"dataset": dataset, "study": f"{folder}/study", "race": race}
    Study(told | {"workers": {"place": "in_process"}, "tracking": {"enabled": False}}).run()


def _prepare(kind: str, folder: str) -> str:
    if command(["generate", kind, "--rows", str(ROWS), "--output", f"{folder}/raw"]):
        sys.exit(f"no tables of {kind} could be generated")
    recipe = yaml.safe_load((CONF / f"generated-{kind}.yaml").read_text())
    recipe |= {"root": f"{folder}/raw", "output": f"{folder}/dataset", "engine": "local"}
    if "history" in recipe:
        recipe["history"] |= dict.fromkeys(HISTORY, True)
    prepare(recipe)
    return f"{folder}/dataset"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        {"pairs": compile_pairs, "interactions": compile_interactions}[sys.argv[1]](place)
