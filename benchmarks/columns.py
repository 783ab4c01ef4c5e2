"""What each group of columns is worth: test AUC on numerics with each group alone, each left out, and all.

    python benchmarks/columns.py RECIPE=ROOT...

A RECIPE is one of conf/prepare, ROOT the folder of its raw tables. Models are scikit-learn's logistic regression and
LightGBM, fitted on the training rows and judged on the test rows; differences are to the rows above (`none` for a group
alone, `all` for one left out), with DeLong's paired 95 % intervals, members kept together. Per-member AUC is the mean
over members with both classes. Of history, `none` has counts and rates. Seconds are of this process (a thread): a
group's preparation and columns, alone, less those of no group; of interactions of a whole preparation. What all groups
cost together, and as data grow: `columns_cost.py`.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lightgbm import LGBMClassifier
from results import Cell, Figure, record
from sklearn.linear_model import LogisticRegression

from glmix_automl.metrics import auc, delong_test, member_auc
from glmix_automl.prepare import graph, pipeline
from glmix_automl.prepare.column_groups import NETWORK_GROUPS as GROUPS
from glmix_automl.prepare.engine import Local
from glmix_automl.prepare.history_features import HistoryFeatures
from glmix_automl.prepare.interactions import Interactions
from glmix_automl.prepare.pairs.describe import Columns, Network, declared, pair_columns
from glmix_automl.prepare.pairs.example_rows import LABEL, SPLIT, ExampleRows
from glmix_automl.prepare.past_columns import past_features
from glmix_automl.prepare.progress import StepProgress
from glmix_automl.prepare.recipe import NumericFeature
from glmix_automl.prepare.remarks import Remarks
from glmix_automl.schema import Schema
from glmix_automl.spark import session

HISTORY_GROUPS = ("effects", "recent", "tastes", "similar", "factors", "signals")
BARE_WALKS = 20_000
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", metavar="RECIPE=ROOT")
    warnings.simplefilter("ignore")
    rows: list[list[Cell]] = []
    for told in parser.parse_args().recipes:
        conf, root = told.split("=", 1)
        rows.append([Path(conf).stem, *compare(conf, [f"root={root}"])])
    record(
        "columns",
        "Test AUC that all groups of columns bring to logistic regression and to LightGBM: "
        + "; ".join(f"{row[0]} {row[2].value:+.4f} and {row[4].value:+.4f}" for row in rows),  # type: ignore[union-attr]
        [
            "data",
            "logistic regression without, AUC",
            "with all groups, AUC",
            "LightGBM without, AUC",
            "with all groups, AUC",
        ],
        rows,
        data="numerics only, test rows",
        seeds="one call",
        spread="95 % of the paired difference, members as clusters",
    )


def examples(conf: str, overrides: list[str]) -> tuple[graph.Graph, ExampleRows, dict[str, int], float]:
    """A recipe's example rows, and processor seconds of all but reading."""
    recipe: Any = pipeline.load_recipe(conf, overrides)
    assert isinstance(recipe, graph.Graph)
    counts: dict[str, int] = {}
    links, attributes = graph.read_network(Local(StepProgress()), recipe, counts, Remarks())
    begun = time.process_time()
    made = graph.example_rows(links, attributes, recipe, counts, Remarks())
    return recipe, made, counts, time.process_time() - begun


def compare(conf: str, overrides: list[str]) -> list[Cell]:
    recipe: Any = pipeline.load_recipe(conf, overrides)
    return compare_history(recipe) if isinstance(recipe, Interactions) else compare_pairs(conf, overrides)


def compare_pairs(conf: str, overrides: list[str]) -> list[Cell]:
    recipe, made, counts, _ = examples(conf, overrides)
    for name, count in counts.items():
        print(f"{name}: {count:,}")
    rows = pa.concat_tables(made.rows(*span) for span in made.spans(4))
    members = rows["left"].combine_chunks().dictionary_encode().indices.to_numpy()
    folds = rows[SPLIT].to_numpy(zero_copy_only=False)
    train, test = (np.flatnonzero(folds == fold) for fold in ("train", "test"))
    seconds = {group: spent(made, rows, {group}) for group in ("", *GROUPS)}
    return judge(
        GROUPS, lambda g: numerics(recipe, rows, g, train), rows[LABEL].to_numpy(), members, train, test, seconds
    )


def compare_history(recipe: Interactions) -> list[Cell]:
    """Groups of history: all are prepared once, and each alone for its seconds (the first time compiles)."""
    history = recipe.history
    assert history is not None, "there is a time, and so history"
    with tempfile.TemporaryDirectory() as folder:
        seconds = {}
        every = frozenset(HISTORY_GROUPS)
        for groups in (every, frozenset[str](), *(frozenset({g}) for g in HISTORY_GROUPS), every):
            of_groups = recipe.model_copy(update={"history": followed(history, groups), "output": f"{folder}/some"})
            begun = time.process_time()
            pipeline.prepare_dataset(session("columns") if pipeline.wants_spark(recipe) else None, of_groups, True)
            seconds["".join(groups) if len(groups) < 2 else "all"] = time.process_time() - begun
            if len(groups) == len(HISTORY_GROUPS):
                tables = [pq.read_table(f"{folder}/some/{split}") for split in ("train", "test")]
                schema = Schema.model_validate_json(Path(f"{folder}/some/schema.json").read_text())
    rows = pa.concat_tables(tables)
    train, test = np.arange(len(tables[0])), len(tables[0]) + np.arange(len(tables[1]))
    members = rows[recipe.interactions.member].combine_chunks().dictionary_encode().indices.to_numpy()
    past = {f.source for f in past_features(followed(history, frozenset(HISTORY_GROUPS)))}

    def of(groups: frozenset[str]) -> np.ndarray:
        wanted = {f.source for f in past_features(followed(history, groups))}
        there = [f.name for f in schema.numerics if f.source not in past or f.source in wanted]
        return np.stack([rows[name].to_numpy() for name in there], axis=1)

    labels = rows["label"].to_numpy()
    bare = np.stack([rows[f.name].to_numpy() for f in schema.numerics if f.source not in past], axis=1)
    alone = [m.fit(bare[train], labels[train]).predict_proba(bare[test])[:, 1] for m in models()]
    print("without any history: logistic {:.4f}, LightGBM {:.4f}".format(*(auc(labels[test], s) for s in alone)))
    return judge(HISTORY_GROUPS, of, labels, members, train, test, seconds)


