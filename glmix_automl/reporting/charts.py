"""The charts of a study: AUC against cost, costs by rung, grown models, parameter importance, worker timeline."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from glmix_automl.ensemble import MIXTURE
from glmix_automl.reporting.importance import importance, varied
from glmix_automl.reporting.leaderboard import parameters
from glmix_automl.reporting.svg import Drawing, Scale, axes, color, legend, number
from glmix_automl.search.growth.structure import Grown, structure
from glmix_automl.study.history import History
from glmix_automl.trial import Result, Trial, Value

WIDTH = 860.0
NORMAL_95 = 1.96
LAYER = 14.0  # pixels of a layer of a tower
MOST_LAYERS = 8
SHORTEST_TICK_WIDTH = 90  # pixels between parallel axes
QUARTER = 30  # moments per quarter of the time at which costs by rung are drawn


def entries(history: History) -> list[str]:
    """Entries of the race in the order in which they were first asked; each keeps its colour in every chart."""
    return list(dict.fromkeys(trial.strategy for trial in history.trials.values()))


def auc_against_cost(history: History) -> str:
    """Best validation AUC so far of each entry against the worker-seconds it has used, with 95 % bands."""
    curves = {entry: best_so_far(history, entry) for entry in entries(history)}
    curves = {entry: curve for entry, curve in curves.items() if curve}
    if not curves:
        return _nothing("No trial has left a model yet.")
    points = [point for curve in curves.values() for point in curve]
    drawing = Drawing(WIDTH, 340, top=20)
    left, top, right, bottom = drawing.inner
    costs = [cost for cost, _, _ in points]
    low, high = min(auc - half for _, auc, half in points), max(auc + half for _, auc, half in points)
    margin = (high - low) * 0.05 or 0.01
    x = Scale(max(min(costs), 1e-3), max(max(costs), 2e-3), left, right, log=max(costs) > 20 * max(min(costs), 1e-3))
    y = Scale(low - margin, high + margin, bottom, top)
    axes(drawing, x, y, "worker-seconds used by the entry", "best validation AUC so far")
    for place, name in enumerate(entries(history)):
        if name in curves:
            _step_line(drawing, x, y, curves[name], color(place), name)
    return legend(entries(history)) + drawing.svg("Best validation AUC of each entry against worker-seconds")


def best_so_far(history: History, entry: str) -> list[tuple[float, float, float]]:
    """(worker-seconds used, best AUC so far, half width of its 95 % interval) after each trial of an entry."""
    curve: list[tuple[float, float, float]] = []
    used, best, half = 0.0, -math.inf, 0.0
    for number_, result in history.results.items():
        if history.trials[number_].strategy != entry:
            continue
        used += result.costs.worker_seconds
        if result.auc is not None and result.auc > best:
            best = result.auc
            half = NORMAL_95 * math.sqrt(result.metrics.get("auc_variance", 0.0))
        if best > -math.inf:
            curve.append((used, best, half))
    return curve


def _step_line(
    drawing: Drawing, x: Scale, y: Scale, curve: Sequence[tuple[float, float, float]], stroke: str, name: str
) -> None:
    steps: list[tuple[float, float, float]] = []
    for (cost, auc, half), (later, _, _) in zip(curve, [*curve[1:], (x.high, 0, 0)], strict=True):
        steps += [(max(cost, x.low), auc, half), (max(later, x.low), auc, half)]
    steps[-1] = (max(curve[-1][0], x.low), *steps[-1][1:])  # an entry's line ends where its money ended
    upper = [(x(cost), y(auc + half)) for cost, auc, half in steps]
    lower = [(x(cost), y(auc - half)) for cost, auc, half in steps]
    drawing.area([*upper, *reversed(lower)], stroke, 0.13)
    drawing.path([(x(cost), y(auc)) for cost, auc, _ in steps], stroke, 2.25, title=name)
    drawing.dot((x(max(curve[-1][0], x.low)), y(curve[-1][1])), stroke, f"{name}: {curve[-1][1]:.5f}", 4)


def parallel_coordinates(history: History) -> str:
    """Every scored trial as a line through its parameters to its AUC; the better, the stronger. One per family."""
    parts = []
    for family in _families(history):
        pairs = [pair for pair in history.scored() if pair[0].family == family]
        names = varied([trial for trial, _ in pairs])
        if len(pairs) >= 3 and names:
            parts.append(f"<h3>{family}</h3>" + _parallel(pairs, names, entries(history)))
    if not parts:
        return _nothing("No family has three trials that differ in a parameter.")
    return legend(entries(history)) + "".join(parts)


def _families(history: History) -> list[str]:
    """Families that have parameters of their own to choose: a mixture has none."""
    return [family for family in dict.fromkeys(t.family for t in history.trials.values()) if family != MIXTURE]


def cost_by_rung(history: History) -> str:
    """Worker-seconds that each rung has used up to each moment of the study, per entry with rungs; area and table."""
    ran = _ran(history)
    parts = []
    for entry in entries(history):
        by_rung: dict[int, list[Result]] = {}
        for result in ran:
            trial = history.trials[result.number]
            if trial.strategy == entry and "rung" in trial.tags:
                by_rung.setdefault(int(trial.tags["rung"]), []).append(result)
        if by_rung:
            moments = np.linspace(min(r.started for r in ran), max(r.ended for r in ran), 4 * QUARTER + 1)
            used = {rung: _used(by_rung[rung], moments) for rung in sorted(by_rung)}
            table = _rung_table({rung: history.trials[by_rung[rung][0].number] for rung in used}, by_rung, used)
            parts.append(f"<h3>{escape(entry)}</h3>" + _rung_areas(moments - moments[0], used) + table)
    return "".join(parts)


def _rung_areas(seconds: np.ndarray, used: Mapping[int, np.ndarray]) -> str:
    drawing = Drawing(WIDTH, 260, top=20)
    left, top, right, bottom = drawing.inner
    levels = np.cumsum([np.zeros(len(seconds)), *used.values()], axis=0)
    x, y = Scale(0, seconds[-1], left, right), Scale(0, max(levels[-1, -1], 1e-9), bottom, top)
    axes(drawing, x, y, "seconds since the study's first trial began", "worker-seconds used, rung upon rung")
    edges = [[(x(at), y(total)) for at, total in zip(seconds, level, strict=True)] for level in levels]
    for place, (rung, own) in enumerate(used.items()):
        drawing.area([*edges[place + 1], *reversed(edges[place])], color(place), 0.5)
        drawing.path(edges[place + 1], color(place), 1.5, title=f"rung {rung}: {own[-1]:.1f} worker-seconds")
    return legend([f"rung {rung}" for rung in used]) + drawing.svg("Worker-seconds used by each rung over time")


def _rung_table(
    example: Mapping[int, Trial], results: Mapping[int, Sequence[Result]], used: Mapping[int, np.ndarray]
) -> str:
    quarters = [f"by {share} % of the time, s" for share in (25, 50, 75, 100)]
    whole = sum(float(own[-1]) for own in used.values())
    rows = [
        (rung, f"{example[rung].epochs:g}", f"{example[rung].fraction:g}", len(results[rung]),
         *(f"{seconds:.1f}" for seconds in own[QUARTER::QUARTER]), f"{own[-1] / whole:.0%}")
        for rung, own in used.items()
    ]  # fmt: skip
    return _table(("rung", "epochs", "fraction", "trials", *quarters, "share"), rows)


def _used(results: Sequence[Result], moments: np.ndarray) -> np.ndarray:
    """Worker-seconds of trials up to each moment, [moments]; a trial uses its own evenly from its start to its end."""
    total = np.zeros(len(moments))
    for result in results:
        seconds = max(result.ended - result.started, 1e-9)
        total += result.costs.worker_seconds * np.clip((moments - result.started) / seconds, 0, 1)
    return total


def grown_models(history: History) -> str:
    """What growth found, per entry: each member as a tower of its layers, above it the AUC after its entry; a table."""
    parts = []
    for entry in entries(history):
        found = structure(history.trials, history.results, entry)
        if found.members:
            stroke = color(entries(history).index(entry))
            parts.append(f"<h3>{escape(entry)}</h3>" + _towers(found.members, stroke) + _members(found.members))
    return "".join(parts)


def _towers(members: Sequence[Grown], fill: str) -> str:
    step = min(150.0, (WIDTH - 90) / len(members))
    tallest = max(_layers(member) for member in members) * LAYER
    drawing = Drawing(WIDTH, 210 + tallest, top=24, bottom=64 + tallest)
    left, top, _, bottom = drawing.inner
    places = [left + step * (k + 0.5) for k in range(len(members))]
    low, high = min(m.auc for m in members), max(m.auc for m in members)
    y = Scale(low - (high - low or 0.01) * 0.15, high + (high - low or 0.01) * 0.1, bottom, top)
    for tick in y.ticks(4):
        drawing.line((left, y(tick)), (left + step * len(members), y(tick)))
        drawing.text((left - 8, y(tick) + 4), f"{tick:.5g}", "end")
    drawing.text((left, top - 8), "validation AUC of the ensemble after each entry", "start", "label")
    drawing.path([(x, y(m.auc)) for x, m in zip(places, members, strict=True)], fill)
    ground = drawing.height - 40
    for x, member in zip(places, members, strict=True):
        title = f"trial {member.trial}: {member.name}, weight {member.weight:.3f}, AUC {member.auc:.5f}"
        drawing.dot((x, y(member.auc)), fill, title, 4)
        half = min(step * 0.45, 4 + 5 * math.log2(max(member.width or 8, 2)))
        for layer in range(_layers(member)):
            foot = ground - layer * LAYER
            drawing.bar((x - half, foot - LAYER + 2), (x + half, foot), fill, title, 0.9 if member.weight else 0.3)
        drawing.text((x, ground + 16), member.family, kind="name")
        drawing.text((x, ground + 32), f"{member.weight:+.3f}")
    return drawing.svg("Members of the grown model in order of entry")


def _layers(member: Grown) -> int:
    return min(max(member.depth or 1, 1), MOST_LAYERS)


def _members(members: Sequence[Grown]) -> str:
    heads = ("round", "trial", "member", "depth", "width", "weight", "own AUC", "AUC after", "training, s")
    return _table(
        heads,
        [
            (m.round, m.trial, m.name, m.depth, m.width, f"{m.weight:+.4f}", f"{m.own_auc:.5f}", f"{m.auc:.5f}",
             f"{m.train_seconds:.1f}")
            for m in members
        ],
    )  # fmt: skip


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under heads, to the right but for `member`; what is None is left empty."""
    kinds = ["" if head == "member" else "r" for head in heads]
    head = "".join(f'<th class="{kind}">{head}</th>' for kind, head in zip(kinds, heads, strict=True))
    body = "".join(
        "<tr>" + "".join(
            f'<td class="{kind}">{"" if value is None else escape(str(value))}</td>'
            for kind, value in zip(kinds, row, strict=True)
        ) + "</tr>"
        for row in rows
    )  # fmt: skip
    return f"<table><tr>{head}</tr>{body}</table>"


