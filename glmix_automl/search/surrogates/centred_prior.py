"""What is taken for likely before any result: the middle of a range is likelier to be good than its ends.

Whoever writes a range puts it around what they expect, and with many parameters nearly every even draw lies close to
some end. So a search begins in the middle, goes on with points drawn inwards, and its surrogate looks at more
candidates there; none is ruled out (a prior of where the optimum is as Hvarfner et al. 2022 have it of the user, but
the acquisition is not weighed by it: where the best is at an end, that costs more than it gains elsewhere).
"""

import numpy as np
from scipy.special import ndtr, ndtri

from glmix_automl.space import Space, UnitPoint

SPREAD = 0.35
"""Deviation of the prior around the middle, as a share of a range: an end is about a third as likely."""


class CentredPrior:
    """A normal distribution around the middle of each number's range, cut off at the ends; all choices are alike."""

    def __init__(self, space: Space) -> None:
        self._listed = np.array([parameter.type in ("choice", "bool") for parameter in space.parameters.values()], bool)

    def inwards(self, even: UnitPoint) -> UnitPoint:
        """Points of the unit cube spread as believed, of points spread evenly, [points, parameters]."""
        below = ndtr(-0.5 / SPREAD)
        return np.where(self._listed, even, 0.5 + SPREAD * ndtri(below + even * (1 - 2 * below)))

    def middle(self, even: UnitPoint) -> UnitPoint:
        """The middle, with the choices of the points, [points, parameters]."""
        return np.where(self._listed, even, 0.5)
