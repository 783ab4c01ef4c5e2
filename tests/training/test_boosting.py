"""Trees against LightGBM itself, and trials of the family from budget to result."""

import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import sparse

from glmix_automl import metrics
from glmix_automl.config import parse
from glmix_automl.dataset import Dataset
from glmix_automl.ensemble import Ensemble, flatten
from glmix_automl.errors import DataError, TrialError
from glmix_automl.layout import TRIALS, WEIGHTS, Folder
from glmix_automl.models import FAMILIES
from glmix_automl.models.checkpoint import load_coordinate
from glmix_automl.models.rows import Rows, from_block
from glmix_automl.models.trees import Trees
from glmix_automl.search.adanet import AdaNet
from glmix_automl.search.growth.grown import trace_growth
from glmix_automl.search.growth.options import AdaNetOptions
from glmix_automl.serving.export import export
from glmix_automl.serving.pyfunc import _load_pyfunc, example
from glmix_automl.training import bins as binning
from glmix_automl.training.boosting import boost
from glmix_automl.training.evaluate import Evaluator
from glmix_automl.training.trainer import Budget, Fit, Moment
from glmix_automl.trial import Progress, Result, State, Trial
from tests.training.scored import scores

SMALL: dict[str, Any] = {"trees": 30, "leaves": 8, "leaf_rows": 10}


def never(_: Progress | Moment) -> bool:
    return False


def trial(number: int, **changes: Any) -> Trial:
    return Trial(number, "test", "trees", **({"parameters": SMALL, "epochs": 1.0, "seed": 5} | changes))


@pytest.fixture
def evaluate(dataset: str, study: str) -> Evaluator:
    return Evaluator(dataset, study, seed=1)


@pytest.fixture(scope="module")
def splits(dataset: str) -> tuple[Dataset, Rows, Rows]:
    """The dataset, its training rows and its validation rows."""
    data = Dataset.open(dataset)
    return data, from_block(data.read("train")), from_block(data.read("validation"))


def grown(splits: tuple[Dataset, Rows, Rows], **parameters: Any) -> tuple[Trees, Fit]:
    coordinate = FAMILIES["trees"].build(splits[0].schema, {**SMALL, **parameters}, 0)
    assert isinstance(coordinate, Trees)
    return coordinate, boost(coordinate, splits[1], splits[2], Budget(1.0), never, seed=3)


