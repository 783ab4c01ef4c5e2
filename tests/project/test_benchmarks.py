"""The page of benchmarks is what the records say, and what can be asked for is there."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glmix_automl.check import check
from glmix_automl.config import parse
from glmix_automl.schema import SPLITS
from glmix_automl.study import session
from glmix_automl.study.settings import SearchSettings
from tests.dataset_maker import make_dataset

BENCHMARKS = Path(__file__).resolve().parent.parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_the_page_is_what_the_records_generate() -> None:
    from page import make_pages

    for path, text in make_pages().items():
        assert path.read_text() == text, "run: python benchmarks/run.py --page"


def test_every_record_is_on_the_page_and_every_part_is_a_script() -> None:
    from page import TITLES
    from run import PARTS

    assert {path.stem for path in (BENCHMARKS / "results").glob("*.json")} <= set(TITLES)
    assert set(TITLES) == set(PARTS)
    assert [name for name, part in PARTS.items() if not (BENCHMARKS / part.script).is_file()] == []


def test_peers_get_ids_within_the_sizes_they_are_told(tmp_path: Path) -> None:
    from peer_columns import write_columns
    from quality import prepared

    make_dataset(tmp_path / "dataset", rows=600, held_out=200)
    write_columns(*prepared(str(tmp_path / "dataset")), tmp_path)
    told = json.loads((tmp_path / "features.json").read_text())
    assert told["categoricals"]
    assert told["bags"]
    for split in SPLITS:
        arrays = {k: np.load(tmp_path / f"{split}_{k}.npy") for k in ("label", "categoricals", "splits_0", "ids_0")}
        assert (arrays["categoricals"].max(axis=0) < [each["size"] for each in told["categoricals"]]).all()
        assert arrays["ids_0"].max() < told["bags"][0]["size"]
        assert arrays["splits_0"][-1] == len(arrays["ids_0"])
        assert len(arrays["label"]) == len(pd.read_parquet(tmp_path / f"{split}.parquet"))


def test_optuna_searches_the_families_of_the_default_race(tmp_path: Path) -> None:
    from quality import make_optuna_race

    make_dataset(tmp_path / "dataset", rows=600, held_out=200)
    race = make_optuna_race(str(tmp_path / "dataset"), 60.0)
    told = {"dataset": str(tmp_path / "dataset"), "study": str(tmp_path / "study"), "race": race}
    settings = parse(told, SearchSettings, "search")
    assert check(settings) == ("optuna",)
    (entry,) = session.race(settings).values()
    assert {trial.family for trial in entry.strategy.ask(40)} == {"logistic", "subnetwork", "trees"}


def test_a_script_records_where_a_folder_is_named_and_only_there(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from results import Figure, record\n"
        "record('made', 'It is 2.', ['what', 'AUC'], [['it', Figure(0.71234, 0.7, 0.72)]], data='none', seeds='1')\n"
    )
    run = [sys.executable, "-c", script]
    subprocess.run(run, check=True, env={"PATH": "/usr/bin:/bin"})
    assert list(tmp_path.iterdir()) == []
    subprocess.run(run, check=True, env={"PATH": "/usr/bin:/bin", "BENCH_RESULTS": str(tmp_path)})
    content = json.loads((tmp_path / "made.json").read_text())
    assert content["rows"] == [["it", {"value": 0.71234, "low": 0.7, "high": 0.72}]]
    assert content["command"].startswith("python")
    assert "cores" in content["machine"]

    from page import draw_table

    assert "| it | 0.7123 (0.7000 to 0.7200) |" in draw_table(content)
