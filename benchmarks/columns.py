"""What each group of columns is worth and costs: test AUC on numerics with each group alone, each left out, and all.

    python benchmarks/columns.py conf/prepare/github-social.yaml --set root=PATH
    python benchmarks/columns.py conf/prepare/generated-pymk.yaml --set root=PATH
    python benchmarks/columns.py conf/prepare/ml-100k.yaml --set root=PATH
    python benchmarks/columns.py conf/prepare/generated-jymbii.yaml --set root=PATH
    python benchmarks/columns.py conf/prepare/github-social.yaml --set root=PATH --whole
    python benchmarks/columns.py --growth 100000 1000000 10000000
    python benchmarks/columns.py --history-growth 250000 1000000 4000000

Models are scikit-learn's logistic regression and LightGBM, fitted on the training rows and judged on the test rows;
differences are to the rows above (`none` for a group alone, `all` for one left out), with DeLong's paired 95 %
intervals, members kept together. Per-member AUC is the mean over members with both classes. Of history, `none` has
counts and rates. Seconds are of this process (a thread): a group's preparation and columns, alone, less those of no
group; of interactions of a whole preparation.
`--whole` prints instead what the whole preparation costs without groups and with all of the recipe's, by the clock and
in processor seconds, each the second time in the process, when everything is compiled.
`--growth` generates networks of so many links (kept in `--raw` and found there again), and prints what making the rows
of each costs with all groups (the least of three runs; of the largest, one), how many steps from node to node walks of
three steps take for them, what a step costs that only reads, and the exponents from the smallest: in links, in steps,
and in links with costs counted in such bare steps, whose price the caches set; `--history-growth` generates so
many interactions, and prints what preparing them costs without the groups and with all of them, and the exponents.
"""

import argparse
import math
import sys
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
from numba import njit
from results import Cell, record
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
    parser.add_argument("conf", nargs="?")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--raw")
    parser.add_argument("--growth", type=int, nargs="+", default=[])
    parser.add_argument("--history-growth", type=int, nargs="+", default=[])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.conf and not options.whole:
        compare(options.conf, options.overrides)
        return
    rows = [whole(options.conf, options.overrides)] if options.conf else []
    rows += growth(sorted(options.growth), options.raw) if options.growth else []
    rows += history_growth(sorted(options.history_growth)) if options.history_growth else []
    clocks, processors = ([row[place] for row in rows if isinstance(row[place], float)] for place in (3, 4))
    says = "What all groups cost. "
    if clocks:
        says += (
            f"A preparation with them takes {min(clocks):.2f} to {max(clocks):.2f} times that without by the clock, "
            f"{min(processors):.2f} to {max(processors):.2f} times in processor seconds. "
        )
    if options.growth:
        says += (
            "Walks take as many steps a link at every size of network; a step costs more beyond the caches, as one "
            "that only reads does (exponents in links, and in links with costs counted in such steps)."
        )
    heads = ["data", "without groups, cpu s", "with all", "times, by the clock", "times, processor", "exponents"]
    data = "generated networks and jobs" + (f"; {options.conf}" if options.conf else "")
    record("columns-cost", says, heads, rows, data=data, seeds="one call; networks the least of three runs")


def examples(conf: str, overrides: list[str]) -> tuple[graph.Graph, ExampleRows, dict[str, int], float]:
    """A recipe's example rows, and processor seconds of all but reading."""
    recipe: Any = pipeline.load_recipe(conf, overrides)
    assert isinstance(recipe, graph.Graph)
    counts: dict[str, int] = {}
    links, attributes = graph.read_network(Local(StepProgress()), recipe, counts, Remarks())
    begun = time.process_time()
    made = graph.example_rows(links, attributes, recipe, counts, Remarks())
    return recipe, made, counts, time.process_time() - begun


def compare(conf: str, overrides: list[str]) -> None:
    recipe: Any = pipeline.load_recipe(conf, overrides)
    compare_history(recipe) if isinstance(recipe, Interactions) else compare_pairs(conf, overrides)


def compare_pairs(conf: str, overrides: list[str]) -> None:
    recipe, made, counts, _ = examples(conf, overrides)
    for name, count in counts.items():
        print(f"{name}: {count:,}")
    rows = pa.concat_tables(made.rows(*span) for span in made.spans(4))
    members = rows["left"].combine_chunks().dictionary_encode().indices.to_numpy()
    folds = rows[SPLIT].to_numpy(zero_copy_only=False)
    train, test = (np.flatnonzero(folds == fold) for fold in ("train", "test"))
    seconds = {group: spent(made, rows, {group}) for group in ("", *GROUPS)}
    judge(GROUPS, lambda g: numerics(recipe, rows, g, train), rows[LABEL].to_numpy(), members, train, test, seconds)


