"""The winner trained once more on train and validation together: what was chosen stays as it is, rows become more.

Structure, budgets, strengths and weights are those that validation chose; so that no choice is made again, an epoch
is the last where it was the best, and nobody looks at the validation rows, which are rows of train by then.
"""

import json
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace

from glmix_automl.ensemble import Ensemble, flatten
from glmix_automl.errors import StudyError
from glmix_automl.layout import REFIT, TRIALS, Folder
from glmix_automl.models import family_of
from glmix_automl.study.executors import evaluator, executor
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.history import History
from glmix_automl.trial import Result, State, Trial, Value, find_twin, list_needed
from glmix_automl.workers.executor import Executor
from glmix_automl.workers.task_spec import TaskSpec

DONE = "refit.json"
"""In the folder of each trial that was trained again, written last."""
WORKERS_START_SECONDS = 6.0  # of workers, until the first of them trains
SLACK = 1.25  # there are more rows than before


def refit(folder: StudyFolder, history: History, model: Ensemble) -> Folder:
    """Trains the members of a model again, each on what it was trained on top of, with the study's kind of worker.

    Args:
        folder: of the study.
        history: of the study.
        model: over trained coordinates.

    Returns:
        A folder with `trials/<number>/`, as a study has them; what is there from an earlier call is kept.

    Raises:
        DataError: the dataset cannot be read, or has changed.
        StudyError: a member could not be trained again: which, and why.
    """
    target = folder.files.within(REFIT)
    trials = [fix(history, number) for number in _needed(history, model)]
    left = [trial for trial in trials if not _is_done(target, trial)]
    if left:
        with _workers(folder, target, len(left)) as workers:
            _train(workers, left, target)
    return target


def has_time_left(history: History, model: Ensemble, seconds: float | None, slots: int) -> bool:
    """Whether what is left of a study's seconds holds training a model's members once more, `slots` at a time."""
    if seconds is None:
        return False
    twins = {number: find_twin(history.trials[number], history.trials) for number in _needed(history, model)}
    took = [history.results[n if twin is None else twin].costs.train_seconds for n, twin in twins.items()]
    return history.seconds() + WORKERS_START_SECONDS + SLACK * max(sum(took) / slots, *took, 0.0) <= seconds


def _needed(history: History, model: Ensemble) -> list[int]:
    return list_needed(model.pruned.members, history.trials, _fitted(history))


def fix(history: History, number: int) -> Trial:
    """The trial with every choice made that validation made when it ran: how many epochs, trees, what strength.

    Offsets and teachers are over trained coordinates, as mixtures are not fitted again.
    """
    trial, result = history.trials[number], history.results[number]
    known = family_of(trial.family).parameters.model_fields
    chosen: dict[str, Value] = {name: value for name, value in result.metrics.items() if name in known}
    chosen |= {name: value for name, value in (("patience", 0), ("evaluations", 1)) if name in known}
    if "trees" in known:
        epochs = 1.0
    else:
        points = [point for point in result.curve if point.auc is not None]
        epochs = max(points, key=lambda point: point.auc or 0.0).epoch if points else trial.epochs
    offset, teacher = (_flat(history, below) for below in (trial.offset, trial.teacher))
    return replace(trial, parameters={**trial.parameters, **chosen}, epochs=epochs, offset=offset, teacher=teacher)


def _flat(history: History, model: Ensemble | None) -> Ensemble | None:
    return None if model is None else flatten(model, _fitted(history))


def _fitted(history: History) -> dict[int, Ensemble]:
    return {n: result.ensemble for n, result in history.results.items() if result.ensemble is not None}


def _is_done(target: Folder, trial: Trial) -> bool:
    place = f"{TRIALS}/{trial.number}/{DONE}"
    return target.exists(place) and target.read(place) == _words(trial)


def _words(trial: Trial) -> bytes:
    return json.dumps(trial.to_json(), sort_keys=True).encode()


@contextmanager
def _workers(folder: StudyFolder, target: Folder, most: int) -> Iterator[Executor]:
    """Slots where the study's workers are, so many at most, with a train that has validation's rows too."""
    record = folder.record
    workers = record.settings.workers
    workers = workers.model_copy(update={"slots": min(workers.slots, most)})
    spec = evaluator(record, folder.open_dataset())
    own = {"study": target.uri, "validation_in_train": True}
    place = executor(workers, TaskSpec(spec.name, {**spec.arguments, **own}), folder.path, lambda _: None)
    try:
        yield place
    finally:
        place.shutdown(wait=False, cancel_futures=True)


def _train(place: Executor, trials: list[Trial], target: Folder) -> None:
    """Trains each when what it builds on is there."""
    left = {trial.number: trial for trial in trials}
    out: dict[Future[Result], Trial] = {}
    while left:
        for trial in left.values():
            if trial not in out.values() and not left.keys() & _list_below(trial):
                out[place.submit(trial)] = trial
        for future in place.wait(list(out), None):
            trial = out.pop(future)
            _keep(trial, future.result(), target)
            del left[trial.number]


def _list_below(trial: Trial) -> set[int]:
    ensembles = [each for each in (trial.offset, trial.teacher) if each is not None]
    parents = set() if trial.parent is None else {trial.parent}
    return parents.union(*(each.members for each in ensembles))


def _keep(trial: Trial, result: Result, target: Folder) -> None:
    if result.state is not State.FINISHED:
        why = (result.error or "it was stopped").strip().splitlines()[-1]
        raise StudyError(f"trial {trial.number} could not be trained again on train and validation: {why}")
    target.write(f"{TRIALS}/{trial.number}/{DONE}", _words(trial))
