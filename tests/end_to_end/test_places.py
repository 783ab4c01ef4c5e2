"""The same study in other places: what its workers are does not change what it finds."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import yaml

from glmix_automl.api import Study
from tests.end_to_end.conftest import CONFIGURATION, command
from tests.spark_cluster import standalone, submitted

pytestmark = pytest.mark.timeout(900)


def found(study: Study) -> dict[tuple[str, str], float | None]:
    """AUC of every trial by what was tried: numbers depend on who was asked first."""
    trials, results = study.history.trials, study.history.results
    return {
        (trials[number].strategy, repr(sorted(trials[number].parameters.items()))): result.auc
        for number, result in results.items()
    }


@contextmanager
def at(place: str, folder: Path) -> Iterator[str]:
    """The address of a Spark master."""
    if place == "local[2]":
        yield place
    else:
        with standalone(folder, workers=4) as cluster:
            yield cluster.master


@pytest.mark.slow
def test_the_winner_is_promoted_and_scores_under_spark_submit(
    finished: tuple[Study, str], cluster: str, tmp_path: Path
) -> None:
    study = finished[0]
    done = submitted(cluster, "promote.py", str(study.folder.path), "--name", "places", "--json")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    promoted = json.loads(done.stdout.splitlines()[-1])
    assert (promoted["action"], promoted["version"]) == ("promoted", 1)
    rows = str(Path(study.settings.dataset) / "raw" / "test")
    settings = {"model": "models:/places@champion", "registry": promoted["uri"], "rows": {"path": rows}}
    (tmp_path / "score.yaml").write_text(yaml.safe_dump({**settings, "output": str(tmp_path / "scores"), "top": 3}))
    done = submitted(cluster, "score.py", str(tmp_path / "score.yaml"), "--json")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    scored = pd.read_parquet(tmp_path / "scores")
    assert len(scored) == json.loads(done.stdout.splitlines()[-1])["rows"] > 0
    best = study.champion().predict(pd.read_parquet(rows).set_index("uid").loc[scored.uid].reset_index())
    assert scored.probability.to_numpy() == pytest.approx(best.probability.to_numpy(), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "slots", "spark"),
    [("spark", 4, "four executors of one core"), ("spark", 2, "local[2]"), ("in_process", 1, None)],
    ids=str,
)
def test_the_study_finds_the_same_in_every_place(
    place: str, slots: int, spark: str | None, finished: tuple[Study, str], tmp_path: Path
) -> None:
    configuration = tmp_path / "search.yaml"
    settings: dict[str, object] = {"dataset": finished[0].settings.dataset, "study": str(tmp_path / "study")}
    settings["workers"] = {"place": place, "slots": slots}
    configuration.write_text(yaml.safe_dump(CONFIGURATION | settings))
    if spark is None:
        done = command("search", str(configuration))
    else:
        with at(spark, tmp_path / "cluster") as master:
            done = submitted(master, "search.py", str(configuration))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    study = Study.open(tmp_path / "study")
    workers = {result.worker for result in study.history.results.values()}
    assert len(workers) <= slots
    assert len(workers) > 1 or slots == 1, "whoever begins first leaves something to the others"
    # Not to the last bit: products are summed in another order where there are other threads.
    assert found(study) == pytest.approx(found(finished[0]), abs=1e-4)
