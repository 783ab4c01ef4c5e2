"""Averages in a world of one, and what tells that a rank was lost."""

import numpy as np

from glmix_automl.workers.averaging import average, weighted_mean
from glmix_automl.workers.collective import Alone, current, is_lost


def test_alone_an_average_is_what_was_given() -> None:
    values = [np.arange(3.0), np.ones((2, 2))]
    means, weight, told = average(values, 5, (1.0, 0.25), current())
    assert means[0] is values[0]
    assert (weight, told) == (5.0, [1.0, 0.25])
    assert weighted_mean(values, 1, Alone())[1] is values[1]


def test_the_loss_of_a_rank_is_told_from_other_errors() -> None:
    text = "{{node HorovodAllreduce}} Horovod has been shut down. This was caused by an exception on one of the ranks"
    assert is_lost(RuntimeError(text))
    assert not is_lost(ValueError("the shapes do not match"))
    chained = KeyError("x")
    chained.__cause__ = RuntimeError(text)
    assert is_lost(chained)
