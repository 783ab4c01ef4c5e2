"""Drawings as inline SVG: no library, no network; colours are CSS variables, so light and dark are one drawing."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

Point = tuple[float, float]
SERIES = 6  # colours the page defines: --series-0 to --series-5


def color(place: int) -> str:
    """Colour of the series at a place."""
    return f"var(--series-{place % SERIES})"


@dataclass
class Drawing:
    """A canvas with a plot area inside margins, in pixels of its view box."""

    width: float
    height: float
    left: float = 64
    right: float = 16
    top: float = 12
    bottom: float = 44
    parts: list[str] = field(default_factory=list)

    @property
    def inner(self) -> tuple[float, float, float, float]:
        """Plot area: left, top, right, bottom."""
        return self.left, self.top, self.width - self.right, self.height - self.bottom

    def line(self, a: Point, b: Point, kind: str = "grid") -> None:
        """A straight line; `kind` is a CSS class: grid or axis."""
        self.parts.append(f'<line class="{kind}" x1="{_n(a[0])}" y1="{_n(a[1])}" x2="{_n(b[0])}" y2="{_n(b[1])}"/>')

    def path(self, points: Iterable[Point], stroke: str, width: float = 2, opacity: float = 1, title: str = "") -> None:
        """An open path through the points."""
        steps = " ".join(f"{'M' if i == 0 else 'L'}{_n(x)} {_n(y)}" for i, (x, y) in enumerate(points))
        self.parts.append(
            f'<path d="{steps}" fill="none" stroke="{stroke}" stroke-width="{width}" opacity="{opacity:.3g}" '
            f'stroke-linejoin="round">{_title(title)}</path>'
        )

    def area(self, points: Iterable[Point], fill: str, opacity: float) -> None:
        """A filled polygon."""
        corners = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self.parts.append(f'<polygon points="{corners}" fill="{fill}" opacity="{opacity}"/>')

    def bar(self, a: Point, b: Point, fill: str, title: str = "", opacity: float = 1) -> None:
        """A rectangle between two corners."""
        (x, y), w, h = a, max(b[0] - a[0], 0.5), max(b[1] - a[1], 0.5)
        self.parts.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" rx="1.5" fill="{fill}" '
            f'opacity="{opacity:.3g}">{_title(title)}</rect>'
        )

    def dot(self, at: Point, fill: str, title: str = "", radius: float = 3) -> None:
        """A filled circle."""
        self.parts.append(
            f'<circle cx="{_n(at[0])}" cy="{_n(at[1])}" r="{radius}" fill="{fill}">{_title(title)}</circle>'
        )

    def text(self, at: Point, words: str, anchor: str = "middle", kind: str = "tick") -> None:
        """Words; `kind` is a CSS class: tick, label or name."""
        self.parts.append(
            f'<text class="{kind}" x="{_n(at[0])}" y="{_n(at[1])}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def svg(self, label: str) -> str:
        """The drawing as an element; `label` is read aloud."""
        head = f'<svg viewBox="0 0 {_n(self.width)} {_n(self.height)}" role="img" aria-label="{escape(label)}">'
        return head + "".join(self.parts) + "</svg>"


@dataclass(frozen=True)
class Scale:
    """Values on a line of the drawing: `low` is at `start`, `high` at `end`; logarithmic if asked."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Where a value lies."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = 0.5 if high == low else (value - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values between the ends."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            ladder = [m * 10.0**e for e in range(first, last + 1) for m in (1, 2, 5)]
            ladder = [v for v in ladder if self.low <= v <= self.high]
            return ladder if len(ladder) <= most else ladder[:: -(-len(ladder) // most)]
        if self.high <= self.low:
            return [self.low]
        raw = (self.high - self.low) / most
        magnitude = 10 ** math.floor(math.log10(raw))
        step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def axes(drawing: Drawing, x: Scale, y: Scale, x_label: str, y_label: str) -> None:
    """Grid, ticks and labels of a plot with two scales."""
    left, top, right, bottom = drawing.inner
    for tick in y.ticks(5):
        drawing.line((left, y(tick)), (right, y(tick)))
        drawing.text((left - 8, y(tick) + 4), number(tick), "end")
    for tick in x.ticks(8):
        drawing.line((x(tick), bottom), (x(tick), bottom + 4), "axis")
        drawing.text((x(tick), bottom + 18), number(tick))
    drawing.line((left, bottom), (right, bottom), "axis")
    drawing.text(((left + right) / 2, drawing.height - 6), x_label, kind="label")
    drawing.text((left, top - 2), y_label, "start", kind="label")


def legend(names: Sequence[str]) -> str:
    """Names with the colours of their series, as HTML."""
    keys = "".join(
        f'<span><i style="background:{color(place)}"></i>{escape(name)}</span>' for place, name in enumerate(names)
    )
    return f'<div class="legend">{keys}</div>'


def number(value: float) -> str:
    """A number in few characters."""
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _title(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""
