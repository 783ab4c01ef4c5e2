"""The prior of history: what was known of all rows before the day of each."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glmix_automl.prepare.as_of import Ints
from glmix_automl.prepare.known import Days
from glmix_automl.prepare.past_columns import FIXED_ONE

DAY_MICROSECONDS = 86_400 * 10**6


@dataclass(frozen=True)
class Priors:
    """The response rate of all rows before each day, by Laplace's rule (the first day has 1/2), and means of signals.

    Attributes:
        days: [days], numbers of days since the epoch, ascending.
        rows: [days], all rows before each.
        rates: [days].
        means: [signals, days], NaN for the first day.
    """

    days: Ints
    rows: Ints
    rates: npt.NDArray[np.float64]
    means: npt.NDArray[np.float64]

    @staticmethod
    def of(counts: Days) -> "Priors":
        """From what is known of each day."""
        days = sorted(counts)
        n, positives, *sums = np.array([counts[d] for d in days], np.int64).T
        before, positives_before = np.cumsum(n) - n, np.cumsum(positives) - positives
        with np.errstate(invalid="ignore"):
            means = [(np.cumsum(s) - s) / FIXED_ONE / before for s in sums]
        rates = (positives_before + 1) / (before + 2)
        return Priors(np.array(days, np.int64), before, rates, np.array(means).reshape(len(sums), len(days)))

    def at(self, times: Ints) -> npt.NDArray[np.float64]:
        """[rows], the prior of each time's day."""
        return self.rates[self._days(times)]

    def rows_before(self, times: Ints) -> Ints:
        """[rows], how many rows there were before each time's day."""
        return self.rows[self._days(times)]

    def of_signal(self, number: int, times: Ints) -> npt.NDArray[np.float64]:
        """[rows], the prior mean of a signal."""
        return self.means[number, self._days(times)]

    def _days(self, times: Ints) -> Ints:
        return np.searchsorted(self.days, times // DAY_MICROSECONDS)
