"""Data that no model can be learned from are refused before any trial begins, by file and column, on every place."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glmix_automl import Study
from glmix_automl.cli import main
from glmix_automl.errors import DataError
from glmix_automl.study.folder import StudyFolder
from tests.cli.test_search import written
from tests.dataset_maker import make_dataset

RACE = {"one": {"strategy": "fixed", "family": "logistic", "parameters": {"solver": "lbfgs", "l2": 1.0}}}


def put(split: str, name: str, value: object) -> Callable[[Path], None]:
    """Sets a column of a split's every row, or the first value of its first shard where the value is a list of one."""

    def change(folder: Path) -> None:
        for path in sorted((folder / split).glob("*.parquet"))[: 1 if isinstance(value, list) else None]:
            table = pq.read_table(path)
            old = table.column(name).to_pylist()
            new = [*value, *old[1:]] if isinstance(value, list) else [value] * len(old)
            place = table.column_names.index(name)
            pq.write_table(table.set_column(place, name, pa.array(new, table.schema.field(name).type)), path)

    return change


def drop(split: str, name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for path in (folder / split).glob("*.parquet"):
            pq.write_table(pq.read_table(path).drop_columns([name]), path)

    return change


def rows_gone(split: str) -> Callable[[Path], None]:
    """Every shard of a split is empty, and the manifest says so."""

    def change(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        for shard in manifest["splits"][split]["shards"]:
            path = folder / split / shard["name"]
            pq.write_table(pq.read_table(path).slice(0, 0), path)
            shard["rows"] = 0
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return change


def split_gone(split: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        del manifest["splits"][split]
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return change


FAULTS = {
    "numeric that is NaN": (
        put("train", "n0", [float("nan")]),
        "train/part-00000.parquet: column 'n0' has 1 values that",
    ),
    "numeric of test that is NaN": (
        put("test", "n0", [float("nan")]),
        "test/part-00000.parquet: column 'n0' has 1 values",
    ),
    "label of 2": (put("train", "label", [2.0]), "train/part-00000.parquet: column 'label' must be 0 or 1, got 2"),
    "train of one class": (put("train", "label", 1.0), "every row of train has label 1; expected rows of both classes"),
    "validation of one class": (
        put("validation", "label", 0.0),
        "every row of validation has label 0; expected rows of",
    ),
    "test of one class": (put("test", "label", 0.0), "every row of test has label 0; expected rows of both classes"),
    "empty validation": (rows_gone("validation"), "validation has no rows"),
    "empty train": (rows_gone("train"), "train has no rows"),
    "no validation": (split_gone("validation"), "has no split 'validation', only train, test"),
    "column missing": (drop("train", "n1"), "column 'n1' of the schema is missing; it has"),
    "label missing": (drop("validation", "label"), "column 'label' of the schema is missing"),
    "category beyond the vocabulary": (
        put("test", "c0", [99]),
        "to 99, its vocabulary 0 to 12",
    ),
    "weight of 0": (put("train", "weight", 0.0), "column 'weight' must be above 0, got 0"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_data_that_cannot_be_learned_from_are_refused_before_any_trial(tmp_path: Path, fault: str) -> None:
    change, told = FAULTS[fault]
    make_dataset(tmp_path / "dataset", rows=200)
    change(tmp_path / "dataset")
    settings = {"dataset": str(tmp_path / "dataset"), "study": str(tmp_path / "study"), "race": RACE}
    with pytest.raises(DataError, match=re.escape(told)):
        Study({**settings, "workers": {"place": "in_process"}, "tracking": {"enabled": False}}).run()
    assert not StudyFolder(tmp_path / "study").history().trials


def test_categories_that_training_has_not_seen_are_no_fault(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=200)
    put("test", "c0", 0)(tmp_path / "dataset")
    put("train", "c0", 3)(tmp_path / "dataset")
    settings = {"dataset": str(tmp_path / "dataset"), "study": str(tmp_path / "study"), "race": RACE}
    study = Study({**settings, "workers": {"place": "in_process"}, "tracking": {"enabled": False}}).run()
    assert study.leaderboard().test_auc[0] > 0.5


@pytest.mark.horovod
def test_workers_say_it_too_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_dataset(tmp_path / "dataset", rows=200)
    change, told = FAULTS["numeric that is NaN"]
    change(tmp_path / "dataset")
    path = written(tmp_path, race=RACE, workers={"slots": 1}, tracking={"enabled": False})
    assert main(["search", path]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert len(error.splitlines()) == 2, error
    assert not StudyFolder(tmp_path / "study").history().results
