"""What a key did lately: sums in which a row counts half after so many more rows of the key, however long that takes.

Rows of one moment are of one age. Each moment's rows are summed as whole numbers and the moments taken one by one, so
blocks of rows with carried state give the very bits that one block gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from glmix_automl.prepare.as_of import AnyNumbers, Carried, Groups
from glmix_automl.prepare.pairs.adjacency import compile_loop


@dataclass(frozen=True)
class Recent:
    """Sum of a signal of whole numbers (of ones for None) in which a row counts half after `half_life` more rows."""

    name: str
    half_life: float
    signal: str | None = None
    empty: float = 0.0

    def before(self, groups: Groups, signals: Mapping[str, AnyNumbers], carried: Carried) -> AnyNumbers:
        """See `as_of.Accumulator`."""
        found = np.empty(len(groups.moment))
        sums = self._sums(groups, signals, carried)
        _as_of(groups.moment, groups.start, groups.key_of, sums, carried[self.name], found)
        return found

    def after(self, groups: Groups, signals: Mapping[str, AnyNumbers], carried: Carried) -> AnyNumbers:
        """See `as_of.Accumulator`."""
        return self._sums(groups, signals, carried)[groups.ends - 1]

    def _sums(self, groups: Groups, signals: Mapping[str, AnyNumbers], carried: Carried) -> AnyNumbers:
        """[counting], by place: the sum up to and with the moment of each row."""
        signal = np.ones(len(groups.order), np.int64) if self.signal is None else signals[self.signal]
        sums = np.empty(len(groups.order))
        _by_moment(groups.times, groups.ends, signal, carried[self.name], 0.5 ** (1 / self.half_life), sums)
        return sums


@compile_loop
def _by_moment(times, ends, signal, carried, left, sums):  # type: ignore[no-untyped-def]
    """Fills sums [counting]; `left` is what a row leaves of those before it."""
    begin = 0
    for key in range(len(ends)):
        total = carried[key]
        while begin < ends[key]:
            end, here = begin, 0
            while end < ends[key] and times[end] == times[begin]:
                here += signal[end]
                total *= left
                end += 1
            total += here
            sums[begin:end] = total
            begin = end


@compile_loop
def _as_of(moment, start, key_of, sums, carried, found):  # type: ignore[no-untyped-def]
    """Fills found [rows]: the sum up to the row before, `carried` where there is none."""
    for row in range(len(found)):
        found[row] = sums[moment[row] - 1] if moment[row] > start[row] else carried[key_of[row]]
