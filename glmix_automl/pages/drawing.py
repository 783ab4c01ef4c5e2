"""Drawings by matplotlib as inline SVG, in the page's own colours: light and dark are one drawing.

matplotlib writes colours as numbers; those below stand for CSS variables of the page and are replaced by them. An
artist's words on hover are its `gid`, begun with `TIP`.
"""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

SERIES = ("#2f6fdb", "#d9730d", "#0f8f6a", "#b8418f", "#7453cf", "#86700a")
INK, QUIET, RULE, CARD = "#1d1f23", "#6b7078", "#e4e5e7", "#fefefe"
TIP = "tip:"
NARROW, WIDE = 5.4, 12.0  # inches: half of the page, all of it
_LETTER, _BAR = 5.8, 18  # points: a letter's width, about, and a bar with the room around it

_VARIABLES = {color: f"var(--series-{place})" for place, color in enumerate(SERIES)} | {
    INK: "var(--ink)",
    QUIET: "var(--quiet)",
    RULE: "var(--rule)",
    CARD: "var(--card)",
}
_STYLE = {
    "svg.hashsalt": "glmix",
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "text.parse_math": False,
    "font.size": 10,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": QUIET,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.transparent": True,
    "lines.linewidth": 1.8,
}


@dataclass(frozen=True)
class DrawnTable:
    """Rows under heads; the columns named in `words` are text and stand left, the rest right."""

    heads: Sequence[str]
    rows: Sequence[Sequence[object]]
    words: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """A drawing with what stands around it.

    Attributes:
        svg: the drawing.
        title: over it, where a section has several.
        legend: names of its series, in the order of their colours.
        table: its figures.
        note: how to read it.
        wide: as wide as the page; else two stand side by side where there is room.
    """

    svg: Markup
    title: str = ""
    legend: Sequence[str] = ()
    table: DrawnTable | None = None
    note: str = ""
    wide: bool = False


def color(place: int) -> str:
    """Colour of the series at a place."""
    return SERIES[place % len(SERIES)]


def tip(words: str) -> str:
    """The `gid` that makes words appear on hover."""
    return TIP + words


def short(name: str, most: int = 40) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def draw_svg(label: str, draw: Callable[[Figure], None], height: float, width: float = NARROW) -> Markup:
    """A figure as an SVG element, the same bytes for the same data.

    Args:
        label: what it shows, read aloud.
        draw: draws on the figure given.
        height: inches; a unit of the SVG is a point, 72 of them an inch.
        width: inches.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        text = io.StringIO()
        # `savefig` would draw twice, to adjust what `layout` has adjusted already.
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    svg = re.sub(r"#[0-9a-f]{6}", lambda found: _VARIABLES.get(found[0], found[0]), svg)
    svg = re.sub(rf'<g id="{TIP}([^"]*)">', r"<g><title>\1</title>", svg)
    head = f'<svg viewBox="0 0 {72 * width:g} {72 * height:g}" role="img" aria-label="{escape(label)}"'
    # Under a head of ours: without a size of its own, and with a name.
    return Markup(re.sub(r"<svg[^>]*>", lambda _: f'{head} xmlns:xlink="http://www.w3.org/1999/xlink">', svg, count=1))


def log_axis(axes: Axes) -> None:
    """Makes the horizontal axis logarithmic, its ticks plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")


def bars(label: str, values: Iterable[tuple[str, float]], start: float, words: Callable[[float], str]) -> Markup:
    """Named bars from the top down, each with its value in words, on all of which `start` is the left end.

    Written as it is: all of it is rectangles and words, over whose widths matplotlib takes a hundred times as long.
    """
    pairs = [(short(name), name, value) for name, value in values]
    words_of = [words(value) for _, _, value in pairs]
    left = 12 + _LETTER * max((len(shown) for shown, _, _ in pairs), default=0)
    right = 72 * NARROW - 12 - _LETTER * max(map(len, words_of), default=0)
    low = min([start, *(value for _, _, value in pairs)])
    high = max([start, *(value for _, _, value in pairs)])
    step = (right - left) / ((high - low) or 1.0)
    height = _BAR * len(pairs) + 12
    lines = [f'<svg viewBox="0 0 {72 * NARROW:g} {height}" role="img" aria-label="{escape(label)}" font-size="10">']
    for place, ((shown, name, value), said) in enumerate(zip(pairs, words_of, strict=True)):
        middle = 6 + _BAR * place + _BAR / 2
        begin, end = sorted(left + (v - low) * step for v in (start, value))
        lines += [
            f'<text x="{left - 6:.1f}" y="{middle + 3.5:g}" text-anchor="end" fill="var(--ink)">{escape(shown)}</text>',
            f'<g><title>{escape(name)}: {escape(said)}</title><rect x="{begin:.1f}" y="{middle - 6:g}" '
            f'width="{end - begin:.1f}" height="12" fill="{_VARIABLES[SERIES[0]]}"/></g>',
            f'<text x="{end + 5:.1f}" y="{middle + 3.5:g}" fill="var(--quiet)">{escape(said)}</text>',
        ]
    return Markup("\n".join([*lines, "</svg>"]))
