"""An estimate with its interval, and a difference of two with its test."""

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Interval:
    """An estimate that is about normal.

    Attributes:
        estimate: the value.
        standard_error: of the estimate.
        low, high: interval at the asked confidence.
    """

    estimate: float
    standard_error: float
    low: float
    high: float

    @classmethod
    def normal(
        cls,
        estimate: float,
        standard_error: float,
        confidence: float,
        least: float = -math.inf,
        greatest: float = math.inf,
    ) -> "Interval":
        """The normal interval, cut at the least and greatest value there can be; NaN stays NaN."""
        reach = NormalDist().inv_cdf((1 + confidence) / 2) * standard_error
        if math.isnan(reach):
            return cls(estimate, math.nan, math.nan, math.nan)
        return cls(estimate, standard_error, max(estimate - reach, least), min(estimate + reach, greatest))


@dataclass(frozen=True)
class Comparison:
    """The difference of two models on the same rows, the second less the first.

    Attributes:
        difference: above 0 where the second is better (for AUC).
        standard_error: of the difference.
        p_value: two-sided, of no difference.
        low, high: interval of the difference at the asked confidence.
    """

    difference: float
    standard_error: float
    p_value: float
    low: float
    high: float

    @classmethod
    def normal(cls, difference: float, standard_error: float, confidence: float) -> "Comparison":
        """The z test. Without any variance the p-value is 1 for no difference and 0 for any; NaN stays NaN."""
        interval = Interval.normal(difference, standard_error, confidence)
        if math.isnan(interval.standard_error):
            p_value = math.nan
        elif standard_error == 0:
            p_value = float(difference == 0)
        else:
            p_value = math.erfc(abs(difference / standard_error) / math.sqrt(2))
        return cls(difference, interval.standard_error, p_value, interval.low, interval.high)