@pytest.mark.parametrize(
    "parameters",
    [
        {"trees": 60},
        {"trees": 8, "leaves": 300, "leaf_rows": 1},
        {"leaves": 2},
        {"inputs": "numerics", "bins": 16, "l2": 5.0},
        {"inputs": "terms", "feature_share": 0.5, "row_share": 0.5},
    ],
)
def test_scores_are_lightgbms_own(
    splits: tuple[Dataset, Rows, Rows], parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    class Booster(lightgbm.Booster):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(lightgbm, "Booster", Booster)
    coordinate, fit = grown(splits, **parameters, patience=0)
    assert fit.steps == coordinate.parameters.trees
    columns = coordinate.matrix(splits[2])
    filled = np.bincount(coordinate.matrix(splits[1]).indices, minlength=columns.shape[1])
    kept = [c for c in coordinate.seen if filled[c] >= coordinate.parameters.leaf_rows]
    trees = len(coordinate.arrays["splits"])
    assert trees > 0
    own = made[0].predict(columns[:, kept], raw_score=True, num_iteration=trees) + coordinate.arrays["bias"]
    np.testing.assert_allclose(coordinate.score(splits[2]), own, atol=1e-6)


SYMMETRIC: dict[str, Any] = {"shape": "symmetric", "leaves": 8, "l2": 2.0, "leaf_rows": 1}


def test_a_symmetric_tree_splits_where_all_its_nodes_gain_most(splits: tuple[Dataset, Rows, Rows]) -> None:
    """Against every column and every border, tried one by one on the rows themselves."""
    offset = np.random.default_rng(0).normal(size=1500).astype(np.float32)
    around = splits[1]._replace(offset=tf.constant(offset))
    coordinate, fit = grown((splits[0], around, splits[2]), **SYMMETRIC, trees=2, learning_rate=0.5, patience=0)
    arrays = coordinate.arrays
    assert fit.steps == 2
    assert arrays["splits"].tolist() == [7, 7]
    columns = coordinate.matrix(around).toarray()
    label, weight = around.label.numpy(), around.weight.numpy().astype(float)
    score = offset + arrays["bias"]
    for tree in range(2):
        p = 1 / (1 + np.exp(-score))
        first, second = weight * (label - p), weight * p * (1 - p)

        def gain(leaf: np.ndarray, first: np.ndarray = first, second: np.ndarray = second) -> float:
            sums = [np.bincount(leaf, each, 8) for each in (first, second)]
            return float(np.sum(sums[0] ** 2 / (sums[1] + 2.0)))

        leaf = np.zeros(1500, int)
        for level in range(3):
            nodes = 7 * tree + np.arange(2**level - 1, 2 ** (level + 1) - 1)
            column, threshold = arrays["column"][nodes], arrays["threshold"][nodes]
            assert len(set(zip(column, threshold, strict=True))) == 1
            best = 0.0
            for values in columns.T:
                for border in binning.find_borders(sparse.csc_matrix(values[:, None]), 255):
                    best = max(best, gain(2 * leaf + (values > border)))
            leaf = 2 * leaf + (columns[:, column[0]] > threshold[0])
            assert gain(leaf) == pytest.approx(best, rel=1e-6)
        sums = [np.bincount(leaf, each, 8) for each in (first, second)]
        step = 0.5 * sums[0] / (sums[1] + 2.0)
        np.testing.assert_allclose(arrays["leaf"][8 * tree : 8 * tree + 8], step, rtol=1e-4, atol=1e-7)
        score = score + step[leaf]
    np.testing.assert_allclose(coordinate.score(around) + offset, score, atol=1e-5)


def test_symmetric_trees_are_the_same_by_any_threads_and_either_way_to_keep_columns(
    splits: tuple[Dataset, Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    def by(threads: int, **parameters: Any) -> dict[str, np.ndarray]:
        coordinate = FAMILIES["trees"].build(splits[0].schema, {**SMALL, **SYMMETRIC, **parameters}, 0)
        boost(coordinate, *splits[1:], Budget(1.0), never, seed=3, threads=threads)
        return coordinate.arrays

    every, drawn = by(1), by(1, feature_share=0.3)
    assert not np.array_equal(every["column"], drawn["column"])
    for share in (binning._DENSE, -1.0, 2.0):  # as they come; every column row by row; every column by its entries
        monkeypatch.setattr(binning, "_DENSE", share)
        for threads in (1, 3):
            for one, other in ((every, by(threads)), (drawn, by(threads, feature_share=0.3))):
                for name in one:
                    np.testing.assert_array_equal(one[name], other[name])


def test_symmetric_trees_keep_the_best_and_end_where_nothing_is_left(splits: tuple[Dataset, Rows, Rows]) -> None:
    coordinate, fit = grown(splits, **SYMMETRIC, trees=300, learning_rate=0.5, patience=20)
    trees = len(coordinate.arrays["splits"])
    assert trees == fit.steps - 20
    assert fit.best is not None
    own = coordinate.score(splits[2])
    assert metrics.auc(splits[2].label.numpy(), own, splits[2].weight.numpy()) == pytest.approx(fit.best.auc, abs=1e-6)
    stump = grown(splits, **{**SYMMETRIC, "leaves": 2}, trees=3)[0].arrays
    assert stump["splits"].tolist() == [1] * len(stump["splits"])
    # One column that is the label: one level, and then nothing that a border could still tell.
    row = splits[1].numerics.numpy().copy()
    row[:] = np.repeat(splits[1].label.numpy()[:, None], row.shape[1], axis=1)
    told = splits[1]._replace(numerics=tf.constant(row))
    sure, fit = grown((splits[0], told, splits[2]), **SYMMETRIC, inputs="numerics", trees=40, patience=0)
    assert set(sure.arrays["splits"]) == {1}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"row_share": 0.5}, "symmetric trees take all rows"),
        ({"loss": "pairwise"}, "symmetric trees take all rows"),
        ({"leaves": 512}, "256 leaves"),
        ({"bins": 1000}, "256 bins"),
    ],
)
def test_what_symmetric_trees_cannot_do_is_said(parameters: dict[str, Any], said: str, dataset: str) -> None:
    with pytest.raises(TrialError, match=said):
        FAMILIES["trees"].build(Dataset.open(dataset).schema, {"shape": "symmetric", **parameters}, 0)


