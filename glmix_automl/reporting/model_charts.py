"""Pictures of models: what growth found, how well the entries' models order and how right their probabilities are."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from glmix_automl import metrics
from glmix_automl.pages.drawing import INK, QUIET, WIDE, DrawnTable, Picture, bars, color, draw_svg, short, tip
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.race_charts import entries
from glmix_automl.search.growth.grown import GrownMember, trace_growth
from glmix_automl.study.history import History

MOST_LAYERS = 8
ROC_POINTS = 300
FEATURES_SHOWN = 25


def grown_models(history: History) -> list[Picture]:
    """What growth found, per entry: each member as a tower of its layers, above it the AUC after its entry; a table."""
    pictures = []
    for place, entry in enumerate(entries(history)):
        found = trace_growth(history.trials, history.results, entry)
        if found.members:
            svg = draw_svg(
                "Members of the grown model in order of entry", _Towers(found.members, color(place)), 4.2, WIDE
            )
            pictures.append(Picture(svg, entry, table=_members(found.members), wide=True))
    return pictures


class _Towers:
    """Draws members side by side: the validation AUC of the ensemble after each above the layers of each."""

    def __init__(self, members: Sequence[GrownMember], fill: str) -> None:
        self._members, self._fill = members, fill

    def __call__(self, figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        above.plot(range(len(self._members)), [m.auc for m in self._members], color=self._fill)
        above.set_ylabel("validation AUC of the ensemble")
        below.axis("off")
        for place, member in enumerate(self._members):
            title = f"trial {member.trial}: {member.name}, weight {member.weight:.3f}, AUC {member.auc:.5f}"
            above.plot([place], [member.auc], "o", color=self._fill, markersize=6, gid=tip(title))
            self._tower(below, place, member, title)
        tallest = max(_layers(member) for member in self._members)
        below.set_ylim(-1.6, tallest)
        below.set_xlim(-0.6, max(len(self._members), 6) - 0.4)

    def _tower(self, axes: Axes, place: int, member: GrownMember, title: str) -> None:
        half = min(0.45, 0.06 + 0.04 * math.log2(max(member.width or 8, 2)))
        for layer in range(_layers(member)):
            alpha = 0.9 if member.weight else 0.3
            box = Rectangle((place - half, layer + 0.08), 2 * half, 0.84, color=self._fill, alpha=alpha, lw=0)
            box.set_gid(tip(title))
            axes.add_patch(box)
        axes.text(place, -0.6, short(member.family, 16), ha="center", color=INK, fontsize=9)
        axes.text(place, -1.3, f"{member.weight:+.3f}", ha="center", color=QUIET, fontsize=9)


def _layers(member: GrownMember) -> int:
    return min(max(member.depth or 1, 1), MOST_LAYERS)


def _members(members: Sequence[GrownMember]) -> DrawnTable:
    heads = ("round", "trial", "member", "depth", "width", "weight", "own AUC", "AUC after", "training, s")
    rows = [
        (m.round, m.trial, m.name, m.depth, m.width, f"{m.weight:+.4f}", f"{m.own_auc:.5f}", f"{m.auc:.5f}",
         f"{m.train_seconds:.1f}")
        for m in members
    ]  # fmt: skip
    return DrawnTable(heads, rows, words=("member",))


def quality(evaluation: Evaluation, models: Mapping[str, int]) -> list[Picture]:
    """ROC and reliability of models on the evaluated split.

    Args:
        evaluation: of the study.
        models: the winner and what it is compared with, by name: trials whose models they are.
    """
    return [_roc(evaluation, models), _reliability(evaluation, models)] if models else []


def _roc(evaluation: Evaluation, models: Mapping[str, int]) -> Picture:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=":")
        for place, (name, number) in enumerate(models.items()):
            x, y = _rates(evaluation, number)
            axes.plot(x, y, color=color(place), gid=tip(name))
        axes.set_xlabel("share of negatives above the threshold")
        axes.set_ylabel("share of positives above it")

    svg = draw_svg("ROC curves", draw, 3.8)
    return Picture(svg, "ROC", list(models), note=f"Rows of the {evaluation.split} split.")


def _rates(evaluation: Evaluation, number: int) -> tuple[np.ndarray, np.ndarray]:
    """(share of negatives, share of positives) at or above each of some thresholds, ends included."""
    runs = metrics.Runs.of(evaluation.labels, evaluation.scores(number), evaluation.weights)
    shares = []
    for sums in (runs.negatives, runs.positives):
        total = np.concatenate([[0.0], np.cumsum(sums[::-1])])
        shares.append(total / max(total[-1], 1e-300))
    picked = np.unique(np.linspace(0, len(shares[0]) - 1, ROC_POINTS).round().astype(int))
    return shares[0][picked], shares[1][picked]


def _reliability(evaluation: Evaluation, models: Mapping[str, int]) -> Picture:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        highest = 0.0
        for place, (name, number) in enumerate(models.items()):
            found = metrics.reliability(evaluation.labels, evaluation.scores(number), evaluation.weights)
            x, y = np.array([b.predicted for b in found]), np.array([b.observed for b in found])
            reach = np.array([(b.observed - b.observed_low, b.observed_high - b.observed) for b in found]).T
            axes.errorbar(x, y, yerr=np.maximum(reach, 0), fmt="none", color=color(place), linewidth=1, alpha=0.5)
            axes.plot(x, y, "o-", color=color(place), markersize=4, gid=tip(name))
            highest = max([highest, *x, *y])
        axes.plot([0, highest], [0, highest], color=QUIET, linewidth=0.8, linestyle=":")
        axes.set_xlabel("mean predicted probability")
        axes.set_ylabel("share of positives")

    note = "Ten bins of equally many rows with 95 % intervals (Wilson); on the dotted line probabilities are right."
    return Picture(draw_svg("Reliability curves", draw, 3.8), "Reliability", list(models), note=note)


def feature_importance(losses: Mapping[str, float], rows: int, groups: Mapping[str, float]) -> list[Picture]:
    """What the winner's AUC loses without each raw column, and without each group of made ones.

    Args:
        losses: raw column -> validation AUC lost when its values are given to other rows.
        rows: of the sample.
        groups: of columns -> the same for all of them together.
    """
    if not losses:
        return []
    shown = sorted(losses.items(), key=lambda one: -one[1])[:FEATURES_SHOWN]
    svg = bars("AUC lost without each raw column", shown, 0.0, lambda value: f"{value:+.4f}")
    note = (
        f"AUC lost on {rows:,} validation rows when the values of a raw column, in all features made of it, are given "
        "to other rows (permutation importance, Breiman 2001). Columns that tell the same can stand in for each other."
    )
    pictures = [Picture(svg, note=note, wide=len(shown) > 12)]
    if groups:
        ordered = sorted(groups.items(), key=lambda one: -one[1])
        svg = bars("AUC lost without each group of made columns", ordered, 0.0, lambda value: f"{value:+.4f}")
        note = "The same for all columns of a group together, which a recipe makes or leaves out."
        pictures.append(Picture(svg, note=note))
    return pictures
