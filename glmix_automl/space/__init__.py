"""What may be tried: typed parameters, conditions between them, forbidden combinations, the unit cube behind all."""

from glmix_automl.space.parameters import Bool, Choice, Float, Int, Mask, Parameter, Range, UnitPoint
from glmix_automl.space.space import Space

__all__ = ["Bool", "Choice", "Float", "Int", "Mask", "Parameter", "Range", "Space", "UnitPoint"]