def _parallel(pairs: Sequence[tuple[Trial, Result]], names: Sequence[str], order: Sequence[str]) -> str:
    width = max(WIDTH, SHORTEST_TICK_WIDTH * (len(names) + 1) + 120)
    drawing = Drawing(width, 300, left=60, right=70, top=34, bottom=16)
    left, top, right, bottom = drawing.inner
    places = [left + (right - left) * i / len(names) for i in range(len(names) + 1)]
    aucs = [result.auc or 0.0 for _, result in pairs]
    columns = [_Axis([trial.parameters.get(name) for trial, _ in pairs], bottom, top) for name in names]
    scale = Scale(min(aucs), max(aucs), bottom, top)
    ranked = sorted(zip(pairs, aucs, strict=True), key=lambda one: one[1])
    for rank, ((trial, _), auc) in enumerate(ranked):
        line = [
            (place, axis(trial.parameters[name]))
            for place, axis, name in zip(places, columns, names, strict=False)
            if name in trial.parameters
        ]
        strength = 0.12 + 0.88 * ((rank + 1) / len(ranked)) ** 3
        title = f"trial {trial.number}, AUC {auc:.5f}: {parameters(trial.parameters)}"
        stroke = color(order.index(trial.strategy))
        drawing.path([*line, (places[-1], scale(auc))], stroke, 1 + strength, strength, title)
    for place, axis, name in zip(places, columns, names, strict=False):
        drawing.line((place, top), (place, bottom), "axis")
        drawing.text((place, 14), name, kind="name")
        for words, at in axis.ticks():
            drawing.text((place - 6, at + 4), words, "end")
    drawing.line((places[-1], top), (places[-1], bottom), "axis")
    drawing.text((places[-1], 14), "AUC", kind="name")
    for tick in scale.ticks(5):
        drawing.text((places[-1] + 6, scale(tick) + 4), f"{tick:.4g}", "start")
    return drawing.svg("Parameters of every trial and its AUC")