@pytest.mark.parametrize("bins", [4, 255])
def test_borders_lie_between_values_and_part_rows_evenly(bins: int) -> None:
    draws = np.random.default_rng(1)
    values = np.where(draws.random(5000) < 0.5, 0, draws.normal(size=5000).round(1)).astype(np.float32)
    borders = binning.find_borders(sparse.csc_matrix(values[:, None]), bins)
    distinct = np.unique(values)
    assert len(borders) == min(bins, len(distinct)) - 1 or bins == 4
    assert 1 <= len(borders) <= bins - 1
    assert not set(borders) & set(distinct)
    assert np.all(np.diff(borders) > 0)
    if bins == 4:
        below = [(values <= border).mean() for border in borders]
        assert min(np.abs(np.array(below)[:, None] - [0.25, 0.5, 0.75]).min(axis=0)) < 0.05


def test_columns_are_numerics_ids_and_a_column_per_term(splits: tuple[Dataset, Rows, Rows]) -> None:
    data, train, _ = splits
    found = grown(splits, trees=1)[0].matrix(train).toarray()
    block, terms = data.read("train"), 13
    assert found.shape == (1500, 3 + 2 + 2 * terms)
    np.testing.assert_array_equal(found[:, :3], block.numerics)
    np.testing.assert_array_equal(found[:, 3:5], block.categoricals)
    for place, bag in enumerate(block.bags):
        dense = np.zeros((1500, terms), np.float32)
        values = np.ones(len(bag.ids), np.float32) if bag.values is None else bag.values
        np.add.at(dense, (np.repeat(np.arange(1500), np.diff(bag.splits)), bag.ids), values)
        np.testing.assert_allclose(found[:, 5 + place * terms :][:, :terms], dense, rtol=1e-6)


def test_inputs_are_those_asked_for(splits: tuple[Dataset, Rows, Rows]) -> None:
    assert set(grown(splits, inputs="numerics")[0].arrays["column"]) <= set(range(3))
    assert min(grown(splits, inputs="terms")[0].arrays["column"]) >= 3


def test_terms_are_the_most_filled_of_each_bag(splits: tuple[Dataset, Rows, Rows]) -> None:
    filled = np.bincount(grown(splits, trees=1)[0].matrix(splits[1]).indices, minlength=5 + 2 * 13)
    frequent = {first + int(place) for first in (5, 18) for place in np.argsort(-filled[first : first + 13])[:2]}
    split = set(grown(splits, terms=2, leaf_rows=1, leaves=64)[0].arrays["column"])
    assert split & frequent
    assert split <= set(range(5)) | frequent


def test_the_best_validation_is_kept(splits: tuple[Dataset, Rows, Rows]) -> None:
    coordinate, fit = grown(splits, trees=400, learning_rate=0.5, leaves=31, patience=20)
    label, weight = splits[2].label.numpy(), splits[2].weight.numpy()
    trees = len(coordinate.arrays["splits"])
    assert trees == fit.steps - 20
    assert fit.epochs == fit.steps / 400
    assert fit.best is not None
    own = coordinate.score(splits[2])
    assert metrics.auc(label, own, weight) == pytest.approx(fit.best.auc, abs=1e-6)
    assert metrics.log_loss(label, own, weight) == pytest.approx(fit.best.loss, abs=1e-6)


@pytest.mark.parametrize("kind", [{}, SYMMETRIC])
def test_where_measuring_takes_longer_than_growing_some_trees_are_measured_and_the_last(
    splits: tuple[Dataset, Rows, Rows], kind: dict[str, Any]
) -> None:
    data, many, _ = splits
    few = from_block(data.read("validation").slice(0, 150))  # a tenth of `many`
    coordinate = FAMILIES["trees"].build(data.schema, {**SMALL, **kind, "trees": 25, "patience": 0}, 0)
    assert isinstance(coordinate, Trees)
    for until, measured in ((25, {10, 20, 25}), (7, {7})):
        told: list[Moment] = []

        def watch(moment: Moment, until: int = until, told: list[Moment] = told) -> bool:
            told.append(moment)
            return moment.steps >= until

        fit = boost(coordinate, few, many, Budget(1.0), watch, seed=3)
        assert (fit.steps, fit.metrics["trees"] in measured) == (until, True)
        assert {moment.steps for moment in told if moment.point} <= measured
        assert fit.best is not None
        own = coordinate.score(many)
        assert metrics.auc(many.label.numpy(), own, many.weight.numpy()) == pytest.approx(fit.best.auc, abs=1e-6)


