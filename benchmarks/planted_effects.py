"""Growth with random effects in its pool on generated jobs data, effects planted or not: which it takes, and how far it
is from what can be attained.

    python benchmarks/planted_effects.py --seeds 5            # the fixed effects are told, as the ceiling knows them
    python benchmarks/planted_effects.py --seeds 5 --learned  # and have to be learned, by trees

Suggestions shown to members over 60 days, the last tenth tests (as `glmix-automl generate jymbii` makes them). The true
ceiling is out of reach, as effects are told by few rows each; the attainable one has the true fixed effects, and
effects of true variances fitted on the training rows. So growth begins with a column of the true fixed effects, and
what it is short of is short by its effects; trees are in the pool to be refused. They come last: members and items
can be told by their attributes, so trees that come first learn the training rows' effects by heart, and leave too
little for effects that would do better. With `--learned` it is mostly the fixed effects that lack, planted or not.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from results import Cell, record
from scipy.special import logit

from glmix_automl.api import Study, prepare
from glmix_automl.generate.attainable import attainable
from glmix_automl.generate.jymbii import Jymbii, interactions
from glmix_automl.generate.jymbii_tables import interaction_columns, item_columns, member_columns

RECIPE = Path(__file__).resolve().parent.parent / "conf" / "prepare" / "generated-jymbii.yaml"
TRAIN, TEST = 0.8, 0.9  # shares of the time at which training rows end and test rows begin
EFFECT, FIXED = "random_effect", "fixed"
TREES = {"trees": 300, "leaves": 16, "learning_rate": 0.05, "features": f"-past_* -{FIXED}"}
EFFECTS = {"member": "member_id", "item": "item_id", "taste": "member_id x item_industry"}
POOL: list[dict[str, Any]] = [
    {"family": EFFECT, "name": name, "parameters": {"entity": entity}} for name, entity in EFFECTS.items()
]
TOLD = {"family": "logistic", "parameters": {"solver": "lbfgs", "features": FIXED}, "until": 1, "alone": True}


def main() -> int:
    options = _options()
    head = f"{'seed':>4}{'planted':>9}  {'members of the ensemble':52}{'test AUC':>9}{'attainable':>11}{'short by':>9}"
    print(f"{head}{'seconds':>9}")
    short: dict[bool, list[float]] = {True: [], False: []}
    taken: dict[bool, int] = {True: 0, False: 0}
    rows: list[list[Cell]] = []
    for seed in range(options.first, options.first + options.seeds):
        for planted in (True, False):
            settings, started = Jymbii(rows=options.rows, seed=seed, effects=float(planted)), time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                study = _grown(Path(folder), settings, options.learned)
                members, reached = _members(study), float(study.leaderboard().test_auc[0])
            ceiling = attainable(settings, TRAIN, TEST) or float("nan")
            short[planted].append(ceiling - reached)
            taken[planted] += not set(EFFECTS.values()).isdisjoint(members)
            words, seconds = " + ".join(members), time.perf_counter() - started
            rows.append([f"seed {seed}, {'planted' if planted else 'none'}", words, reached, ceiling])
            found = f"{reached:9.4f}{ceiling:11.4f}{ceiling - reached:9.4f}{seconds:9.1f}"
            print(f"{seed:4}{planted!s:>9}  {words:52}{found}", flush=True)
    for planted, gaps in short.items():
        print(f"planted {planted}: short of what is attainable by {np.mean(gaps):.4f} in the mean")
    gaps = {planted: f"{np.mean(each):.4f}" for planted, each in short.items()}
    record(
        "planted-effects",
        f"Growth takes effects in {taken[True]} of {options.seeds} runs where they are planted, in {taken[False]} of "
        f"{options.seeds} where there are none; of the test AUC that can be attained it lacks {gaps[True]} and "
        f"{gaps[False]}.",
        ["data", "members of the ensemble", "test AUC", "attainable AUC"],
        rows,
        data=f"{options.rows:,} generated jobs rows, fixed effects {'learned' if options.learned else 'told'}",
        seeds=str(options.seeds),
    )
    return 0


def _grown(folder: Path, settings: Jymbii, is_learned: bool) -> Study:
    """Growth on generated tables, which are written into a folder first."""
    _write(folder, settings)
    recipe = yaml.safe_load(RECIPE.read_text()) | {"root": str(folder), "output": str(folder / "dataset")}
    recipe["interactions"]["features"].append({"kind": "numeric", "source": FIXED})
    prepare(recipe | {"engine": "local"})
    trees = {"family": "trees", "parameters": TREES}
    pool = [trees | {"until": 1, "alone": True}, *POOL] if is_learned else [TOLD, *POOL, trees]
    growth = {
        "strategy": "adanet",
        "candidates": 12,
        "patience": 4,
        "improvement": 0.001,
        "weighting": "sum",
        "generator": {"kind": "pool", "candidates": pool},
    }
    told = {
        "dataset": str(folder / "dataset"),
        "study": str(folder / "study"),
        "seed": settings.seed,
        "workers": {"place": "in_process"},
        "tracking": {"enabled": False},
        "race": {"growth": growth},
    }
    return Study(told).run()


def _write(folder: Path, settings: Jymbii) -> None:
    rows = np.arange(settings.rows)
    truth = logit(interactions(settings, rows).fixed_probability)
    tables = {
        "interactions": interaction_columns(settings, rows) | {FIXED: truth},
        "members": member_columns(settings, np.arange(settings.member_count)),
        "items": item_columns(settings, np.arange(settings.item_count)),
    }
    for name, table in tables.items():
        pq.write_table(pa.table(table), folder / f"{name}.parquet")


def _members(study: Study) -> list[str]:
    """What the winner is made of: families, or the entities of random effects."""
    winner = int(study.leaderboard().trial[0])
    history = study.history
    found = history.results[winner].ensemble
    trials = [history.trials[n] for n in (found.members if found else (winner,))]
    return [str(t.parameters["entity"]) if t.family == EFFECT else t.family for t in trials]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--learned", action="store_true", help="trees have to learn the fixed effects")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
