"""Studies on disk without a dataset: what journals and their views need."""

from pathlib import Path

from glmix_automl.study.folder import StudyFolder, StudyRecord
from glmix_automl.study.settings import SearchSettings


def begun(path: Path, *entries: str) -> StudyFolder:
    """A folder with a `study.json` and nothing else."""
    race = {name: {"strategy": "fixed", "family": "toy"} for name in entries or ("hill",)}
    settings = SearchSettings.model_validate({"dataset": "nowhere", "study": str(path), "race": race})
    folder = StudyFolder(path)
    path.mkdir(parents=True)
    folder.write(StudyRecord(digest="d" * 64, dataset_name="made", settings=settings))
    return folder