def compare_history(recipe: Interactions) -> None:
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
    judge(HISTORY_GROUPS, of, labels, members, train, test, seconds)


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
) -> None:
    """Prints the table: none, each group alone, all, and each left out."""
    print(f"{len(labels):,} rows, {len(train):,} of train, {len(test):,} of test")
    none, every = frozenset[str](), frozenset(every_group)
    wanted = [none, *(frozenset({g}) for g in every_group), every, *(every - {g} for g in every_group)]
    found: dict[frozenset[str], tuple[np.ndarray, ...]] = {}
    print(f"{'groups':>16} | {'logistic':>8} {'difference':>24} {'members':>7} | {'LightGBM':>8} {'difference':>24}"
          f" {'members':>7} | seconds")  # fmt: skip
    for groups in wanted:
        X = numerics_of(groups)
        found[groups] = tuple(m.fit(X[train], labels[train]).predict_proba(X[test])[:, 1] for m in models())
        left_out = len(groups) == len(every) - 1
        against = every if left_out else none
        cells = []
        for scores, other in zip(found[groups], found.get(against, ()), strict=False):
            test_of = delong_test(labels[test], other, scores, clusters=members[test])
            gap = f"{test_of.difference:+.4f} [{test_of.low:+.4f}, {test_of.high:+.4f}]" if groups != against else ""
            inside = member_auc(labels[test], scores, members[test])
            cells.append(f"{auc(labels[test], scores):8.4f} {gap:>24} {inside:7.4f}")
        name = (
            f"no {next(iter(every - groups))}" if left_out else "all" if groups == every else "".join(groups) or "none"
        )
        print(f"{name:>16} | {' | '.join(cells)} | {cost(groups, every, seconds)}", flush=True)


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


def whole(conf: str, overrides: list[str]) -> list[Cell]:
    """What a recipe's whole preparation costs, by threads: a row."""
    every: Any = pipeline.load_recipe(conf, overrides)
    bare = {"columns": switched(set())}
    if isinstance(every, Interactions):
        assert every.history is not None, "there is history to be told apart"
        bare = {"history": followed(every.history, frozenset())}
    spent: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, recipe in 2 * [("none", every.model_copy(update=bare)), ("all", every)]:
            recipe = recipe.model_copy(update={"output": f"{folder}/{name}", "engine": "local"})
            begun, clock = time.process_time(), time.perf_counter()
            pipeline.prepare_dataset(None, recipe, True)
            spent[name] = time.perf_counter() - clock, time.process_time() - begun
    print(f"{'groups':>6} {'seconds':>8} {'cpu s':>8}")
    for name, (seconds, cpu) in spent.items():
        print(f"{name:>6} {seconds:>8.2f} {cpu:>8.2f}")
    clock_times, times = (a / b for a, b in zip(spent["all"], spent["none"], strict=True))
    print(f"times none, clock {clock_times:.2f}, processor {times:.2f}")
    return [f"{Path(conf).stem}, whole", spent["none"][1], spent["all"][1], clock_times, times, ""]


def growth(sizes: list[int], raw: str | None) -> list[list[Cell]]:
    """How costs grow with a network: a row for each size."""
    table: list[list[Cell]] = []
    first: tuple[int, float, float, float] | None = None
    print(f"{'links':>12} {'pairs':>10} {'cpu s':>8} {'us/link':>8} {'steps/link':>10} {'bare ns/step':>12} exponents")
    with tempfile.TemporaryDirectory() as folder:
        for links in [sizes[0], *sizes]:  # the smallest first: the first time compiles
            at = Path(raw or folder) / str(links)
            generated(at, links)
            runs = [row_costs(str(at)) for _ in range(1 if links == sizes[-1] else 3)]
            (spent, pairs, steps, _), bare = min(runs), min(run[3] for run in runs)
            said = ""
            if first is not None and links > first[0]:
                grown, priced = math.log(spent / first[1]), math.log(spent / bare / (first[1] / first[3]))
                powers = grown / math.log(links / first[0]), grown / math.log(steps / first[2])
                said = " ".join(f"{power:.3f}" for power in (*powers, priced / math.log(links / first[0])))
            print(
                f"{links:>12,} {pairs:>10,} {spent:>8.1f} {1e6 * spent / links:>8.2f} {steps / links:>10.1f} "
                f"{1e9 * bare:>12.2f} {said}",
                flush=True,
            )
            if first is not None:
                shown = " ".join(said.split()[::2])
                table.append([f"generated network, {links:,} links", None, spent, None, None, shown])
            first = (links, spent, steps, bare) if links == sizes[0] else first
    return table


