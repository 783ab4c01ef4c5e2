"""Pictures of the data report, as SVG text to put into the page."""

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from glmix_automl.prepare.checks import Report
from glmix_automl.prepare.profile import Profile
from glmix_automl.schema import SPLITS

_SHOWN = 20  # features in a chart
_SMALL = 9  # features whose distributions are drawn
_COLOURS = {"train": "#4c72b0", "validation": "#dd8452", "test": "#55a868"}


def charts(report: Report, found: Profile) -> list[tuple[str, str]]:
    """Title and SVG of each picture."""
    by_auc = sorted(report.features, key=lambda f: -f.auc)[:_SHOWN]
    by_psi = sorted(report.features, key=lambda f: -f.psi)[:_SHOWN]
    return [
        ("Rows and base rate", _drawn((9, 2.6), lambda figure: _splits(figure, report))),
        (
            "Single-feature AUC on validation",
            _drawn((9, _height(by_auc)), lambda figure: _bars(figure, {f.name: f.auc for f in by_auc}, 0.5)),
        ),
        (
            "Drift of validation against train (PSI)",
            _drawn((9, _height(by_psi)), lambda figure: _bars(figure, {f.name: f.psi for f in by_psi}, 0.0)),
        ),
        (
            "Response rate by bin of the most telling features",
            _drawn((9, 7), lambda figure: _rates(figure, [f.name for f in by_auc[:_SMALL]], found)),
        ),
    ]


def _height(rows: list[Any]) -> float:
    return 0.8 + 0.25 * len(rows)


def _drawn(size: tuple[float, float], draw: Callable[[Figure], None]) -> str:
    """SVG of a figure, the same bytes for the same data."""
    figure = Figure(figsize=size, layout="constrained")
    with matplotlib.rc_context({"svg.hashsalt": "glmix", "font.size": 9}):
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)


def _plain(name: str) -> str:
    """A name as matplotlib shall print it: `$` would begin a formula."""
    return (name if len(name) <= 40 else f"{name[:39]}…").replace("$", r"\$")


def _splits(figure: Figure, report: Report) -> None:
    left, right = figure.subplots(1, 2)
    colours = [_COLOURS[s] for s in SPLITS]
    left.bar(SPLITS, [sum(report.rows[s]) for s in SPLITS], color=colours)
    left.set_ylabel("rows")
    right.bar(SPLITS, [report.base_rates[s] for s in SPLITS], color=colours)
    right.set_ylabel("base rate")


def _bars(figure: Figure, values: dict[str, float], start: float) -> None:
    axes = figure.subplots()
    names = [_plain(n) for n in values][::-1]
    widths = np.array(list(values.values()))[::-1] - start
    axes.barh(range(len(names)), widths, left=start, color=_COLOURS["train"])
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(left=start)


def _rates(figure: Figure, names: list[str], found: Profile) -> None:
    """Response rate over the bins of a feature (values in order, terms by frequency), for train and validation."""
    grid = figure.subplots(3, 3, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        for split in SPLITS[:2]:
            counts = found.histograms[name].of(split)
            places, rates = _grouped(counts)
            axes.plot(places, rates, marker=".", linewidth=1, color=_COLOURS[split], label=split)
        axes.set_title(_plain(name), fontsize=9)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    grid[0][0].legend(fontsize=7)


def _grouped(counts: Any) -> tuple[Any, Any]:
    """Bins put together to at most 20 of about equal rows: their places from 0 to 1, their response rates."""
    rows = counts.sum(axis=0)
    place = (np.cumsum(rows) - rows / 2) / max(rows.sum(), 1)
    group = np.minimum((place * 20).astype(int), 19)
    total, positive = (np.bincount(group, weights=w, minlength=20) for w in (rows, counts[1]))
    there = total > 0
    return (np.arange(20)[there] + 0.5) / 20, positive[there] / total[there]