def test_a_leaf_is_newtons_step_from_offset_and_bias_by_row_weights(splits: tuple[Dataset, Rows, Rows]) -> None:
    data, train, validation = splits
    offset = np.random.default_rng(0).normal(size=1500).astype(np.float32)
    around = train._replace(offset=tf.constant(offset))
    arrays = grown((data, around, validation), trees=1, leaves=2, learning_rate=1.0)[0].arrays
    label, weight = train.label.numpy(), train.weight.numpy()
    assert len(set(weight)) > 1
    p = 1 / (1 + np.exp(-(offset + arrays["bias"])))
    assert weight @ (label - p) == pytest.approx(0, abs=1e-6)
    column = splits[1].numerics.numpy()[:, arrays["column"][0]]
    for leaf, rows in enumerate((column <= arrays["threshold"], column > arrays["threshold"])):
        step = (weight * (label - p))[rows].sum() / (weight * p * (1 - p))[rows].sum()
        assert arrays["leaf"][leaf] == pytest.approx(step, rel=1e-4)


def test_an_offset_is_grown_around_and_left_out_of_the_scores(evaluate: Evaluator, dataset: str, study: str) -> None:
    evaluate(trial(0), never)
    result = evaluate(trial(1, offset=Ensemble((0,), (1.0,), 0.5)), never)
    data = Dataset.open(dataset)
    together = scores(dataset, study, 0, "validation") + scores(dataset, study, 1, "validation") + 0.5
    assert result.auc == pytest.approx(metrics.auc(data.labels("validation"), together, data.weights("validation")))
    # The bias given with the offset is taken back, and on average little else is left.
    assert scores(dataset, study, 1, "train").mean() == pytest.approx(-0.5, abs=0.1)
    own = Path(study) / "trials/1/weights.npz"
    assert np.load(own)["bias"][0] == pytest.approx(-0.5, abs=0.1)


def test_a_result_says_what_its_files_hold(evaluate: Evaluator, dataset: str, study: str) -> None:
    seen: list[Progress] = []
    result = evaluate(trial(0, epochs=2.0), lambda progress: bool(seen.append(progress)))
    data = Dataset.open(dataset)
    assert result.state is State.FINISHED
    assert result.auc is not None
    assert result.auc > 0.65
    auc = metrics.auc(data.labels("test"), scores(dataset, study, 0, "test"), data.weights("test"))
    assert result.metrics["test_auc"] == pytest.approx(auc, abs=1e-12)
    assert result.metrics["complexity"] == 2.0
    assert result.costs.steps == len(seen) <= 60
    assert result.costs.rows == 1500 * result.costs.steps
    assert max(p.auc for p in result.curve if p.auc) <= result.auc + 1e-6
    assert [p.epoch for p in result.curve[:3]] == pytest.approx([0.2, 0.4, 0.6])
    folder = Folder(study).within(f"{TRIALS}/0")
    again = load_coordinate(folder, data.schema).score(from_block(data.read("test")))
    assert again.tobytes() == scores(dataset, study, 0, "test").tobytes()


def test_a_seed_repeats_and_a_promotion_is_the_long_trial(evaluate: Evaluator, dataset: str, study: str) -> None:
    drawn = {**SMALL, "row_share": 0.7, "feature_share": 0.7, "patience": 0}
    evaluate(trial(0, epochs=1.0, parameters=drawn), never)
    evaluate(trial(1, epochs=2.0, parameters=drawn), never)
    evaluate(trial(2, epochs=2.0, parameters=drawn, parent=0), never)
    evaluate(trial(3, epochs=2.0, parameters=drawn, seed=6), never)
    assert np.array_equal(scores(dataset, study, 1, "test"), scores(dataset, study, 2, "test"))
    assert not np.array_equal(scores(dataset, study, 1, "test"), scores(dataset, study, 3, "test"))


def test_a_stopped_trial_keeps_its_best_trees(evaluate: Evaluator, dataset: str, tmp_path: Path) -> None:
    result = evaluate(trial(0, epochs=50.0), lambda progress: progress.steps >= 7)
    assert (result.state, result.costs.steps) == (State.STOPPED, 7)
    hurried = Evaluator(dataset, str(tmp_path / "hurried"), seed=1, trial_seconds=1e-6)
    result = hurried(trial(0, epochs=50.0), never)
    assert (result.state, result.costs.steps) == (State.STOPPED, 1)
    assert result.auc is not None


