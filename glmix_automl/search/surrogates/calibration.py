"""What an AUC at a small budget says of the AUC at the full one: a line per rung, and the variance around it.

The scale and discrepancy between fidelities of Kennedy and O'Hagan (2000), learnt from points that were tried on both.
Those were promoted, so they are good ones, and the line is bent: an AUC below the worst of theirs is taken to be as far
below it at the full budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glmix_automl.search.surrogates.surrogate import Floats64

PRIOR_POINTS = 1.0
"""Points as which weighs what is expected before any was tried on both rungs: a slope of 1, and `PRIOR_VARIANCE`."""
PRIOR_VARIANCE = 0.1
"""Variance around the line that is expected before, as a share of the variance of the better AUCs of the rung."""


@dataclass(frozen=True)
class Line:
    """What the AUCs of a rung say of the full ones.

    Attributes:
        slope: above `lowest`; it is 1 below.
        level: full AUC at 0, were there no bend.
        lowest: AUC of the rung where the line bends.
        variance: of full AUCs around the line.
    """

    slope: float = 1.0
    level: float = 0.0
    lowest: float = 0.0
    variance: float = 0.0

    def full(self, auc: float) -> float:
        """The full AUC expected of an AUC on the rung."""
        return self.level + self.slope * auc + (1 - self.slope) * min(auc - self.lowest, 0.0)


def fit_line(aucs: Floats64, pairs: Sequence[tuple[float, float]], above: Line) -> Line:
    """The line of a rung, by least squares that begin with `PRIOR_POINTS`.

    Args:
        aucs: what was reached on this rung, [points].
        pairs: of points that were also tried above, the AUC here and the full one that the trial above speaks for.
        above: the line of the next rung, which says what is gained from here while there are no pairs.
    """
    spread = float(np.var(np.maximum(aucs, np.median(aucs)))) if len(aucs) else 0.0
    if not pairs:
        best = float(aucs.max()) if len(aucs) else 0.0
        return Line(level=above.full(best) - best, variance=above.variance + PRIOR_VARIANCE * spread)
    here, full = np.array(pairs).T
    own = float(((here - here.mean()) ** 2).sum()) + PRIOR_POINTS * spread
    shared = float(((here - here.mean()) * (full - full.mean())).sum()) + PRIOR_POINTS * spread
    slope = min(max(shared / own, 0.0), 1.0) if own > 0 else 1.0
    level = float(full.mean() - slope * here.mean())
    missed = float(((full - level - slope * here) ** 2).sum())
    return Line(
        slope, level, float(here.min()), (missed + PRIOR_POINTS * PRIOR_VARIANCE * spread) / (len(pairs) + PRIOR_POINTS)
    )


def fit_lines(points: Sequence[bytes], rungs: "np.ndarray", aucs: Floats64, count: int) -> list[Line]:
    """What the AUCs of each rung say of the full one, learnt from points tried on several, [count].

    Args:
        points: what was tried, the same bytes for the same point, [trials].
        rungs: where, [trials].
        aucs: what was reached, NaN where nothing was, [trials].
        count: how many rungs there are; the last is the full budget.
    """
    by_point: dict[bytes, dict[int, float]] = {}
    for point, rung, auc in zip(points, rungs, aucs, strict=True):
        if np.isfinite(auc):
            by_point.setdefault(point, {})[int(rung)] = float(auc)
    lines = [Line()] * count
    for low in reversed(range(count - 1)):
        pairs = []
        for found in by_point.values():
            above = min((rung for rung in found if rung > low), default=None)
            if low in found and above is not None:
                pairs.append((found[low], lines[above].full(found[above])))
        own = np.array([found[low] for found in by_point.values() if low in found])
        lines[low] = fit_line(own, pairs, lines[low + 1])
    return lines
