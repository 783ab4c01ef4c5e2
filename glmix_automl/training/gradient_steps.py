"""Trains by gradient steps; traced loops are kept, as tracing costs more than many a trial."""

from collections import OrderedDict
from typing import Any

from glmix_automl.errors import TrialError
from glmix_automl.models.checkpoint import MOMENTS, load_arrays
from glmix_automl.models.differentiable import Differentiable
from glmix_automl.models.parameters import PAIRED_BATCH
from glmix_automl.training.descent import Descent
from glmix_automl.training.loop import Loop
from glmix_automl.training.source import Source
from glmix_automl.training.trainer import Budget, Fit, Setting, Start, Trainer, Watch
from glmix_automl.training.warm_start import warm_start

MOMENTS_KEPT = 1 << 22
"""Weights of a coordinate above which its moments are not kept: files of a wide table would triple."""
LOOPS_KEPT = 16  # traced loops: a grid that varies rates traces once per structure


class GradientSteps(Trainer[Differentiable]):
    """Adam and Adagrad within a budget of passes."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._loops: OrderedDict[tuple[Any, ...], Loop] = OrderedDict()

    def begin(self, coordinate: Differentiable, start: Start) -> tuple[Differentiable, float]:
        """See `Trainer` and `warm_start`; a promotion goes on with its parent's moments."""
        loop = self._loop(coordinate, start)
        done = warm_start(loop.coordinate, start)
        if done and start.parent.exists(MOMENTS):
            loop.optimiser.restore(load_arrays(start.parent, MOMENTS))
        return loop.coordinate, done

    def adopt(self, coordinate: Differentiable, start: Start) -> Differentiable:
        """See `Trainer` and `warm_start`."""
        return self.begin(coordinate, start)[0]

    def train(self, coordinate: Differentiable, source: Source, budget: Budget, watch: Watch) -> Fit:
        """See `Trainer`."""
        loop = next(loop for loop in self._loops.values() if loop.coordinate is coordinate)
        fit = Descent(loop, source, watch, self.setting.collective, self.setting.averaging).fit(budget)
        fit.moments = loop.optimiser.saved(MOMENTS_KEPT)
        return fit

    def _loop(self, coordinate: Differentiable, start: Start) -> Loop:
        """A traced loop for the coordinate's structure, begun with its parameters and the trial's seed."""
        batch = min(coordinate.parameters.batch_size, start.block_rows)
        if coordinate.parameters.loss == "pairwise":
            batch -= batch % PAIRED_BATCH
            if not batch:
                raise TrialError(f"loss pairwise needs {PAIRED_BATCH} training rows of each rank")
        key = (coordinate.structure, batch)
        if key in self._loops:
            self._loops[key].begin(coordinate.parameters, start.trial.seed)
        else:
            synchronous = self.setting.averaging == "synchronous"
            self._loops[key] = Loop(coordinate, batch, self.setting.collective, synchronous)
        self._loops.move_to_end(key)
        while len(self._loops) > LOOPS_KEPT:
            self._loops.popitem(last=False)
        return self._loops[key]