class _Axis:
    """Where the values of one parameter lie: numbers by size (on a log scale if they span it), others in a row."""

    def __init__(self, values: Sequence[Value], start: float, end: float) -> None:
        there = [value for value in values if value is not None]
        numeric = [float(value) for value in there if isinstance(value, int | float) and not isinstance(value, bool)]
        self._scale: Scale | None = None
        self._row = {value: place for place, value in enumerate(sorted(set(map(str, there))))}
        self._start, self._end, self._whole = start, end, False
        if len(numeric) == len(there) and numeric:
            self._whole = all(isinstance(value, int) for value in there)
            log = min(numeric) > 0 and max(numeric) / min(numeric) >= 8
            self._scale = Scale(min(numeric), max(numeric), start, end, log)

    def __call__(self, value: Value) -> float:
        if self._scale is not None:
            return self._scale(float(value or 0))
        share = (self._row[str(value)] + 0.5) / len(self._row)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[tuple[str, float]]:
        if self._scale is None:
            return [(name, self(name)) for name in self._row]
        ticks = self._scale.ticks(5) or [self._scale.low, self._scale.high]
        return [(number(tick), self._scale(tick)) for tick in ticks if not self._whole or tick == int(tick)]


def parameter_importance(history: History) -> str:
    """How much of the AUC's variation each parameter explains, one group of bars per family."""
    parts = []
    for family in _families(history):
        found = importance([pair for pair in history.scored() if pair[0].family == family])
        if found:
            parts.append(f"<h3>{family}</h3>" + _bars(found))
    return "".join(parts) or _nothing("Importance needs ten trials of a family that differ in a parameter.")


