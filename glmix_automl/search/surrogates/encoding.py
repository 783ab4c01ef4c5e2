"""Points of a space as the columns that a surrogate learns from."""

import numpy as np

from glmix_automl.space import Mask, Space, UnitPoint


class Encoding:
    """Choices of three and more become one column per value; a parameter that may not apply gets a column that says so.

    Args:
        space: the space.
        absent: what stands for a parameter that does not apply. Trees split it off at -1; a Gaussian process measures
            distances, for which the middle is the neutral place.
    """

    def __init__(self, space: Space, absent: float) -> None:
        self._absent = absent
        self._choices = {
            column: int(parameter.levels)
            for column, parameter in enumerate(space.parameters.values())
            if parameter.type == "choice" and parameter.levels > 2
        }
        self._plain = [column for column in range(len(space.names)) if column not in self._choices]
        self._conditional = [column for column, p in enumerate(space.parameters.values()) if p.when]

    def __call__(self, snapped: UnitPoint) -> UnitPoint:
        """Columns [points, columns] of snapped points [points, parameters]."""
        present: Mask = ~np.isnan(snapped)
        parts = [np.where(present, snapped, self._absent)[:, self._plain]]
        for column, levels in self._choices.items():
            position = np.floor(np.where(present[:, column], snapped[:, column], -1) * levels)
            parts.append((position[:, None] == np.arange(levels)).astype(float))
        parts.append(present[:, self._conditional].astype(float))
        return np.hstack(parts)