def followed(history: HistoryFeatures, groups: frozenset[str]) -> HistoryFeatures:
    switches: dict[str, Any] = {g: g in groups for g in HISTORY_GROUPS if g != "signals"}
    return history.model_copy(update=switches | {"signals": history.signals if "signals" in groups else ()})


def judge(
    every_group: tuple[str, ...],
    numerics_of: Callable[[frozenset[str]], np.ndarray],
    labels: np.ndarray,
    members: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    seconds: dict[str, float],
) -> list[Cell]:
    """Prints the table: none, each group alone, all, and each left out; gives both models without any and with all."""
    print(f"{len(labels):,} rows, {len(train):,} of train, {len(test):,} of test")
    none, every = frozenset[str](), frozenset(every_group)
    wanted = [none, *(frozenset({g}) for g in every_group), every, *(every - {g} for g in every_group)]
    found: dict[frozenset[str], tuple[np.ndarray, ...]] = {}
    rows: dict[frozenset[str], list[Cell]] = {}
    print(f"{'groups':>16} | {'logistic':>8} {'difference':>24} {'members':>7} | {'LightGBM':>8} {'difference':>24}"
          f" {'members':>7} | seconds")  # fmt: skip
    for groups in wanted:
        X = numerics_of(groups)
        found[groups] = tuple(m.fit(X[train], labels[train]).predict_proba(X[test])[:, 1] for m in models())
        left_out = len(groups) == len(every) - 1
        against = every if left_out else none
        cells: list[str] = []
        row = rows.setdefault(groups, [])
        for scores, other in zip(found[groups], found.get(against, ()), strict=False):
            test_of = delong_test(labels[test], other, scores, clusters=members[test])
            gap = f"{test_of.difference:+.4f} [{test_of.low:+.4f}, {test_of.high:+.4f}]" if groups != against else ""
            inside = member_auc(labels[test], scores, members[test])
            differs = Figure(test_of.difference, test_of.low, test_of.high) if groups != against else None
            row.append(auc(labels[test], scores) if groups == none else differs)
            cells.append(f"{auc(labels[test], scores):8.4f} {gap:>24} {inside:7.4f}")
        name = (
            f"no {next(iter(every - groups))}" if left_out else "all" if groups == every else "".join(groups) or "none"
        )
        print(f"{name:>16} | {' | '.join(cells)} | {cost(groups, every, seconds)}", flush=True)
    return [cell for pair in zip(rows[none], rows[every], strict=True) for cell in pair]


def cost(groups: frozenset[str], every: frozenset[str], seconds: dict[str, float]) -> str:
    if len(groups) == 1:
        return f"{seconds[next(iter(groups))] - seconds['']:7.2f}"
    if groups == every and "all" in seconds:
        return f"{seconds['all'] - seconds['']:7.2f}"
    return f"{seconds['']:7.2f}" if not groups else ""


def models() -> tuple[Any, Any]:
    tree = LGBMClassifier(n_estimators=100, learning_rate=0.1, verbose=-1, n_jobs=1, deterministic=True, seed=0)
    return LogisticRegression(max_iter=300), tree


def switched(groups: frozenset[str] | set[str]) -> Columns:
    return Columns.model_validate({g: g in groups for g in GROUPS})


def numerics(recipe: graph.Graph, rows: pa.Table, groups: frozenset[str], train: np.ndarray) -> np.ndarray:
    """[rows, columns] the numerics of the groups, after their transform standardised on train, 0 where missing."""
    features = declared(tuple(f for t in recipe.nodes for f in t.features), switched(groups), recipe.edges.directed)
    columns = []
    for feature in features:
        if isinstance(feature, NumericFeature):
            raw = rows[feature.source].cast(pa.float64()).to_numpy(zero_copy_only=False)
            curved = np.sign(raw) * np.log1p(np.abs(raw)) if feature.transform == "log" else raw
            part = curved[train]
            columns.append(np.nan_to_num((curved - np.nanmean(part)) / max(np.nanstd(part), 1e-12)))
    return np.stack(columns, axis=1)


def spent(made: ExampleRows, rows: pa.Table, groups: set[str]) -> float:
    """Processor seconds of what the groups need of the network and of the pairs' columns."""
    number = dict(zip(made.ids.to_pylist(), range(len(made.ids)), strict=True))
    left, right = (np.array([number[i] for i in rows[end].to_pylist()], np.int32) for end in ("left", "right"))
    of, every = made.network, 1 << 30
    for turn in range(2):  # the first one compiles
        begun = time.process_time()
        network = Network.of(of.links, made.keys, of.attributes, switched(groups), of.directed, made.seed)
        pair_columns(network, left[: every if turn else 100], right[: every if turn else 100])
    return time.process_time() - begun


if __name__ == "__main__":
    main()
