"""What a study has come to: leaderboard, report and the winning model in its folder, all of it in MLflow too."""

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from glmix_automl.dataset import Dataset
from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import ConfigError, GlmixError, NoModelError, StudyError
from glmix_automl.layout import COORDINATES, MODEL, RECIPE, TRIALS, Folder
from glmix_automl.refit import has_time_left, refit
from glmix_automl.reporting import report
from glmix_automl.reporting.edges import find_edges
from glmix_automl.reporting.evaluation import Evaluation
from glmix_automl.reporting.leaderboard import Leaderboard, Row, leaderboard
from glmix_automl.reporting.permutation import permutation_importance
from glmix_automl.search.growth.plan import Plan, plan_replay
from glmix_automl.serving.export import export
from glmix_automl.study.controller import INTERRUPTED
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.history import History
from glmix_automl.tracking.tracker import Tracker, logged, run_url, track
from glmix_automl.trial import find_twin

if TYPE_CHECKING:
    from glmix_automl.tracking.publish import ModelFiles

EXAMPLE_ROWS = 5  # of the model's input
SLOW = "the tracking server is slow"


def evaluate(folder: StudyFolder, history: History) -> Evaluation:
    """What judges a study's models on the test rows.

    Raises:
        DataError: the dataset cannot be read, or is another one by now.
        StudyError: no trial left a model; `NoModelError` where the study is over.
    """
    if history.best is None:
        kind = NoModelError if history.ended not in (None, INTERRUPTED) else StudyError
        raise kind(f"{folder.uri}: no trial left a model, of {len(history.results)} that ended")
    measure = folder.record.settings.measure
    return Evaluation(folder.open_dataset("validation", "test"), folder.files, history, measure=measure)


def conclude(folder: StudyFolder) -> Leaderboard:
    """Writes leaderboard, report and the winning model into a study's folder; gives the leaderboard.

    Raises:
        DataError: the dataset or cached scores cannot be read.
        StudyError: no trial left a model.
    """
    from glmix_automl.serving.model import Model  # loads TensorFlow

    history = folder.history()
    evaluation = evaluate(folder, history)
    record = folder.record
    board = leaderboard(history, evaluation, record.settings.prefer)
    trained, remarks = _train_again(folder, history, evaluation, board.rows[0])
    found = *find_edges(record.settings.race, history), *say_taken_over(history)
    remarks = (*found, *record.settings.left_out, *remarks)
    board = dataclasses.replace(board, remarks=remarks)
    board.write(folder.files)
    _export(folder, history, evaluation, board, trained)
    score = Model(folder.files.within(MODEL)).score_block
    losses = permutation_importance(score, evaluation.dataset, record.settings.seed, _groups(evaluation.dataset))
    report.write_study_report(folder.files, folder.name, record, history, board, evaluation, losses)
    return board


def say_taken_over(history: History) -> tuple[str, ...]:
    """Which entries took over what others trained, as their own rows do not hold what that cost."""
    twins = ((trial, find_twin(trial, history.trials)) for trial in history.trials.values())
    scored = {number for number, result in history.results.items() if result.state.scored}
    pairs = {(trial.strategy, history.trials[twin].strategy): None for trial, twin in twins if twin in scored}
    return tuple(f"{entry} took over what {by} trained, whose row has its steps and seconds" for entry, by in pairs)


def _train_again(
    folder: StudyFolder, history: History, evaluation: Evaluation, winner: Row
) -> tuple[Folder, tuple[str, ...]]:
    """Where the winner's coordinates lie, trained again on train and validation if the study is to or has the time, and
    what that was worth on the test rows.
    """
    settings, model = folder.record.settings, evaluation.model(winner.trial)
    is_wanted = settings.refit
    if is_wanted == "time_left":
        is_wanted = has_time_left(history, model, settings.limits.seconds, settings.workers.slots)
    if not is_wanted or history.ended in (None, INTERRUPTED):
        return folder.files, ()
    try:
        found = refit(folder, history, model)
    except GlmixError as error:  # the model of train is there, whatever became of this
        return folder.files, (f"the model is the one of train alone: {error}",)
    measure = evaluation.measure
    after = Evaluation(evaluation.dataset, found, history, measure=measure.name)
    gain = evaluation.compare_scores(winner.trial, after.scores(winner.trial))
    reached = after.quality(winner.trial).estimate
    told = f"test {measure.words} {reached:.4f}, {gain.difference:+.4f} (p {gain.p_value:.2g})"
    return found, (f"the model is the winner trained again on train and validation, its choices fixed: {told}",)


