"""A dataset becomes a leaderboard, a report, runs in MLflow and a model that scores raw rows."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glmix_automl import metrics
from glmix_automl.api import Study
from glmix_automl.dataset import Dataset
from glmix_automl.search.growth.grown import trace_growth
from glmix_automl.search.growth.plan import Plan
from glmix_automl.tracking.names import fit
from glmix_automl.trial import State
from tests.end_to_end.conftest import ODD, command

pytestmark = pytest.mark.horovod

LEAN = Path(__file__).parent.parent / "serving" / "lean.py"


def log_odds(study: Study, number: int) -> np.ndarray:
    """Of the test rows by a trial's model: what it scored itself, on top of what it was trained on the residual of."""
    found: np.ndarray = np.load(study.folder.path / f"trials/{number}/scores-test.npy")
    below = study.history.trials[number].offset
    if below is None:
        return found
    terms = (w * log_odds(study, m) for m, w in zip(below.members, below.weights, strict=True))
    return found + below.bias + sum(terms)


def test_every_trial_ended_and_the_failed_one_says_why(finished: tuple[Study, str]) -> None:
    history = finished[0].history
    assert len(history.results) == 10
    failed = [result for result in history.results.values() if result.state is State.FAILED]
    assert len(failed) == 1
    assert "whom to weigh" in str(failed[0].error)


def test_the_leaderboard_is_what_the_scores_say(finished: tuple[Study, str]) -> None:
    study, printed = finished
    board = study.leaderboard()
    assert list(board.entry) == list(board.sort_values("validation_auc", ascending=False).entry)
    assert set(board.entry) == {ODD, "grid", "growth"}
    dataset = Dataset.open(study.settings.dataset)
    for row in board.itertuples():
        scores = log_odds(study, row.trial)
        assert row.test_auc == pytest.approx(metrics.auc(dataset.labels("test"), scores))
        assert row.test_low < row.test_auc < row.test_high
        assert f"{row.validation_auc:.5f}" in printed
    assert board.p_value.isna().tolist() == [True, False, False]
    saved = json.loads((study.folder.path / "leaderboard.json").read_text())
    assert [row["entry"] for row in saved["rows"]] == list(board.entry)
    assert saved["without_model"] == ["broken"]
    assert len(pd.read_csv(study.folder.path / "leaderboard.csv")) == 3


class _Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href")]


def test_the_report_needs_no_network(finished: tuple[Study, str]) -> None:
    page = (finished[0].folder.path / "report.html").read_text()
    parser = _Addresses()
    parser.feed(page)
    assert not [address for address in parser.found if not address.startswith("#")], "within drawings only"
    assert "@import" not in page
    assert "url(" not in page.replace("url(#", "")
    assert parser.tags.count("svg") >= 3
    assert "whom to weigh" in page


def test_the_champion_scores_raw_rows_as_the_study_did(finished: tuple[Study, str]) -> None:
    study = finished[0]
    assert study.leaderboard().entry[0] == "growth", "the model is to hold a network and trees on its residual"
    dataset = Dataset.open(study.settings.dataset)
    # The made dataset's features are their raw columns, but for ids, whose raw values are terms.
    shard = dataset.shards("test")[0]
    rows = pd.read_parquet(shard.path)
    # Preparation merges equal terms of a row; the made dataset has some, which a map of terms could not hold.
    whole = np.array(
        [
            all(len(set(row[bag.name])) == len(row[bag.name]) for bag in dataset.schema.bags)
            for _, row in rows.iterrows()
        ]
    )
    assert whole.sum() > 50
    rows = rows[whole]
    from glmix_automl.serving.pyfunc import example

    raw = example(dataset.schema, rows)
    predicted = study.champion().predict(raw)
    winner = int(study.leaderboard().trial[0])
    scores = log_odds(study, winner)[: len(whole)][whole]
    np.testing.assert_allclose(predicted.log_odds, scores, atol=1e-5)
    np.testing.assert_allclose(predicted.probability, 1 / (1 + np.exp(-scores)), atol=1e-6)


def test_leaderboard_picture_plan_and_exported_model_have_the_same_members(finished: tuple[Study, str]) -> None:
    study = finished[0]
    history, winner = study.history, study.leaderboard().iloc[0]
    assert winner.entry == "growth"
    drawn = trace_growth(history.trials, history.results, "growth")
    assert drawn.ensemble == winner.trial
    members = {member.trial for member in drawn.members if member.weight}
    described = study.champion().description
    assert {term.folder for term in described.terms} == {f"coordinates/{number}" for number in members}
    planned = Plan.model_validate(described.origin["plan"])
    assert {member.checkpoint for member in planned.members if member.weight} == {f"coordinates/{n}" for n in members}


@pytest.mark.slow
def test_the_logged_model_needs_only_its_requirements(finished: tuple[Study, str], tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    study = finished[0]
    cursor = json.loads((study.folder.path / "tracking.json").read_text())
    client = MlflowClient(tracking_uri=cursor["uri"])
    run = client.get_run(cursor["parent"])
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "1"
    assert run.data.params[fit(f"race.{ODD}.family")] == "logistic"
    assert {"report.html", "leaderboard.csv", "leaderboard_table.json", "trials_table.json", "charts"} <= {
        artefact.path for artefact in client.list_artifacts(cursor["parent"])
    }
    assert run.inputs.dataset_inputs[0].dataset.name == "made"
    (model,) = client.search_logged_models([run.info.experiment_id])
    files = Path(model.artifact_location.removeprefix("file://"))
    assert not [path for path in files.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    example = json.loads((files / "input_example.json").read_text())
    rows = [dict(zip(example["columns"], values, strict=True)) for values in example["data"]]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    paths = [str(tmp_path / "rows.json"), str(tmp_path / "out.json")]
    arguments = [cursor["uri"], f"models:/{model.model_id}", str(files / "requirements.txt"), *paths]
    done = subprocess.run(
        [sys.executable, "-I", str(LEAN), *arguments], capture_output=True, text=True, timeout=250, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["heavy"] == []
    assert str(files) in told["code"]
    scored = pd.DataFrame(json.loads((tmp_path / "out.json").read_text()))
    here = study.champion().predict(pd.DataFrame(rows))
    np.testing.assert_allclose(scored.probability, here.probability, atol=1e-6)


def test_the_commands_about_a_finished_study(finished: tuple[Study, str], capsys: pytest.CaptureFixture[str]) -> None:
    from glmix_automl.cli import main

    path = str(finished[0].folder.path)
    assert main(["status", path]) == 0
    shown = capsys.readouterr().out
    assert "every entry of the race has ended" in shown
    assert ODD in shown, "brackets in names are no markup"
    assert main(["compare", path, path]) == 0
    assert "+0.0000" in capsys.readouterr().out


def test_a_study_that_is_there_is_refused_and_named(finished: tuple[Study, str]) -> None:
    again = command("search", str(finished[0].folder.path.parent / "search.yaml"))
    assert again.returncode == 1
    assert "there is a study already" in again.stderr
    assert "Traceback" not in again.stderr
