"""A race that names earlier studies: what they found is read when it begins, and stays what it was."""

from pathlib import Path
from typing import Any

import pytest

from glmix_automl.dataset import Dataset
from glmix_automl.errors import ConfigError
from glmix_automl.search.transfer import drift
from glmix_automl.study.folder import StudyFolder, StudyRecord
from glmix_automl.study.journal import Journal
from glmix_automl.study.session import Session
from glmix_automl.study.settings import SearchSettings
from glmix_automl.trial import Result, State, Trial
from tests.dataset_maker import make_dataset

SPACE = {"learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "scale": "log"}}


def settings(folder: Path, dataset: str, prior: list[dict[str, Any]] | None = None) -> SearchSettings:
    bayes = {"strategy": "bayes", "family": "logistic", "space": SPACE, **({"prior": prior} if prior else {})}
    content = {"dataset": str(folder / dataset), "study": str(folder / "tonight"), "race": {"bayes": bayes}}
    return SearchSettings.model_validate(content)


def earlier(folder: Path, dataset: str, rates: tuple[float, ...]) -> StudyFolder:
    made = StudyFolder(folder / "yesterday")
    made.path.mkdir()
    digest = Dataset.open(str(folder / dataset)).digest
    made.write(StudyRecord(digest=digest, dataset_name="made", settings=settings(folder, dataset)))
    with Journal(made.journal) as file:
        for number, rate in enumerate(rates):
            trial = Trial(number, "bayes", "logistic", {"learning_rate": rate})
            file.append({"event": "ask", "at": 1.0, "trials": [trial.to_json()]})
            result = Result(number, State.FINISHED, 0.7 + number / 100)
            file.append({"event": "result", "at": 2.0, "result": result.to_json()})
    return made


def prior(session: Session) -> dict[str, Any]:
    (found,) = session.settings.race["bayes"].options["prior"]
    return dict(found)


def test_a_prior_is_read_once_and_kept(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=60)
    made = earlier(tmp_path, "dataset", (0.002, 0.01, 7.0))
    configured = settings(tmp_path, "dataset", [{"study": str(made.path)}])
    with Session(configured) as session:
        found = prior(session)
    assert [o["parameters"]["learning_rate"] for o in found["observations"]] == [0.002, 0.01]
    assert found["drift"] == 0
    made.journal.unlink()
    with Session(configured, resume=True) as session:
        assert prior(session) == found


def test_another_dataset_weighs_less(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=60)
    make_dataset(tmp_path / "moved", rows=60, terms=24)
    made = earlier(tmp_path, "moved", (0.002,))
    found = prior(Session(settings(tmp_path, "dataset", [{"study": str(made.path)}])))
    assert 0.1 < found["drift"] < 1
    given = prior(Session(settings(tmp_path, "dataset", [{"study": str(made.path), "drift": 0.01}])))
    assert given["drift"] == 0.01
    assert given["observations"] == found["observations"]


def test_a_prior_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=60)
    made = earlier(tmp_path, "dataset", (7.0,))
    with pytest.raises(ConfigError, match="none of its 1 trials lies in this entry's space"):
        Session(settings(tmp_path, "dataset", [{"study": str(made.path)}]))
    with pytest.raises(ConfigError, match="no study here"):
        Session(settings(tmp_path, "dataset", [{"study": str(tmp_path / "nowhere")}]))


def test_drift_is_0_of_the_same_and_grows_with_the_shift(tmp_path: Path) -> None:
    schema = make_dataset(tmp_path / "dataset", rows=60)

    def moved(by: float) -> float:
        features = tuple(
            f.model_copy(update={"center": f.center + by * f.scale}) if f.kind == "numeric" else f
            for f in schema.features
        )
        return drift(schema, schema.model_copy(update={"features": features}))

    assert moved(0) == 0
    share = len(schema.numerics) / len(schema.features)
    assert moved(0.2) == pytest.approx(0.2**2 * share)
    assert moved(0.4) == pytest.approx(4 * moved(0.2))
