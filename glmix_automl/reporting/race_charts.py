"""Pictures of the race: AUC against cost, the models worth their price, costs by rung, what each worker did when."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glmix_automl.pages.drawing import INK, QUIET, WIDE, DrawnTable, Picture, color, draw_svg, log_axis, short, tip
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.search.objectives import pareto_front
from glmix_automl.study.history import History
from glmix_automl.trial import Result, Trial

NORMAL_95 = 1.96
QUARTER = 30  # moments per quarter of the time at which costs by rung are drawn
LOG_SPAN = 20.0  # costs that differ by more are drawn on a log scale


def entries(history: History) -> list[str]:
    """Entries of the race in the order in which they were first asked; each keeps its colour in every chart."""
    return list(dict.fromkeys(trial.strategy for trial in history.trials.values()))


def auc_against_cost(history: History) -> list[Picture]:
    """Best validation AUC so far of each entry against the worker-seconds it has used, with 95 % bands."""
    curves = {place: best_so_far(history, entry) for place, entry in enumerate(entries(history))}
    curves = {place: curve for place, curve in curves.items() if curve}
    if not curves:
        return []
    last = max(cost for curve in curves.values() for cost, _, _ in curve)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, curve in curves.items():
            costs, aucs, halves = (np.array(column) for column in zip(*curve, strict=True))
            costs = np.maximum(costs, 1e-3)
            name = f"{entries(history)[place]}: {aucs[-1]:.5f}"
            axes.fill_between(costs, aucs - halves, aucs + halves, step="post", color=color(place), alpha=0.13, lw=0)
            axes.step(costs, aucs, where="post", color=color(place), gid=tip(name))
            axes.plot(costs[-1:], aucs[-1:], "o", color=color(place), markersize=4, gid=tip(name))
        if last > LOG_SPAN * max(min(curve[0][0] for curve in curves.values()), 1e-3):
            log_axis(axes)
        axes.set_xlabel("worker-seconds used by the entry")
        axes.set_ylabel("best validation AUC so far")

    note = "Bands: 95 % interval of the best model's validation AUC. The best of many is flattered by the choice; the "
    note += "test column above is not."
    svg = draw_svg("Best validation AUC of each entry against worker-seconds", draw, 3.2)
    return [Picture(svg, legend=entries(history), note=note)]


def best_so_far(history: History, entry: str) -> list[tuple[float, float, float]]:
    """(worker-seconds used, best AUC so far, half width of its 95 % interval) after each trial of an entry."""
    curve: list[tuple[float, float, float]] = []
    used, best, half = 0.0, -math.inf, 0.0
    for number, result in history.results.items():
        if history.trials[number].strategy != entry:
            continue
        used += result.costs.worker_seconds
        if result.auc is not None and result.auc > best:
            best = result.auc
            half = NORMAL_95 * math.sqrt(result.metrics.get("auc_variance", 0.0))
        if best > -math.inf:
            curve.append((used, best, half))
    return curve


def front(history: History, evaluation: Evaluation) -> list[Picture]:
    """Every model against what training it again would cost, and those that no cheaper one is as good as."""
    pairs = list(history.scored())
    if len(pairs) < 3:
        return []
    costs = np.array([_price(history, evaluation, trial) for trial, _ in pairs])
    aucs = np.array([result.auc or 0.0 for _, result in pairs])
    best = pareto_front(np.column_stack([aucs, -costs]))
    order = entries(history)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        on = np.argsort(costs)[best[np.argsort(costs)]]
        axes.step(costs[on], aucs[on], where="post", color=QUIET, linewidth=1)
        for place, (trial, _) in enumerate(pairs):
            axes.plot(
                costs[place],
                aucs[place],
                "o",
                color=color(order.index(trial.strategy)),
                markersize=6 if best[place] else 4,
                alpha=1.0 if best[place] else 0.35,
                gid=tip(f"trial {trial.number} ({trial.strategy}, {trial.family}): {aucs[place]:.5f}"),
            )
        if costs.min() > 0 and costs.max() > LOG_SPAN * costs.min():
            log_axis(axes)
        axes.set_xlabel("worker-seconds of the trials that the model is made of")
        axes.set_ylabel("validation AUC")

    note = "The line: models that no other beats for as little (Pareto front)."
    return [Picture(draw_svg("Validation AUC of each model against its cost", draw, 3.2), legend=order, note=note)]


def _price(history: History, evaluation: Evaluation, trial: Trial) -> float:
    """Worker-seconds of a trial and of the coordinates of its model."""
    numbers = {trial.number, *evaluation.model(trial.number).members}
    return sum(history.results[number].costs.worker_seconds for number in numbers)


def cost_by_rung(history: History) -> list[Picture]:
    """Worker-seconds that each rung has used up to each moment of the study, per entry with rungs."""
    ran = _ran(history)
    pictures = []
    for entry in entries(history):
        by_rung: dict[int, list[Result]] = {}
        for result in ran:
            trial = history.trials[result.number]
            if trial.strategy == entry and "rung" in trial.tags:
                by_rung.setdefault(int(trial.tags["rung"]), []).append(result)
        if by_rung:
            moments = np.linspace(min(r.started for r in ran), max(r.ended for r in ran), 4 * QUARTER + 1)
            used = {rung: _seconds_used(by_rung[rung], moments) for rung in sorted(by_rung)}
            table = _rung_table({rung: history.trials[by_rung[rung][0].number] for rung in used}, by_rung, used)
            svg = _rung_areas(moments - moments[0], used)
            pictures.append(Picture(svg, entry, [f"rung {rung}" for rung in used], table, wide=True))
    return pictures


def _rung_areas(seconds: np.ndarray, used: Mapping[int, np.ndarray]) -> Markup:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        level = np.zeros(len(seconds))
        for place, (rung, own) in enumerate(used.items()):
            words = tip(f"rung {rung}: {own[-1]:.1f} worker-seconds")
            axes.fill_between(seconds, level, level + own, color=color(place), alpha=0.5, lw=0, gid=words)
            level = level + own
        axes.set_xlabel("seconds since the study's first trial began")
        axes.set_ylabel("worker-seconds used, rung upon rung")

    return draw_svg("Worker-seconds used by each rung over time", draw, 3.2, WIDE)


def _rung_table(
    example: Mapping[int, Trial], results: Mapping[int, Sequence[Result]], used: Mapping[int, np.ndarray]
) -> DrawnTable:
    quarters = [f"by {share} % of the time, s" for share in (25, 50, 75, 100)]
    whole = sum(float(own[-1]) for own in used.values())
    rows = [
        (rung, f"{example[rung].epochs:g}", f"{example[rung].fraction:g}", len(results[rung]),
         *(f"{seconds:.1f}" for seconds in own[QUARTER::QUARTER]), f"{own[-1] / whole:.0%}")
        for rung, own in used.items()
    ]  # fmt: skip
    return DrawnTable(("rung", "epochs", "fraction", "trials", *quarters, "share"), rows)


def _seconds_used(results: Sequence[Result], moments: np.ndarray) -> np.ndarray:
    """Worker-seconds of trials up to each moment, [moments]; a trial uses its own evenly from its start to its end."""
    total = np.zeros(len(moments))
    for result in results:
        seconds = max(result.ended - result.started, 1e-9)
        total += result.costs.worker_seconds * np.clip((moments - result.started) / seconds, 0, 1)
    return total


def worker_timeline(history: History) -> list[Picture]:
    """What each worker did when, and the share of time it was busy."""
    results = _ran(history)
    if not results:
        return []
    workers = sorted({result.worker for result in results})

    def draw(figure: Figure) -> None:
        axes: Axes = figure.subplots()
        axes.grid(visible=False, axis="y")
        first, last = min(r.started for r in results), max(r.ended for r in results)
        for row, worker in enumerate(workers):
            own = [result for result in results if result.worker == worker]
            for result in own:
                _bar(axes, row, history, result, first)
            busy = sum(result.ended - result.started for result in own) / (last - first)
            axes.annotate(f" {busy:.0%}", (last - first, row), va="center", color=QUIET)
        axes.set_yticks(range(len(workers)), [short(worker) for worker in workers], color=INK)
        axes.invert_yaxis()
        axes.set_xlim(0, (last - first) * 1.05)
        axes.set_xlabel("seconds since the first trial began")

    svg = draw_svg("What each worker did when", draw, 0.8 + 0.4 * len(workers), WIDE)
    return [Picture(svg, legend=entries(history), wide=True)]


def _bar(axes: Axes, row: int, history: History, result: Result, first: float) -> None:
    trial = history.trials[result.number]
    auc = "failed" if result.auc is None else f"AUC {result.auc:.5f}"
    (bar,) = axes.barh(
        row,
        result.ended - result.started,
        left=result.started - first,
        height=0.7,
        color=color(entries(history).index(trial.strategy)),
        alpha=1.0 if result.state.scored else 0.35,
    )
    bar.set_gid(tip(f"trial {trial.number} ({trial.strategy}, {trial.family}): {auc}"))


def utilisation(history: History) -> float | None:
    """Share of the time between the first trial's start and the last one's end that workers were busy."""
    results = _ran(history)
    if not results:
        return None
    span = max(r.ended for r in results) - min(r.started for r in results)
    return sum(r.ended - r.started for r in results) / (span * len({r.worker for r in results}))


def _ran(history: History) -> list[Result]:
    """Results of the trials that a worker has spent time on."""
    return [result for result in history.results.values() if result.worker and result.ended > result.started]
