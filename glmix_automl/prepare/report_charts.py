"""Pictures of the data report."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glmix_automl.features.encode import invert_numbers
from glmix_automl.pages.drawing import INK, Picture, bars, color, draw_svg, short
from glmix_automl.prepare.checks import FeatureCheck, Report
from glmix_automl.prepare.profile import TERMS, Counts, Profile
from glmix_automl.schema import SPLITS, Feature, Numeric, Schema

_SHOWN = 20  # features in a chart
_SMALL = 6  # features whose response rates are drawn
_TERMS_SHOWN = 12
_BINS = 20


def data_charts(report: Report, found: Profile, schema: Schema) -> dict[str, list[Picture]]:
    """Pictures by the titles of their sections."""
    by_auc = sorted(report.features, key=lambda f: -f.auc)
    by_psi = sorted((f for f in report.features if not f.cumulative), key=lambda f: -f.psi)
    told = {feature.name: feature for feature in schema.features}
    return {
        "The most telling features": [
            _values("AUC of each feature alone on validation", {f.name: f.auc for f in by_auc[:_SHOWN]}, 0.5),
            _values("Drift of validation against train (PSI)", _psi(by_psi), 0.0),
        ],
        "Response rates": [_rates(told[f.name], found, schema) for f in by_auc[:_SMALL]],
    }


def _psi(features: Sequence[FeatureCheck]) -> dict[str, float]:
    return {f.name: f.psi for f in features[:_SHOWN]}


def _values(title: str, values: dict[str, float], start: float) -> Picture:
    note = "" if start else "Counts of what was before are left out: they can only grow."
    return Picture(bars(title, values.items(), start, lambda value: f"{value:.3f}"), title, note=note)


def _rates(feature: Feature, found: Profile, schema: Schema) -> Picture:
    """Response rate by value, in train and validation: of numbers as they were before encoding, of terms by name."""
    counts = [found.histograms[feature.name].of(split) for split in SPLITS[:2]]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        if isinstance(feature, Numeric):
            _number_rates(axes, feature, counts, found.edges.get(feature.name, ()))
        else:
            _term_rates(axes, counts, _terms(feature, schema, counts[0].shape[1]))

    height = 2.6 if isinstance(feature, Numeric) else 0.7 + 0.28 * min(counts[0].shape[1], _TERMS_SHOWN)
    return Picture(draw_svg(f"Response rate by {feature.name}", draw, height), feature.name, SPLITS[:2])


def _number_rates(axes: Axes, feature: Numeric, counts: Sequence[Counts], edges: Sequence[float]) -> None:
    """Bins put together to about equally many rows of train, each at the raw value of its upper bound."""
    rows = counts[0].sum(axis=0)
    place = (np.cumsum(rows) - rows / 2) / max(rows.sum(), 1)
    group = np.minimum((place * _BINS).astype(int), _BINS - 1)
    bounds = np.append(np.asarray(edges, np.float64), edges[-1] if edges else 0.0)
    upper = np.full(_BINS, -np.inf)
    np.maximum.at(upper, group, bounds)
    for series, table in enumerate(counts):
        total, positive = (np.bincount(group, weights=w, minlength=_BINS) for w in (table.sum(axis=0), table[1]))
        there = (total > 0) & np.isfinite(upper)
        x = invert_numbers(feature, upper[there])
        axes.plot(x, positive[there] / total[there], "o-", color=color(series), markersize=3)
    if feature.transform == "log":
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("missing" if feature.transform == "missing" else f"{short(feature.source or feature.name)}, up to")
    axes.set_ylabel("response rate")


def _term_rates(axes: Axes, counts: Sequence[Counts], names: Sequence[str]) -> None:
    shown = np.argsort(-counts[0].sum(axis=0), kind="stable")[:_TERMS_SHOWN]
    shown = shown[counts[0].sum(axis=0)[shown] > 0][::-1]
    for series, table in enumerate(counts):
        rates: npt.NDArray[np.float64] = table[1, shown] / np.maximum(table[:, shown].sum(axis=0), 1)
        axes.barh(np.arange(len(shown)) + 0.2 - 0.4 * series, rates, height=0.38, color=color(series))
    axes.grid(visible=False, axis="y")
    axes.set_yticks(range(len(shown)), [short(names[place], 24) for place in shown], color=INK)
    axes.set_xlabel("response rate of the most frequent")


def _terms(feature: Feature, schema: Schema, bins: int) -> list[str]:
    """Names of the bins of terms: the id 0, the terms, and all beyond the most frequent."""
    assert not isinstance(feature, Numeric)
    terms = schema.vocabularies[feature.vocabulary].terms
    named = [f"bucket {n}" for n in range(1, bins)] if terms is None else list(terms[:TERMS])
    return ["unseen or missing", *named, *["other"] * bins][:bins]
