"""Raw rows are scored as the study scored them, on this machine and on Spark, with reasons and ranks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from glmix_automl.api import Study
from glmix_automl.dataset import Dataset
from glmix_automl.errors import ConfigError, DataError
from glmix_automl.serving.model import Model
from glmix_automl.serving.scoring import score
from glmix_automl.serving.settings import ScoreSettings
from tests.dataset_maker import make_dataset, write_raw


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished study of one logistic regression, with raw rows beside its dataset."""
    folder = tmp_path_factory.mktemp("scoring")
    make_dataset(folder / "dataset", rows=600, held_out=300, bags=0, weighted_bags=0)
    write_raw(folder / "dataset")
    settings = {
        "dataset": str(folder / "dataset"),
        "study": str(folder / "study"),
        "workers": {"place": "in_process", "slots": 1},
        "tracking": {"enabled": False},
        "race": {"one": {"strategy": "fixed", "family": "logistic", "parameters": {"solver": "lbfgs", "l2": 1.0}}},
    }
    return Study(settings).run()


def settings(study: Study, output: Path, **more: object) -> ScoreSettings:
    raw = str(Path(study.settings.dataset) / "raw" / "test")
    given = {"model": str(study.folder.path), "rows": {"path": raw}, "output": str(output), **more}
    return ScoreSettings.model_validate(given)


def test_raw_rows_score_as_in_training(study: Study, tmp_path: Path) -> None:
    found = score(settings(study, tmp_path / "scores", coordinates=True, explain=2))
    assert found["rows"] == 300
    scored = pd.read_parquet(tmp_path / "scores").set_index("uid")
    dataset = Dataset.open(study.settings.dataset)
    trained = np.load(study.folder.path / "trials/0/scores-test.npy")
    here = scored.loc[dataset.column("test", "uid")]
    np.testing.assert_allclose(here.score, trained, atol=1e-5)
    np.testing.assert_allclose(here.probability, 1 / (1 + np.exp(-trained)), atol=1e-6)
    np.testing.assert_allclose(here["0_logistic"] + study.champion().description.bias, here.score, atol=1e-5)
    assert set(here.model_version) == {str(study.folder.path / "model")}
    # A linear coordinate's reasons are exact: a numeric's share is its weight times its value.
    rows = dataset.read("test")
    weights = np.load(study.folder.path / "trials/0/weights.npz")["linear"]
    for place in range(5):
        shares = {share["feature"]: share["log_odds"] for share in here.largest_shares.iloc[place]}
        assert len(shares) == 2
        for name, value in shares.items():
            if name.startswith("n"):
                number = int(name[1:])
                assert value == pytest.approx(rows.numerics[place, number] * weights[number], abs=1e-5)


def test_each_members_best(study: Study, tmp_path: Path) -> None:
    every = settings(study, tmp_path / "every")
    score(every)
    whole = pd.read_parquet(tmp_path / "every")
    best = settings(study, tmp_path / "best", top=3)
    score(best)
    kept = pd.read_parquet(tmp_path / "best")
    assert kept.groupby("member")["rank"].max().max() == 3
    for member, rows in kept.groupby("member"):
        wanted = whole[whole.member == member].score.nlargest(3)
        np.testing.assert_array_equal(np.sort(rows.score), np.sort(wanted))
        assert list(rows.sort_values("rank").score) == sorted(rows.score, reverse=True)


@pytest.mark.slow
@pytest.mark.spark
def test_spark_scores_as_this_machine_does(study: Study, tmp_path: Path, spark: SparkSession) -> None:
    more = {"coordinates": True, "explain": 1, "top": 4}
    score(settings(study, tmp_path / "local", **more))
    score(settings(study, tmp_path / "spark", engine="spark", **more))
    local, there = (pd.read_parquet(tmp_path / name).set_index("uid").sort_index() for name in ("local", "spark"))
    pd.testing.assert_frame_equal(local, there[local.columns], check_dtype=False, atol=1e-6)


def test_scores_appear_whole_and_replace_scores_only(study: Study, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    score(settings(study, output))
    score(settings(study, output, top=1))
    assert "rank" in pq.read_table(output).column_names
    assert [path.name for path in tmp_path.iterdir()] == ["scores"], "nothing is left beside them"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="something else than scores"):
        score(settings(study, tmp_path / "mine"))
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_wrong_models_are_named(study: Study, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no model here"):
        score(settings(study, tmp_path / "scores", model=str(tmp_path)))
    with pytest.raises(ConfigError, match="set `registry`"):
        score(settings(study, tmp_path / "scores", model="models:/jobs@champion"))
    with pytest.raises(ConfigError, match="expected models:/NAME@champion"):
        score(settings(study, tmp_path / "scores", model="models:/jobs"))


def test_what_the_study_shows_works_on_the_raw_rows_beside_the_dataset(study: Study) -> None:
    dataset = Dataset.open(study.settings.dataset)
    rows = pd.read_parquet(dataset.folder.path("raw/test")).set_index("uid").loc[dataset.column("test", "uid")]
    found = study.champion().predict(rows)
    np.testing.assert_allclose(found.log_odds, np.load(study.folder.path / "trials/0/scores-test.npy"), atol=1e-5)
    report = study.report()
    assert report == study.folder.path / "report.html"
    assert "one" in report.read_text()
    (study.folder.path / "model" / "model.json").unlink()  # as a crash while it is exported leaves it
    assert study.champion().predict(rows).equals(found)
    assert {name for name in vars(Study) if not name.startswith("_")} == {
        "champion",
        "history",
        "leaderboard",
        "open",
        "report",
        "run",
    }


def test_a_models_coordinates_add_up(study: Study) -> None:
    model: Model = study.champion()
    assert model.coordinates == ("0_logistic",)
