"""What MLflow shows on the study's own run when the study has ended: tables, charts, dataset, winning model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import pandas as pd
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from glmix_automl.layout import LEADERBOARD_CSV, LEADERBOARD_JSON, REPORT
from glmix_automl.pages.numbers import format_seconds, number
from glmix_automl.reporting.leaderboard import Leaderboard, Row
from glmix_automl.reporting.report import CHARTS, trial_rows
from glmix_automl.study.folder import StudyFolder
from glmix_automl.study.history import History
from glmix_automl.tracking.view import TRIAL_TAG

MODEL_ARTIFACT = "model"
NOTE_CHARACTERS = 5000  # MLflow keeps 8,000 of a tag, older servers 5,000


class ModelFiles(NamedTuple):
    """An exported model and what MLflow needs to serve it; made by whoever knows about serving."""

    folder: Path
    loader: str
    """Module with `_load_pyfunc`."""
    code: Sequence[str]
    requirements: Sequence[str]
    signature: Any
    example: pd.DataFrame


def log_study(
    uri: str, parent: str, folder: StudyFolder, history: History, board: Leaderboard, model: ModelFiles
) -> None:
    """Logs everything to the run `parent`. May be repeated: files are replaced, a model of the same trial is kept.

    Raises:
        Exception: whatever MLflow raises when its server is away.
    """
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    for name in (LEADERBOARD_CSV, LEADERBOARD_JSON, REPORT):
        client.log_artifact(parent, str(folder.on_disk(name)))
    client.log_artifacts(parent, str(folder.on_disk(CHARTS)), CHARTS)
    client.log_table(parent, _plain(board.frame()), "leaderboard_table.json")
    client.log_table(parent, _trials(history), "trials_table.json")
    _log_metrics(client, parent, history, board)
    client.set_tag(parent, MLFLOW_RUN_NOTE, note(board, folder))
    _log_model(uri, client, parent, board, model)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with None where there is no number: JSON knows no NaN."""
    columns = {name: [None if pd.isna(value) else value for value in frame[name]] for name in frame.columns}
    return pd.DataFrame(columns, dtype=object)


def _trials(history: History) -> pd.DataFrame:
    frame = pd.DataFrame(
        [
            {
                "trial": row.trial.number,
                "entry": row.trial.strategy,
                "family": row.trial.family,
                "parameters": row.parameters,
                "state": row.result.state.value,
                "validation_auc": row.result.auc,
                "worker_seconds": row.result.costs.worker_seconds,
            }
            for row in trial_rows(history)
        ]
    )
    return _plain(frame)


def _log_metrics(client: MlflowClient, parent: str, history: History, board: Leaderboard) -> None:
    """What the study has come to on its own run, and on the run of each entry's model what the test rows say of it."""
    at = round(history.sessions[-1][1] * 1000) if history.sessions else 0
    found = {"worker_seconds": history.spent, "trials": float(len(history.results))}
    if board.winner is not None:
        found |= {"validation_auc": board.winner.validation_auc, **_test_metrics(board.winner)}
    client.log_batch(parent, [Metric(name, value, at, 0) for name, value in found.items()], synchronous=True)
    run = client.get_run(parent)
    for row in board.rows:
        condition = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}' and tags.`{TRIAL_TAG}` = '{row.trial}'"
        for child in client.search_runs([run.info.experiment_id], condition, max_results=1):
            metrics = [Metric(name, value, at, 0) for name, value in _test_metrics(row).items()]
            client.log_batch(child.info.run_id, metrics, synchronous=True)


def _test_metrics(row: Row) -> dict[str, float]:
    """The metrics of test rows that are defined."""
    names = ("test_auc", "member_auc", "ndcg_at_10", "precision_at_10", "cold_start_auc")
    return {f"test_{name.removeprefix('test_')}": v for name in names if (v := getattr(row, name)) is not None}


def note(board: Leaderboard, folder: StudyFolder) -> str:
    """The leaderboard in Markdown, which MLflow shows as the run's description."""
    heads = ("", "entry", "model", "trials", "worker time", "validation AUC", "test AUC [95 %]", "NDCG@10")
    lines = [_line(heads), _line(("---:", "---", "---", *["---:"] * 5))]
    for row in board.rows:
        interval = f"{number(row.test_auc, 4)} [{number(row.test_low, 4)}, {number(row.test_high, 4)}]"
        cells = (row.place, row.entry, row.model, row.trials, format_seconds(row.worker_seconds))
        lines.append(_line((*cells, number(row.validation_auc, 5), interval, number(row.ndcg_at_10, 4))))
    whole, last = "", f"\n{REPORT} and the charts are among the artifacts; the study lies in `{folder.uri}`."
    for line in lines:
        if len(whole) + len(line) + len(last) > NOTE_CHARACTERS:
            break
        whole += f"{line}\n"
    return whole + last


def _line(cells: Sequence[object]) -> str:
    """A row of a table in Markdown; what would end a cell or begin a tag is said otherwise."""
    texts = (str(cell).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return f"| {' | '.join(' '.join(text.split()) for text in texts)} |"


def _log_model(uri: str, client: MlflowClient, parent: str, board: Leaderboard, model: ModelFiles) -> None:
    assert board.winner is not None, "a study without a model is not published"
    trial = str(board.winner.trial)
    if client.get_run(parent).data.tags.get("model.trial") == trial:
        return
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    ended = client.get_run(parent).info
    try:
        with mlflow.start_run(run_id=parent, log_system_metrics=False):
            mlflow.pyfunc.log_model(
                name=MODEL_ARTIFACT,
                loader_module=model.loader,
                data_path=str(model.folder),
                code_paths=list(model.code),
                pip_requirements=list(model.requirements),
                signature=model.signature,
                input_example=model.example,
            )
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
    client.set_tag(parent, "model.trial", trial)
    # Logging a model opens the run again; it ended when the study did.
    client.set_terminated(parent, ended.status if ended.status != "RUNNING" else "FINISHED", ended.end_time)
