"""Anytime averaging of what a loop trains: weights and moments, after each slice of time (`workers.averaging`)."""

from glmix_automl.training.loop import Loop
from glmix_automl.workers import averaging
from glmix_automl.workers.collective import Collective

SLICE_SECONDS = 0.25


def average(loop: Loop, collective: Collective, steps: int, stop: bool) -> tuple[float, bool]:
    """Replaces the weights and moments of every rank by their mean, weighted by each rank's steps since the last time.

    Returns:
        Steps of all ranks, and whether any of them wants to stop.
    """
    variables = [*loop.coordinate.weights.values(), *loop.optimiser.moments]
    agreed = averaging.average([variable.numpy() for variable in variables], steps, stop, collective)
    for variable, mean in zip(variables, agreed.values, strict=True):
        variable.assign(mean)
    return agreed.weight, agreed.stop
