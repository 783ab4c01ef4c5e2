"""What the groups of columns cost: whole preparations with and without them, and as networks and interactions grow.

    python benchmarks/columns_cost.py --conf conf/prepare/github-social.yaml --set root=PATH
    python benchmarks/columns_cost.py --growth 100000 1000000 10000000 --history-growth 250000 1000000 4000000

`--conf` prints what a recipe's whole preparation costs without groups and with all of the recipe's, by the clock and in
processor seconds, each the second time in the process, when everything is compiled.
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
from pathlib import Path
from typing import Any

import numpy as np
from columns import HISTORY_GROUPS, ROOT, examples, followed, switched
from numba import njit
from results import Cell, record

from glmix_automl.prepare import pipeline
from glmix_automl.prepare.interactions import Interactions

BARE_WALKS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", help="recipe that is prepared whole")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--raw")
    parser.add_argument("--growth", type=int, nargs="+", default=[])
    parser.add_argument("--history-growth", type=int, nargs="+", default=[])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = [whole(options.conf, options.overrides)] if options.conf else []
    networks = growth(sorted(options.growth), options.raw) if options.growth else []
    rows += [*networks, *(history_growth(sorted(options.history_growth)) if options.history_growth else [])]
    clocks, processors = ([row[place] for row in rows if isinstance(row[place], float)] for place in (3, 4))
    says = []
    if clocks:
        says.append(
            f"With all groups a preparation takes {min(clocks):.2f} to {max(clocks):.2f} times the clock, "
            f"{min(processors):.2f} to {max(processors):.2f} times the processor seconds."
        )
    if len(networks) > 1:
        plain, bare = str(networks[-1][5]).split()
        says.append(
            f"From the smallest network to the largest costs grow by an exponent of {plain} in links, of {bare} "
            "where they are counted in steps that only read."
        )
    heads = ["data", "without groups, cpu s", "with all", "times, by the clock", "times, processor", "exponents"]
    data = "generated networks and jobs" + (f"; {options.conf}" if options.conf else "")
    record("columns-cost", " ".join(says), heads, rows, data=data, seeds="one call; networks the least of three runs")


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
                data = f"generated network, {links:,} links; a step that only reads {1e9 * bare:.1f} ns"
                table.append([data, None, spent, None, None, shown])
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