def _groups(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Groups of the dataset's made columns, where a recipe is there to say it."""
    from glmix_automl.prepare.column_groups import column_groups
    from glmix_automl.prepare.pipeline import load_recipe

    if not dataset.folder.exists(RECIPE):
        return {}
    try:
        return column_groups(load_recipe(json.loads(dataset.folder.read(RECIPE))))
    except ConfigError:
        return {}  # of another version: the report does without


def _export(folder: StudyFolder, history: History, evaluation: Evaluation, board: Leaderboard, trained: Folder) -> None:
    winner = board.rows[0]
    origin: dict[str, object] = {
        "study": folder.record.id,
        "name": folder.name,
        "digest": folder.record.digest,
    }
    origin |= {"trial": winner.trial, "entry": winner.entry, "model": winner.model}
    origin |= {"measure": evaluation.measure.name, "quality": winner.quality, "test_quality": winner.test_quality}
    origin |= {"validation_auc": winner.validation_auc, "test_auc": winner.test_auc}
    model, target = evaluation.model(winner.trial), folder.files.within(MODEL)
    found = _plan(history, winner.entry, model)
    origin |= {"plan": found.model_dump(mode="json")} if found is not None else {}
    export(trained, model, evaluation.dataset.schema, target, origin, evaluation.dataset.folder)
    _describe(folder, evaluation.dataset, winner, target)


def _describe(folder: StudyFolder, dataset: Dataset, winner: Row, target: Folder) -> None:
    """Writes what goes with the model: its fixed part as a SavedModel, and its card."""
    from glmix_automl.models.saved_model import save_fixed_part  # these load TensorFlow
    from glmix_automl.serving.card import CARD, model_card
    from glmix_automl.serving.model import Model

    model = Model(target)
    terms = zip((term.weight for term in model.description.terms), model.trained, strict=True)
    save_fixed_part(target, model.schema, list(terms), model.description.bias)
    names = (
        *("validation_auc", "test_auc", "test_low", "test_high", "member_auc", "cold_start_auc"),
        *("ndcg_at_10", "precision_at_10"),
    )
    measures = {name.replace("_", " "): getattr(winner, name) for name in names}
    target.write(CARD, model_card(folder.name, model, dataset, measures))


def _plan(history: History, entry: str, model: Ensemble) -> Plan | None:
    """What rebuilds an entry's ensemble, its weights being those of the exported coordinates; None without one."""
    try:
        found = plan_replay(history.trials, history.results, entry)
    except ValueError:
        return None
    kept = {f"{TRIALS}/{n}": f"{COORDINATES}/{n}" for n in model.pruned.members}
    members = (m.model_copy(update={"checkpoint": kept.get(str(m.checkpoint))}) for m in found.members)
    return found.model_copy(update={"members": tuple(members)})


def summary(folder: StudyFolder, board: Leaderboard) -> dict[str, Any]:
    """What a study has come to, flat, for whoever asks in one line: its winner, and where MLflow shows it."""
    record, winner, cursor = folder.record, board.rows[0], logged(folder)
    return {
        "study": folder.uri,
        "dataset": record.settings.dataset,
        "digest": record.digest,
        "ended": folder.history().ended,
        "entry": winner.entry,
        "trial": winner.trial,
        "validation_auc": winner.validation_auc,
        "test_auc": winner.test_auc,
        "run": None if cursor is None else cursor.parent,
        "run_url": None if cursor is None else run_url(cursor),
    }


def publish(
    folder: StudyFolder, board: Leaderboard, before: Tracker | None = None, seconds: float = 60.0
) -> str | None:
    """Has MLflow show what `conclude` wrote, and what it missed of the trials; returns what went wrong, or None.

    Args:
        folder: of the study.
        board: the leaderboard.
        before: what tracked the study until now; a server that it did not reach is not waited for again.
        seconds: how long to wait for the tracking server to catch up.
    """
    if before is not None and not before.caught_up:
        return before.problem or SLOW
    record = folder.record
    tracker = track(folder, record.settings, record.dataset_name)
    if tracker is None:
        return None
    if not tracker.close(seconds) or tracker.parent is None:
        return tracker.problem or SLOW
    try:
        from glmix_automl.tracking.publish import log_study as show  # loads MLflow

        show(tracker.uri, tracker.parent, folder, folder.history(), board, _model_files(folder))
    except Exception as error:  # MLflow's view is never worth more than the study itself
        return f"{type(error).__name__}: {error}".strip().splitlines()[0]
    return None


def _model_files(folder: StudyFolder) -> "ModelFiles":
    from glmix_automl.serving import pyfunc
    from glmix_automl.serving.memory import Memory
    from glmix_automl.tracking.publish import ModelFiles

    dataset = Dataset.open(folder.record.settings.dataset)
    shard = dataset.shards("validation")[0]
    rows = next(pq.ParquetFile(shard.path, filesystem=shard.filesystem).iter_batches(EXAMPLE_ROWS)).to_pandas()
    memory = Memory.open(folder.files.within(MODEL))
    return ModelFiles(
        folder.on_disk(MODEL),
        pyfunc.__name__,
        pyfunc.code(),
        pyfunc.requirements(),
        pyfunc.model_signature(dataset.schema, memory),
        pyfunc.example(dataset.schema, rows, memory),
    )