def generated(at: Path, links: int) -> None:
    from glmix_automl.cli import main as command

    if not at.exists() and command(["generate", "pymk", "--rows", str(links), "--output", str(at)]):
        sys.exit("the network could not be generated")


def row_costs(root: str) -> tuple[float, int, int, float]:
    """(processor seconds of all but reading, pairs, steps of their walks: from the left ends' neighbours, once for all
    of a left end's pairs, and from the right ends of all; seconds of a bare step).
    """
    _, made, _, spent = examples(str(ROOT / "conf" / "prepare" / "generated-pymk.yaml"), [f"root={root}"])
    links = made.network.links
    degrees, number = links.degrees, dict(zip(made.ids.to_pylist(), range(len(made.ids)), strict=True))
    around = np.bincount(np.repeat(np.arange(links.nodes), degrees), degrees[links.others], links.nodes)
    pairs, steps = 0, int(around[np.unique(made.positives.left)].sum())
    for span in made.spans(4):
        begun = time.process_time()
        rows = made.rows(*span)
        spent += time.process_time() - begun
        pairs += len(rows)
        steps += int(degrees[[number[i] for i in rows["right"].to_pylist()]].sum())
    walkers = np.random.default_rng(0).choice(made.positives.left, min(len(made.positives.left), BARE_WALKS))
    weights = np.ones(links.nodes)
    walk_bare(links.starts, links.others, weights, walkers[:1])  # compiles
    begun = time.process_time()
    walked = walk_bare(links.starts, links.others, weights, walkers)
    return spent, pairs, steps, (time.process_time() - begun) / walked


@njit
def walk_bare(starts, others, weights, walkers):  # type: ignore[no-untyped-def]
    """Two steps from each walker, a number read at every second one and nothing made of it: what the machine asks for a
    step in a network of this size. Gives how many there were.
    """
    total, steps = 0.0, 0
    for walker in walkers:
        for at in range(starts[walker], starts[walker + 1]):
            middle = others[at]
            for there in range(starts[middle], starts[middle + 1]):
                total += weights[others[there]]
                steps += 1
    return steps if total >= 0 else 0


def history_growth(sizes: list[int]) -> list[list[Cell]]:
    """How costs grow with interactions: a row for each size."""
    from glmix_automl.cli import main as command

    conf = str(ROOT / "conf" / "prepare" / "generated-jymbii.yaml")
    first: dict[str, tuple[int, float]] = {}
    table: list[list[Cell]] = []
    print(f"{'rows':>12} {'groups':>6} {'seconds':>8} {'cpu s':>8} {'us/row':>8} {'times none':>10} exponent")
    for rows in [min(sizes[0], 50_000), *sizes]:  # a small one first: the first time compiles
        with tempfile.TemporaryDirectory() as folder:
            if command(["generate", "jymbii", "--rows", str(rows), "--output", f"{folder}/raw"]):
                sys.exit("the interactions could not be generated")
            recipe: Any = pipeline.load_recipe(conf, [f"root={folder}/raw", f"output={folder}/set", "engine=local"])
            none = clock_none = 0.0
            for name, groups in (("none", frozenset[str]()), ("all", frozenset(HISTORY_GROUPS))):
                wanted = recipe.model_copy(update={"history": followed(recipe.history, groups)})
                begun, clock = time.process_time(), time.perf_counter()
                pipeline.prepare_dataset(None, wanted, True)
                spent, seconds = time.process_time() - begun, time.perf_counter() - clock
                none, clock_none = none or spent, clock_none or seconds
                before = first.get(name)
                grown = before is not None and rows > before[0]
                exponent = math.log(spent / before[1]) / math.log(rows / before[0]) if before and grown else math.nan
                print(
                    f"{rows:>12,} {name:>6} {seconds:>8.1f} {spent:>8.1f} {1e6 * spent / rows:>8.1f} "
                    f"{spent / none:>10.2f} {'' if math.isnan(exponent) else f'{exponent:8.3f}'}",
                    flush=True,
                )
                if rows == sizes[0]:
                    first[name] = (rows, spent)
                if name == "all" and rows >= sizes[0]:
                    power = "" if math.isnan(exponent) else f"{exponent:.3f}"
                    ratios = [seconds / clock_none, spent / none]
                    table.append([f"generated jobs, {rows:,} rows", none, spent, *ratios, power])
    return table


if __name__ == "__main__":
    main()
