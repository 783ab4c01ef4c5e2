"""Only a better model becomes champion: against a real MLflow server, with studies that real trials were run for."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from glmix_automl.api import Study
from glmix_automl.cli import main
from glmix_automl.dataset import Dataset
from glmix_automl.errors import ChangedDataError, DataError, StudyError
from glmix_automl.layout import RAW
from glmix_automl.metrics import Measure
from glmix_automl.serving.champion import Decision, PromotionRule, decide
from glmix_automl.serving.holdout import Holdout, Measures
from glmix_automl.serving.promotion import promote, registered_name
from glmix_automl.tracking.registry import Registry
from tests.dataset.test_fingerprint import SHARD, reorder
from tests.dataset_maker import make_dataset, write_raw
from tests.serving.failing_proxy import FailingProxy, failing_proxy

NAME = "suggestions"
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint")


@pytest.fixture(scope="module")
def proxy(server: str) -> Iterator[FailingProxy]:
    """What the studies take for the server."""
    with failing_proxy(server) as made:
        yield made


@pytest.fixture(scope="module")
def studies(proxy: FailingProxy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    """A weak, a good and an equally good study of one dataset, and one of a dataset with a column less, by name."""
    folder = tmp_path_factory.mktemp("studies")
    make_dataset(folder / "dataset", rows=6000, held_out=3000, bags=0, weighted_bags=0)
    make_dataset(folder / "narrower", rows=2000, numerics=3, bags=0, weighted_bags=0)
    for dataset in ("dataset", "narrower"):
        write_raw(folder / dataset)
    made = {}
    stump = {"family": "trees", "parameters": {"trees": 1, "leaves": 2}}
    entries: dict[str, dict[str, object]] = {
        "weak": stump,
        "good": {"family": "logistic", "parameters": {"solver": "lbfgs", "l2": 1.0}},
        "equal": {"family": "logistic", "parameters": {"solver": "lbfgs", "l2": 1.2}},
        "narrow": {"family": "logistic", "parameters": {"solver": "lbfgs", "l2": 1.0}},
    }
    for name, entry in entries.items():
        made[name] = Study(
            {
                "dataset": str(folder / ("narrower" if name == "narrow" else "dataset")),
                "study": str(folder / name),
                "workers": {"place": "in_process"},
                "tracking": {"uri": proxy.uri},
                "race": {"one": {"strategy": "fixed", **entry}},
            }
        ).run()
        assert made[name].problem is None
    return made


@pytest.mark.slow
def test_only_a_better_model_becomes_champion(
    studies: dict[str, Study], server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry(server, NAME)
    assert registry.champion() is None
    first = promote(studies["weak"].folder, NAME)
    assert (first["action"], first["version"], first["reason"]) == ("promoted", 1, "there was no champion")

    # A better model that says twice as many will respond is kept out by the guard rail, whatever its AUC.
    place = studies["good"].folder.path / "model" / "model.json"
    exported = place.read_text()
    place.write_text(json.dumps(json.loads(exported) | {"bias": json.loads(exported)["bias"] + 2.0}))
    off = promote(studies["good"].folder, NAME)
    assert (off["action"], off["version"]) == ("kept", 2)
    assert "its calibration is" in off["reason"]
    assert off["gain.low"] > 0
    place.write_text(exported)

    better = promote(studies["good"].folder, NAME)
    assert (better["action"], better["version"], better["champion_before"]) == ("promoted", 2, 1), better["reason"]
    assert better["gain.low"] > 0
    assert better["candidate.auc"] == pytest.approx(studies["good"].leaderboard().test_auc[0], abs=1e-6)

    words = [str(studies["equal"].folder.path), "--name", NAME, "--json"]
    assert main(["promote", *words]) == 3
    kept = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (kept["action"], kept["version"]) == ("kept", 3)
    now = registry.champion()
    assert now is not None
    assert now.number == 2
    described = registry.find(3)
    assert described is not None
    assert described.tags["glmix.action"] == "kept", "the refusal is on the refused version"

    again = promote(studies["good"].folder, NAME)
    assert (again["version"], again["reason"]) == (2, "it is the champion already")
    assert main(["promote", *words, "--force"]) == 0
    now = registry.champion()
    assert now is not None
    assert now.number == 3
    assert main(["rollback", NAME, "--uri", server]) == 0
    now = registry.champion()
    assert now is not None
    assert now.number == 2
    lines = (studies["equal"].folder.path / "promotion.json").read_text().splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["kept", "promoted"]

    narrow = studies["narrow"].folder
    with pytest.raises(DataError, match="version 2, cannot be scored on these rows: no column 'n3'"):
        promote(narrow, NAME)
    forced = promote(narrow, NAME, force=True)
    assert (forced["action"], forced["version"], forced["champion_before"]) == ("promoted", 4, 2)
    assert "cannot be scored" in forced["reason"]
    assert registry.roll_back()[1].number == 2


@pytest.mark.slow
def test_a_server_that_is_away_or_breaks_down_leaves_nothing_half_done(
    studies: dict[str, Study], server: str, proxy: FailingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # each file of a download would wait for itself
    name = "breaks"
    registry, good = Registry(server, name), studies["good"].folder
    noted = good.path / "promotion.json"
    before = noted.read_text() if noted.exists() else ""
    proxy.mend()
    assert promote(studies["weak"].folder, name)["action"] == "promoted"
    least = proxy.seen  # requests of a promotion without a champion before it
    for whole in (0, 2, 4, 12, least // 2, least):
        proxy.mend(whole, loses=whole % 8 == 4)
        with pytest.raises(StudyError, match="nothing was half-done, try again"):
            promote(good, name)
        now = registry.champion()
        assert now is not None
        assert now.number == 1, f"after {whole} requests"
        assert (noted.read_text() if noted.exists() else "") == before
    proxy.mend()
    found = promote(good, name)
    assert (found["action"], found["version"], found["champion_before"]) == ("promoted", 2, 1)
    assert registry.find(3) is None, "one version, however often it was tried"

    # The alias moves, and the word of it is lost.
    registry.roll_back()
    proxy.mend(lost="POST /api/2.0/mlflow/registered-models/alias")
    with pytest.raises(StudyError, match="try again"):
        promote(good, name)
    proxy.mend()
    now = registry.champion()
    assert now is not None
    assert (now.number, now.before) == (2, 1), "it is whole"
    again = promote(good, name)
    assert (again["reason"], again["champion_before"]) == ("it is the champion already", 1)
    assert main(["rollback", name, "--uri", server]) == 0
    now = registry.champion()
    assert now is not None
    assert now.number == 1, "who is promoted twice goes back to whom it followed"
    assert main(["rollback", name, "--uri", server]) == 1, "there was none before"
    with pytest.raises(StudyError, match="no champion that could be rolled back"):
        Registry(server, "nobody").roll_back()


def test_nothing_is_promoted_on_a_dataset_that_was_replaced(studies: dict[str, Study]) -> None:
    folder, place = studies["good"].folder, Path(studies["good"].settings.dataset)
    kept = (place / SHARD).read_bytes()
    reorder(place)
    try:
        with pytest.raises(ChangedDataError, match="split test is not what it was when the study began"):
            promote(folder, "replaced")
    finally:
        (place / SHARD).write_bytes(kept)


def test_hold_out_rows_that_are_not_the_splits_are_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path / "dataset", rows=200)
    dataset = Dataset.open(str(tmp_path / "dataset"))
    with pytest.raises(DataError, match="keeps no raw test rows"):
        Holdout.read(dataset)
    write_raw(tmp_path / "dataset")
    holdout = Holdout.read(dataset)
    np.testing.assert_array_equal(holdout.rows.column("uid").to_pylist(), dataset.column("test", "uid"))
    (tmp_path / "dataset" / RAW / "test" / "part-0.parquet").write_bytes(
        (tmp_path / "dataset" / RAW / "validation" / "part-0.parquet").read_bytes()
    )
    with pytest.raises(DataError, match="not the raw rows of the split"):
        Holdout.read(dataset)


def measured(holdout: Holdout, scores: np.ndarray, **measures: float) -> Measures:
    from glmix_automl import metrics

    plain = {"loss": 0.5, "calibration": 1.0, "member_auc": 0.7, "cold_start_auc": 0.6, "scoring_seconds": 1.0}
    auc = metrics.auc(holdout.label, scores, holdout.weight)
    return Measures(scores=scores.astype(np.float32), auc=auc, **(plain | measures))


def test_the_rule() -> None:
    draw = np.random.default_rng(0)
    label = (draw.random(2000) < 0.3).astype(np.float32)
    ones = np.ones(2000, np.float32)
    holdout = Holdout(None, label, ones, 0 * ones, (np.arange(2000) // 10).astype(np.int32), np.zeros(2000, bool))
    noise = draw.normal(size=2000)
    champion = measured(holdout, label + 2 * noise)
    better = label + 1.2 * noise

    def action(candidate: Measures, **rule: float | None) -> str:
        return decide(PromotionRule(**rule), holdout, candidate, champion).action

    assert action(measured(holdout, better)) == "promoted"
    assert action(champion) == "kept"
    assert action(measured(holdout, better), smallest_gain=0.5) == "kept"
    slightly = measured(holdout, label + 1.99 * noise + 0.4 * draw.normal(size=2000))
    assert decide(PromotionRule(), holdout, slightly, champion).action == "kept"
    assert action(measured(holdout, better, calibration=2.0)) == "kept"
    assert action(measured(holdout, better, calibration=2.0), calibration=None) == "promoted"
    assert action(measured(holdout, better, member_auc=0.69)) == "kept"
    assert action(measured(holdout, better, cold_start_auc=0.5)) == "kept"
    assert action(measured(holdout, better, cold_start_auc=float("nan"))) == "promoted"
    assert action(measured(holdout, better, scoring_seconds=6.0)) == "kept"
    assert action(measured(holdout, better, scoring_seconds=6.0), scoring_seconds=7.0) == "promoted"
    levels = np.repeat(draw.normal(size=200), 10)  # of members: they hide the order within each from the AUC
    within = measured(holdout, better + 5 * levels)
    assert action(within) == "kept"
    for measure in ("member_auc", "ndcg@5", "precision@3"):
        found = decide(PromotionRule(measure=measure), holdout, within, champion)
        assert found.action == "promoted", measure
        assert Measure(measure).words in found.reason
    one_class = Holdout(None, 0 * label, ones, 0 * ones, None, np.zeros(2000, bool))
    found = decide(PromotionRule(), one_class, measured(one_class, better), None)
    assert isinstance(found, Decision)
    assert found.action == "kept"
    assert "one class" in found.reason


def test_names_that_a_registry_refuses_are_mended() -> None:
    assert registered_name("jobs/2026:11 ") == "jobs-2026-11"
