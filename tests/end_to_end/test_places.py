"""The same study in other places: what its workers are does not change what it finds."""

from pathlib import Path

import pytest
import yaml

from glmix_automl.api import Study
from tests.end_to_end.conftest import CONFIGURATION, command
from tests.spark_cluster import submitted


def found(study: Study) -> dict[tuple[str, str], float | None]:
    """AUC of every trial by what was tried: numbers depend on who was asked first."""
    trials, results = study.history.trials, study.history.results
    return {
        (trials[number].strategy, repr(sorted(trials[number].parameters.items()))): result.auc
        for number, result in results.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "master"), [("in_process", None), ("spark", "local[2]"), ("spark", "the cluster")], ids=str
)
def test_the_study_finds_the_same_in_every_place(
    place: str,
    master: str | None,
    finished: tuple[Study, str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    configuration = tmp_path / "search.yaml"
    settings: dict[str, object] = {"dataset": finished[0].settings.dataset, "study": str(tmp_path / "study")}
    settings |= {"workers": {"place": place} | ({} if place == "in_process" else {"slots": 2})}
    configuration.write_text(yaml.safe_dump(CONFIGURATION | settings))
    if master is None:
        done = command("search", str(configuration))
    else:
        address = request.getfixturevalue("cluster") if master == "the cluster" else master
        done = submitted(address, "search.py", str(configuration))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    # Not to the last bit: products are summed in another order where there are other threads.
    assert found(Study.open(tmp_path / "study")) == pytest.approx(found(finished[0]), abs=1e-4)
