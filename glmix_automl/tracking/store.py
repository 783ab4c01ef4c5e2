"""Where MLflow keeps what it shows, if nobody says otherwise."""

from pathlib import Path

from glmix_automl.study.folder import StudyFolder


def default_uri(folder: StudyFolder) -> str:
    """SQLite beside the study's folder, so that studies in one folder are compared in one UI."""
    return f"sqlite:///{folder.path.parent / 'mlflow.db'}"


def default_artifacts(folder: StudyFolder) -> Path:
    """Where the default store keeps artefacts."""
    return folder.path.parent / "mlartifacts"