def _bars(found: dict[str, float]) -> str:
    drawing = Drawing(WIDTH, 26.0 * len(found) + 12, left=190, right=70, top=6, bottom=6)
    left, top, right, _ = drawing.inner
    scale = Scale(0, max(max(found.values()), 1e-9), left, right)
    for row, (name, share) in enumerate(found.items()):
        y = top + 26 * row
        drawing.text((left - 10, y + 15), name, "end", "name")
        drawing.bar((left, y + 4), (scale(share), y + 20), color(0), f"{name}: {share:.1%}")
        drawing.text((scale(share) + 8, y + 16), f"{share:.0%}", "start")
    return drawing.svg("Importance of each parameter")


def worker_timeline(history: History) -> str:
    """What each worker did when, and the share of time it was busy."""
    results = _ran(history)
    if not results:
        return _nothing("No trial has run yet.")
    workers = sorted({result.worker for result in results})
    first, last = min(r.started for r in results), max(r.ended for r in results)
    drawing = Drawing(WIDTH, 30.0 * len(workers) + 60, left=110, right=60, top=10, bottom=44)
    left, top, right, bottom = drawing.inner
    x = Scale(0, last - first, left, right)
    order = entries(history)
    for tick in x.ticks(8):
        drawing.line((x(tick), top), (x(tick), bottom))
        drawing.text((x(tick), bottom + 18), number(tick))
    for row, worker in enumerate(workers):
        y = top + 30 * row
        busy = 0.0
        for result in (r for r in results if r.worker == worker):
            trial = history.trials[result.number]
            busy += result.ended - result.started
            auc = "failed" if result.auc is None else f"AUC {result.auc:.5f}"
            title = f"trial {trial.number} ({trial.strategy}, {trial.family}): {auc}"
            a, b = (x(result.started - first), y + 5), (x(result.ended - first) - 0.8, y + 25)
            drawing.bar(a, b, color(order.index(trial.strategy)), title, 1 if result.state.scored else 0.35)
        drawing.text((left - 10, y + 19), worker, "end", "name")
        drawing.text((right + 8, y + 19), f"{busy / (last - first):.0%}", "start")
    drawing.text(((left + right) / 2, drawing.height - 6), "seconds since the first trial began", kind="label")
    return legend(order) + drawing.svg("What each worker did when")


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


def _nothing(words: str) -> str:
    return f'<p class="quiet">{words}</p>'
