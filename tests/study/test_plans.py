"""A replay that names an earlier study, or a model: its plan is read when a study begins, and stays what it was."""

import json
from pathlib import Path
from typing import Any

import pytest

from glmix_automl.dataset import Dataset
from glmix_automl.errors import ConfigError
from glmix_automl.layout import COORDINATE, DESCRIPTION, SCHEMA, WEIGHTS, Folder
from glmix_automl.search.growth.structure import Plan, plan
from glmix_automl.study.folder import StudyFolder, StudyRecord
from glmix_automl.study.journal import Journal
from glmix_automl.study.session import Session
from glmix_automl.study.settings import SearchSettings
from glmix_automl.trial import Trial
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


def earlier(folder: Path, *entries: str) -> tuple[StudyFolder, Plan]:
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
    return made, plan(world.trials, world.results)


def keep_weights(folder: Folder, found: Plan) -> None:
    """Stands in for what training leaves behind: only whether it is there is looked at."""
    for name in (SCHEMA, *(f"{m.checkpoint}/{file}" for m in found.members for file in (WEIGHTS, COORDINATE))):
        folder.write(name, b"")


def read(session: Session) -> Plan:
    return Plan.model_validate(session.settings.race["replay"].options["plan"])


def test_the_plan_of_a_study_is_read_once_and_kept(folder: Path) -> None:
    made, expected = earlier(folder, "growth")
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
    _, expected = earlier(folder, "growth")
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


def test_of_several_entries_one_is_named(folder: Path) -> None:
    made, expected = earlier(folder, "one", "other")
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
    made, expected = earlier(folder, "growth")
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
