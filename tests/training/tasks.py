"""Tasks of real worlds of several ranks."""

import itertools
import time
from typing import Any

import numpy as np

from glmix_automl.dataset import Dataset
from glmix_automl.models import FAMILIES
from glmix_automl.models.rows import from_block
from glmix_automl.training.evaluate import Evaluator
from glmix_automl.training.loop import Loop
from glmix_automl.trial import Result, State, Trial
from glmix_automl.workers.collective import Collective, current
from glmix_automl.workers.executor import Reporter


class Ranked(Evaluator):
    """A trial's steps alone where its parameters tell how many; else the whole trial, which rank 0 begins after the
    others, so that a call of the loop takes each rank another time. The machine's clock, as Python reads it, jumps by a
    year or a day at every look.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        true, looks = time.time, itertools.count()
        time.time = lambda: true() + (365 * 86_400 if next(looks) % 2 else -86_400)

    def __call__(self, trial: Trial, report: Reporter) -> Result:
        if "steps" in trial.parameters:
            return self._stepped(trial)
        if current().rank == 0:
            time.sleep(1.0)
        return super().__call__(trial, report)

    def _stepped(self, trial: Trial) -> Result:
        """The steps of `stepped`; rank 0 writes the weights to `<study>/<trial>.npz`."""
        world = current()
        weights = stepped(self._dataset, trial.family, dict(trial.parameters), world, world.size)
        if world.rank == 0:
            np.savez(self._study.path(f"{trial.number}.npz"), **weights)  # type: ignore[arg-type]
        return Result(trial.number, State.FINISHED, auc=0.5, loss=0.7)


def stepped(
    dataset: Dataset, family: str, parameters: dict[str, Any], collective: Collective, parts: int
) -> dict[str, np.ndarray]:
    """Weights after the steps that `parts` ranks make together, or one rank alone with batches of all their rows.

    Args:
        dataset: its rows are taken in order, round and round; of a step's, the first part is rank 0's.
        family: of a coordinate.
        parameters: `steps`, `batch` (rows of a part), and the coordinate's.
        collective: of the ranks, or `Alone`.
        parts: of a step's rows.
    """
    steps, batch = parameters.pop("steps"), parameters.pop("batch")
    block = dataset.read("train")
    order = (np.arange(steps * parts * batch) % len(block)).reshape(steps, parts, batch)
    if collective.size > 1:
        order = order[:, collective.rank]
    own = order[0].size
    coordinate = FAMILIES[family].build(dataset.schema, parameters, 0)
    loop, rates = Loop(coordinate, own, collective, synchronous=True), np.full(steps, 0.02)
    rows = coordinate.prepare(from_block(block, order.ravel()))
    hyper = coordinate.hyper(1.0)
    assert loop.run(rows, np.arange(steps) * own, (rates, rates), 0, float(own), hyper, 0) == steps
    return coordinate.arrays
