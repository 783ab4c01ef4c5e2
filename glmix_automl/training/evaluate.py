"""The task of a worker: the dataset kept resident, a trial carried out on it from its budget to its result."""

import dataclasses
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from glmix_automl.dataset import Dataset
from glmix_automl.dataset.fingerprint import confirm
from glmix_automl.ensemble import MIXTURE
from glmix_automl.errors import TrialError
from glmix_automl.layout import TRIALS, Folder
from glmix_automl.models import FAMILIES
from glmix_automl.models.checkpoint import MOMENTS, describe, load_arrays, load_earlier, save_coordinate
from glmix_automl.models.coordinate import Coordinate, Differentiable
from glmix_automl.models.inherit import inherit
from glmix_automl.models.logistic import Logistic
from glmix_automl.models.trees import Trees
from glmix_automl.training.boosting import boost
from glmix_automl.training.fit import Budget, Fit, Moment, Trainer
from glmix_automl.training.full_batch import fit_exactly
from glmix_automl.training.loop import Loop
from glmix_automl.training.measure import Point
from glmix_automl.training.mixture_trial import weigh
from glmix_automl.training.splits import Splits
from glmix_automl.trial import Costs, Progress, Result, State, Trial
from glmix_automl.workers.collective import Collective, current
from glmix_automl.workers.executor import Reporter

Watch: TypeAlias = Callable[[Moment], bool]

MOMENTS_KEPT = (
    1 << 22
)  # weights of a coordinate above which its moments are not kept: files of a wide table would triple
LOOPS_KEPT = 16  # traced loops: a grid that varies rates traces once per structure


