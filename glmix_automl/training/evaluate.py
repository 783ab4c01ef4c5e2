"""The task of a worker: the dataset kept resident, a trial carried out on it from its budget to its result."""

import dataclasses
import json
import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from glmix_automl.dataset import Dataset
from glmix_automl.dataset.fingerprint import confirm
from glmix_automl.errors import TrialError
from glmix_automl.layout import ENSEMBLE, HELD_OUT, TRIALS, Folder
from glmix_automl.metrics.measures import AUC
from glmix_automl.models import check_parameters, family_of
from glmix_automl.models.checkpoint import save_coordinate
from glmix_automl.models.coordinate import Coordinate
from glmix_automl.models.tensorflow import tf
from glmix_automl.training.splits import Splits
from glmix_automl.training.trainer import Budget, Fit, Moment, Setting, Start, Trainer, Watch, make_trainer
from glmix_automl.trial import QUALITY, Costs, Progress, Result, Trial
from glmix_automl.workers.collective import Collective, current
from glmix_automl.workers.executor import Reporter


class Evaluator:
    """Carries out trials on one dataset; kept by every rank of a world for the length of a study.

    A trial's folder in the study, `trials/<number>/`, gets the coordinate and its scores of the rows held out; those of
    the training rows when something is first trained on top of it (`Splits.scores`), as nothing is on most.
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
        validation_in_train: bool = False,
        measure: str = AUC,
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
            validation_in_train: whether train has the rows of validation too, where what was chosen is trained again.
            measure: what results are compared by.

        Raises:
            DataError: the dataset cannot be read, or is not the one that the study began with.
        """
        _use_threads(threads)
        self._place, self._study = dataset, Folder(study)
        self._digest, self._fingerprints = digest, fingerprints
        self._seed, self._block_rows, self._threads = seed, block_rows, threads
        self._seconds = math.inf if trial_seconds is None else trial_seconds
        self._averaging, self._measured_by = averaging, measure
        self._validation_in_train = validation_in_train
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
        parameters = check_parameters(trial.family, trial.parameters)
        family, schema = family_of(trial.family), self._splits.dataset.schema
        trainer = self._trainer(family.trainer(parameters))
        start = Start(trial, self._study, self._splits.smallest_block(self._splits.size(trial.fraction)[0]))
        coordinate, done = family.make(schema, parameters, trial.seed), 0.0
        if trial.locked:
            coordinate = trainer.adopt(coordinate, start)
        else:
            coordinate, done = trainer.begin(coordinate, start)
        curve: list[Progress] = []
        fit, scored = Fit(), 0.0
        if not trial.locked:
            before = self._splits.scoring_seconds
            source, budget = self._splits.source(trial, coordinate), Budget(trial.epochs, done, self._seconds)
            scored = self._splits.scoring_seconds - before  # what it is trained on top of
            fit = trainer.train(coordinate, source, budget, self._watcher(trial, report, curve, started))
        scoring = time.perf_counter()
        validated = None if fit.best is None else fit.best.scores
        scores = {} if validated is None else {"validation": validated}
        for split in self._splits.held_out:
            if split not in scores:
                scores[split] = self._splits.score(coordinate, split)
        if fit.left_out is not None:
            places, own = fit.left_out
            of_train = self._splits.score(coordinate, "train")
            of_train[places] = own
            self._splits.write_scores(trial.number, "train", of_train)
        metrics = fit.metrics | self._measure(trial, scores, fit.held_out)
        if coordinate.arrays:
            known = {"parameters": float(coordinate.size), "complexity": family.complexity(parameters)}
            metrics = known | metrics  # a trainer may know better
            metrics |= self._save(trial, coordinate, fit)
        if fit.ensemble is not None and self._collective.rank == 0:
            found = json.dumps(dataclasses.asdict(fit.ensemble))
            self._study.write(f"{TRIALS}/{trial.number}/{ENSEMBLE}", found)
        now = time.perf_counter()
        evaluating = scored + fit.eval_seconds + now - scoring
        costs = Costs(fit.steps, fit.rows, fit.train_seconds, evaluating, now - started)
        auc, loss = metrics.pop("auc", None), metrics.pop("loss", None)
        return Result(trial.number, fit.state, auc, loss, metrics, tuple(curve), costs, ensemble=fit.ensemble)

    def _enter(self) -> None:
        """Opens the dataset and reads this rank's share; again when a lost rank has made the world a new one.

        Whoever takes a lost one's place must not train on what lies there by then.
        """
        self._dataset = Dataset.open(self._place)
        if self._digest is not None:
            confirm(self._dataset, self._digest, self._fingerprints)
        if self._validation_in_train:
            self._dataset = self._dataset.with_validation_in_train()
        self._trainers: dict[str, Trainer[Any]] = {}
        self._splits = Splits(
            self._dataset, self._study, self._collective, self._seed, self._block_rows, self._measured_by
        )
        self._splits.load()

    def _trainer(self, name: str) -> Trainer[Any]:
        if name not in self._trainers:
            self._trainers[name] = make_trainer(name, Setting(self._collective, self._averaging, self._threads))
        return self._trainers[name]

    def _save(self, trial: Trial, coordinate: Coordinate, fit: Fit) -> dict[str, float]:
        """Writes the coordinate, on rank 0; gives its size on disk."""
        if self._collective.rank != 0:
            return {}
        training = {"epochs": fit.epochs, "fraction": trial.fraction, "seed": trial.seed, "steps": fit.steps}
        place = self._study.within(f"{TRIALS}/{trial.number}")
        return {"bytes": float(save_coordinate(place, coordinate, training, fit.moments))}

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

    def _measure(self, trial: Trial, scores: Mapping[str, np.ndarray], held_out: Any = None) -> dict[str, float]:
        """Writes and measures the scores of the rows held out; validation by other scores, if given."""
        metrics: dict[str, float] = {}
        if held_out is not None:
            self._splits.write_scores(trial.number, HELD_OUT, held_out)
        for split, own in scores.items():
            self._splits.write_scores(trial.number, split, own)
            judged = held_out if held_out is not None and split == "validation" else own
            found = self._splits.held(split).measure(judged + self._splits.offset(split, trial.offset))
            metrics |= found if split == "validation" else {f"{split}_{k}": v for k, v in found.items()}
        if self._measured_by != AUC and QUALITY not in metrics:
            raise TrialError(
                f"measure {self._measured_by}: is not defined on the validation rows: no member has what it needs"
            )
        return metrics


def _use_threads(threads: int | None) -> None:
    """Sets TensorFlow's threads where it has not started yet; later they cannot be changed."""
    if threads is None:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:  # already running in this process, as in tests
        return
