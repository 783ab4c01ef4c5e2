"""Learning rates over a budget: constant, or falling to zero by a cosine or a line, after an optional warm-up."""

import numpy as np

from glmix_automl.models.parameters import StepParameters


def factors(parameters: StepParameters, first: int, steps: int, total: int) -> np.ndarray:
    """What the rates of steps `first` to `first + steps` of `total` are multiplied by: float64 [steps], 0 to 1."""
    share = np.minimum((first + np.arange(steps) + 0.5) / max(total, 1), 1.0)
    warmup = parameters.warmup
    rising = np.minimum(share / warmup, 1.0) if warmup else np.ones(steps)
    left = np.clip((1.0 - share) / (1.0 - warmup), 0.0, 1.0)
    if parameters.schedule == "cosine":
        return rising * (0.5 - 0.5 * np.cos(np.pi * left))
    if parameters.schedule == "linear":
        return rising * left
    return rising
