"""Pictures of parameters: how much each matters, and every trial as a line through its own."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glmix_automl.ensemble import MIXTURE
from glmix_automl.pages.drawing import INK, QUIET, RULE, WIDE, Picture, bars, color, draw_svg, short, tip
from glmix_automl.reporting.importance import importance, varying
from glmix_automl.reporting.leaderboard import parameters
from glmix_automl.reporting.race_charts import entries
from glmix_automl.study.history import History
from glmix_automl.trial import Result, Trial, Value

FEWEST_DRAWN = 3
AXIS_INCHES = 1.3


def parameter_importance(history: History) -> list[Picture]:
    """How much of the AUC's variation each parameter explains, one group of bars per family."""
    pictures = []
    for family in _families(history):
        found = importance([pair for pair in history.scored() if pair[0].family == family])
        if found:
            svg = bars("Importance of each parameter", found.items(), 0.0, lambda share: f"{share:.0%}")
            pictures.append(Picture(svg, family))
    return pictures


def parallel_coordinates(history: History) -> list[Picture]:
    """Every scored trial as a line through its parameters to its AUC; the better, the stronger. One per family."""
    pictures = []
    for family in _families(history):
        pairs = [pair for pair in history.scored() if pair[0].family == family]
        names = varying([trial for trial, _ in pairs])
        if len(pairs) >= FEWEST_DRAWN and names:
            svg = _parallel(pairs, names, entries(history))
            pictures.append(Picture(svg, family, entries(history), wide=True))
    return pictures


def _families(history: History) -> list[str]:
    """Families that have parameters of their own to choose: a mixture has none."""
    return [family for family in dict.fromkeys(t.family for t in history.trials.values()) if family != MIXTURE]


def _parallel(pairs: Sequence[tuple[Trial, Result]], names: Sequence[str], order: Sequence[str]) -> Markup:
    columns = [_Axis([trial.parameters.get(name) for trial, _ in pairs]) for name in names]
    aucs = np.array([result.auc or 0.0 for _, result in pairs])
    last = _Axis([float(auc) for auc in aucs])

    def draw(figure: Figure) -> None:
        axes: Axes = figure.subplots()
        axes.axis("off")
        for rank, row in enumerate(np.argsort(aucs, kind="stable")):
            trial = pairs[row][0]
            there = [place for place, name in enumerate(names) if name in trial.parameters]
            heights = [columns[place](trial.parameters[names[place]]) for place in there]
            strength = 0.12 + 0.88 * ((rank + 1) / len(pairs)) ** 3
            axes.plot(
                [*there, len(names)],
                [*heights, last(float(aucs[row]))],
                color=color(order.index(trial.strategy)),
                linewidth=0.8 + strength,
                alpha=strength,
                gid=tip(f"trial {trial.number}, AUC {aucs[row]:.5f}: {parameters(trial.parameters)}"),
            )
        for place, (name, column) in enumerate(zip([*names, "AUC"], [*columns, last], strict=True)):
            axes.plot([place, place], [0, 1], color=RULE, linewidth=1, zorder=0)
            axes.text(place, 1.06, short(name, 20), ha="center", color=INK)
            for words, at in column.ticks():
                axes.text(place + 0.03, at, short(words, 16), va="center", color=QUIET, fontsize=8)
        axes.set_xlim(-0.1, len(names) + 0.35)
        axes.set_ylim(-0.05, 1.15)

    return draw_svg("Parameters of every trial and its AUC", draw, 4.2, max(WIDE, AXIS_INCHES * (len(names) + 1)))


class _Axis:
    """Where the values of one parameter lie, 0 to 1: numbers by size (on a log scale if they span it), others in a
    row.
    """

    def __init__(self, values: Sequence[Value]) -> None:
        there = [value for value in values if value is not None]
        numeric = [float(value) for value in there if isinstance(value, int | float) and not isinstance(value, bool)]
        self._row = {value: place for place, value in enumerate(sorted(set(map(str, there))))}
        self._ends: tuple[float, float] | None = None
        if len(numeric) == len(there) and numeric:
            self._log = min(numeric) > 0 and max(numeric) / min(numeric) >= 8
            self._whole = all(isinstance(value, int) for value in there)
            self._ends = self._curved(min(numeric)), self._curved(max(numeric))

    def __call__(self, value: Value) -> float:
        if self._ends is not None:
            low, high = self._ends
            return 0.5 if high == low else (self._curved(float(value or 0)) - low) / (high - low)
        return (self._row[str(value)] + 0.5) / len(self._row)

    def ticks(self) -> list[tuple[str, float]]:
        """Words and places."""
        if self._ends is None:
            return [(name, self(name)) for name in self._row]
        low, high = self._ends
        if high == low:
            return [(f"{self._straight(low):.4g}", 0.5)]
        values = [self._straight(value) for value in np.linspace(low, high, 5)]
        if self._whole:
            values = sorted({float(round(value)) for value in values})
        return [(f"{value:.4g}", self(value)) for value in values]

    def _curved(self, value: float) -> float:
        return float(np.log(value)) if self._log else value

    def _straight(self, value: float) -> float:
        return float(np.exp(value)) if self._log else value