class Evaluator:
    """Carries out trials on one dataset; kept by every rank of a world for the length of a study.

    A trial's folder in the study, `trials/<number>/`, gets the coordinate and its scores of every split.
    """

    def __init__(
        self,
        dataset: str,
        study: str,
        seed: int = 0,
        threads: int | None = None,
        trial_seconds: float | None = None,
        averaging: str = "synchronous",
        block_rows: int | None = None,
        digest: str | None = None,
        fingerprints: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Opens the dataset and reads this rank's share of every split.

        Args:
            dataset: URI of the dataset's folder.
            study: URI of the study's folder.
            seed: of the study; decides how training rows are shuffled and which members a fraction holds.
            threads: TensorFlow's and LightGBM's, cores / (slots * ranks); as they choose if None.
            trial_seconds: wall-clock limit of a trial's training, or None.
            averaging: `synchronous` or `anytime`, between the ranks of a world.
            block_rows: for data larger than memory: rows of a block streamed from disk at each pass, instead of
                everything resident; None keeps all splits in memory.
            digest, fingerprints: of the dataset that the study began with; None takes what there is.

        Raises:
            DataError: the dataset cannot be read, or is not the one that the study began with.
        """
        _use_threads(threads)
        self._dataset, self._study = Dataset.open(dataset), Folder(study)
        if digest is not None:  # a worker that takes a lost one's place must not train on what lies there by then
            confirm(self._dataset, digest, fingerprints)
        self._seed, self._block_rows, self._threads = seed, block_rows, threads
        self._seconds = math.inf if trial_seconds is None else trial_seconds
        self._averaging = averaging
        self._collective: Collective = current()
        self._enter()

    def __call__(self, trial: Trial, report: Reporter) -> Result:
        """Carries out one trial; its files are written before it returns.

        Raises:
            TrialError: the trial cannot be carried out, or its training diverged.
        """
        started = time.perf_counter()
        if current() is not self._collective:
            self._collective = current()
            self._enter()
        if trial.family == MIXTURE:
            return self._weigh(trial, started)
        family = FAMILIES[trial.family]
        parameters = family.resolve(trial.parameters)
        coordinate = family.build(self._splits.dataset.schema, parameters, trial.seed)
        curve: list[Progress] = []
        watch = self._watcher(trial, report, curve, started)
        moments = None
        if isinstance(coordinate, Differentiable):
            loop = self._loop(trial, coordinate)
            fit = self._fit(trial, loop, self._begin(trial, loop), watch)
            coordinate, moments = loop.coordinate, loop.optimiser.saved(MOMENTS_KEPT)
        else:
            fit = self._boost(trial, coordinate, watch)
        scoring = time.perf_counter()
        scores = {split: self._splits.score(coordinate, split) for split in self._splits.names}
        metrics = self._measure(trial, scores)
        metrics |= {"parameters": float(coordinate.size), "complexity": family.complexity(parameters)}
        if self._collective.rank == 0:
            training = {"epochs": fit.epochs, "fraction": trial.fraction, "seed": trial.seed, "steps": fit.steps}
            place = self._place(trial.number)
            metrics["bytes"] = float(save_coordinate(place, coordinate, training, moments))
        now = time.perf_counter()
        costs = Costs(fit.steps, fit.rows, fit.train_seconds, fit.eval_seconds + now - scoring, now - started)
        return _result(trial, fit.state, metrics, tuple(curve), costs)

    def _enter(self) -> None:
        """Reads this rank's share; again when a lost rank has made the world a new one."""
        self._loops: OrderedDict[tuple[Any, ...], Loop] = OrderedDict()
        self._splits = Splits(self._dataset, self._study, self._collective, self._seed, self._block_rows)
        self._splits.load()

    def _weigh(self, trial: Trial, started: float) -> Result:
        targets = {split: self._splits.targets(split) for split in self._splits.names}
        weighed = weigh(trial.fit, targets, self._splits.scores)
        fitted = time.perf_counter()
        metrics = weighed.metrics | self._measure(trial, weighed.scores)
        now = time.perf_counter()
        steps = int(weighed.metrics.get("mixture_steps", 0))
        costs = Costs(steps, 0, fitted - started, now - fitted, now - started)
        return dataclasses.replace(_result(trial, State.FINISHED, metrics, (), costs), ensemble=weighed.ensemble)

    def _fit(self, trial: Trial, loop: Loop, done: float, watch: Watch) -> Fit:
        size = self._splits.size(trial.fraction)
        offset = self._splits.offset("validation", trial.offset)

        def validate(coordinate: Coordinate) -> Point:
            return self._splits.held("validation").point(self._splits.score(coordinate, "validation") + offset)

        source = self._splits.source(trial, loop.coordinate, size[0])
        if isinstance(loop.coordinate, Logistic) and loop.coordinate.parameters["solver"] == "lbfgs":
            args = loop.coordinate, source, *size, validate, watch, self._collective
            return fit_exactly(*args, seconds=self._seconds)
        trainer = Trainer(loop, source, *size, validate, watch, self._collective, trial.seed, self._averaging)
        return trainer.fit(Budget(trial.epochs, done, self._seconds))

    def _boost(self, trial: Trial, coordinate: Coordinate, watch: Watch) -> Fit:
        """Grows trees: the one kind of coordinate that is not differentiable."""
        assert isinstance(coordinate, Trees)
        rows, _ = self._splits.size(trial.fraction)
        source = self._splits.source(trial, coordinate, rows)
        if self._collective.size > 1 or source.blocks > 1:
            raise TrialError(
                "family trees: all training rows must be in the memory of one process: set ranks to 1 and raise "
                "memory_mb, or leave it out"
            )
        validation = self._splits.resident("validation").with_offset(self._splits.offset("validation", trial.offset))
        budget = Budget(trial.epochs, seconds=self._seconds)
        return boost(coordinate, source.rows(0, 0)[0], validation.rows, budget, watch, trial.seed, self._threads)

    def _watcher(self, trial: Trial, report: Reporter, curve: list[Progress], started: float) -> Watch:
        def watch(moment: Moment) -> bool:
            point = moment.point
            auc, loss = (point.auc, point.loss) if point else (None, None)
            seconds = time.perf_counter() - started
            progress = Progress(trial.number, moment.epoch, moment.steps, seconds, auc, loss)
            if point:
                curve.append(progress)
            return report(progress)

        return watch

    def _measure(self, trial: Trial, scores: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Writes the scores of every split and measures those held out."""
        metrics: dict[str, float] = {}
        for split, own in scores.items():
            self._splits.write_scores(trial.number, split, own)
            if split != "train":
                found = self._splits.held(split).measure(own + self._splits.offset(split, trial.offset))
                metrics |= found if split == "validation" else {f"{split}_{k}": v for k, v in found.items()}
        return metrics

    def _loop(self, trial: Trial, coordinate: Differentiable) -> Loop:
        """A traced loop for the coordinate's structure, begun with its parameters and the trial's seed."""
        rows, _ = self._splits.size(trial.fraction)
        batch = min(int(coordinate.parameters["batch_size"] or 1), self._splits.smallest_block(rows))
        key = (coordinate.structure, batch)
        if key in self._loops:
            self._loops[key].begin(coordinate.parameters, trial.seed)
        else:
            self._loops[key] = Loop(coordinate, batch, self._collective, self._averaging == "synchronous")
        self._loops.move_to_end(key)
        while len(self._loops) > LOOPS_KEPT:
            self._loops.popitem(last=False)
        return self._loops[key]

    def _begin(self, trial: Trial, loop: Loop) -> float:
        """Starts from the parent's or the checkpoint's weights, if any; returns the passes made if this continues them.

        A promotion (same family, parameters, fraction; more epochs) continues; anything else is a warm start, which
        takes the weights of the same name and shape. From a checkpoint of another study they follow features and terms.

        Raises:
            DataError: they cannot be read.
            TrialError: the checkpoint is of another family.
        """
        if trial.checkpoint is not None:
            earlier = load_earlier(trial.checkpoint)
            if not isinstance(earlier, Differentiable) or earlier.family != trial.family:
                raise TrialError(
                    f"{trial.checkpoint}: holds weights of family {earlier.family}, the trial is of family "
                    f"{trial.family}: the plan is not of this study or model"
                )
            inherit(loop.coordinate, earlier)
            return 0.0
        if trial.parent is None:
            return 0.0
        coordinate = loop.coordinate
        place = self._place(trial.parent)
        parent, arrays = describe(place), load_arrays(place)
        if parent["family"] == trial.family and parent["parameters"] == coordinate.parameters:
            coordinate.restore(arrays, place.uri)
            training = parent["training"]
            if training["fraction"] != trial.fraction or training["epochs"] >= trial.epochs:
                return 0.0
            if place.exists(MOMENTS):
                loop.optimiser.restore(load_arrays(place, MOMENTS))
            return float(training["epochs"])
        for name, weight in coordinate.weights.items():
            if name in arrays and arrays[name].shape == tuple(weight.shape):
                weight.assign(arrays[name])
        return 0.0

    def _place(self, number: int) -> Folder:
        return self._splits.study.within(f"{TRIALS}/{number}")


def _result(trial: Trial, state: State, metrics: dict[str, float], curve: tuple[Progress, ...], costs: Costs) -> Result:
    return Result(trial.number, state, metrics.pop("auc", None), metrics.pop("loss", None), metrics, curve, costs)


def _use_threads(threads: int | None) -> None:
    """Sets TensorFlow's threads where it has not started yet; later they cannot be changed."""
    if threads is None:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:  # already running in this process, as in tests
        return
