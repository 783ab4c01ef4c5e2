"""Slices of time, and averages in a world of one."""

import numpy as np
import pytest

from glmix_automl.workers.averaging import AnytimeAverage, average, weighted_mean
from glmix_automl.workers.collective import Alone, current, is_lost


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("step", "steps"),
    [
        (0.3, 3),  # 0.9 is nearer to 1 than 1.2 is
        (0.35, 3),  # 1.05, not 0.7
        (0.45, 2),  # 0.9, not 1.35
        (0.7, 1),  # 0.7, not 1.4
        (3.0, 1),  # at least one step
    ],
)
def test_a_slice_ends_at_the_step_nearest_to_its_length(step: float, steps: int) -> None:
    clock = Clock()
    slices = AnytimeAverage(Alone(), seconds=1.0 + 1e-9, clock=clock)
    for _ in range(3):
        done = 0
        while True:
            clock.now += step
            done += 1
            if slices.due():
                break
        assert done == steps
        slices.average([np.zeros(2)], done)


def test_a_slice_has_a_length() -> None:
    with pytest.raises(ValueError, match="more than 0 seconds"):
        AnytimeAverage(Alone(), seconds=0)


def test_alone_an_average_is_what_was_given() -> None:
    values = [np.arange(3.0), np.ones((2, 2))]
    agreed = average(values, 5, True, current())
    assert agreed.values[0] is values[0]
    assert (agreed.weight, agreed.stop) == (5.0, True)
    assert weighted_mean(values, 1, Alone())[1] is values[1]


def test_the_loss_of_a_rank_is_told_from_other_errors() -> None:
    text = "{{node HorovodAllreduce}} Horovod has been shut down. This was caused by an exception on one of the ranks"
    assert is_lost(RuntimeError(text))
    assert not is_lost(ValueError("the shapes do not match"))
    chained = KeyError("x")
    chained.__cause__ = RuntimeError(text)
    assert is_lost(chained)
