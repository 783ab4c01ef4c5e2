"""Trials of random effects, from rows to result, and what an earlier model is worth."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from glmix_automl import metrics
from glmix_automl.dataset import Dataset
from glmix_automl.ensemble import Ensemble
from glmix_automl.errors import TrialError
from glmix_automl.layout import SCHEMA, TRIALS, Folder
from glmix_automl.models.checkpoint import load_coordinate
from glmix_automl.models.random_effect import RandomEffect
from glmix_automl.schema import Categorical, Numeric, Schema
from glmix_automl.serving.export import export
from glmix_automl.serving.pyfunc import _load_pyfunc
from glmix_automl.training.evaluate import Evaluator
from glmix_automl.trial import Progress, Result, Trial
from tests.dataset_maker import make_dataset
from tests.reordered import reordered
from tests.training.scored import scores

MEMBERS, ITEMS = 60, 30


def never(_: Progress) -> bool:
    return False


class Studied:
    """A study on a dataset of planted effects: an intercept and a slope of n1 per member, an intercept per item."""

    def __init__(self, folder: Any, **sizes: int) -> None:
        self.uri, self.study = str(folder / "dataset"), str(folder / "study")
        make_dataset(folder / "dataset", rows=6000, members=MEMBERS, items=ITEMS, row_weights=True, **sizes)
        self.dataset = Dataset.open(self.uri)
        self.evaluate = Evaluator(self.uri, self.study, seed=1, threads=1)
        self.count = 0
        self.fixed = self("logistic", solver="lbfgs", l2=1.0)

    def __call__(self, family: str = "random_effect", on: Ensemble | None = None, **parameters: Any) -> Result:
        changes = {
            name: parameters.pop(name) for name in ("parent", "checkpoint", "fraction", "locked") if name in parameters
        }
        self.count += 1
        return self.evaluate(Trial(self.count, "test", family, parameters, offset=on, seed=5, **changes), never)

    def effect(self, result: Result) -> RandomEffect:
        found = load_coordinate(Folder(self.study).within(f"{TRIALS}/{result.number}"), self.dataset.schema)
        assert isinstance(found, RandomEffect)
        return found

    def scores(self, result: Result, split: str) -> np.ndarray:
        return scores(self.uri, self.study, result.number, split)


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Studied:
    return Studied(tmp_path_factory.mktemp("effects"))


def test_effects_enter_one_after_the_other_and_their_strengths_are_found(studied: Studied) -> None:
    fixed = Ensemble.of(studied.fixed.number)
    member = studied(on=fixed, entity="member", features="*")
    assert member.auc > studied.fixed.auc + 0.03
    assert member.metrics["deviation_intercept"] == pytest.approx(0.6, abs=0.25)  # 0.7 planted beside other terms
    assert member.metrics["deviation_n1"] == pytest.approx(0.6, abs=0.25)
    assert member.metrics["deviation_n2"] < 0.3  # not planted
    assert 0 < member.metrics["effective_degrees"] < member.metrics["parameters"]
    both = Ensemble((studied.fixed.number, member.number), (1.0, 1.0))
    item = studied(on=both, entity="item")
    assert item.auc > member.auc + 0.005
    crossed = studied(on=both, entity="item x c0", min_rows=5)
    assert crossed.metrics["entities_below"] > 0


def test_own_features_are_left_out_of_patterns_and_nonsense_is_refused(studied: Studied) -> None:
    effect = studied.effect(studied(entity="item", features="*", l2=3.0, intercept_l2=1.0)).effect
    assert [f.name for f in effect.features] == ["n0", "n1", "n2", "n3", "b0", "w0"]
    for wrong, said in (
        ({"entity": "company"}, "expected one of member, item, c0, c1"),
        ({"features": "x*"}, "has none named 'x"),
        ({"intercept": False}, "neither an intercept nor features"),
        ({"l2": "much"}, "l2"),
    ):
        with pytest.raises(TrialError, match=said.replace("*", ".")):
            studied(**wrong)


def test_a_row_scores_its_entitys_coefficients_and_unseen_entities_score_0(studied: Studied) -> None:
    trial = studied(entity="member", features="n1 c0", min_rows=80)
    effect, data = studied.effect(trial), studied.dataset
    table = effect.listed().to_pandas()
    known = {(e, t): m for e, t, m in zip(table.entity, table.term, table["mean"], strict=True)}
    counts = pd.Series(data.column("train", "member")).value_counts()
    assert set(table.entity) == set(counts.index[counts >= 80])
    assert (table.groupby("entity").rows.first() == counts[counts >= 80].sort_index()).all()
    block, member = data.read("test"), data.column("test", "member")
    expected = np.zeros(len(member))
    terms = data.schema.vocabularies["c0"].terms
    for row, name in enumerate(member):
        term = int(block.categoricals[row, 0])
        expected[row] = known.get((name, "intercept"), 0) + known.get((name, "n1"), 0) * block.numerics[row, 1]
        expected[row] += known.get((name, f"c0={terms[term - 1] if term else 0}"), 0)
    np.testing.assert_allclose(studied.scores(trial, "test"), expected, atol=1e-5)
    assert (expected[~np.isin(member, table.entity)] == 0).all()
    assert (expected == 0).any()


def test_large_entities_are_sampled_and_weigh_what_they_stand_for(studied: Studied) -> None:
    whole = studied(entity="member")
    part = studied(entity="member", max_rows=40)
    effect, sampled = studied.effect(whole), studied.effect(part)
    assert effect.rows.max() > 200
    assert sampled.rows.max() < 80
    assert np.corrcoef(effect.mean, sampled.mean)[0, 1] > 0.8
    shrunk = effect.strength[0] * effect.variance
    assert sampled.variance[effect.rows.argmax()] == pytest.approx(effect.variance[effect.rows.argmax()], rel=0.5)
    assert shrunk.min() < 0.1


def test_yesterdays_effects_are_a_prior_that_may_be_forgotten(studied: Studied) -> None:
    first = studied(entity="member", features="n1", fraction=0.5)
    earlier = studied.effect(first)
    fresh = studied(entity="member", features="n1")
    warm = studied(entity="member", features="n1", parent=first.number)  # everything forgotten: the same optimum
    np.testing.assert_allclose(studied.scores(warm, "test"), studied.scores(fresh, "test"), atol=0.02)
    kept = studied(entity="member", features="n1", parent=first.number, forgetting=0.0, fraction=0.5)
    twice = studied.effect(kept)
    known = earlier.places(twice.ids)[:-1]
    both = known[known >= 0]
    ratio = (
        twice.variance[twice.coefficients.starts[:-1]][known >= 0] / earlier.variance[earlier.coefficients.starts[both]]
    )
    assert np.median(ratio) < 0.75  # the same rows told twice


def test_entities_that_only_yesterdays_model_knows_are_carried_over(studied: Studied) -> None:
    all_members = studied(entity="member", features="n1")
    half = studied(entity="member", features="n1", fraction=0.5, parent=all_members.number)
    effect, earlier = studied.effect(half), studied.effect(all_members)
    carried = effect.ids.filter(pa.array(effect.state == 2)).to_pylist()
    assert 0 < len(carried) == half.metrics["entities_carried"]
    assert set(effect.ids.to_pylist()) == set(earlier.ids.to_pylist())
    before = earlier.listed().to_pandas().set_index(["entity", "term"])["mean"]
    after = effect.listed().to_pandas().query("state == 'carried over'").set_index(["entity", "term"])["mean"]
    np.testing.assert_allclose(after, before.loc[after.index])


def test_yesterdays_model_is_locked_and_its_effects_refreshed(studied: Studied, tmp_path: Any) -> None:
    """The next night, terms have other ids: locked coordinates score every row as the night before."""
    on = Ensemble.of(studied.fixed.number)
    member = studied(on=on, entity="member", features="n1 c0")
    trees = studied("trees", on=on, features="n*", trees=20)
    Folder(studied.study).write(SCHEMA, studied.dataset.schema.model_dump_json())  # as a study's folder has it
    tonight = Evaluator(reordered(studied.uri, tmp_path / "tonight"), str(tmp_path / "study"), seed=1, threads=1)

    def taken(number: int, result: Result, family: str, locked: bool = True, **parameters: Any) -> np.ndarray:
        checkpoint = f"{studied.study}/trials/{result.number}"
        below = Ensemble.of(1) if number > 1 else None
        trial = Trial(number, "test", family, parameters, offset=below, checkpoint=checkpoint, locked=locked, seed=5)
        done = tonight(trial, never)
        assert done.costs.steps == 0 or not locked
        return np.load(f"{tmp_path}/study/trials/{number}/scores-test.npy")

    fixed = taken(1, studied.fixed, "logistic", solver="lbfgs", l2=1.0)
    np.testing.assert_allclose(fixed, studied.scores(studied.fixed, "test"), atol=1e-5)
    grown = taken(2, trees, "trees", features="n*", trees=20)
    np.testing.assert_allclose(grown, studied.scores(trees, "test"), atol=1e-6)
    effect = {"entity": "member", "features": "n1 c0"}
    kept = taken(3, member, "random_effect", **effect)
    np.testing.assert_allclose(kept, studied.scores(member, "test"), atol=1e-5)
    refreshed = taken(4, member, "random_effect", locked=False, **effect, forgetting=0.5)
    assert 0.9 < np.corrcoef(refreshed, kept)[0, 1] < 0.9999
    with pytest.raises(TrialError, match="holds effects of member, not of item"):
        taken(5, member, "random_effect", entity="item")


def test_training_rows_score_as_if_the_effect_had_not_seen_them(studied: Studied) -> None:
    labels, pair = studied.dataset.labels("train"), {"entity": "member x item", "intercept_l2": 0.5}
    whole, half = studied(**pair), studied(**pair, fraction=0.5)
    effect, block = studied.effect(whole), studied.dataset.read("train", entities=True)
    seen = effect.score(block)
    assert metrics.auc(labels, seen) > 0.75  # a pair has a few rows, and knows them by heart
    assert abs(metrics.auc(labels, studied.scores(whole, "train")) - whole.auc) < 0.06
    other, kept = studied.effect(half), studied.scores(half, "train")
    unseen = ~np.isin(np.arange(len(labels)), studied.dataset.read("train", fraction=0.5, seed=1).rows)
    np.testing.assert_array_equal(kept[unseen], other.score(block)[unseen])  # the model itself, where it may be asked


def test_a_prior_is_in_raw_units_whatever_the_scaling(studied: Studied) -> None:
    """An earlier effect on a dataset whose numeric has another mean and deviation says the same of raw rows."""
    from glmix_automl.training.prior import recall

    first = studied.effect(studied(entity="member", features="n1 c0"))
    schema = studied.dataset.schema

    def moved(feature: Any) -> Any:
        return feature.model_copy(update={"center": 2.0, "scale": 4.0}) if feature.name == "n1" else feature

    other = schema.model_copy(update={"features": tuple(map(moved, schema.features))})
    now = RandomEffect(other, first.parameters)
    ids, known = recall(now, first, first.ids.slice(3))
    assert len(ids) == len(first.ids)
    place = ids.to_pylist().index(first.ids[0].as_py())
    own = slice(*known.coefficients.starts[place : place + 2])
    before = first.mean[: first.coefficients.starts[1]]
    raw = 7.0  # = old column; the new one is (raw - 2) / 4
    assert known.mean[own][0] + known.mean[own][1] * (raw - 2) / 4 == pytest.approx(
        before[0] + before[1] * raw, abs=1e-5
    )
    np.testing.assert_allclose(known.mean[own][2:], before[2:])


def test_labels_of_one_kind_within_entities_are_told(studied: Studied) -> None:
    result = studied(entity="member x item")
    assert 0 < result.metrics["constant_entities"] < 1


def test_an_exported_model_scores_raw_rows_as_training_did(tmp_path: Any) -> None:
    studied = Studied(tmp_path, bags=0, weighted_bags=0)
    fixed = Ensemble.of(studied.fixed.number)
    member = studied(on=fixed, entity="member", features="n* c0")
    pair = studied(on=fixed, entity="item x c1")
    model = Ensemble((studied.fixed.number, member.number, pair.number), (1.0, 1.0, 0.5), 0.1)
    target = Folder(str(tmp_path / "model"))
    export(Folder(studied.study), model, studied.dataset.schema, target, {})
    names = {f.name: (f.source, f) for f in studied.dataset.schema.features}
    test = pd.concat(
        pd.read_parquet(f"{studied.uri}/test/{shard.name}") for shard in studied.dataset.manifest.splits["test"].shards
    )
    raw = _raw(studied.dataset.schema, test)
    assert set(names) <= set(test.columns)
    expected = model.score(lambda number: np.load(f"{studied.study}/trials/{number}/scores-test.npy"), len(test))
    found = _load_pyfunc(str(tmp_path / "model")).predict(raw)
    np.testing.assert_allclose(found["log_odds"], expected, atol=1e-5)
    raw.loc[raw.index[:5], "member"] = "nobody"
    again = _load_pyfunc(str(tmp_path / "model")).predict(raw)
    assert not math.isclose(again["log_odds"].iloc[0], found["log_odds"].iloc[0], abs_tol=1e-6)
    table = pd.read_parquet(tmp_path / "model" / "effects" / f"{member.number}.parquet")
    assert list(table.columns) == ["entity", "term", "mean", "variance", "rows", "state"]
    assert len(table) == member.metrics["parameters"]


def _raw(schema: Schema, rows: pd.DataFrame) -> pd.DataFrame:
    """Raw rows that encode to the columns of a made dataset."""
    columns: dict[str, Any] = {entity.source: rows[entity.name].to_numpy() for entity in schema.entities}
    for feature in schema.features:
        if isinstance(feature, Numeric):
            columns[feature.source] = rows[feature.name].to_numpy()
            continue
        terms = schema.vocabularies[feature.vocabulary].terms
        assert isinstance(feature, Categorical)
        assert terms is not None
        columns[feature.source] = [terms[i - 1] if i else None for i in rows[feature.name]]
    return pd.DataFrame(columns)


def test_the_same_seed_gives_the_same_effects(studied: Studied) -> None:
    first, second = (studied(entity="member", features="*", max_rows=100) for _ in range(2))
    assert np.array_equal(studied.scores(first, "test"), studied.scores(second, "test"))
    assert dataclasses.asdict(first)["metrics"] == dataclasses.asdict(second)["metrics"]


@pytest.mark.parametrize("block_rows", [2500, 200])  # columns that fit, and entities shared out by a hash
def test_rows_streamed_in_blocks_give_the_same_effects(studied: Studied, tmp_path: Path, block_rows: int) -> None:
    streamed = Evaluator(studied.uri, str(tmp_path / "study"), seed=1, threads=1, block_rows=block_rows)
    fixed: dict[str, Any] = {"l2": 2.0, "intercept_l2": 1.0}
    wanted = (
        {"entity": "member", "features": "n1 c0 w0", "max_rows": 90} | fixed,
        {"entity": "item x c0", "min_rows": 3} | fixed,
        {"entity": "member", "features": "n1"},
    )
    for number, parameters in enumerate(wanted):
        resident = studied(**parameters)
        found = streamed(Trial(number, "test", "random_effect", parameters, seed=5), never)
        if block_rows == 2500 or "l2" in parameters:
            assert found.auc == pytest.approx(resident.auc, abs=1e-6)
            assert found.metrics == pytest.approx({**resident.metrics, "bytes": found.metrics["bytes"]}, rel=1e-4)
            for split in ("train", "test"):
                kept = scores(studied.uri, str(tmp_path / "study"), number, split)
                assert kept == pytest.approx(studied.scores(resident, split), abs=1e-5)
        else:  # strengths are those of a share of the entities
            assert found.auc == pytest.approx(resident.auc, abs=0.01)
    more = streamed(Trial(8, "test", "random_effect", dict(wanted[0], forgetting=0.0), parent=0, seed=5), never)
    again = studied(**wanted[0], forgetting=0.0, parent=studied.count - 2)
    assert more.auc == pytest.approx(again.auc, abs=1e-6)
    assert more.metrics["entities"] == again.metrics["entities"]