def test_labels_may_be_a_teachers(evaluate: Evaluator, dataset: str, study: str) -> None:
    evaluate(trial(0), never)
    parameters = {**SMALL, "distillation": 1.0, "patience": 0}
    evaluate(trial(1, parameters=parameters, teacher=Ensemble((0,), (2.0,), 0.0)), never)
    evaluate(trial(2, parameters={**SMALL, "patience": 0}), never)
    teacher = 2 * scores(dataset, study, 0, "train")
    far = np.abs(scores(dataset, study, 2, "train") - teacher).mean()
    assert np.abs(scores(dataset, study, 1, "train") - teacher).mean() < far


def test_what_cannot_be_grown_on_is_refused(splits: tuple[Dataset, Rows, Rows]) -> None:
    data, train, validation = splits
    with pytest.raises(TrialError, match="every training row has label 1"):
        grown((data, train._replace(label=tf.ones_like(train.label)), validation))
    with pytest.raises(TrialError, match="offsets of training rows are not finite"):
        grown((data, train._replace(offset=train.offset / 0), validation))
    with pytest.raises(TrialError, match="no feature is filled in as many rows"):
        grown(splits, leaf_rows=5000)


def test_a_dataset_that_streams_is_refused(dataset: str, study: str) -> None:
    with pytest.raises(TrialError, match="in the memory of one process"):
        Evaluator(dataset, study, seed=1, block_rows=400)(trial(0), never)


def test_where_lightgbm_cannot_be_loaded_trees_are_scored_but_not_grown(
    evaluate: Evaluator, splits: tuple[Dataset, Rows, Rows], dataset: str, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(trial(0), never)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(TrialError, match="LightGBM cannot be loaded"):
        evaluate(trial(1), never)
    coordinate = load_coordinate(Folder(study).within(f"{TRIALS}/0"), splits[0].schema)
    assert np.array_equal(coordinate.score(splits[2]), scores(dataset, study, 0, "validation"))


def test_damaged_trees_are_refused(evaluate: Evaluator, splits: tuple[Dataset, Rows, Rows], study: str) -> None:
    evaluate(trial(0), never)
    folder = Folder(study).within(f"{TRIALS}/0")
    with np.load(folder.path(WEIGHTS)) as saved:
        whole = dict(saved)
    coordinate = FAMILIES["trees"].build(splits[0].schema, {}, 0)
    coordinate.restore(whole, "here")
    for name, change in (("left", 10_000), ("column", 10_000), ("splits", 1), ("right", -10_000)):
        with pytest.raises(DataError, match="here: these are no trees over 31 columns"):
            coordinate.restore({**whole, name: whole[name] + np.int32(change)}, "here")
    with pytest.raises(DataError, match="here: these are no trees"):
        coordinate.restore({"bias": whole["bias"]}, "here")


def test_growth_takes_trees_into_a_model_that_scores_raw_rows(dataset: str, study: str, tmp_path: Path) -> None:
    pool = [
        {"family": "logistic", "parameters": {"solver": "lbfgs", "l2": 3.0}, "until": 1},
        {"family": "trees", "parameters": SMALL},
    ]
    options = {"generator": {"kind": "pool", "candidates": pool}, "candidates": 4, "warm_start": True}
    strategy = AdaNet(parse(options, AdaNetOptions, "test"), 1)
    evaluator = Evaluator(dataset, study, seed=1)
    trials: dict[int, Trial] = {}
    results: dict[int, Result] = {}
    while asked := strategy.ask(1):
        for each in asked:
            trials[each.number], results[each.number] = each, evaluator(each, never)
            strategy.tell(results[each.number])
    found = trace_growth(trials, results)
    assert {member.family for member in found.members} == {"logistic", "trees"}
    assert any(t.family == "trees" and t.offset is not None for t in trials.values())
    assert found.ensemble is not None
    linear = next(r for n, r in results.items() if trials[n].family == "logistic")
    assert results[found.ensemble].metrics["test_auc"] > linear.metrics["test_auc"]

    data = Dataset.open(dataset)
    winner = flatten(trials[found.ensemble].model, {n: r.ensemble for n, r in results.items() if r.ensemble})
    export(Folder(study), winner, data.schema, Folder(str(tmp_path / "model")), {})
    rows = pd.read_parquet(data.shards("test")[0].path)
    rows = rows[
        [all(len(set(row[b.name])) == len(row[b.name]) for b in data.schema.bags) for _, row in rows.iterrows()]
    ]
    predicted = _load_pyfunc(str(tmp_path / "model")).predict(example(data.schema, rows))
    own = scores(dataset, study, found.ensemble, "test")[: data.shards("test")[0].rows][rows.index]
    np.testing.assert_allclose(predicted.log_odds, own, atol=1e-4)
