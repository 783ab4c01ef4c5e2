"""How long the slices of time between averages are: a world of one rank, and a clock that stands still."""

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from glmix_automl.training import anytime
from glmix_automl.training.anytime import LONGEST, OVERHEAD, SHORTEST, Slices
from glmix_automl.workers.collective import Alone


class Clock:
    """Time as the test says; a message takes `cost`."""

    def __init__(self) -> None:
        self.at, self.cost = 100.0, 0.0

    def now(self) -> float:
        return self.at

    perf_counter = now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    def average(arrays: Any, weight: float, told: Any, collective: Any) -> Any:
        clock.at += clock.cost
        return arrays, weight, told

    monkeypatch.setattr(anytime, "time", clock)
    monkeypatch.setattr(anytime, "clock", clock)
    monkeypatch.setattr(anytime, "average", average)
    return clock


def slices() -> Slices:
    loop: Any = SimpleNamespace(coordinate=SimpleNamespace(weights={}), optimiser=SimpleNamespace(moments=[]))
    return Slices(loop, Alone())


def seconds(these: Slices, clock: Clock, steps: float, step: float) -> float:
    """Carries out one slice of steps that take `step` seconds each; gives how long it was."""
    began, until, made = clock.at, these.begin(steps), 0
    while made == 0 or clock.at < until:
        clock.at += step
        made += 1
    took = clock.at - began
    these.average(made, False)
    return took


def test_slices_grow_to_what_averages_cost_by_twice_at_most(clock: Clock) -> None:
    these, clock.cost = slices(), 0.009
    lengths = [seconds(these, clock, 1e9, 0.0001) for _ in range(9)]
    assert lengths[0] == pytest.approx(SHORTEST, rel=0.02)
    assert all(later < 2.05 * former for former, later in itertools.pairwise(lengths))
    assert lengths[-1] == pytest.approx(clock.cost / OVERHEAD, rel=0.02)
    clock.cost = 10.0
    assert [seconds(these, clock, 1e9, 0.0001) for _ in range(9)][-1] == pytest.approx(LONGEST, rel=0.02)


def test_a_slice_ends_at_the_step_nearest_to_its_length(clock: Clock) -> None:
    these, clock.cost = slices(), 1.0 * OVERHEAD
    for _ in range(9):
        last = seconds(these, clock, 1e9, 0.3)
    assert last == pytest.approx(0.9)  # nearer to 1 than 1.2 is
    for step, length in ((0.45, 0.9), (0.7, 0.7), (3.0, 3.0)):
        assert [seconds(these, clock, 1e9, step) for _ in range(3)][-1] == pytest.approx(length)


def test_slices_are_fitted_into_the_time_to_the_validation(clock: Clock) -> None:
    these, clock.cost = slices(), 1.0 * OVERHEAD
    for _ in range(9):
        seconds(these, clock, 1e9, 0.001)
    assert seconds(these, clock, 2400, 0.001) == pytest.approx(1.2, rel=0.01)  # two of 1.2 s, not 1, 1 and 0.4
    assert seconds(these, clock, 100, 0.001) == pytest.approx(0.1, rel=0.02)
