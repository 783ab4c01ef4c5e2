"""When one AUC is below another: nobody is dropped for a difference that is noise."""

import math

import pydantic

from glmix_automl.config import Config
from glmix_automl.trial import Result


class AucNoise(Config):
    """When one AUC, or what the study measures by instead, is below another beyond noise. Both come from the same
    validation rows, so most noise is shared.
    """

    deviations: float = pydantic.Field(default=1.0, ge=0)
    """Standard deviations of the difference that count as clear; 0 believes every difference."""
    correlation: float = pydantic.Field(default=0.95, ge=0, le=1)
    """Correlation of two models' AUCs over draws of the validation rows; like models on the same rows are near 1."""

    def margin(self, one: float, other: float) -> float:
        """The difference that is clear between AUCs of these variances (DeLong et al. 1988, for paired curves)."""
        return self.deviations * math.sqrt(max(one + other - 2 * self.correlation * math.sqrt(one * other), 0.0))

    def clearly_below(self, result: Result, other: Result) -> bool:
        """Whether a scored result is below another beyond noise; variances that are not known count as 0."""
        return float(other.quality or 0.0) - float(result.quality or 0.0) > self.margin(
            result.quality_variance, other.quality_variance
        )
