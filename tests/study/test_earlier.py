"""What a new study takes from earlier studies, models and files is read when it begins, and stays what it was."""

import json
from pathlib import Path
from typing import Any

import pytest

from glmix_automl.dataset import Dataset
from glmix_automl.errors import ConfigError
from glmix_automl.layout import COORDINATE, DESCRIPTION, SCHEMA, WEIGHTS, Folder
from glmix_automl.search.growth.plan import Plan, plan_replay
from glmix_automl.search.transfer import drift
from glmix_automl.study.folder import StudyFolder, StudyRecord
from glmix_automl.study.journal import Journal
from glmix_automl.study.session import Session
from glmix_automl.study.settings import SearchSettings
from glmix_automl.trial import Result, State, Trial
from tests.dataset_maker import make_dataset
from tests.search.growth_world import World
from tests.search.test_adanet_replay import grown

GROWTH = {"strategy": "adanet", "generator": {"kind": "simple"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_dataset(tmp_path / "dataset", rows=60)
    return tmp_path


def settings(folder: Path, study: str = "tonight", **race: Any) -> SearchSettings:
    content = {"dataset": str(folder / "dataset"), "study": str(folder / study), "race": race}
    return SearchSettings.model_validate(content)


def replayed(folder: Path, plan: Any, **options: Any) -> SearchSettings:
    return settings(folder, replay={"strategy": "replay", "plan": plan, **options})


def grown_study(folder: Path, *entries: str) -> tuple[StudyFolder, Plan]:
    """A study whose entries have all grown the same ensemble, and the plan of the first."""
    world = World()
    grown(world)
    made = StudyFolder(folder / "yesterday")
    made.path.mkdir()
    digest = Dataset.open(str(folder / "dataset")).digest
    race = settings(folder, "yesterday", **dict.fromkeys(entries, GROWTH))
    made.write(StudyRecord(digest=digest, dataset_name="made", settings=race))
    with Journal(made.journal) as file:
        for k, name in enumerate(entries):
            first = k * len(world.trials)
            for number, trial in world.trials.items():
                asked = trial.renumbered(lambda n, first=first: n + first).to_json() | {"strategy": name}
                file.append({"event": "ask", "at": 1.0, "trials": [asked]})
                result = world.results[number].renumbered(lambda n, first=first: n + first).to_json()
                file.append({"event": "result", "at": 2.0, "result": result})
    return made, plan_replay(world.trials, world.results)


def keep_weights(folder: Folder, found: Plan) -> None:
    """Stands in for what training leaves behind: only whether it is there is looked at."""
    for name in (SCHEMA, *(f"{m.checkpoint}/{file}" for m in found.members for file in (WEIGHTS, COORDINATE))):
        folder.write(name, b"")


def read(session: Session) -> Plan:
    """The plan a session has in its settings, but for where that was read."""
    found = Plan.model_validate(session.settings.race["replay"].options["plan"])
    return found.model_copy(update={"source": None})


def test_the_plan_of_a_study_is_read_once_and_kept(folder: Path) -> None:
    made, expected = grown_study(folder, "growth")
    keep_weights(made.files, expected)
    configured = replayed(folder, str(made.path), warm_start=True)
    with Session(configured) as session:
        assert read(session) == expected.model_copy(update={"origin": str(made.path)})
        (first,) = session.entries["replay"].ask(1, 0, 0.0)
        assert first.checkpoint == f"{made.path}/{expected.members[0].checkpoint}"
        assert Trial.from_json(json.loads(json.dumps(first.to_json()))) == first
    made.journal.unlink()
    made.files.remove("trials")
    with Session(configured, resume=True) as session:
        assert read(session) == expected.model_copy(update={"origin": str(made.path)})
    assert (folder / "tonight" / SCHEMA).is_file()


def test_the_plan_of_a_model_is_what_its_description_says(folder: Path) -> None:
    _, expected = grown_study(folder, "growth")
    model = Folder(str(folder / "model"))
    model.write(DESCRIPTION, json.dumps({"origin": {"plan": expected.model_dump(mode="json")}}))
    found = read(Session(replayed(folder, model.uri)))
    assert found == expected.model_copy(update={"origin": model.uri})
    model.write(DESCRIPTION, json.dumps({"origin": {}}))
    with pytest.raises(ConfigError, match=r"model\.json: holds no plan: the model was not found by growth"):
        Session(replayed(folder, model.uri))
    model.write(DESCRIPTION, "[]")
    with pytest.raises(ConfigError, match=r"model\.json: is not a model's description"):
        Session(replayed(folder, model.uri))


def test_the_plan_in_a_file_is_read_once_and_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, expected = grown_study(folder, "growth")
    monkeypatch.chdir(folder)
    file = Path("plan.json")
    file.write_text(expected.model_copy(update={"origin": "yesterday"}).model_dump_json())
    configured = replayed(folder, "plan.json")
    at_home = expected.model_copy(update={"origin": str(folder / "yesterday")})
    with Session(configured) as session:
        assert read(session) == at_home
    # Edited, and looked at from another folder, where it is not; then gone.
    file.write_text(expected.model_copy(update={"members": expected.members[:1]}).model_dump_json())
    with Session(configured, resume=True) as session:
        assert read(session) == at_home
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    (folder / file).unlink()
    for told in (configured, StudyFolder(folder / "tonight").record.settings):
        with Session(told, resume=True) as session:
            assert read(session) == at_home
    with pytest.raises(ConfigError, match=r"race\.replay\.plan: .*/elsewhere/other\.json: there is no study"):
        Session(replayed(folder, "other.json"), resume=True)


def test_of_several_entries_one_is_named(folder: Path) -> None:
    made, expected = grown_study(folder, "one", "other")
    with pytest.raises(ConfigError, match="several entries found an ensemble; say which with `entry`: one, other"):
        Session(replayed(folder, str(made.path)))
    found = read(Session(replayed(folder, str(made.path), entry="one")))
    assert found.members == expected.members
    other = read(Session(replayed(folder, str(made.path), entry="other")))
    assert other.members[0].checkpoint != expected.members[0].checkpoint
    with pytest.raises(ConfigError, match="has no entry 'third'; there are one, other"):
        Session(replayed(folder, str(made.path), entry="third"))


def test_what_is_not_there_is_said_before_there_are_workers(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"race\.replay\.plan: .*/nowhere: there is no study or exported model here"):
        Session(replayed(folder, str(folder / "nowhere")))
    made, expected = grown_study(folder, "growth")
    with pytest.raises(ConfigError, match=r"race\.replay\.warm_start: .*/yesterday/schema\.json is not there"):
        Session(replayed(folder, str(made.path), warm_start=True))
    keep_weights(made.files, expected)
    lost = f"{expected.members[-1].checkpoint}"
    made.files.remove(lost)
    with pytest.raises(ConfigError, match=rf"yesterday/{lost}/weights\.npz is not there"):
        Session(replayed(folder, str(made.path), warm_start=True))
    Session(replayed(folder, str(made.path)))
    made.journal.write_text("")
    with pytest.raises(ConfigError, match="no entry of its race has found an ensemble"):
        Session(replayed(folder, str(made.path)))


SPACE = {"learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "scale": "log"}}


def searching(folder: Path, dataset: str, prior: list[dict[str, Any]] | None = None) -> SearchSettings:
    bayes = {"strategy": "bayes", "family": "logistic", "space": SPACE, **({"prior": prior} if prior else {})}
    content = {"dataset": str(folder / dataset), "study": str(folder / "tonight"), "race": {"bayes": bayes}}
    return SearchSettings.model_validate(content)


def searched(folder: Path, dataset: str, rates: tuple[float, ...]) -> StudyFolder:
    made = StudyFolder(folder / "yesterday")
    made.path.mkdir()
    digest = Dataset.open(str(folder / dataset)).digest
    made.write(StudyRecord(digest=digest, dataset_name="made", settings=searching(folder, dataset)))
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
    made = searched(tmp_path, "dataset", (0.002, 0.01, 7.0))
    configured = searching(tmp_path, "dataset", [{"study": str(made.path)}])
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
    made = searched(tmp_path, "moved", (0.002,))
    found = prior(Session(searching(tmp_path, "dataset", [{"study": str(made.path)}])))
    assert 0.1 < found["drift"] < 1
    given = prior(Session(searching(tmp_path, "dataset", [{"study": str(made.path), "drift": 0.01}])))
    assert given["drift"] == 0.01
    assert given["observations"] == found["observations"]


def test_a_prior_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=60)
    made = searched(tmp_path, "dataset", (7.0,))
    with pytest.raises(ConfigError, match="none of its 1 trials lies in this entry's space"):
        Session(searching(tmp_path, "dataset", [{"study": str(made.path)}]))
    with pytest.raises(ConfigError, match="no study here"):
        Session(searching(tmp_path, "dataset", [{"study": str(tmp_path / "nowhere")}]))


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
